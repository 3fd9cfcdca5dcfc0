"""`predict --fit`: the weights that made a file's figures are found again, and written the same each time."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.prediction import weights
from bench.prediction.counted import counted
from bench.prediction.page_lists import PageLists
from bench.prediction.terms import CALLS, events
from bench.traces.cost_format import Costs, encode_costs
from bench.traces.generate_costs import designed_traces
from mmmodel.kernels import implementation

SERIES = "6.1"
LAYOUTS = ("runs-1", "runs-3", "runs-14", "zero-pages", "full-tables", "cut-middle")
# Instructions of one event: round figures, to be found again.
MADE_OF = {"unlock_call": 900, "unlock_vma": 2_000, "pmd_entry": 20, "pte": 6, "zero_page": 30, "unlock_page": 700}
MADE_OF |= {"lock_call": 400, "lock_vma": 2_500, "lock_page": 650}
MADE_OF |= {"unmap_call": 5_000, "unmap_page": 1_200, "unmap_zero": 60, "unmap_entry": 8, "unmap_pmd": 35}


def made(path: Path, interrupted: int = 0) -> Path:
    """Write a cost file whose calls cost exactly what MADE_OF says; the first unlocking call that much more."""
    name = weights.implementation_of(SERIES)
    algorithm = implementation(name).algorithm
    lines = []
    for trace in designed_traces():
        if trace.name.removeprefix("designed-") not in LAYOUTS:
            continue
        found: list[int | None] = [None] * len(trace.ops)
        lists = PageLists(implementation(name).kernel.version)
        ops = counted(trace, name)
        for op in ops:
            lists.move(*op.in_use)
        for op in ops:
            moved = lists.move(*op.in_use).counters()
            if op.call not in CALLS:
                continue
            numbers = events(algorithm, op.call, {**op.counters, **moved})
            cost = sum(MADE_OF.get(term, 0) * number for term, number in numbers.items())
            extra = interrupted if CALLS[op.call] == "unlock" else 0
            found[op.number] = round(cost) + extra
            interrupted -= extra
        lines.append(Costs(trace.name, trace.window, trace.ops, {f"linux-{SERIES}": tuple(found)}))
    path.write_bytes(encode_costs(lines))
    return path


def test_a_fit_tells_what_its_file_was_made_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    costs, out = made(tmp_path / "costs.jsonl"), tmp_path / "weights.json"
    assert main(["predict", "--fit", str(costs), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "Errors, each layout left out of the fit once" in shown and "runs-14" in shown
    kernel = weights.load(out).of(SERIES)
    found = {one.name: one.weight for one in kernel.terms}
    told_apart = ("unlock_page", "zero_page", "lock_page", "unmap_page")
    assert {name: found[name] for name in told_apart} == {name: pytest.approx(MADE_OF[name], rel=0.02) for name in told_apart}
    assert main(["predict", "--check", str(costs), "--weights", str(out), "--bar", "0.1", "--small-bar", "0.1"]) == 0


def test_equal_files_make_equal_weights_which_name_them(tmp_path: Path) -> None:
    costs = made(tmp_path / "costs.jsonl")
    written = []
    for _ in range(2):
        assert main(["predict", "--fit", str(costs), "--out", str(tmp_path / "weights.json")]) == 0
        written.append((tmp_path / "weights.json").read_bytes())
    assert written[0] == written[1]
    (source,) = weights.load(tmp_path / "weights.json").sources
    assert source == weights.Source("costs.jsonl", hashlib.sha256(costs.read_bytes()).hexdigest())


def test_a_call_that_was_interrupted_counts_for_less(tmp_path: Path) -> None:
    costs, out = made(tmp_path / "costs.jsonl", interrupted=400_000), tmp_path / "weights.json"
    assert main(["predict", "--fit", str(costs), "--out", str(out)]) == 0
    clean = made(tmp_path / "clean.jsonl")
    assert main(["predict", "--check", str(clean), "--weights", str(out), "--bar", "0.5", "--small-bar", "0.5"]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "json"], "--fit prints tables"),
        (["--out", "/nowhere/weights.json"], "/nowhere"),
    ],
)
def test_bad_usage_is_one_line(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    costs = made(tmp_path / "costs.jsonl")
    assert main(["predict", "--fit", str(costs), *words]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and said in told[0]


def test_one_layout_cannot_be_fitted_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    costs = made(tmp_path / "costs.jsonl")
    one = tmp_path / "one.jsonl"
    one.write_bytes(costs.read_bytes().splitlines(keepends=True)[0])
    assert main(["predict", "--fit", str(one), "--out", str(tmp_path / "weights.json")]) == 3
    assert "two layouts or more" in capsys.readouterr().err
    assert not (tmp_path / "weights.json").exists()


def test_every_event_of_the_file_is_one_of_the_model() -> None:
    algorithm = implementation(weights.implementation_of(SERIES)).algorithm
    assert MADE_OF.keys() <= {name for call in CALLS for name in events(algorithm, call, {})}
