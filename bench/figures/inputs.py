"""A run as figures need it: each counted call with the mean time of each of its processes, checked on load."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.errors import MeasurementError, UsageError, one_line
from bench.runs import loading, storage
from bench.runs.loaded import LoadedPoint
from bench.runs.record import Counted
from bench.workloads import suite
from bench.workloads.scenario import SPARSE
from mmmodel.constants import IMPLEMENTATIONS, PAGE_SIZE
from mmmodel.counters import NAMES

REFERENCE = "reference"  # the run that is kept


class Process(NamedTuple):
    """One worker process of a measurement."""

    seconds: float  # of one call, mean of the process's values
    started: float  # seconds after the run's first process; NaN where the file does not say


class Measured(msgspec.Struct, frozen=True):
    """One call: its exact counters, and its times if it was timed."""

    counted: Counted
    processes: tuple[Process, ...]

    @property
    def means(self) -> list[float]:
        """Seconds of one call, a mean for each process."""
        return [one.seconds for one in self.processes]

    @property
    def implementation(self) -> str:
        """Name of the implementation."""
        return self.counted.point.implementation


class Run(msgspec.Struct, frozen=True):
    """One run directory."""

    name: str
    slug: str  # the name as a directory of figures can have it
    command: str
    created: str
    machine: dict[str, str | int]
    points: tuple[Measured, ...]
    nr_foreign: int  # timed benchmarks that nothing was counted for, and that are left out


class Skipped(msgspec.Struct, frozen=True):
    """A figure that this run cannot have."""

    name: str
    reason: str


def find_runs(paths: Sequence[Path], directory: Path) -> list[Path]:
    """Return the run directories asked for, by path or name; by default the reference, else the newest run of `directory`."""
    if paths:
        found = [loading.find(str(path), directory) for path in paths]
        for path in found:
            if not (path / storage.COUNTERS_FILE).is_file():
                raise UsageError(f"{one_line(path, 120)} is no run: it has no {storage.COUNTERS_FILE}")
        return found
    if (directory / REFERENCE / storage.COUNTERS_FILE).is_file():
        return [directory / REFERENCE]
    # Names end with time and digest, but begin with a command: the time in the file decides.
    found = [path.parent for path in directory.glob(f"[!.]*/{storage.COUNTERS_FILE}")]
    if not found:
        raise UsageError(f"there is no run in {one_line(directory, 120)}; make one by `report`, or name a run's directory")
    return [max(found, key=lambda path: (storage.load_counters(path / storage.COUNTERS_FILE).created, path.name))]


def load_run(path: Path) -> Run:
    """Read and check a run directory. Times may be missing; counters may not."""
    run = loading.load_path(path)
    if not run.counted_points and run.nr_foreign:
        raise MeasurementError(f"{one_line(path, 120)} has no {storage.COUNTERS_FILE}")
    for one in run.counted_points:
        _check(one.counted)
    points = tuple(_measured(one) for one in run.counted_points)
    return Run(run.name, run.slug, run.command, run.created, run.machine, points, run.nr_foreign)


def _check(one: Counted) -> None:
    """Raise MeasurementError if figures cannot be made of these numbers."""
    missing = [name for name in NAMES if name not in one.counters]
    if missing:
        raise MeasurementError(f"{one_line(one.name, 120)} has no counter {missing[0]}")
    if one.span < PAGE_SIZE or not 0 <= one.nr_populated <= one.span // PAGE_SIZE:
        raise MeasurementError(f"{one_line(one.name, 120)} has a span or a number of pages in memory that cannot be")
    if one.point.implementation not in IMPLEMENTATIONS:
        raise MeasurementError(f"{one_line(one.name, 120)} is of an implementation that is not known")


def _measured(point: LoadedPoint) -> Measured:
    """Return one call with its processes."""
    processes = (Process(one.seconds, math.nan if one.started is None else one.started) for one in point.processes)
    return Measured(point.counted, tuple(processes))


def by_group(points: Iterable[Measured]) -> dict[str, dict[str, Measured]]:
    """Return the points by group, then by implementation in their usual order."""
    groups: dict[str, dict[str, Measured]] = {}
    for one in points:
        groups.setdefault(one.counted.point.group, {})[one.implementation] = one
    return {group: {name: members[name] for name in IMPLEMENTATIONS if name in members} for group, members in groups.items()}


def _is_another_sparse(group: suite.Group) -> bool:
    """Tell whether a group is of a sparse scenario that is not among the default ones."""
    return group.scenario.name.startswith(SPARSE) and group not in suite.DEFAULT


def main_groups(points: Iterable[Measured], most: int) -> dict[str, dict[str, Measured]]:
    """Return at most `most` groups worth a look of their own: those of the suites, else the largest of each scenario."""
    groups = by_group(points)
    # One of the sparse scenarios stands for the others, which come last.
    known = [one.points()[0].group for one in sorted(suite.EVERY_SCENARIO, key=_is_another_sparse)]
    known = [*(one.points()[0].group for one in suite.DEFAULT), *known]
    chosen = [name for name in dict.fromkeys(known) if name in groups]
    if not chosen:
        largest: dict[tuple[str, str], tuple[int, str]] = {}
        for name, members in groups.items():
            one = next(iter(members.values())).counted
            key = (one.point.operation, one.point.scenario.name)
            largest[key] = max(largest.get(key, (0, "")), (one.span, name))
        chosen = [name for _, name in largest.values()]
    return {name: groups[name] for name in chosen[:most]}
