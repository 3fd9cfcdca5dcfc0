"""What tests of collected points share: times made up, and a pool of none but this process."""

import os

import pyperf
import pytest

from bench import environment
from bench.measuring import counting, timing
from bench.measuring.counting import CountResult
from bench.measuring.repetition import Repetition
from bench.measuring.timing import Plan
from bench.runs.storage import PREFIX
from bench.workloads.scenario import Point


def benchmark(plan: Plan, repetition: Repetition) -> pyperf.Benchmark:
    """Return what the workers of a plan's only point would say, all times a millisecond."""
    (point,) = plan.points
    metadata = {"name": point.name, "unit": "second", "loops": 1, PREFIX + "digest": point.digest}
    metadata |= {PREFIX + "implementation": point.implementation, PREFIX + "source": environment.source_digest()}
    metadata |= {PREFIX + "counters": plan.counters[point.name]}
    runs = [
        pyperf.Run([1e-3] * repetition.values, metadata=metadata, collect_metadata=False) for _ in range(repetition.processes)
    ]
    return pyperf.Benchmark(runs)


class Log:
    """Names of the points that were counted and timed, in order."""

    def __init__(self) -> None:
        self.counted: list[str] = []
        self.timed: list[str] = []
        self.stop_counting: dict[str, BaseException] = {}  # by name: what happens in its place
        self.stop_timing: dict[str, BaseException] = {}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """Have points counted in this process, and timed not at all, and keep a log."""
    found = Log()
    count = counting.count

    def counted(point: Point) -> CountResult:
        if point.name in found.stop_counting:
            raise found.stop_counting.pop(point.name)
        found.counted.append(point.name)
        return count(point)

    def timed(plan: Plan, repetition: Repetition) -> list[pyperf.Benchmark]:
        name = plan.points[0].name
        if name in found.stop_timing:
            raise found.stop_timing.pop(name)
        found.timed.append(name)
        return [benchmark(plan, repetition)]

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(counting, "count", counted)
    monkeypatch.setattr(timing, "run_plan", timed)
    return found
