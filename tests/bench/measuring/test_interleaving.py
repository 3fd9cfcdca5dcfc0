"""Interleaved processes: who works when, what happens if one ends, and that workers time what they were asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import environment
from bench.errors import MeasurementError
from bench.measuring.interleaving import SchedulerEnd, WorkerEnd, interleave
from bench.measuring.timing import Plan
from bench.measuring.worker import Interleaving, SourceTree, run_interleaved, run_worker
from bench.workloads.scenario import SCENARIOS, KiB, Point

HERE = Path(environment.__file__).parent.parent
CPU = min(os.sched_getaffinity(0))
PLAN = Plan(tuple(Point(SCENARIOS["dense"].resized(64 * KiB), one, "munlock") for one in ("per-page", "page-walk")))
CHILD = """
import sys
from bench.measuring.interleaving import WorkerEnd
worker_end = WorkerEnd.read(sys.argv[1])
for call in range(int(sys.argv[2])):
    worker_end.wait()
    with open(sys.argv[4], "a") as log:
        log.write(sys.argv[3])
"""


def tree(source: str = "", directory: Path = HERE) -> SourceTree:
    return SourceTree(directory, source or environment.source_digest())


def calls_of(calls: dict[str, int], log: Path, each: int) -> str:
    """Let a process for each letter make so many calls, `each` in a slice; return the letters in the order of the calls."""
    ends, processes = [], []
    for letter, number in calls.items():
        end = SchedulerEnd(each)
        words = [sys.executable, "-c", CHILD, end.worker_end.words(), str(number), letter, str(log)]
        processes.append(subprocess.Popen(words, cwd=HERE, pass_fds=end.inherited))
        end.started()
        ends.append(end)
    interleave(ends)
    for end, process in zip(ends, processes, strict=True):
        end.close()
        assert process.wait() == 0
    return log.read_text()


def test_slices_go_forth_and_back(tmp_path: Path) -> None:
    assert calls_of(dict.fromkeys("abc", 8), tmp_path / "log", 2) == "aabbccccbbaaaabbccccbbaa"


def test_who_has_ended_is_left_out(tmp_path: Path) -> None:
    assert calls_of({"a": 3, "b": 0, "c": 1}, tmp_path / "log", 1) == "acaa"


def test_who_waits_for_a_slice_that_never_comes_gives_up() -> None:
    end = SchedulerEnd(1)
    worker_end = WorkerEnd.read(end.worker_end.words())
    end.close()
    with pytest.raises(MeasurementError, match="the process that schedules the slices is gone"):
        worker_end.wait()
    end.started()


def test_each_worker_times_every_point_as_often_as_it_has_slices_and_calls() -> None:
    found = run_interleaved(PLAN, [tree(), tree()], Interleaving(3, 2, CPU))
    assert len(found) == 2
    for values in found:
        assert list(values) == [point.name for point in PLAN.points]
        assert all(len(one) == 6 and min(one) > 0 for one in values.values())


def test_a_worker_alone_times_every_point_once() -> None:
    found = run_worker(PLAN, tree())
    assert list(found) == [point.name for point in PLAN.points]
    assert min(found.values()) > 0


def test_a_worker_of_another_model_is_not_believed() -> None:
    with pytest.raises(MeasurementError, match="measured something else"):
        run_interleaved(PLAN, [tree(), tree("of something else")], Interleaving(1, 1, CPU))


@pytest.mark.parametrize("broken", [0, 1])
def test_a_worker_that_does_not_start_is_told_of(tmp_path: Path, broken: int) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("raise RuntimeError('broken')\n")
    trees = [tree(), tree()]
    trees[broken] = tree(directory=tmp_path)
    with pytest.raises(MeasurementError, match=r"ended with exit code 1 in .*broken"):
        run_interleaved(PLAN, trees, Interleaving(2, 1, CPU))
