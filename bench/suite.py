"""Suites as data: the points that `run` measures when none is named, and those that the reference and the gate hold.

Names of suites' points are unique and stable: results of different days are
compared by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from bench.scenario import LAYOUT, SCENARIOS, GiB, KiB, MiB, Operation, Point, Scenario, sparse
from mmmodel.constants import IMPLEMENTATIONS

Quantity = Literal["entries", "seconds"]
Axis = Literal["span", "populated"]

# Operations on the report's reservation, locked: in 5.10 all of them but mlockall() visit every page.
ON_THE_REPORT: tuple[Operation, ...] = ("munlockall", "munlock-part", "munmap", "exit", "mlockall")
SPANS = tuple(1 << shift for shift in range(31, 42, 2))  # bytes, 2 GiB to 2 TiB
DENSE_SPANS = tuple(1 << shift for shift in range(22, 31, 2))  # bytes, 4 MiB to 1 GiB
DENSITY_SPAN = 4 * GiB
DENSITY_STEPS = tuple(4 * KiB << shift for shift in range(0, 19, 2))  # bytes from one page in memory to the next


class Group(msgspec.Struct, frozen=True):
    """Points that differ in their implementation alone."""

    scenario: Scenario
    operation: Operation = "munlockall"

    def points(self, implementations: Sequence[str] = IMPLEMENTATIONS) -> list[Point]:
        """Return a point for each implementation."""
        return [Point(self.scenario, implementation, self.operation) for implementation in implementations]


def points_of(groups: Iterable[Group], implementations: Sequence[str] = IMPLEMENTATIONS) -> tuple[Point, ...]:
    """Return the points of groups, each name once, in order."""
    found = {point.name: point for group in groups for point in group.points(implementations)}
    return tuple(found.values())


DEFAULT: tuple[Group, ...] = (
    *(Group(SCENARIOS["report"], operation) for operation in ON_THE_REPORT),
    Group(SCENARIOS["sparse-2MiB"]),
    Group(SCENARIOS["dense"]),
    Group(SCENARIOS["dense"].resized(256 * MiB), "mmap"),
)
SPAN_CURVE = tuple(Group(SCENARIOS["report"].resized(span)) for span in SPANS)
HEAD_TAIL_CURVE = tuple(Group(SCENARIOS["head-tail"].resized(span)) for span in SPANS)
DENSE_CURVE = tuple(Group(SCENARIOS["dense"].resized(span)) for span in DENSE_SPANS)
DENSITY_CURVE = tuple(Group(sparse(step, DENSITY_SPAN)) for step in DENSITY_STEPS)
EVERY_SCENARIO = tuple(Group(scenario) for scenario in SCENARIOS.values())
REFERENCE: tuple[Group, ...] = (
    *DEFAULT,
    *EVERY_SCENARIO,
    *(Group(SCENARIOS["dense"], operation) for operation in ON_THE_REPORT if operation != "munlockall"),
    *SPAN_CURVE,
    *HEAD_TAIL_CURVE,
    *DENSE_CURVE,
    *DENSITY_CURVE,
)
# For trying things out, and for tests: every kind of point, none larger than 16 MiB.
QUICK = tuple(
    dict.fromkeys(
        Group(one.scenario.resized(min(one.scenario.span, 16 * MiB)), one.operation)
        for one in (*DEFAULT, *EVERY_SCENARIO)
        if one.scenario.name != LAYOUT
    )
)
SUITES = {"default": DEFAULT, "reference": REFERENCE, "quick": QUICK}


class Law(msgspec.Struct, frozen=True):
    """What an implementation's cost must do along a curve: grow as size**k, k within [low, high]."""

    what: str
    curve: tuple[Group, ...]
    implementation: str
    axis: Axis
    low: float
    high: float


LAWS: tuple[Law, ...] = (
    Law("per-page is linear in the span", SPAN_CURVE, "per-page", "span", 0.95, 1.05),
    Law("hole-skip does not see an empty span", HEAD_TAIL_CURVE, "hole-skip", "span", -0.05, 0.05),
    Law("page-walk does not see an empty span", HEAD_TAIL_CURVE, "page-walk", "span", -0.05, 0.05),
    *(Law(f"{one} is linear in the pages in memory", DENSE_CURVE, one, "populated", 0.9, 1.1) for one in IMPLEMENTATIONS),
)


class Floor(msgspec.Struct, frozen=True):
    """How many times the baseline's cost must be another's, at full scale."""

    group: Group
    baseline: str
    implementation: str
    entries: float  # least ratio of page-table entries read
    seconds: float  # least ratio of times


FLOORS: tuple[Floor, ...] = (
    # The report: 4.172 s became too little to notice. Measured here 536,870,912 pages to a handful of entries.
    Floor(Group(SCENARIOS["report"]), "per-page", "page-walk", entries=1e8, seconds=2e4),
    Floor(Group(SCENARIOS["report"]), "per-page", "hole-skip", entries=1e8, seconds=2e4),
)
