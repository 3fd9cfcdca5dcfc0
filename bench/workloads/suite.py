"""Suites as data: the points that `run` measures when none is named, and those that the reference and the gate hold.

Names of suites' points are unique and stable: results of different days are
compared by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from bench.workloads.scenario import LAYOUT, SCENARIOS, GiB, KiB, MiB, Operation, Point, Scenario, TiB, sparse
from mmmodel.constants import IMPLEMENTATIONS

Quantity = Literal["entries", "seconds"]
Axis = Literal["span", "populated"]

# Operations on the report's reservation, locked: in 5.10 all of them but mlockall() visit every page.
ON_THE_REPORT: tuple[Operation, ...] = ("munlockall", "munlock-part", "munmap", "exit", "mlockall")
STEP_OVER_HOLES = ("hole-skip", "page-walk")
SPANS = tuple(1 << shift for shift in range(31, 42, 2))  # bytes, 2 GiB to 2 TiB
# In 5.10 preparing what is locked on fault visits every page, too: seconds at 2 TiB.
HEAD_TAIL_SPANS = tuple(1 << shift for shift in range(31, 38, 2))  # bytes, 2 GiB to 128 GiB
DENSE_SPANS = tuple(1 << shift for shift in range(22, 31, 2))  # bytes, 4 MiB to 1 GiB
DENSITY_SPAN = 4 * GiB
DENSITY_STEPS = tuple(4 * KiB << shift for shift in range(0, 19, 2))  # bytes from one page in memory to the next


class Group(msgspec.Struct, frozen=True):
    """Points that differ in their implementation alone."""

    scenario: Scenario
    operation: Operation = "munlockall"
    implementations: tuple[str, ...] = IMPLEMENTATIONS

    def points(self, implementations: Sequence[str] = IMPLEMENTATIONS) -> list[Point]:
        """Return a point for each of these implementations that the group has."""
        wanted = (one for one in self.implementations if one in implementations)
        return [Point(self.scenario, implementation, self.operation) for implementation in wanted]

    @property
    def name(self) -> str:
        """What the names of its points have in common."""
        return Point(self.scenario, "", self.operation).group


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
HEAD_TAIL_CURVE = tuple(Group(SCENARIOS["head-tail"].resized(span)) for span in HEAD_TAIL_SPANS)
DENSE_CURVE = tuple(Group(SCENARIOS["dense"].resized(span)) for span in DENSE_SPANS)
DENSITY_CURVE = tuple(Group(sparse(step, DENSITY_SPAN)) for step in DENSITY_STEPS)
EVERY_SCENARIO = tuple(
    Group(one.resized(512 * GiB) if one.span > 512 * GiB and one.name != "report" else one) for one in SCENARIOS.values()
)
# What steps over holes does so at every level of the page tables, five of them beyond 128 TiB.
FULL_SCALE = [Group(SCENARIOS["report"], implementations=STEP_OVER_HOLES),
              Group(SCENARIOS["report"].resized(1 << 50, levels=5), implementations=STEP_OVER_HOLES),
              Group(sparse(256 * GiB, TiB), implementations=("page-walk",))]  # fmt: skip
REFERENCE: tuple[Group, ...] = (
    *DEFAULT,
    *EVERY_SCENARIO,
    *(Group(SCENARIOS["dense"], operation) for operation in ON_THE_REPORT if operation != "munlockall"),
    *SPAN_CURVE,
    *HEAD_TAIL_CURVE,
    *DENSE_CURVE,
    *DENSITY_CURVE,
    *FULL_SCALE,
)
# For trying things out, and for tests, also without compiled code: every kind of point, and none that takes long.
QUICK = tuple(
    dict.fromkeys(
        [
            Group(one.scenario.resized(min(one.scenario.span, 4 * MiB)), one.operation)
            for one in (*DEFAULT, *EVERY_SCENARIO)
            if one.scenario.name != LAYOUT
        ]
        + FULL_SCALE
    )
)
SUITES = {"default": DEFAULT, "reference": REFERENCE, "quick": QUICK}


# Over a curve of a factor of 256 the cost of one unit may change by a factor of two: log(2) / log(256).
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


_LAWS: tuple[Law, ...] = (
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


_FLOORS: tuple[Floor, ...] = (
    # The report: 4.172 s became too little to notice. Measured here 536,870,912 pages to a handful of entries.
    Floor(Group(SCENARIOS["report"]), "per-page", "page-walk", entries=1e8, seconds=2e4),
    Floor(Group(SCENARIOS["report"]), "per-page", "hole-skip", entries=1e8, seconds=2e4),
)


# What the gate times against another checkout: for each implementation what it is bad and what it is good at, in calls
# of less than a millisecond, so that processes can take turns, and on memory that a core's own cache holds, as where the
# pages of a larger array come to lie makes some processes slower than others by a third.
_TIMED: tuple[Point, ...] = (
    Point(SCENARIOS["report"].resized(GiB), "per-page"),
    Point(SCENARIOS["dense"].resized(16 * MiB), "per-page", "munlock"),
    Point(sparse(64 * KiB, 256 * MiB), "hole-skip"),
    Point(SCENARIOS["dense"].resized(16 * MiB), "hole-skip", "munlock"),
    Point(sparse(64 * KiB, 256 * MiB), "page-walk"),
    Point(SCENARIOS["dense"].resized(16 * MiB), "page-walk", "munlock"),
)
_QUICK_TIMED = tuple(Point(SCENARIOS["dense"].resized(256 * KiB), one, "munlock") for one in IMPLEMENTATIONS)


class Checks(msgspec.Struct, frozen=True):
    """What the gate holds a suite to, beside exact counters."""

    laws: tuple[Law, ...] = ()
    floors: tuple[Floor, ...] = ()
    timed: tuple[Point, ...] = ()


CHECKS = {
    "default": Checks(timed=_TIMED),
    "reference": Checks(_LAWS, _FLOORS, _TIMED),
    "quick": Checks(timed=_QUICK_TIMED),
}
