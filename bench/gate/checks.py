"""What the gate holds a suite to, beside exact counters: laws, floors, and points that are timed against another checkout.

Which implementation must follow which law follows from what the model's registry says of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from bench.workloads.scenario import SCENARIOS, GiB, KiB, MiB, Point, Scenario, sparse
from bench.workloads.suite import (
    DENSE_CURVE,
    DUMP_CURVE,
    DUMP_DENSE_CURVE,
    DUMP_HOLE_CURVE,
    DUMPING,
    EMPTY_CURVE,
    HEAD_TAIL_CURVE,
    SPAN_CURVE,
    Group,
)
from mmmodel.constants import P4D_SHIFT, PAGE_SIZE, PGD_SHIFT_LA57
from mmmodel.kernels import Implementation, implementations

Axis = Literal["span", "populated"]
# Times: where sizes differ by a factor of 256, the cost of one unit may differ by 2 more than the band allows: log(2) /
# log(256). Curves here span a factor of 64 (head-tail), 256 (dense) and 1024 (report), along which that is 1.7, 2 and 2.4.
SLACK = 0.125


class Law(msgspec.Struct, frozen=True):
    """What an implementation's cost must do along a curve: grow as size**k, k within [low, high]."""

    what: str
    curve: tuple[Group, ...]
    implementation: str
    axis: Axis
    low: float
    high: float
    slack: float = SLACK  # by how much the exponent of times may be outside, as caches favour small sizes


class Floor(msgspec.Struct, frozen=True):
    """How many times the baseline's cost must be another's, at full scale."""

    group: Group
    baseline: str
    implementation: str
    entries: float  # least ratio of page-table entries read
    seconds: float  # least ratio of times


class Bound(msgspec.Struct, frozen=True):
    """How many page-table entries an implementation may read at most: those of the top level that the span touches."""

    what: str
    curve: tuple[Group, ...]  # of address spaces with nothing in memory
    implementation: str


def top_level_entries(scenario: Scenario) -> int:
    """Return the most entries of the top page table that a span of this length may touch, wherever it begins."""
    reach = 1 << (P4D_SHIFT if scenario.levels == 4 else PGD_SHIFT_LA57)  # bytes below one entry
    return -(-(scenario.span - PAGE_SIZE) // reach) + 1


class Checks(msgspec.Struct, frozen=True):
    """What the gate holds a suite to, beside exact counters."""

    laws: tuple[Law, ...] = ()
    bounds: tuple[Bound, ...] = ()
    floors: tuple[Floor, ...] = ()
    timed: tuple[Point, ...] = ()


def _span_law(one: Implementation) -> Law:
    """Return how the cost of an implementation must depend on the span."""
    if one.steps_over_holes:
        what = f"{one.name}: a longer hole between the same pages costs nothing, on head-tail"
        return Law(what, HEAD_TAIL_CURVE, one.name, "span", -0.05, 0.05)
    return Law(f"{one.name}: linear in the span, on report", SPAN_CURVE, one.name, "span", 0.95, 1.05)


def _bounds() -> tuple[Bound, ...]:
    """Return what bounds the cost where nothing is in memory.

    It is no power of the span: one entry up to 512 GiB, then one more for every 512 GiB.
    """
    return tuple(
        Bound(f"{one.name}: an empty span costs its entries of the top page table, on report", EMPTY_CURVE, one.name)
        for one in implementations()
        if one.steps_over_holes
    )


def _populated_law(one: Implementation) -> Law:
    """Return how the cost of an implementation must depend on the pages in memory."""
    return Law(f"{one.name}: linear in the pages in memory, on dense", DENSE_CURVE, one.name, "populated", 0.9, 1.1)


def _dump_laws() -> tuple[Law, ...]:
    """Return how the cost of a core dump must depend on the span, before and after, and on the pages in memory."""
    before, *after = DUMPING
    linear = Law(f"{before}: a core dump is linear in the span, on one-page", DUMP_CURVE, before, "span", 0.95, 1.05)
    hole = "a longer hole between the same pages costs a core dump nothing, on head-tail"
    pages = "a core dump is linear in the pages in memory, on dense"
    return (
        linear,
        *(Law(f"{one}: {hole}", DUMP_HOLE_CURVE, one, "span", -0.05, 0.05) for one in after),
        *(Law(f"{one}: {pages}", DUMP_DENSE_CURVE, one, "populated", 0.9, 1.1) for one in DUMPING),
    )


def floors(registered: Sequence[Implementation]) -> tuple[Floor, ...]:
    """Return how far what steps over holes must be from a baseline, the first registered, that does not."""
    baseline, *others = registered
    better = [one.name for one in others if one.steps_over_holes and not baseline.steps_over_holes]
    # The report: 4.172 s became too little to notice. Measured here 536,870,912 pages to a handful of entries.
    return tuple(Floor(Group(SCENARIOS["report"]), baseline.name, name, entries=1e8, seconds=2e4) for name in better)


def _timed(one: Implementation) -> tuple[Point, ...]:
    """Return what an implementation is bad and what it is good at.

    Calls of less than a millisecond, so that processes can be interleaved, and on memory that a core's own cache holds, as
    where the pages of a larger array come to lie makes some processes slower than others by a third.
    """
    bad = sparse(64 * KiB, 256 * MiB) if one.steps_over_holes else SCENARIOS["report"].resized(GiB)
    return Point(bad, one.name), Point(SCENARIOS["dense"].resized(16 * MiB), one.name, "munlock")


_TIMED = tuple(point for one in implementations() for point in _timed(one))
CHECKS = {
    "default": Checks(timed=_TIMED),
    "reference": Checks(
        (*map(_span_law, implementations()), *map(_populated_law, implementations()), *_dump_laws()),
        _bounds(),
        floors(implementations()),
        _TIMED,
    ),
    "quick": Checks(
        timed=tuple(Point(SCENARIOS["dense"].resized(256 * KiB), one.name, "munlock") for one in implementations())
    ),
}
