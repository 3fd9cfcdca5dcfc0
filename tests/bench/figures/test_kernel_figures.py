"""The figures of real kernels: on made-up numbers, and as they are committed, from the committed records."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import main
from bench.analysis.kernel_costs import fit
from bench.analysis.kernel_history import largest, rows
from bench.errors import MeasurementError
from bench.figures.inputs import Skipped
from bench.figures.kernel_history.drawing import draw
from bench.figures.kernel_history.numbers import History, prepare
from bench.figures.kinds import KERNEL_KINDS
from bench.runs import kernel_costs, kernel_history, storage
from bench.runs.kernel_costs import Sized
from bench.runs.kernel_history import Costs, HistoryPoint, KernelFacts, KernelHistory
from bench.workloads.scenario import SCENARIOS, MiB, Operation, Point, Scenario, sparse

ROOT = Path(__file__).parents[3]
REMAKE = "python3 run.py kernel {0} results/records/kernel-{0}.json --plots docs/figures"


def history(*points: tuple[Scenario, Operation, dict[str, int]]) -> KernelHistory:
    """Return what some points cost, each call once."""
    names = dict.fromkeys(name for _, _, costs in points for name in costs)
    found = [
        HistoryPoint(Point(one, "", op), {name: Costs((cost,), 0) for name, cost in costs.items()}) for one, op, costs in points
    ]
    return KernelHistory(1, "kernel-history", "", "", {}, [KernelFacts(name, name) for name in names], found)


@pytest.mark.parametrize(
    ("scenario", "operation", "per", "nr_pages"),
    [
        (SCENARIOS["report"].resized(4 * MiB), "munlock", "span", 1024),
        (SCENARIOS["report"].resized(4 * MiB), "munlock-part", "span", 512),
        (SCENARIOS["dense"].resized(4 * MiB), "munlockall", "memory", 1024),
        (SCENARIOS["dense"].resized(4 * MiB), "mmap", "memory", 1024),
        (SCENARIOS["thp"].resized(4 * MiB), "munmap", "memory", 1024),  # two accesses bring them
        (sparse(MiB, 64 * MiB), "munlock", "memory", 64),
        (sparse(MiB, 64 * MiB), "munlock-part", "memory", 32),
    ],
)
def test_costs_are_for_a_page_of_the_span_or_for_one_in_memory(
    scenario: Scenario, operation: Operation, per: str, nr_pages: int
) -> None:
    (row,) = rows(history((scenario, operation, {"6.1": 4096})))
    assert (row.per, row.nr_pages, row.per_page) == (per, nr_pages, {"6.1": 4096 / nr_pages})


def test_rows_go_from_cheap_to_dear_and_a_figure_has_the_longest_spans() -> None:
    report, dense = SCENARIOS["report"], SCENARIOS["dense"]
    found = rows(
        history(
            (dense.resized(4 * MiB), "munmap", {"5.10": 9_000_000, "6.1": 8_000_000}),
            (dense.resized(4 * MiB), "munlock", {"5.10": 800_000, "6.1": 700_000}),
            (dense.resized(16 * MiB), "munlock", {"5.10": 3_200_000, "6.1": 2_800_000}),
            (report.resized(16 * MiB), "munlock", {"5.10": 400_000}),
        )
    )
    assert [row.point.operation for row in found] == ["munlock", "munlock", "munlock", "munmap"]
    assert [row.per for row in found] == ["span", "memory", "memory", "memory"]
    assert [row.point.scenario.span for row in largest(found)] == [16 * MiB, 16 * MiB, 4 * MiB]


def test_a_figure_is_drawn_of_costs_below_zero_of_one_kernel_and_of_many() -> None:
    (one,) = prepare(history((SCENARIOS["report"].resized(4 * MiB), "exit", {"6.1": -400})))
    (many,) = prepare(history((SCENARIOS["dense"].resized(4 * MiB), "exit", {f"6.{nr}": 1000 + nr for nr in range(9)})))
    assert isinstance(one, History) and isinstance(many, History)
    assert len(draw(one).axes) == len(draw(many).axes) == 1
    assert len(draw(many).legends[0].get_texts()) == 9


def test_nothing_measured_is_no_figure() -> None:
    assert [type(one) for one in prepare(history())] == [Skipped]


def test_costs_of_a_page_are_the_difference_of_two_sizes() -> None:
    found = fit((Sized(100, (10_100, 10_000, 99_999)), Sized(300, (20_100, 20_100, 0))))  # medians: 10,100 and 20,100
    assert (found.per_page, found.fixed) == (50.0, 5100.0)


@pytest.mark.parametrize("action", ["history", "costs"])
def test_the_committed_figures_are_what_the_code_draws_of_the_records(action: str, tmp_path: Path) -> None:
    record = ROOT / "results" / "records" / f"kernel-{action}.json"
    assert main(["kernel", action, str(record), "--plots", str(tmp_path)]) == 0
    load = kernel_history.load if action == "history" else kernel_costs.load
    (prepared,) = KERNEL_KINDS[f"kernel_{action}"].prepared(load(record))
    assert not isinstance(prepared, Skipped)
    made, kept = (place / f"kernel-{action}.svg" for place in (tmp_path, ROOT / "docs" / "figures"))
    texts = [path.read_text(encoding="utf-8").partition("<desc>")[2].partition("</desc>")[0] for path in (made, kept)]
    assert texts[0] == texts[1] != "", REMAKE.format(action)
    assert len(prepared.data.kernels) == 4


@pytest.mark.parametrize(
    ("action", "change"),
    [
        ("history", lambda data: data["points"][0]["costs"].update({"9.9": {"values": [1], "taken_off": 0}})),
        ("history", lambda data: next(iter(data["points"][0]["costs"].values())).update(values=[])),
        ("costs", lambda data: next(iter(data["kinds"][0]["costs"].values()))[1].update(nr_pages=1)),
        ("costs", lambda data: data["kinds"][0].update(covers=0)),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(action: str, change: Callable[[Any], None], tmp_path: Path) -> None:
    data = json.loads((ROOT / "results" / "records" / f"kernel-{action}.json").read_text(encoding="utf-8"))
    change(data)
    path = tmp_path / "changed.json"
    path.write_bytes(storage.encode_json(data))
    load = kernel_history.load if action == "history" else kernel_costs.load
    with pytest.raises(MeasurementError, match=r"cannot be|are not of its kernels"):
        load(path)
