"""Runs read back: what is found where, and what is refused, with its reason."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyperf
import pytest

from bench.errors import MeasurementError, UsageError
from bench.runs import loading, record, storage
from bench.runs.loaded import Process
from support import kept

NAME = "munlockall/report/64MiB/per-page"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return kept.write_curve(tmp_path / "results" / "one")


def changed(path: Path, change: Change) -> Path:
    """Change a JSON file by hand, as somebody might."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path


def test_a_run_by_name_and_by_path(run: Path) -> None:
    by_name, by_path = loading.load("one", run.parent), loading.load(str(run), run.parent)
    assert by_name.points == by_path.points
    assert len(by_name.points) == 6
    one = by_name.points[NAME]
    assert (one.span, one.nr_vmas, one.nr_populated) == (64 << 20, 1, 0)
    assert one.counters is not None and one.counters["model_pte_read"] == 16384
    assert len(one.values) == 6
    assert one.by_process == pytest.approx([16384e-9 * 0.995, 16384e-9 * 1.005, 16384e-9])


def test_a_pyperf_file_has_no_counters_but_their_digest(run: Path) -> None:
    alone, whole = loading.load(str(run / "wall.json"), run), loading.load(str(run), run)
    assert {one.counters for one in alone.points.values()} == {None}
    for name, one in alone.points.items():
        expected = whole.points[name]
        assert one == msgspec.structs.replace(expected, record=None)


def test_other_forms_of_the_files(run: Path, tmp_path: Path) -> None:
    packed = tmp_path / "times.json.gz"
    packed.write_bytes(gzip.compress((run / "wall.json").read_bytes()))
    assert loading.load(str(packed), run).points == loading.load(str(run / "wall.json"), run).points
    only_counted = loading.load(str(run / "counters.json"), run)
    (run / "wall.json").unlink()
    assert only_counted == msgspec.structs.replace(
        loading.load(str(run), run), where=only_counted.where, name=only_counted.name
    )
    assert {one.processes for one in only_counted.points.values()} == {()}


def test_facts_are_told_one_way(run: Path) -> None:
    facts = loading.load(str(run), run).facts
    alone = loading.load(str(run / "wall.json"), run).facts
    assert facts["python"] == "cpython 3.11.7"
    assert facts["cpu_model"] == alone["cpu_model"] == "Abacus 1"


def test_what_is_no_run(run: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for where, message in (
        (str(empty), "is no run: it has none of counters.json, wall.json, instructions.json$"),
        (str(run.parent), "is no run.*; the runs in it are one$"),
        ("two", "no run 'two'.* has one$"),
        ("", "empty"),
        ("a\x1b[2Jb", r"'a\?\[2Jb'"),
    ):
        with pytest.raises(UsageError, match=message):
            loading.load(where, run.parent)


def value(what: object) -> Change:
    return lambda file: file["benchmarks"][1]["runs"][0].update(values=[1.0, what])


def told(key: str, what: object, runs: slice = slice(None)) -> Change:
    def change(file: dict[str, Any]) -> None:
        for one in file["benchmarks"][0]["runs"][runs]:
            one["metadata"] = one.get("metadata", {}) | {key: what}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (value(float("nan")), "munlockall/report/64MiB/page-walk has the value nan, which is no finite number above zero"),
        (value(float("inf")), "page-walk has the value inf"),
        (value(0), "page-walk has the value 0,"),
        (value(-1e-3), "page-walk has the value -0.001"),
        (value("1"), "page-walk has the value 1,"),
        (value(True), "page-walk has the value True"),
        (value(10**400), "page-walk has the value 1000.*no finite"),
        (lambda file: file["benchmarks"].clear(), "no pyperf file: benchmarks must be a non-empty sequence"),
        (lambda file: file["benchmarks"].append(file["benchmarks"][0]), "already a benchmark called"),
        (lambda file: file.pop("version"), "format version None not supported"),
        (lambda file: file["benchmarks"][0]["metadata"].update(name="json_loads"), "'json_loads' is no name of a measurement"),
        (lambda file: file["benchmarks"][0]["metadata"].update(name="a/b/c/\x1b[2J"), "no printable name"),
        (lambda file: file["metadata"].update(unit="byte"), "is in bytes; only times"),
        (lambda file: file["benchmarks"][0].update(runs=[{"warmups": [[1, 2.0]]}]), "per-page has no value"),
        (told("mlock_digest", "f" * 16, slice(1, 2)), "are mixed, their digest differs"),
        (told("mlock_source", "f" * 16, slice(1, 2)), "are mixed, their source differs"),
        (told("mlock_implementation", "page-walk"), "was measured as implementation page-walk"),
        (told("mlock_vmas", -1), "has -1 where a number"),
        (told("mlock_span", "64"), "has 64 where a number"),
    ],
)
def test_pyperf_files_that_cannot_be_right(run: Path, change: Change, message: str) -> None:
    path = changed(run / "wall.json", change)
    with pytest.raises(MeasurementError, match=message) as raised:
        loading.load(str(path), run)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff", b"5", b"[]", b"{}", b"[" * 100_000, b'{"benchmarks": 5, "version": "1.0"}']
)
def test_files_that_are_something_else(tmp_path: Path, content: bytes) -> None:
    for name in ("times.json", "counters.json"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MeasurementError, match=name):
            loading.load(str(tmp_path / name), tmp_path)


