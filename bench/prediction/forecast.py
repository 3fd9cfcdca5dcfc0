"""What calls on an address space would visit and cost: counted by the model, weighed for each kernel, and who is to blame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.errors import UsageError, one_line
from bench.prediction.counted import call_counters, vmas_between
from bench.prediction.terms import CALLS
from bench.prediction.weights import Cost, KernelWeights, predict
from bench.targets.model import lay_out
from bench.workloads.layout import Layout, Vma
from mmmodel import constants as const
from mmmodel.constants import PAGE_SIZE
from mmmodel.kernels import V6_1, implementation

if TYPE_CHECKING:
    from mmmodel import Mm

ALL_CALLS: Final = ("munlockall", "mlockall", "munmap", "exit")
RANGE_CALLS: Final = ("munlock", "mlock")
MOST_POPULATED: Final = 1 << 20  # pages that a locking call may bring into memory, to be counted
BLAMED: Final = "munlockall"  # the call whose cost is shared out among VMAs


class Range(NamedTuple):
    """Addresses [start, end), in bytes."""

    start: int
    end: int


class Forecast(NamedTuple):
    """A call on an address space, on one kernel."""

    layout: str
    series: str
    call: str
    visited: int  # pages that were looked up, and entries that were read to be cleared
    counters: Mapping[str, int]
    cost: Cost | None  # None: not counted
    reason: str = ""  # why not
    least: Forecast | None = None  # where it is not known which pages are in memory: with the fewest; this is with the most


class Share(NamedTuple):
    """What one VMA adds to the cost of unlocking all."""

    vma: Vma
    instructions: float
    share: float  # of all VMAs' together


def forecast(
    captured: Layout, kernel: KernelWeights, where: Range | None = None, calls: Sequence[str] | None = None
) -> list[Forecast]:
    """Return what each call would cost a kernel; `where`: the range of those that take one, and of munmap().

    `calls`: these alone. UsageError for a layout that cannot be built, or a range that it does not have.
    """
    if calls is None:
        calls = ALL_CALLS if where is None else (*RANGE_CALLS, "munmap")
    if where is not None and not any(vma.first < where.end and vma.last > where.start for vma in captured.vmas):
        raise UsageError(f"{one_line(captured.name, 80)} has nothing mapped in {where.start:#x}-{where.end:#x}")
    try:
        space = lay_out(captured, kernel.implementation)
        return [_one(captured, kernel, space, call, where) for call in calls]
    except (MemoryError, OSError) as error:
        raise UsageError(f"layout {one_line(captured.name, 80)} cannot be built: {one_line(error)}") from None


def _one(captured: Layout, kernel: KernelWeights, space: Mm, call: str, where: Range | None) -> Forecast:
    """Return what one call would cost; the address space is as it was after."""
    missing = _populated_by(captured, call, where)
    if missing > MOST_POPULATED:
        reason = f"it would bring {missing:,} pages into memory, which is not counted"
        return Forecast(captured.name, kernel.series, call, 0, {}, None, reason)
    before = space.snapshot()
    if call not in ("mlockall", "mlock"):
        lock(space, captured)
    space.lru_add_drain_all()
    nr_vmas = vmas_between(space, where.start, where.end) if where else space.map_count
    make(space, call, where or Range(captured.vmas[0].first, captured.vmas[-1].last))
    counters = call_counters(space, nr_vmas if CALLS[call] in ("lock", "unlock") else 0)
    space.restore(before)
    visited = counters.get("model_pages_looked_up", 0) + counters.get("model_zap_read", 0)
    return Forecast(captured.name, kernel.series, call, visited, counters, predict(kernel, call, counters))


def lock(space: Mm, captured: Layout) -> None:
    """Lock an address space as the program had it, or on fault, which leaves its pages as they are."""
    space.mlockall(const.MCL_CURRENT | (const.MCL_FUTURE if captured.locked else const.MCL_ONFAULT))


def make(space: Mm, call: str, where: Range) -> None:
    """Make a call by its name; what a kernel would refuse for a hole in the range is made all the same, up to the hole."""
    length = where.end - where.start
    calls: dict[str, Callable[[], object]] = {
        "munlockall": space.munlockall,
        "mlockall": lambda: space.mlockall(const.MCL_CURRENT | const.MCL_FUTURE),
        "munmap": lambda: space.munmap(where.start, length),
        "exit": space.exit,
        "munlock": lambda: space.munlock(where.start, length),
        "mlock": lambda: space.mlock(where.start, length),
    }
    calls[call]()


def _populated_by(captured: Layout, call: str, where: Range | None) -> int:
    """Return how many pages a call would bring into memory, at most."""
    if call not in ("mlockall", "mlock"):
        return 0
    found = 0
    for vma in captured.vmas:
        start, end = (vma.first, vma.last) if where is None else (max(vma.first, where.start), min(vma.last, where.end))
        if vma.lockable and not vma.perms.startswith("---") and start < end:
            found += max(0, (end - start) // PAGE_SIZE - sum(nr for _, nr in vma.present))
    return found


def shares(captured: Layout, kernel: KernelWeights) -> list[Share]:
    """Return what each VMA adds to the cost of munlockall(), in the order of addresses.

    Each is unlocked by a call of its own, whose constant is left out: a sum of them is munlockall() but for merged VMAs.
    """
    space = lay_out(captured, kernel.implementation)
    lock(space, captured)
    space.lru_add_drain_all()
    constant = next(one.weight for one in kernel.terms if one.name == "unlock_call")
    found = []
    for vma in captured.vmas:
        cost = 0.0
        if vma.lockable:
            space.munlock(vma.first, vma.last - vma.first)
            cost = predict(kernel, "munlock", space.call_counters()).instructions - constant
        found.append((vma, max(0.0, cost)))
    total = sum(cost for _, cost in found) or 1.0
    return [Share(vma, cost, cost / total) for vma, cost in found]


def is_linear(kernel: KernelWeights) -> bool:
    """Whether a kernel looks up every page of a locked VMA, there or not."""
    return implementation(kernel.implementation).kernel.version < V6_1


def most_blamed(found: Sequence[Share], number: int) -> list[Share]:
    """Return the VMAs that cost most, the first of them first."""
    return sorted(found, key=lambda one: -one.instructions)[:number]
