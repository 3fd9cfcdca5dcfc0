"""How a scenario's address space is laid out: its calls, in the words of traces, the same on a model and on a real kernel.

A layout, which comes out of a file, has words of its own: bench.targets.model puts its pages in place, bench.kernels.points
has a kernel make them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

import msgspec

from bench.traces.ops import Mlockall, Mmap, Mprotect, Prot, Touch
from bench.workloads.scenario import Point, Scenario
from mmmodel.constants import MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, MMAP_GAP, MMAP_MIN_ADDR, PAGE_SIZE, TASK_SIZE_4

Call = Mlockall | Mmap | Mprotect | Touch
LEAVE_FREE: Final = 1 << 40  # bytes of the address space, where a span takes less than all the rest
THP_START: Final = 1 << 40  # aligned, so that every huge page fits


def before(point: Point) -> Scenario:
    """Return the scenario that holds before the call: one that locks, or does not look at locks, finds nothing locked, mmap()
    finds next to nothing.
    """
    if point.operation in ("mlockall", "coredump"):
        return msgspec.structs.replace(point.scenario, locked=False)
    if point.operation == "mmap":
        return Scenario("empty", "one reserved page", PAGE_SIZE, locked=False, levels=point.scenario.levels)
    return point.scenario


def place(scenario: Scenario) -> int:
    """Return the address of a scenario's span: where mmap() would put it in an empty address space, if that fits."""
    if scenario.span > TASK_SIZE_4 - LEAVE_FREE:
        return MMAP_MIN_ADDR  # nearly everything, or more than mmap() searches by itself
    return THP_START if scenario.thp == "always" else TASK_SIZE_4 - MMAP_GAP - scenario.span


def calls(scenario: Scenario, start: int) -> Iterator[Call]:
    """Yield the calls that lay out a scenario of one span at an address; the whole range is one mmap(), as the reproducer's.

    What is populated before it is locked gets locked on fault: touched pages do, nothing else is populated.
    """
    span, populated = scenario.span, scenario.populate.pattern != "none"
    if populated and scenario.locked:
        yield Mlockall(MCL_FUTURE | MCL_ONFAULT)
    # Without a commit charge, as the reproducer's, which is PROT_NONE.
    yield Mmap(hex(start), hex(span), "rw" if populated or not scenario.prot_none else "none", ("noreserve",))
    yield from _touches(scenario, start)
    if scenario.vma_bytes:
        yield from _cuts(scenario, start)
    elif populated and scenario.prot_none:
        yield Mprotect(hex(start), hex(span), "none")
    if scenario.locked and not populated:
        yield Mlockall(MCL_CURRENT | MCL_FUTURE)


def _touches(scenario: Scenario, start: int) -> Iterator[Call]:
    """Yield the accesses that bring a scenario's pages into memory."""
    populate, span = scenario.populate, scenario.span
    if populate.pattern == "every":
        yield Touch(hex(start), hex(span), "write", populate.step)
    elif populate.pattern == "head":
        yield Touch(hex(start), hex(populate.nr_pages(span) * PAGE_SIZE), "write")
    elif populate.pattern == "ends":
        head, tail = min(populate.head, span), min(populate.tail, span)
        yield Touch(hex(start), hex(head), "write")
        yield Touch(hex(start + span - tail), hex(tail), "write")
    elif populate.pattern == "random":
        chosen = random.Random(populate.seed).sample(range(span // PAGE_SIZE), populate.nr_pages(span))
        for page in sorted(chosen):
            yield Touch(hex(start + page * PAGE_SIZE), hex(1), "write")


def nr_vmas(scenario: Scenario) -> int:
    """Return how many VMAs a scenario of one span has at most."""
    return -(-scenario.span // scenario.vma_bytes) if scenario.vma_bytes else 1


def _cuts(scenario: Scenario, start: int) -> Iterator[Call]:
    """Yield the calls that cut a span into VMAs of vma_bytes: neighbours differ, so that they do not merge."""
    protections: tuple[Prot, Prot] = ("none", "r")
    for number in range(nr_vmas(scenario)):
        offset = number * scenario.vma_bytes
        length = min(scenario.vma_bytes, scenario.span - offset)
        yield Mprotect(hex(start + offset), hex(length), protections[number % 2])


def part(start: int, span: int) -> tuple[int, int]:
    """Return address and length in bytes of the middle half of a span, which munlock-part unlocks."""
    quarter = span // 4 & -PAGE_SIZE
    return start + quarter, span - 2 * quarter
