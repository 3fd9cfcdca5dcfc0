"""Whether times drift in the order in which they were taken."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import msgspec

from bench.analysis.stats import geometric_mean
from bench.figures.inputs import Skipped
from bench.runs.kernel_record import KernelFacts
from bench.runs.loaded import LoadedPoint, LoadedRun

NAME = "order"
FEWEST_TIMED = 6  # processes in the run, for an order to be worth a look
NR_PARTS = 4  # of the run, compared in words


class Value(msgspec.Struct, frozen=True):
    """One process."""

    point: str
    implementation: str
    number: int  # of the process among those of its measurement, from 1
    minutes: float  # after the run's first process
    relative: float  # what it took by what its measurement says, as tables have it


class Order(msgspec.Struct, frozen=True):
    """Numbers of the figure of run order."""

    name: str
    run: str  # name of the run
    values: tuple[Value, ...]  # in the order in which they were taken
    minutes: float  # from the first process to the last
    parts: tuple[tuple[int, float], ...]  # processes and their median relative value, in equal stretches of time
    kernels: dict[str, KernelFacts] = {}  # that are among the values


def prepare(run: LoadedRun) -> list[Order | Skipped]:
    """Return every process of measurements that had two or more, in the order of their starts."""
    values = [value for one in run.timed_points if len(one.processes) > 1 for value in _values(one)]
    values.sort(key=lambda one: (one.minutes, one.point, one.number))
    if len(values) < FEWEST_TIMED:
        reason = f"it needs {FEWEST_TIMED} processes or more that say when they started, of measurements with two or more"
        return [Skipped(NAME, reason)]
    return [Order(NAME, run.name, tuple(values), values[-1].minutes, parts(values), run.kernels)]


def _values(one: LoadedPoint) -> list[Value]:
    """Return the processes of one measurement; those that do not say when they started have no place."""
    whole = geometric_mean(one.by_process).estimate
    started = sorted((process.started, process.seconds) for process in one.processes if process.started is not None)
    return [
        Value(str(one.name), one.implementation, number, start / 60, seconds / whole)
        for number, (start, seconds) in enumerate(started, start=1)
    ]


def parts(values: Sequence[Value]) -> tuple[tuple[int, float], ...]:
    """Return the number of processes in each quarter of the run, and the median of their relative values; NaN if none."""
    length = max(one.minutes for one in values) / NR_PARTS
    found: list[list[float]] = [[] for _ in range(NR_PARTS)]
    for one in values:
        found[min(NR_PARTS - 1, int(one.minutes / length)) if length else 0].append(one.relative)
    return tuple((len(part), statistics.median(part) if part else math.nan) for part in found)
