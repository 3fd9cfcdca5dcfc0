"""Cost against span: a curve for each implementation, its fitted exponent, and the exponents between neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from bench.analysis.report_rows import LEVELS, entries_read
from bench.analysis.stats import Exponent, Interval, exponent, geometric_mean, local_exponents
from bench.figures.inputs import Skipped, having, names, skipped
from bench.runs.loaded import LoadedPoint, LoadedRun, slug
from bench.workloads.scenario import LAYOUT, Scenario

NAME = "scaling"
FEWEST_SPANS = 3  # two always lie on a line
COUNTERS = tuple(f"model_{level}_read" for level in LEVELS)


class Cost(msgspec.Struct, frozen=True):
    """One quantity along a curve."""

    values: tuple[float, ...]  # at each span
    intervals: tuple[Interval, ...]  # of each, as far as known; of an exact quantity none
    exponent: Exponent | None  # of what was measured; None where it is exact, or where a zero forbids it
    local: tuple[float, ...]  # k from each span to the next, one fewer than spans; empty where a zero forbids it

    @property
    def shown(self) -> tuple[float, ...]:
        """Everything that has a place on a logarithmic scale."""
        ends = [end for one in self.intervals if one.is_known for end in (one.low, one.high)]
        return tuple(value for value in (*self.values, *ends) if value > 0)


class Curve(msgspec.Struct, frozen=True):
    """One implementation."""

    implementation: str
    spans: tuple[int, ...]  # bytes, ascending
    nr_processes: tuple[int, ...]  # at each span
    seconds: Cost
    entries: Cost  # page-table entries read, all levels

    @property
    def middles(self) -> tuple[float, ...]:
        """The place between each span and the next, on a logarithmic scale."""
        return tuple(math.sqrt(one * two) for one, two in pairwise(self.spans))


class Scaling(msgspec.Struct, frozen=True):
    """One scenario's curves."""

    name: str  # of the figure
    scenario: str
    summary: str
    operation: str
    curves: tuple[Curve, ...]

    @property
    def spans(self) -> list[int]:
        """Every span, ascending."""
        return sorted({span for curve in self.curves for span in curve.spans})


def prepare(run: LoadedRun) -> list[Scaling | Skipped]:
    """Return the curves of every call on a scenario that was timed at three spans or more."""
    families: dict[tuple[str, Scenario], list[LoadedPoint]] = {}
    timed = [one for one in run.counted_points if one.processes]
    for one in having(timed, COUNTERS):
        point = one.counted.point
        if point.scenario.name != LAYOUT:
            families.setdefault((point.operation, point.scenario.resized(0)), []).append(one)
    found: dict[str, Scaling] = {}
    for (operation, scenario), points in families.items():
        if curves := _curves(points):
            name = slug(f"{NAME}-{scenario.name}" if operation == "munlockall" else f"{NAME}-{operation}-{scenario.name}")
            name = name if name not in found else f"{name}-{len(found) + 1}"
            found[name] = Scaling(name, scenario.name, scenario.summary, operation, curves)
    if not found:
        return [skipped(NAME, f"it needs a scenario timed at {FEWEST_SPANS} spans or more, as `report` does", timed, COUNTERS)]
    return list(found.values())


def _curves(points: Sequence[LoadedPoint]) -> tuple[Curve, ...]:
    """Return a curve for each implementation that has enough spans."""
    curves = []
    for implementation in names():
        mine = sorted((one for one in points if one.implementation == implementation), key=lambda one: one.counted.span)
        if len({one.counted.span for one in mine}) >= FEWEST_SPANS:
            spans = tuple(one.counted.span for one in mine)
            entries = [entries_read(one.counted.counters) for one in mine]
            curves.append(
                Curve(
                    implementation,
                    spans,
                    tuple(len(one.processes) for one in mine),
                    _measured(spans, mine),
                    _exact(spans, entries),
                )
            )
    return tuple(curves)


def _measured(spans: Sequence[int], points: Sequence[LoadedPoint]) -> Cost:
    """Return the times along a curve."""
    seconds = [geometric_mean(one.by_process) for one in points]
    pairs = [(span, value) for span, one in zip(spans, points, strict=True) for value in one.by_process]
    found = exponent([span for span, _ in pairs], [value for _, value in pairs])
    return Cost(tuple(one.estimate for one in seconds), tuple(seconds), found, found.local)


def _exact(spans: Sequence[int], values: Sequence[int]) -> Cost:
    """Return what was counted along a curve."""
    return Cost(tuple(values), (), None, tuple(local_exponents(spans, values)) if min(values) > 0 else ())
