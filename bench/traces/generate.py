"""Random traces in the manner of the recorded ones: a few areas at awkward addresses, then calls in, across and beside them.

Everything is built from one question, "a number below n?", so that a seed gives the same traces on every machine and a
property-based test can ask it instead and shrink what it answered.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple, TypeVar

from bench.traces.ops import (
    DropCapIpcLock,
    MadviseDontneed,
    MapFlag,
    Mlock,
    Mlock2,
    Mlockall,
    Mmap,
    Mprotect,
    Munlock,
    Munlockall,
    Munmap,
    Op,
    Prot,
    RlimitMemlock,
    Touch,
    Trace,
)
from mmmodel.constants import PAGE_SIZE

MAX_TRACES: Final = 50_000
WINDOW: Final = ("0x1000000000", "0x6000000000")
BODY: Final = 20  # ops of a trace on average, after those that make its areas
SWARM_BODY: Final = 40  # of a trace that uses some of the ops

Below = Callable[[int], int]  # a number in [0, n); 0 should be the simplest answer
T = TypeVar("T")


class Area(NamedTuple):
    """A range that ops are aimed at."""

    start: int  # address, bytes
    pages: int


# At the start of a page table, across the end of one, across the end of a PMD table, and nowhere in particular.
STARTS: Final = (0x10_0000_0000, 0x10_00DF_0000, 0x10_BFFF_8000, 0x20_0000_5000)
AREA_PAGES: Final = ((2, 24), (2, 48), (2, 96), (4, 600), (1, 1100))  # from 600 on there is room for a huge page
SPOTS: Final = 2
BIG: Final = Area(0x21_0000_0000, 1 << 18)  # places for reserved spans, 1 GiB each: one of 4 GiB is in the way of others
BIG_PLACES: Final = 8
BIG_BYTES: Final = ((6, 2 << 20), (4, 64 << 20), (1, 1 << 30), (1, 4 << 30))
LIMITS: Final = (1 << 18, 160 << 10, 1 << 16, 1 << 15, 1 << 14, 0)
PROTS: Final[tuple[tuple[int, Prot], ...]] = ((4, "rw"), (2, "none"), (2, "r"))
FIXED_FLAGS: Final[tuple[tuple[int, tuple[MapFlag, ...]], ...]] = (
    (6, ("fixed",)),
    (3, ("fixed", "locked")),
    (3, ("fixed", "populate")),
    (2, ("fixed", "shared")),
    (2, ("fixed", "noreserve")),
    (1, ("fixed", "shared", "locked")),
    (1, ("fixed", "shared", "populate")),
    (2, ()),  # MAP_FIXED_NOREPLACE: fails where something is
    (1, ("shared",)),
    (1, ("locked",)),
)


def choose(below: Below, weighted: Sequence[tuple[int, T]]) -> T:
    """Return one of several things, by integer weights; the first is the simplest."""
    at = below(sum(weight for weight, _ in weighted))
    for weight, one in weighted:
        if at < weight:
            return one
        at -= weight
    raise ValueError(f"a number below the sum of weights was asked for, {at} more than that came")


def one_of(below: Below, things: Sequence[T]) -> T:
    """Return one of several things, all alike."""
    return things[below(len(things))]


def span(below: Below, areas: Sequence[Area]) -> tuple[int, int]:
    """Return a page-aligned range: mostly inside an area, at times across its end or reaching from one end to the other."""
    area = one_of(below, areas)
    first = below(min(area.pages, 32)) if below(4) else below(area.pages)
    length = choose(
        below,
        ((8, 1), (5, 2), (6, 3), (5, 4), (2, 5), (1, 7), (3, 8), (2, 16), (1, 33), (1, 512), (2, area.pages - first)),
    )
    if below(8):  # one in eight may leave the area
        length = min(length, area.pages - first)
    return area.start + first * PAGE_SIZE, length * PAGE_SIZE


def unaligned_span(below: Below, areas: Sequence[Area]) -> tuple[int, int]:
    """Return a range for calls that round to pages themselves."""
    start, nbytes = span(below, areas)
    shift = choose(below, ((12, 0), (2, 1), (1, 100), (1, 4095)))
    return start + shift, max(0, nbytes + choose(below, ((12, 0), (2, -shift), (1, 1), (1, -1), (1, -nbytes))))


def mmap_op(below: Below, areas: Sequence[Area]) -> Op:
    """Return mmap() of a range, mostly over what is there."""
    start, nbytes = span(below, areas)
    return Mmap(hex(start), hex(nbytes), choose(below, PROTS), choose(below, FIXED_FLAGS))


def _big(below: Below) -> tuple[str, str]:
    """Return address and length of a large span, one of a few."""
    return hex(BIG.start + below(BIG_PLACES) * BIG.pages * PAGE_SIZE), hex(choose(below, BIG_BYTES))


def mmap_big_op(below: Below, areas: Sequence[Area]) -> Op:
    """Return mmap() of a large span that nothing may access."""
    flags: tuple[tuple[int, tuple[MapFlag, ...]], ...] = ((3, ("noreserve",)), (1, ()))
    return Mmap(*_big(below), "none", choose(below, flags))


def lock_big_op(below: Below, areas: Sequence[Area]) -> Op:
    """Return mlock2() or munlock() of a large span."""
    return Mlock2(*_big(below), 1) if below(2) else Munlock(*_big(below))


def touch_op(below: Below, areas: Sequence[Area]) -> Op:
    """Return a touch."""
    start, nbytes = span(below, areas)
    access: Literal["write", "read"] = "read" if below(3) == 2 else "write"
    return Touch(hex(start), hex(nbytes), access, choose(below, ((6, PAGE_SIZE), (1, 8192), (1, 2 << 20))))


def mlock_op(below: Below, areas: Sequence[Area]) -> Op:
    """Return mlock()."""
    start, nbytes = unaligned_span(below, areas)
    return Mlock(hex(start), hex(nbytes))


def mlock2_op(below: Below, areas: Sequence[Area]) -> Op:
    """Return mlock2()."""
    start, nbytes = unaligned_span(below, areas)
    return Mlock2(hex(start), hex(nbytes), choose(below, ((6, 1), (2, 0), (1, 2))))


def munlock_op(below: Below, areas: Sequence[Area]) -> Op:
    """Return munlock()."""
    start, nbytes = unaligned_span(below, areas)
    return Munlock(hex(start), hex(nbytes))


def mprotect_op(below: Below, areas: Sequence[Area]) -> Op:
    """Return mprotect()."""
    start, nbytes = span(below, areas)
    return Mprotect(hex(start), hex(nbytes), choose(below, ((3, "none"), (3, "rw"), (2, "r"))))


def munmap_op(below: Below, areas: Sequence[Area]) -> Op:
    """Return munmap()."""
    start, nbytes = unaligned_span(below, areas) if below(8) == 7 else span(below, areas)
    return Munmap(hex(start), hex(nbytes))


def dontneed_op(below: Below, areas: Sequence[Area]) -> Op:
    """Return madvise(MADV_DONTNEED)."""
    start, nbytes = unaligned_span(below, areas) if below(8) == 7 else span(below, areas)
    return MadviseDontneed(hex(start), hex(nbytes))


def mlockall_op(below: Below, areas: Sequence[Area]) -> Op:
    """Return mlockall()."""
    return Mlockall(choose(below, ((4, 1), (4, 3), (3, 2), (3, 5), (3, 7), (3, 6), (1, 0), (1, 4), (1, 8))))


def munlockall_op(below: Below, areas: Sequence[Area]) -> Op:
    """Return munlockall()."""
    return Munlockall()


def limit_op(below: Below, areas: Sequence[Area]) -> Op:
    """Return a limit."""
    return RlimitMemlock(one_of(below, LIMITS))


def drop_cap_op(below: Below, areas: Sequence[Area]) -> Op:
    """Return the capability given up."""
    return DropCapIpcLock()


WeightedOp = tuple[int, Callable[[Below, Sequence[Area]], Op]]
OPS: Final[tuple[WeightedOp, ...]] = (
    (24, touch_op),
    (22, mlock_op),
    (17, munlock_op),
    (14, mlock2_op),
    (14, mprotect_op),
    (10, mmap_op),
    (4, mmap_big_op),
    (4, lock_big_op),
    (8, dontneed_op),
    (4, munmap_op),
    (4, mlockall_op),
    (6, munlockall_op),
    (1, limit_op),
    (1, drop_cap_op),
)


def _spot(below: Below, areas: Sequence[Area]) -> Area:
    """Return a small part of an area."""
    area = one_of(below, areas)
    first = below(min(area.pages, 32))
    return Area(area.start + first * PAGE_SIZE, min(4 + below(9), area.pages - first))


def random_areas(below: Below) -> list[Area]:
    """Return an area for each of STARTS, none of them overlapping, and spots in them that ops come back to."""
    areas = [Area(start, choose(below, AREA_PAGES)) for start in STARTS]
    return areas + [_spot(below, areas) for _ in range(SPOTS)]


def opening(below: Below, areas: Sequence[Area]) -> list[Op]:
    """Return the ops that a trace begins with: at times a limit without the capability; most areas mapped, some touched.

    Later ops are aimed at the others too, to fail. They cut areas into VMAs too small for a huge page, so this is when huge
    pages come about.
    """
    ops: list[Op] = [RlimitMemlock(one_of(below, LIMITS)), DropCapIpcLock()] if below(5) == 4 else []
    for area in areas[: len(STARTS)]:
        if below(4) == 0:  # the simplest trace has none
            continue
        prot = choose(below, PROTS)
        ops.append(Mmap(hex(area.start), hex(area.pages * PAGE_SIZE), prot, ("noreserve",)))
        if below(3) == 2 and prot != "none":
            first = below(area.pages)
            pages = one_of(below, (1, 40, area.pages))
            access: Literal["write", "read"] = "write" if prot == "rw" else "read"
            ops.append(Touch(hex(area.start + first * PAGE_SIZE), hex(min(pages, area.pages - first) * PAGE_SIZE), access))
    return ops


def random_op(below: Below, areas: Sequence[Area], ops: Sequence[WeightedOp] = OPS) -> Op:
    """Return one of some ops aimed at some areas."""
    return choose(below, ops)(below, areas)


def some_of(below: Below, things: Sequence[T]) -> Sequence[T]:
    """Return those of several things for which a coin says so, in their order; all where it says so for none."""
    return [one for one in things if below(2) == 0] or things


def random_trace(below: Below, name: str) -> Trace:
    """Return a trace of twenty ops, more or less, after its opening."""
    areas = random_areas(below)
    ops = opening(below, areas)
    ops += (random_op(below, areas) for _ in range(BODY // 2 + below(BODY + 1)))
    return Trace(name, WINDOW, tuple(ops))


def swarm_trace(below: Below, name: str) -> Trace:
    """Return a trace that draws first which ops it uses, and which areas they are aimed at.

    Where all ops come in all traces, each of them undoes what others did before much can come of it. A trace without munmap,
    or with little else than locks and protections of one area, gets to states that those do not (swarm testing).
    """
    areas = random_areas(below)
    ops = opening(below, areas)
    used, aimed = some_of(below, OPS), some_of(below, areas)
    ops += (random_op(below, aimed, used) for _ in range(SWARM_BODY // 2 + below(SWARM_BODY + 1)))
    return Trace(name, WINDOW, tuple(ops))


def random_traces(seed: int, number: int, *, swarm: bool = False) -> dict[str, Trace]:
    """Return traces by name. Trace i of a seed is the same whatever their number, on every machine.

    `swarm`: those of :func:`swarm_trace`, which share neither names nor random numbers with the others.

    Of Python's generators only seeding with a string and random() are promised to stay as they are, so only they are used.
    """
    traces = {}
    for i in range(number):
        source = random.Random(f"swarm:{seed}:{i}" if swarm else f"{seed}:{i}")
        name = f"{'w' if swarm else 's'}{seed}-{i}".replace("s-", "sm").replace("w-", "wm")
        make = swarm_trace if swarm else random_trace
        traces[name] = make(lambda n, source=source: int(source.random() * n), name)  # type: ignore[misc]
    return traces
