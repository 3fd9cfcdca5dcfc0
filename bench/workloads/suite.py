"""Suites as data: the points that `run` measures when none is named, and those that the reference and the gate hold.

Names of suites' points are unique and stable: results of different days are
compared by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from bench.workloads.participants import every, take_part
from bench.workloads.scenario import LAYOUT, ONE_PAGE, SCENARIOS, GiB, KiB, MiB, Operation, Point, Scenario, TiB, sparse
from mmmodel.kernels import IMPLEMENTATIONS, V6_1, implementations

# Operations on the report's reservation, locked: in 5.10 all of them but mlockall() visit every page.
ON_THE_REPORT: tuple[Operation, ...] = ("munlockall", "munlock-part", "munmap", "exit", "mlockall")
STEP_OVER_HOLES = tuple(one.name for one in implementations() if one.steps_over_holes)
# In 5.10 mlockall(MCL_ONFAULT), which prepares what is locked, visits every page of the span: seconds.
QUICKLY_PREPARED = tuple(one.name for one in implementations() if one.kernel.version >= V6_1)
SPANS = tuple(1 << shift for shift in range(31, 42, 2))  # bytes, 2 GiB to 2 TiB
HEAD_TAIL_SPANS = tuple(1 << shift for shift in range(31, 38, 2))  # bytes, 2 GiB to 128 GiB: 5.10 prepares them slowly, too
DENSE_SPANS = tuple(1 << shift for shift in range(22, 31, 2))  # bytes, 4 MiB to 1 GiB
DUMP_SPANS = HEAD_TAIL_SPANS  # all below one entry of the top page table: beyond it a page that is not there costs less
DENSITY_SPAN = 4 * GiB
DENSITY_STEPS = tuple(4 * KiB << shift for shift in range(0, 19, 2))  # bytes from one page in memory to the next

EVERY = tuple(one.name for one in every())  # implementations, those of one operation alone among them
# Core dumps before and after: the first, as all that take part in every operation dump core alike, and those of nothing else.
DUMPING = tuple(one for one in EVERY if one == IMPLEMENTATIONS[0] or one not in IMPLEMENTATIONS)


class Group(msgspec.Struct, frozen=True):
    """Points that differ in their implementation alone."""

    scenario: Scenario
    operation: Operation = "munlockall"
    only: tuple[str, ...] | None = None  # names of implementations; None: any

    def points(self, names: Sequence[str] = EVERY) -> list[Point]:
        """Return a point for each of these implementations that the group is for, and that take part in its operation."""
        mine = (name for name in names if self.only is None or name in self.only)
        return [Point(self.scenario, name, self.operation) for name in mine if take_part(name, self.operation)]

    @property
    def name(self) -> str:
        """What the names of its points have in common."""
        return Point(self.scenario, "", self.operation).group


def points_of(groups: Iterable[Group], names: Sequence[str] = EVERY) -> tuple[Point, ...]:
    """Return the points of groups, each name once, in order."""
    found = {point.name: point for group in groups for point in group.points(names)}
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
    Group(one.resized(512 * GiB) if one.span > 512 * GiB and one.name != "report" else one)
    for one in SCENARIOS.values()
    if one.name != ONE_PAGE
)
DUMP_CURVE = tuple(Group(SCENARIOS[ONE_PAGE].resized(span), "coredump", DUMPING) for span in DUMP_SPANS)
DUMP_HOLE_CURVE = tuple(Group(SCENARIOS["head-tail"].resized(span), "coredump", DUMPING[1:]) for span in HEAD_TAIL_SPANS)
DUMP_DENSE_CURVE = tuple(Group(SCENARIOS["dense"].resized(span), "coredump", DUMPING) for span in DENSE_SPANS)
# What steps over holes does so at every level of the page tables, five of them beyond 128 TiB.
FULL_SCALE = [Group(SCENARIOS["report"], only=STEP_OVER_HOLES),
              Group(SCENARIOS["report"].resized(1 << 50, levels=5), only=STEP_OVER_HOLES),
              Group(sparse(256 * GiB, TiB), only=QUICKLY_PREPARED)]  # fmt: skip
EMPTY_CURVE = (*SPAN_CURVE, FULL_SCALE[1])  # nothing in memory: 2 GiB to 2 TiB, and 1 PiB
REFERENCE: tuple[Group, ...] = (
    *DEFAULT,
    *EVERY_SCENARIO,
    *(Group(SCENARIOS["dense"], operation) for operation in ON_THE_REPORT if operation != "munlockall"),
    *SPAN_CURVE,
    *HEAD_TAIL_CURVE,
    *DENSE_CURVE,
    *DENSITY_CURVE,
    *FULL_SCALE,
    *DUMP_CURVE,
    *DUMP_HOLE_CURVE,
    *DUMP_DENSE_CURVE,
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
        + [Group(SCENARIOS[ONE_PAGE].resized(4 * MiB), "coredump")]
    )
)
# On real kernels: few, as those that walk every page are emulated at 100 instructions a page; sizes apart, for laws.
KERNEL_SPANS = tuple(1 << shift for shift in range(30, 37, 2))  # bytes, 1 GiB to 64 GiB
KERNEL_DENSE_SPANS = tuple(1 << shift for shift in range(22, 27, 2))  # bytes, 4 MiB to 64 MiB
UNLOCKING: tuple[Operation, ...] = ("munlockall", "munlock", "munlock-part", "munmap", "exit")
# mlockall() of PROT_NONE memory does not do the same everywhere: 5.10 gives up at the first page and leaves it as it is.
ON_KERNELS: tuple[Operation, ...] = (*UNLOCKING, "mlockall", "mprotect")
KERNELS: tuple[Group, ...] = (
    *(Group(SCENARIOS["report"].resized(span)) for span in KERNEL_SPANS),
    *(Group(SCENARIOS["report"].resized(span), op) for op in ON_KERNELS[1:] for span in KERNEL_SPANS[:2]),
    *(Group(SCENARIOS["dense"].resized(span)) for span in KERNEL_DENSE_SPANS),
    *(Group(SCENARIOS["dense"].resized(KERNEL_DENSE_SPANS[1]), op) for op in (*ON_KERNELS[1:], "mmap")),
    *(Group(sparse(2 * MiB, 2 * GiB), op) for op in ON_KERNELS),
    *(Group(sparse(64 * KiB, 256 * MiB), op) for op in ON_KERNELS),
    *(Group(SCENARIOS["thp"].resized(32 * MiB), op) for op in ("munlockall", "munmap")),
)
SUITES = {"default": DEFAULT, "reference": REFERENCE, "quick": QUICK}
