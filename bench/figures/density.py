"""Ratios of implementations against population density, and where they cross 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import msgspec

from bench.compare import entries_read
from bench.figures.inputs import Measured, Run, Skipped, by_group
from bench.stats import Interval, ratio
from mmmodel.constants import PAGE_SIZE

NAME = "ratio"
FEWEST_DENSITIES = 3
PAIRS = (("per-page", "page-walk"), ("per-page", "hole-skip"), ("hole-skip", "page-walk"))


class RatioPoint(msgspec.Struct, frozen=True):
    """Two implementations at one density."""

    fraction: float  # of the span's pages in memory
    step: float  # bytes from one page in memory to the next
    seconds: Interval  # ratio of times
    entries: float | None  # ratio of page-table entries read; None if the second reads none


class Crossing(msgspec.Struct, frozen=True):
    """Where a ratio of times crosses 1, between two neighbouring densities."""

    fraction: float  # interpolated, both scales logarithmic
    step: float
    certain: bool  # whether intervals on both sides exclude 1


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


def prepare(run: Run) -> list[Density | Skipped]:
    """Return the ratios along the densities of the span that has most of them."""
    families: dict[tuple[str, int, bool], list[dict[str, Measured]]] = {}
    for members in by_group(one for one in run.points if one.processes).values():
        point = next(iter(members.values())).counted.point
        scenario = point.scenario
        if scenario.populate.pattern == "every" and not scenario.vma_bytes and scenario.thp == "never":
            families.setdefault((point.operation, scenario.span, scenario.prot_none), []).append(members)
    best = max(families, key=lambda key: len(families[key]), default=None)
    ratios = [_ratio(families[best], *pair) for pair in PAIRS] if best else []
    ratios = [one for one in ratios if len(one.points) >= FEWEST_DENSITIES]
    if not best or not ratios:
        reason = f"it needs two implementations timed at {FEWEST_DENSITIES} densities or more of one span (sparse-SIZE)"
        return [Skipped(NAME, reason)]
    operation, span, _ = best
    return [Density(NAME, span, operation, tuple(ratios))]


def _ratio(family: Sequence[dict[str, Measured]], slower: str, faster: str) -> Ratio:
    """Return the ratio of two implementations at every density at which both were timed."""
    points = [_point(members[slower], members[faster]) for members in family if slower in members and faster in members]
    points.sort(key=lambda one: one.fraction)
    return Ratio(slower, faster, tuple(points), tuple(crossings(points)))


def _point(slower: Measured, faster: Measured) -> RatioPoint:
    """Return the ratios at one density."""
    counted = slower.counted
    fewer = entries_read(faster.counted.counters)
    return RatioPoint(
        counted.nr_populated / (counted.span // PAGE_SIZE),
        counted.span / counted.nr_populated,
        ratio(slower.means, faster.means),
        entries_read(counted.counters) / fewer if fewer else None,
    )


def crossings(points: Sequence[RatioPoint]) -> list[Crossing]:
    """Return where the estimates pass 1 from one density to the next; density ascends."""
    found = []
    for index, (one, two) in enumerate(pairwise(points), start=1):
        a, b = math.log(one.seconds.estimate), math.log(two.seconds.estimate)
        if a * b > 0 or a == 0:
            continue  # a point on the line itself is found from its left
        part = a / (a - b)
        fraction = math.exp(math.log(one.fraction) + part * (math.log(two.fraction) - math.log(one.fraction)))
        step = math.exp(math.log(one.step) + part * (math.log(two.step) - math.log(one.step)))
        certain = _excludes_one(points[:index], a) and _excludes_one(points[index:], b)
        found.append(Crossing(fraction, step, certain))
    return found


def _excludes_one(points: Sequence[RatioPoint], side: float) -> bool:
    """Tell whether an interval among these lies wholly above 1 (`side` > 0), or below it."""
    beyond: Callable[[Interval], bool] = (lambda one: one.low > 1) if side > 0 else (lambda one: one.high < 1)
    return any(beyond(one.seconds) for one in points)
