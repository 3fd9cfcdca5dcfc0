"""Points collected: an interruption costs no finished one, and what is found is not believed unseen."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console
from rich.progress import Progress

from bench.__main__ import main
from bench.errors import MeasurementError, UsageError
from bench.measuring import collect, counting, pool
from bench.measuring.collect import Collected, Request
from bench.measuring.counting import CountResult
from bench.measuring.repetition import Policy
from bench.runs import storage
from bench.workloads.scenario import SCENARIOS, Point
from bench.workloads.suite import Group, points_of
from support.collecting import Log, benchmark, log

__all__ = ["log"]
POINTS = points_of((Group(SCENARIOS["report"].resized(1 << 21)), Group(SCENARIOS["sparse-64KiB"].resized(1 << 21), "munmap")))
NAMES = [point.name for point in POINTS]
REQUEST = Request("sweep", "python -m bench sweep", POINTS, Policy(processes=2, values=1))


def gather(directory: Path, request: Request = REQUEST, **options: Any) -> Collected:
    with collect.collected(request, directory, Progress(disable=True), **options) as done:
        collect.save(directory, request, {"cpu_model": "x"}, done)
    return done


def kept(directory: Path) -> Path:
    """Return the working directory, the only one."""
    (found,) = directory.glob(".sweep-*")
    return found


def test_results_are_in_the_order_of_the_request(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def backwards(points: list[Point], scheduler: str) -> Iterator[tuple[int, CountResult]]:
        for index in reversed(range(len(points))):
            yield index, counting.count(points[index])

    monkeypatch.setattr(pool, "count_each", backwards)
    done = gather(tmp_path)
    assert log.counted == NAMES[::-1]
    assert [one.name for one in done.counted] == [one.get_name() for one in done.benchmarks] == NAMES
    assert [one.name for one in storage.load_counters(tmp_path / storage.COUNTERS_FILE).points] == NAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == [storage.COUNTERS_FILE, storage.WALL_FILE]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), MeasurementError("crashed")], ids=repr)
def test_only_what_is_not_finished_is_done_again(tmp_path: Path, log: Log, stop: BaseException) -> None:
    log.stop_counting[NAMES[4]] = stop
    with pytest.raises(type(stop)):
        gather(tmp_path)
    assert log.timed == []  # none before all are counted
    log.stop_timing[NAMES[2]] = stop
    with pytest.raises(type(stop)):
        gather(tmp_path)
    assert log.counted == NAMES
    assert log.timed == NAMES[:2]
    done = gather(tmp_path)
    assert (log.counted, log.timed) == (NAMES, NAMES)
    other = tmp_path / "other"
    assert gather(other).counted == done.counted
    assert (other / storage.COUNTERS_FILE).read_bytes() == (tmp_path / storage.COUNTERS_FILE).read_bytes()


def test_points_of_other_sources_or_requests_are_not_taken(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.stop_timing[NAMES[0]] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        gather(tmp_path)
    gather(tmp_path, msgspec.structs.replace(REQUEST, policy=Policy(processes=1, values=1)))
    assert log.counted == NAMES * 2
    monkeypatch.setattr(counting, "sources_digest", lambda: "0123456789abcdef")
    gather(tmp_path)
    assert log.counted == NAMES * 3
    monkeypatch.undo()
    assert len(list(kept(tmp_path).glob("*.counters.json"))) == len(NAMES)


def test_fresh_believes_nothing(tmp_path: Path, log: Log) -> None:
    log.stop_timing[NAMES[1]] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        gather(tmp_path)
    gather(tmp_path, fresh=True)
    assert log.counted == NAMES * 2
    assert log.timed == [NAMES[0], *NAMES]


def damage(directory: Path, kind: str) -> None:
    counters, wall = directory / "00001.counters.json", directory / "00001.wall.json"
    if kind == "truncated counters":
        counters.write_bytes(counters.read_bytes()[:-20])
    elif kind == "another point's counters":
        shutil.copy(directory / "00002.counters.json", counters)
    elif kind == "another schema":
        counters.write_text(json.dumps({**json.loads(counters.read_text()), "schema": 2}))
    elif kind == "other counters":  # then its times are no longer those of such a call
        content = json.loads(counters.read_text())
        content["done"]["counted"]["counters"]["model_pte_read"] += 1
        counters.write_text(json.dumps(content))
    elif kind == "truncated times":
        wall.write_bytes(wall.read_bytes()[:-20])
    elif kind == "another point's times":
        shutil.copy(directory / "00002.wall.json", wall)
    elif kind == "no times":
        wall.unlink()
    else:
        raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "again"),
    [
        ("truncated counters", "counted"),
        ("another point's counters", "counted"),
        ("another schema", "counted"),
        ("other counters", "timed"),
        ("truncated times", "timed"),
        ("another point's times", "timed"),
        ("no times", "timed"),
    ],
)
def test_a_file_that_is_not_whole_or_not_the_points_is_not_believed(tmp_path: Path, log: Log, kind: str, again: str) -> None:
    log.stop_timing[NAMES[4]] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        gather(tmp_path)
    damage(kept(tmp_path), kind)
    del log.counted[:], log.timed[:]
    gather(tmp_path)
    assert log.counted == ([NAMES[1]] if again == "counted" else [])
    assert log.timed == [NAMES[1], *NAMES[4:]]  # times belong to counters


def test_times_of_fewer_processes_are_not_believed(tmp_path: Path, log: Log) -> None:
    done = counting.count(POINTS[0])
    finished = collect.FinishedPoints(tmp_path, POINTS, Policy(processes=2, values=3))
    less = collect.FinishedPoints(tmp_path, POINTS, Policy(processes=1, values=3))
    finished.save_times(0, benchmark(*less.plan(done)))
    assert finished.load_times(0, done) is None
    assert less.load_times(0, done) is not None


def test_two_at_the_same_work_do_not_mix(tmp_path: Path, log: Log) -> None:
    log.stop_timing[NAMES[1]] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        gather(tmp_path)
    with (kept(tmp_path) / collect.LOCK_FILE).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another process is at work"):
            gather(tmp_path)
    gather(tmp_path)


def test_a_disagreement_ends_it_before_any_time(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    count = counting.count
    monkeypatch.setattr(counting, "count", lambda point: msgspec.structs.replace(count(point), state=point.implementation))
    with pytest.raises(MeasurementError, match="per-page and hole-skip leave different states after munlockall/report/2MiB"):
        gather(tmp_path)
    assert log.timed == []
    with pytest.raises(MeasurementError, match="different states"):
        collect.count_all(POINTS, Progress(disable=True))


def test_one_that_was_counted_before_has_to_agree_too(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.stop_counting[NAMES[1]] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        gather(tmp_path)
    count = counting.count
    monkeypatch.setattr(counting, "count", lambda point: msgspec.structs.replace(count(point), state="other"))
    with pytest.raises(MeasurementError, match="per-page and hole-skip leave different states"):
        gather(tmp_path)


def test_a_full_disk_costs_no_finished_point(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync
    left = iter(range(3))

    def full(descriptor: int) -> None:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MeasurementError, match=r"cannot write .*00003.counters.json: No space left on device"):
        gather(tmp_path)
    monkeypatch.setattr(os, "fsync", sync)
    assert len(list(kept(tmp_path).glob("*.json"))) == 3
    log.counted.clear()
    gather(tmp_path)
    assert log.counted == NAMES[3:]


def test_a_directory_that_disappears_is_one_line(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "results"
    count = counting.count

    def removing(point: Point) -> CountResult:
        if point.name == NAMES[2]:
            shutil.rmtree(directory)
        return count(point)

    monkeypatch.setattr(counting, "count", removing)
    with pytest.raises(MeasurementError, match=r"cannot write .*00002.counters.json: No such file"):
        gather(directory)
    assert not directory.exists()


def test_a_directory_that_cannot_be_written_is_one_line(tmp_path: Path, log: Log) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write to directory"):
        gather(tmp_path / "file")
    assert log.counted == []


def test_nothing_finished_leaves_nothing(tmp_path: Path, log: Log) -> None:
    log.stop_counting[NAMES[0]] = MeasurementError("crashed")
    with pytest.raises(MeasurementError):
        gather(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_finished_is_told(tmp_path: Path, log: Log) -> None:
    for terminal in (True, False):
        console = Console(record=True, file=(tmp_path / "screen").open("w"), width=300)
        progress = Progress(console=console, disable=not terminal)
        log.stop_timing |= {NAMES[1]: KeyboardInterrupt()}
        for fails in (True, False):
            try:
                with collect.collected(REQUEST, tmp_path, progress):
                    assert not fails
            except KeyboardInterrupt:
                assert fails
        text = console.export_text()
        console.file.close()
        assert "unlockall-bench: kept for the same command: 8 of 8 points" in text
        assert "unlockall-bench: finished before: 8 of 8 points are counted, 1 are timed" in text
        assert terminal or text.count("\n") == 2


def test_a_killed_sweep_goes_on(tmp_path: Path, log: Log) -> None:
    arguments = ["sweep", "--span", "1MiB", "--populate", "none,64KiB", "--impl", "page-walk", "--processes", "50"]
    arguments += ["--results", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(tmp_path.glob(".sweep-*/*.counters.json"))) < 2 and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, err
    assert [path.name for path in tmp_path.iterdir() if path.name[0] != "."] == []
    assert main(arguments) == 0
    assert log.counted == []
    assert len(log.timed) == 2
    (run,) = tmp_path.iterdir()
    assert [one.point.implementation for one in storage.load_counters(run / storage.COUNTERS_FILE).points] == ["page-walk"] * 2
