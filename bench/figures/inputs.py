"""A run as figures need it: each counted call with the mean time of each of its processes, checked on load."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pyperf

from bench import environment
from bench.errors import MeasurementError, UsageError, one_line
from bench.measuring.counting import Counted
from bench.runs import loading, storage
from bench.workloads import suite
from bench.workloads.scenario import SPARSE
from mmmodel.constants import IMPLEMENTATIONS, PAGE_SIZE

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


def figures_directory(run: Path) -> Path:
    """Return where a run's figures belong: plots/ has the reference's, which are kept; others lie beside their run."""
    base = environment.base_directory()
    return base / "plots" if run.resolve() == (base / "results" / REFERENCE).resolve() else run / "figures"


def load_run(path: Path) -> Run:
    """Read and check a run directory. Times may be missing; counters may not."""
    files = loading.read(path)
    loading.run_of(files, path.name)  # checks that both files are of the same work
    content, benchmarks = files.content, files.benchmarks
    if content is None:
        raise MeasurementError(f"{one_line(path, 120)} has no {storage.COUNTERS_FILE}")
    for one in content.points:
        _check(one)
    counted = {one.name for one in content.points}
    times = {name: _processes(benchmark) for name, benchmark in benchmarks.items() if name in counted}
    first = _first_start(times)
    name = path.resolve().name
    return Run(
        name=name,
        slug=slug(name),
        command=content.command,
        created=content.created,
        machine=content.machine,
        points=tuple(_measured(one, times.get(one.name, ()), first) for one in content.points),
        nr_foreign=len(benchmarks.keys() - counted),
    )


def _check(one: Counted) -> None:
    """Raise MeasurementError if figures cannot be made of these numbers."""
    if one.span < PAGE_SIZE or not 0 <= one.nr_populated <= one.span // PAGE_SIZE:
        raise MeasurementError(f"{one_line(one.name, 120)} has a span or a number of pages in memory that cannot be")
    if one.point.implementation not in IMPLEMENTATIONS:
        raise MeasurementError(f"{one_line(one.name, 120)} is of an implementation that is not known")


def having(points: Iterable[Measured], counters: Sequence[str]) -> list[Measured]:
    """Return the points that have all these counters: a run may lack one that came later, or have others."""
    return [one for one in points if all(name in one.counted.counters for name in counters)]


def skipped(name: str, reason: str, points: Iterable[Measured], counters: Sequence[str]) -> Skipped:
    """Return that a run cannot have a figure, with the first of the counters it needs that some point lacks."""
    lacking = next((name for one in points for name in counters if name not in one.counted.counters), "")
    return Skipped(name, reason + (f"; this run has calls without the counter {lacking}" if lacking else ""))


def _processes(benchmark: pyperf.Benchmark) -> list[Process]:
    """Return the processes of a benchmark that measured something, in the order of the file."""
    measured = [run for run in benchmark.get_runs() if run.values]  # others only calibrated
    return [Process(float(np.mean(run.values)), _timestamp(run.get_metadata().get("date"))) for run in measured]


def _timestamp(date: object) -> float:
    """Return when a process started, in seconds since the epoch; NaN if that is not known."""
    try:
        # pyperf writes local time without a zone. UTC stands for it: only differences are used.
        return datetime.fromisoformat(f"{date}+00:00").timestamp()
    except ValueError:
        return math.nan


def _first_start(times: Mapping[str, Sequence[Process]]) -> float:
    """Return when the first process of all started; NaN if no file says."""
    starts = [one.started for processes in times.values() for one in processes]
    return min((start for start in starts if not math.isnan(start)), default=math.nan)


def _measured(counted: Counted, processes: Sequence[Process], first: float) -> Measured:
    """Return one call with its processes, their starts relative to the first."""
    return Measured(counted, tuple(Process(one.seconds, one.started - first) for one in processes))


def slug(text: str) -> str:
    """Return a text as a safe part of a file name: ASCII letters, digits, dots, dashes; never hidden, never empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:80] or "unnamed"


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
