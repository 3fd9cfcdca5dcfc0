"""Files under results/: whole or not at all, and nothing foreign is believed."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyperf
import pytest

from bench.errors import MeasurementError, UsageError
from bench.runs import storage
from bench.runs.record import Counted
from bench.workloads.scenario import SCENARIOS, Point

POINT = Point(SCENARIOS["report"], "per-page")
BIG = (1 << 53) + 1  # is not a float


def counted(point: Point = POINT) -> Counted:
    return Counted(point.name, point, 1 << 41, 1, 0, {"nr_mlock": -3, "model_pages_looked_up": BIG})


def saved(path: Path) -> Path:
    storage.save_counters(path, "python -m bench report", {"cpu_model": "x", "cpu_count": 2}, [counted()])
    return path


def test_counters_come_back_exact(tmp_path: Path) -> None:
    loaded = storage.load_counters(saved(tmp_path / "counters.json"))
    assert loaded.points == [counted()]
    assert loaded.points[0].counters["model_pages_looked_up"] == BIG
    assert loaded.schema == storage.SCHEMA
    assert loaded.machine == {"cpu_model": "x", "cpu_count": 2}


def change(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"schema": "1"},
        {"kind": "times"},
        {"surprise": 1},
        {"points": None},
        {"points": [{}]},
        {"machine": {"cpu_count": 1.5}},
        {"command": 5},
    ],
)
def test_foreign_counters_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = saved(tmp_path / "counters.json")
    change(path, **changes)
    with pytest.raises(MeasurementError, match="schema 1"):
        storage.load_counters(path)


def test_edited_counters_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "counters.json")
    points = json.loads(path.read_text())["points"]
    change(path, points=points * 2)
    with pytest.raises(MeasurementError, match="twice"):
        storage.load_counters(path)
    change(path, points=[{**points[0], "name": "munlockall/report/2TiB/page-walk"}])
    with pytest.raises(MeasurementError, match="not what its parameters say"):
        storage.load_counters(path)
    change(path, points=[{**points[0], "counters": {"nr_mlock": 1.5}}])
    with pytest.raises(MeasurementError, match="schema"):
        storage.load_counters(path)
    path.write_text(path.read_text()[:100])
    with pytest.raises(MeasurementError):
        storage.load_counters(path)
    path.unlink()
    with pytest.raises(MeasurementError, match="No such file"):
        storage.load_counters(path)


def test_a_failed_write_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    storage.write_atomic(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MeasurementError, match=r"cannot write .*a: No space left on device"):
        storage.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_an_interrupted_write_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    storage.write_atomic(path, b"old")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        storage.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_a_directory_that_disappears_is_a_clear_line(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"cannot write .*wall.json: No such file"):
        storage.save_wall(tmp_path / "gone" / "wall.json", [benchmark("a", [1.0])])
    with pytest.raises(MeasurementError, match="cannot write"), storage.run_directory(tmp_path, "run") as (part, _):
        part.rmdir()


def test_files_are_readable_as_the_umask_says(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        storage.write_atomic(tmp_path / "a", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_run_appears_whole(tmp_path: Path) -> None:
    with storage.run_directory(tmp_path, "run") as (part, final):
        (part / "x").write_text("1")
        assert not final.exists()
        assert part.name.startswith(".")
    assert (final / "x").read_text() == "1"
    assert [one.name for one in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MeasurementError("x"), SystemExit(1)])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(BaseException), storage.run_directory(tmp_path, "run") as (part, _):  # noqa: B017
        (part / "x").write_text("1")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_two_runs_of_one_second(tmp_path: Path) -> None:
    for _ in range(3):
        with storage.run_directory(tmp_path, "run"):
            pass
    assert sorted(one.name for one in tmp_path.iterdir()) == ["run", "run-2", "run-3"]


def test_an_unwritable_directory_is_a_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot write to directory .*file"):
        storage.make_directory(tmp_path / "file")
    with pytest.raises(UsageError, match="cannot write to directory"):
        storage.make_directory(Path("/proc/nosuch"))


def benchmark(name: str, values: list[float]) -> pyperf.Benchmark:
    run = pyperf.Run(values, metadata={"name": name, "unit": "second", "loops": 1}, collect_metadata=False)
    return pyperf.Benchmark([run])


def test_times_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "wall.json"
    storage.save_wall(path, [benchmark("a", [1.0, 2.0]), benchmark("b", [0.5])])
    assert {name: one.get_values() for name, one in storage.load_wall(path).items()} == {"a": (1.0, 2.0), "b": (0.5,)}
    assert [one.name for one in tmp_path.iterdir()] == ["wall.json"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": "9.9", "benchmarks": []}', "\0"])
def test_foreign_times_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wall.json"
    path.write_text(text)
    with pytest.raises(MeasurementError):
        storage.load_wall(path)
    with pytest.raises(MeasurementError):
        storage.load_wall(tmp_path / "nosuch.json")


def test_run_names_sort_by_time() -> None:
    one = storage.run_name("report", "2026-11-22T22:30:00Z", "0123456789abcdef")
    two = storage.run_name("report", "2026-11-23T02:30:00Z", "0123456789abcdef")
    assert one == "report-20261122T223000Z-01234567"
    assert one < two


def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path("/dev/null")):
        with pytest.raises(UsageError, match="is no regular file"):
            storage.write_atomic(path, b"x")
    assert pipe.is_fifo()


def test_runs_of_one_second_get_names_of_their_own_however_they_overlap(tmp_path: Path) -> None:
    def fill(number: int, barrier: threading.Barrier) -> str:
        with storage.run_directory(tmp_path, "report-x") as (part, final):
            (part / "number").write_text(str(number), encoding="utf-8")
            barrier.wait(20)  # all are under way at once
        assert (final / "number").read_text(encoding="utf-8") == str(number)
        return final.name

    barrier = threading.Barrier(8)
    with ThreadPoolExecutor(8) as threads:
        names = set(threads.map(lambda number: fill(number, barrier), range(8)))
    assert names == {"report-x", *(f"report-x-{number}" for number in range(2, 9))} == {one.name for one in tmp_path.iterdir()}


def test_a_directory_named_from_here_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        with storage.replaced_directory(Path("kept")) as part:
            (part / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["kept", "kept/b"]
