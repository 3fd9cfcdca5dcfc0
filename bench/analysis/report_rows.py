"""From counters and times to rows of numbers. No text for people is made here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from bench.analysis import stats
from bench.errors import MeasurementError
from bench.runs.record import Counted
from mmmodel.constants import PAGE_SIZE
from mmmodel.kernels import IMPLEMENTATIONS

BASELINE = IMPLEMENTATIONS[0]  # what ratios are to
LEVELS = ("pgd", "p4d", "pud", "pmd", "pte")


class Row(msgspec.Struct, frozen=True):
    """One implementation on one scenario."""

    group: str  # what the rows to compare have in common: munlockall/report/2TiB
    scenario: str
    implementation: str
    span: int  # bytes reserved
    nr_vmas: int
    nr_populated: int  # pages in memory before the call
    nr_looked_up: int  # addresses at which the call looked for a page
    nr_entries: int  # page-table entries it read, all levels
    seconds: stats.Interval  # of one call
    nr_processes: int  # in which it was timed
    ns_per_page: float  # by all pages of the span, in memory or not
    speedup: stats.Interval | None  # baseline's time by this one's; None without a baseline


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


def slowdown_percent(pairs: Sequence[tuple[float, float]]) -> list[float]:
    """Return by how many percent the first of each pair of times is longer than the second."""
    return [(first / second - 1) * 100 for first, second in pairs]
