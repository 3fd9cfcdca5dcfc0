"""The reference command: replaced as a whole or not at all, and what changed is told."""

from pathlib import Path

import msgspec
import pytest

from bench.__main__ import main
from bench.analysis.counter_diff import Change, Difference, changes
from bench.commands import reference
from bench.errors import MeasurementError
from bench.measuring import counting
from bench.measuring.counting import CountResult
from bench.measuring.repetition import Repetition
from bench.runs import record, storage
from bench.tables.changes import change_lines
from bench.workloads import suite
from bench.workloads.scenario import SCENARIOS, Point
from bench.workloads.suite import Group
from mmmodel.kernels import IMPLEMENTATIONS
from support.collecting import Log, log

__all__ = ["log"]
SMALL = Group(SCENARIOS["report"].resized(1 << 21))
LARGER = Group(SCENARIOS["report"].resized(1 << 22))
OTHER = Group(SCENARIOS["report"].resized(1 << 21), "munmap")


def run(directory: Path, monkeypatch: pytest.MonkeyPatch, *groups: Group) -> int:
    monkeypatch.setitem(suite.SUITES, "quick", groups)
    return main(["reference", "--suite", "quick", "--to", str(directory), "--processes", "1", "--values", "1"])


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_it_is_replaced_and_what_changed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], log: Log
) -> None:
    directory = tmp_path / "results" / "reference"
    assert run(directory, monkeypatch, SMALL, LARGER) == 0
    out = capsys.readouterr().out
    assert "nothing to compare with: there was none before" in out
    assert "counters: 8 added, 0 removed, 0 changed" in out
    first = content(directory)
    assert set(first) == {storage.COUNTERS_FILE, storage.WALL_FILE}
    assert run(directory, monkeypatch, SMALL, LARGER) == 0
    assert capsys.readouterr().out.splitlines() == ["counters: 0 added, 0 removed, 0 changed", f"reference: {directory}"]
    assert content(directory)[storage.COUNTERS_FILE] == first[storage.COUNTERS_FILE]

    count = counting.count

    def more(point: Point) -> CountResult:
        done = count(point)
        if point.name == "munlockall/report/2MiB/per-page":
            counters = {**done.counted.counters, "model_pages_looked_up": 513}
            done = msgspec.structs.replace(done, counted=msgspec.structs.replace(done.counted, counters=counters))
        return done

    monkeypatch.setattr(counting, "count", more)
    assert run(directory, monkeypatch, SMALL, OTHER) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "changed  munlockall/report/2MiB/per-page: model_pages_looked_up: 512 -> 513"
    number = len(IMPLEMENTATIONS)
    added, removed = lines[1 : number + 1], lines[number + 1 : 2 * number + 1]
    assert added == [f"added    munmap/report/2MiB/{name}" for name in IMPLEMENTATIONS]
    assert removed == [f"removed  munlockall/report/4MiB/{name}" for name in IMPLEMENTATIONS]
    assert lines[2 * number + 1] == f"counters: {number} added, {number} removed, 1 changed"
    assert [path.name for path in directory.parent.iterdir()] == ["reference"]


@pytest.mark.parametrize("where", ["count", "time", "write"])
def test_a_failure_leaves_the_old_one_as_it_was(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "reference"
    assert run(directory, monkeypatch, SMALL) == 0
    before = content(directory)
    failure = MeasurementError("crashed")
    name = OTHER.points()[1].name
    with monkeypatch.context() as patch:
        if where == "count":
            log.stop_counting[name] = failure
        elif where == "time":
            log.stop_timing[name] = failure
        else:
            patch.setattr(storage, "_exchange", lambda one, two: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        assert run(directory, monkeypatch, OTHER) == 3
    assert content(directory) == before
    assert run(directory, monkeypatch, OTHER) == 0
    assert log.counted.count(name) == 1  # the second run went on where the first one ended
    assert content(directory) != before
    assert [path.name for path in tmp_path.iterdir()] == ["reference"]


def test_what_is_no_reference_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    assert run(tmp_path / "mine", monkeypatch, SMALL) == 2
    assert "mine is no reference, or has more in it: thesis.tex" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert run(tmp_path / "file", monkeypatch, SMALL) == 2
    assert "file: Not a directory" in capsys.readouterr().err
    assert log.counted == []


def test_one_that_cannot_be_read_is_replaced_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / storage.COUNTERS_FILE).write_text("{}")
    assert run(tmp_path / "reference", monkeypatch, SMALL) == 0
    assert "nothing to compare with: the one before could not be read" in capsys.readouterr().out
    assert len(storage.load_counters(tmp_path / "reference" / storage.COUNTERS_FILE).points) == 4


def test_an_old_one_is_replaced_by_one_system_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    final = tmp_path / "reference"
    for name in ("a", "b"):
        with storage.replaced_directory(final) as part:
            (part / name).touch()
            present = [path.name for path in final.iterdir()] if final.exists() else []
            assert present == ([] if name == "a" else ["a"])
        assert [path.name for path in final.iterdir()] == [name]
        # Two steps with a moment between them could not do without one of these.
        for step in ("rename", "replace", "unlink", "rmdir"):
            monkeypatch.setattr(Path, step, None)
    assert [path.name for path in tmp_path.iterdir()] == ["reference"]


def test_where_directories_cannot_be_exchanged_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reference").mkdir()
    monkeypatch.setattr(storage, "_RENAME_EXCHANGE", 1 << 20)  # EINVAL, as of a file system that cannot
    line = "Invalid argument; it cannot be replaced in one step here: move it away first"
    with pytest.raises(MeasurementError, match=line), storage.replaced_directory(tmp_path / "reference"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["reference"]


def test_the_main_points_are_timed_often(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = reference.read_request(reference._parse([]))
    assert asked.line == "python -m bench reference"
    assert {point.name for point in asked.points} >= set(asked.policy.often)
    report = tuple(f"munlockall/report/2TiB/{name}" for name in IMPLEMENTATIONS)
    assert asked.policy.often[: len(report)] == report
    assert asked.policy.repetition("munlockall/report/2TiB/per-page", 1.0) == Repetition(20, 3, 1, 1)
    assert asked.policy.repetition("munlockall/report/8GiB/per-page", 1.0).processes < 20


def test_changes_name_what_differs() -> None:
    point = Point(SCENARIOS["report"], "page-walk")
    old = record.Counted(point.name, point, 1, 1, 0, {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5})
    new = msgspec.structs.replace(old, nr_vmas=2, counters={"a": 1, "b": 3, "c": 4, "d": 5, "f": 6000})
    assert changes({"x": old.facts}, {"x": old.facts}) == []
    (change,) = found = changes({old.name: old.facts}, {old.name: new.facts})
    differing = [("nr_vmas", 1, 2), ("b", 2, 3), ("c", 3, 4), ("d", 4, 5), ("e", 5, None), ("f", None, 6000)]
    assert change == Change("changed", old.name, tuple(Difference(*one) for one in differing))
    assert change_lines(found)[0].endswith("nr_vmas: 1 -> 2; b: 2 -> 3; c: 3 -> 4; d: 4 -> 5; and 2 more")
    other = msgspec.structs.replace(old, point=Point(SCENARIOS["report"].resized(1), "page-walk"))
    assert changes({"x": old.facts}, {"x": other.facts})[0].differing[0][0] == "parameters"
