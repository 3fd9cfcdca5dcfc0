"""From counters and times to rows of numbers. No text for people is made here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from bench.analysis import stats
from bench.errors import MeasurementError
from bench.runs.kernel_record import KernelFacts
from bench.runs.loaded import LoadedPoint, LoadedRun
from bench.runs.record import Counted
from mmmodel.constants import PAGE_SIZE
from mmmodel.kernels import IMPLEMENTATIONS, newest_until, version_of

BASELINE = IMPLEMENTATIONS[0]  # what ratios are to
LEVELS = ("pgd", "p4d", "pud", "pmd", "pte")


class Instructions(msgspec.Struct, frozen=True):
    """What one call of a real kernel executed."""

    typical: int  # the median of all calls
    low: int  # least
    high: int  # most
    nr_values: int
    per_page: float  # by all pages of the span, in memory or not


class Row(msgspec.Struct, frozen=True):
    """One implementation, or one real kernel, on one scenario. None: that is not known of it."""

    group: str  # what the rows to compare have in common: munlockall/report/2TiB
    scenario: str
    implementation: str  # or the target's name, where it is a real kernel
    span: int  # bytes reserved
    nr_vmas: int | None
    nr_populated: int | None  # pages in memory before the call
    nr_looked_up: int | None  # addresses at which the call looked for a page
    nr_entries: int | None  # page-table entries it read, all levels
    seconds: stats.Interval | None  # of one call
    nr_processes: int  # in which it was timed
    ns_per_page: float | None  # by all pages of the span, in memory or not
    speedup: stats.Interval | None  # cost of the first by this one's: of the baseline, or of the first kernel that runs so
    kernel: KernelFacts | None = None  # the real kernel; None: the row is the model's
    instructions: Instructions | None = None

    @property
    def cost(self) -> float:
        """What a call costs in its own unit, seconds or instructions."""
        if self.seconds is not None:
            return self.seconds.estimate
        return float(self.instructions.typical) if self.instructions else math.nan


def entries_read(counters: Mapping[str, int]) -> int:
    """Return the page-table entries read at all levels."""
    return sum(counters[f"model_{level}_read"] for level in LEVELS)


def rows(counted: Sequence[Counted], times: Mapping[str, Sequence[float]]) -> list[Row]:
    """Return a row for every counted call, in the same order; `times` is by name, in seconds, one for each process."""
    missing = [one.name for one in counted if not times.get(one.name)]
    if missing:
        raise MeasurementError(f"there is no time for {missing[0]}")
    names = {one.name for one in counted}
    return [_row(one, times, f"{one.point.group}/{BASELINE}" in names) for one in counted]


def _row(one: Counted, times: Mapping[str, Sequence[float]], has_baseline: bool) -> Row:
    """Return the row of one counted call."""
    seconds = stats.geometric_mean(times[one.name])
    return Row(
        group=one.point.group,
        scenario=one.point.scenario.name,
        implementation=one.point.implementation,
        span=one.span,
        nr_vmas=one.nr_vmas,
        nr_populated=one.nr_populated,
        nr_looked_up=one.counters["model_pages_looked_up"],
        nr_entries=entries_read(one.counters),
        seconds=seconds,
        nr_processes=len(times[one.name]),
        ns_per_page=seconds.estimate * 1e9 / (one.span // PAGE_SIZE),
        speedup=stats.ratio(times[f"{one.point.group}/{BASELINE}"], times[one.name]) if has_baseline else None,
    )


def of_run(run: LoadedRun, order: Sequence[str] = ()) -> list[Row]:
    """Return the rows of a run, group by group: its counted and timed calls, and its real kernels'.

    `order`: names of implementations and kernels in their order within a group; without, kernels come last.
    """
    counted = [one for one in run.counted_points if one.processes]
    found = rows([one.counted for one in counted], {one.counted.name: one.by_process for one in counted})
    found += kernel_rows(run.kernel_points)
    groups = list(dict.fromkeys(one.group for one in found))
    places = {name: place for place, name in enumerate(order)}
    return sorted(found, key=lambda one: (groups.index(one.group), places.get(one.implementation, len(places))))


def kernel_rows(points: Sequence[LoadedPoint]) -> list[Row]:
    """Return a row for every point of a real kernel. What the first that runs in the same way cost is what ratios are to."""
    first: dict[tuple[str, str], LoadedPoint] = {}
    return [_kernel_row(one, first.setdefault(_kind(one), one)) for one in points]


def _kind(one: LoadedPoint) -> tuple[str, str]:
    """Return what the points of real kernels have in common that are compared: the group, and how they run."""
    return one.name.group, one.kernel.runs_as if one.kernel else ""


def _kernel_row(one: LoadedPoint, first: LoadedPoint) -> Row:
    """Return the row of a point of a real kernel."""
    nr_pages = max(1, (one.span or 0) // PAGE_SIZE)
    seconds = stats.geometric_mean(one.by_process) if one.processes else None
    return Row(
        group=one.name.group,
        scenario=one.name.scenario,
        implementation=one.implementation,
        span=one.span or 0,
        nr_vmas=one.nr_vmas,
        nr_populated=one.nr_populated,
        nr_looked_up=None,
        nr_entries=None,
        seconds=seconds,
        nr_processes=len(one.processes),
        ns_per_page=seconds.estimate * 1e9 / nr_pages if seconds else None,
        speedup=kernel_speedup(first, one),
        kernel=one.kernel,
        instructions=_instructions(one, nr_pages),
    )


def _instructions(one: LoadedPoint, nr_pages: int) -> Instructions | None:
    """Return the instructions of a point, if they were counted."""
    found, typical = one.all_instructions, one.nr_instructions
    if typical is None:
        return None
    return Instructions(typical, min(found), max(found), len(found), typical / nr_pages)


def kernel_speedup(first: LoadedPoint, one: LoadedPoint) -> stats.Interval | None:
    """Return how many times as much a call costs on the first kernel: of times with an interval, of instructions exactly."""
    if first.processes and one.processes:
        return stats.ratio(first.by_process, one.by_process)
    if first.nr_instructions and one.nr_instructions:
        exact = first.nr_instructions / one.nr_instructions
        return stats.Interval(exact, exact, exact)
    return None


def implementation_of(release: str) -> str | None:
    """Return the implementation that models a kernel of this release, of its own series; None if none does."""
    found = newest_until(version_of(release))
    return found.name if found and found.kernel.version == version_of(release) else None


class Prediction(msgspec.Struct, frozen=True):
    """Two real kernels that run in the same way, and the implementations that model them: how far apart both pairs are."""

    old: Row
    new: Row
    modelled_old: Row
    modelled_new: Row

    @property
    def measured(self) -> float:
        """How many times as much the call costs on the old kernel."""
        return self.old.cost / self.new.cost

    @property
    def modelled(self) -> float:
        """How many times as long it takes by the model of the old kernel."""
        return self.modelled_old.cost / self.modelled_new.cost

    @property
    def measured_interval(self) -> stats.Interval | None:
        """The interval of `measured`; that of instructions, which are exact, has no width."""
        return self.new.speedup

    @property
    def modelled_interval(self) -> stats.Interval | None:
        """The interval of `modelled`, None if the old kernel's model is not what speed-ups are to."""
        return self.modelled_new.speedup if self.modelled_old.implementation == BASELINE else None

    @property
    def off_by(self) -> float:
        """How many times the modelled ratio is the measured one."""
        return self.modelled / self.measured


def all_predictions(rows: Sequence[Row]) -> list[Prediction]:
    """Return what the model says of the ratios between real kernels, group by group."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    return [one for group in groups.values() for one in predictions(group)]


def predictions(group: Sequence[Row]) -> list[Prediction]:
    """Return what the model says of the ratios between the kernels of one group: each against the first that runs so."""
    models = {row.implementation: row for row in group if row.kernel is None}
    first: dict[str, Row] = {}
    found = []
    for row in group:
        if row.kernel is None:
            continue
        old = first.setdefault(row.kernel.runs_as, row)
        names = [implementation_of(one.kernel.release) if one.kernel else None for one in (old, row)]
        pair = [models.get(name) if name else None for name in names]
        if old is not row and pair[0] and pair[1] and pair[0] is not pair[1]:
            found.append(Prediction(old, row, pair[0], pair[1]))
    return found


def slowdown_percent(pairs: Sequence[tuple[float, float]]) -> list[float]:
    """Return by how many percent the first of each pair of times is longer than the second."""
    return [(first / second - 1) * 100 for first, second in pairs]
