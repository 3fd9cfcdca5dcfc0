"""Ratios of implementations against population density, and where they cross 1."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import combinations, pairwise

import msgspec

from bench.analysis.report_rows import LEVELS, entries_read
from bench.analysis.stats import Interval, ratio
from bench.figures.inputs import Skipped, by_group, having, names, skipped
from bench.runs.loaded import LoadedPoint, LoadedRun
from mmmodel.constants import PAGE_SIZE

NAME = "ratio"
FEWEST_DENSITIES = 3
COUNTERS = tuple(f"model_{level}_read" for level in LEVELS)


class RatioPoint(msgspec.Struct, frozen=True):
    """Two implementations at one density."""

    fraction: float  # of the span's pages in memory
    step: float  # bytes from one page in memory to the next
    seconds: Interval  # ratio of times
    entries: float | None  # ratio of page-table entries read; None if the second reads none


class Crossing(msgspec.Struct, frozen=True):
    """Where a ratio of times crosses 1, from densities at which its interval lies on one side to those on the other."""

    fraction: float  # interpolated, both scales logarithmic
    step: float
    low: float  # the nearest densities at which the interval excludes 1: the crossing is between them
    high: float


class Ratio(msgspec.Struct, frozen=True):
    """How many times the cost of `slower` is that of `faster`, as the names expect."""

    slower: str
    faster: str
    points: tuple[RatioPoint, ...]  # density ascending
    crossings: tuple[Crossing, ...]


class Density(msgspec.Struct, frozen=True):
    """The figure's numbers."""

    name: str
    span: int  # bytes, of every point
    operation: str
    ratios: tuple[Ratio, ...]

    def ends(self) -> list[float]:
        """Return every ratio that is shown, the finite ends of their intervals, and 1."""
        points = [point for ratio in self.ratios for point in ratio.points]
        times = [end for one in points for end in (one.seconds.estimate, one.seconds.low, one.seconds.high)]
        return [1.0, *(value for value in times if 0 < value < math.inf), *(one.entries for one in points if one.entries)]


def prepare(run: LoadedRun) -> list[Density | Skipped]:
    """Return the ratios along the densities of the span that has most of them."""
    families: dict[tuple[str, int, bool], list[dict[str, LoadedPoint]]] = {}
    timed = [one for one in run.counted_points if one.processes]
    for members in by_group(having(timed, COUNTERS)).values():
        point = next(iter(members.values())).counted.point
        scenario = point.scenario
        if scenario.populate.pattern == "every" and not scenario.vma_bytes and scenario.thp == "never":
            families.setdefault((point.operation, scenario.span, scenario.prot_none), []).append(members)
    best = max(families, key=lambda key: len(families[key]), default=None)
    ratios = [_ratio(families[best], *pair) for pair in combinations(names(), 2)] if best else []
    ratios = [one for one in ratios if len(one.points) >= FEWEST_DENSITIES]
    if not best or not ratios:
        reason = f"it needs two implementations timed at {FEWEST_DENSITIES} densities or more of one span (sparse-SIZE)"
        return [skipped(NAME, reason, timed, COUNTERS)]
    operation, span, _ = best
    return [Density(NAME, span, operation, tuple(ratios))]


def _ratio(family: Sequence[dict[str, LoadedPoint]], slower: str, faster: str) -> Ratio:
    """Return the ratio of two implementations at every density at which both were timed."""
    points = [_point(members[slower], members[faster]) for members in family if slower in members and faster in members]
    points.sort(key=lambda one: one.fraction)
    return Ratio(slower, faster, tuple(points), tuple(crossings(points)))


def _point(slower: LoadedPoint, faster: LoadedPoint) -> RatioPoint:
    """Return the ratios at one density."""
    counted = slower.counted
    fewer = entries_read(faster.counted.counters)
    return RatioPoint(
        counted.nr_populated / (counted.span // PAGE_SIZE),
        counted.span / counted.nr_populated,
        ratio(slower.by_process, faster.by_process),
        entries_read(counted.counters) / fewer if fewer else None,
    )


def crossings(points: Sequence[RatioPoint]) -> list[Crossing]:
    """Return where the ratio of times passes 1 beyond doubt; density ascends.

    Points whose interval includes 1 take no side: two implementations that
    take the same time would otherwise cross wherever noise has them cross.
    """
    sides = [index for index, one in enumerate(points) if not one.seconds.contains(1)]
    return [
        _crossing(points[left : right + 1])
        for left, right in pairwise(sides)
        if (points[left].seconds.estimate > 1) != (points[right].seconds.estimate > 1)
    ]


def _crossing(points: Sequence[RatioPoint]) -> Crossing:
    """Return where the ratio crosses 1 between the first and the last of these; the middle of several places."""
    found = []
    for one, two in pairwise(points):
        a, b = math.log(one.seconds.estimate), math.log(two.seconds.estimate)
        if a * b <= 0 and a != 0:  # a point on the line itself is found from its left
            part = a / (a - b)
            found.append((_between(one.fraction, two.fraction, part), _between(one.step, two.step, part)))
    fractions, steps = zip(*found, strict=True)
    middle, step = statistics.geometric_mean(fractions), statistics.geometric_mean(steps)
    return Crossing(middle, step, points[0].fraction, points[-1].fraction)


def _between(one: float, two: float, part: float) -> float:
    """Return the place at `part` of the way between two places, on a logarithmic scale."""
    return math.exp((1 - part) * math.log(one) + part * math.log(two))