def test_a_packed_file_that_ends_too_early(run: Path, tmp_path: Path) -> None:
    whole = gzip.compress((run / "wall.json").read_bytes())
    for content in (whole[:-50], b"no gzip at all", whole[:100] + b"\xff" * 100 + whole[200:]):
        (tmp_path / "times.json.gz").write_bytes(content)
        with pytest.raises(MeasurementError, match=r"times\.json\.gz"):
            loading.load(str(tmp_path / "times.json.gz"), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one["counters"].update(model_pte_read=-1), "model_pte_read = -1, which is no count"),
        (lambda one: one["counters"].update(model_pte_read=1 << 63), "which is no count"),
        (lambda one: one.update(span=0), "a span of 0 bytes"),
        (lambda one: one.update(nr_populated=-3), "has -3 where a number"),
    ],
)
def test_counters_that_cannot_be_right(run: Path, change: Change, message: str) -> None:
    path = changed(run / "counters.json", lambda file: change(file["points"][0]))
    with pytest.raises(MeasurementError, match=message):
        loading.load(str(path), run)


def test_a_run_without_points(run: Path) -> None:
    (run / "wall.json").unlink()
    changed(run / "counters.json", lambda file: file["points"].clear())
    with pytest.raises(MeasurementError, match="holds no measurement"):
        loading.load(str(run), run)


def test_times_of_other_work_than_was_counted(run: Path) -> None:
    changed(run / "counters.json", lambda file: file["points"][0]["counters"].update(model_pte_read=16383))
    with pytest.raises(MeasurementError, match=f"{NAME} was timed on other work than was counted .counters_digest differs"):
        loading.load(str(run), run)


def test_a_point_that_was_only_timed_or_only_counted(tmp_path: Path) -> None:
    here, there = kept.point(), kept.point("page-walk")
    path = kept.write(tmp_path / "run", [kept.counted(here, 5)], [kept.timed(there, [[1.0]])])
    points = loading.load(str(path), tmp_path).points
    assert not points[here.name].processes and points[here.name].counters_digest
    assert points[there.name].counters is None and points[there.name].processes == (Process((1.0,), None),)
    assert points[here.name].counters_digest == record.digest_of(kept.counted(here, 5).counters)


def test_a_file_that_was_added_to_on_another_machine_says_so(tmp_path: Path) -> None:
    times = [kept.timed(kept.point(name), [[1.0]], cpu_model_name=cpu) for name, cpu in (("per-page", "A"), ("page-walk", "B"))]
    path = kept.write(tmp_path / "run", times=times)
    assert loading.load(str(path), tmp_path).facts["cpu_model"] == "A and B"


def test_a_run_that_disappears(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = storage.load_counters

    def too_late(path: Path) -> storage.CountersFile:
        path.unlink()
        return load(path)

    monkeypatch.setattr(storage, "load_counters", too_late)
    with pytest.raises(MeasurementError, match=r"cannot read results file .*counters\.json: No such file"):
        loading.load(str(run), run)


def test_processes_that_only_calibrated_are_none(tmp_path: Path) -> None:
    runs = [pyperf.Run(values, warmups=[(1, 9.0)], metadata={"name": NAME}, collect_metadata=False)
            for values in ([], [1.0, 3.0], [5.0])]  # fmt: skip
    path = kept.write(tmp_path / "run", times=[pyperf.Benchmark(runs)])
    one = loading.load(str(path), tmp_path).points[NAME]
    assert one.by_process == [2.0, 5.0] and one.values == [1.0, 3.0, 5.0]


def test_starts_are_relative_to_the_first_counted_process(tmp_path: Path) -> None:
    """A benchmark that nothing was counted for may have been added long before."""
    here, foreign = kept.point(), kept.point("page-walk")
    dated = [kept.timed(one, [[1.0]], date=f"2026-01-31 {hour}:50:00.5") for one, hour in ((foreign, 22), (here, 23))]
    later = kept.timed(here, [[1.0]], date="2026-02-01 00:00:00.5")
    dated[1].add_runs(later)
    run = loading.load(str(kept.write(tmp_path / "run", [kept.counted(here, 5)], dated)), tmp_path)
    assert [one.started for one in run.points[here.name].processes] == [0.0, 600.0]
    assert run.nr_foreign == 1 and run.counted_points == (run.points[here.name],)
    with pytest.raises(MeasurementError, match="was not counted"):
        _ = run.points[foreign.name].counted
