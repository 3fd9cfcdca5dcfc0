"""Counters of the calls of a trace, by the model: what the cost model weighs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from bench.errors import UsageError, one_line
from bench.prediction.terms import CALLS, KEPT
from bench.traces.checks import PROGRAM_BYTES, PROGRAM_START
from bench.traces.ops import Mlock, Mlock2, Munlock, Munlockall, Op, Trace, op_name
from bench.traces.replay import Machine
from mmmodel import state
from mmmodel.constants import (
    HPAGE_PMD_NR,
    MAP_ANONYMOUS,
    MAP_FIXED_NOREPLACE,
    MAP_PRIVATE,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
)
from mmmodel.errors import NotModelled

if TYPE_CHECKING:
    from mmmodel import Mm


# Pieces of the program's own memory, as the guest program has it: its text, its data, what it closes, the page of orders.
_PIECES: Final = (
    (0x5000, PROT_READ),
    (0x4000, PROT_READ | PROT_WRITE),
    (PROGRAM_BYTES - 0xA000, PROT_NONE),
    (0x1000, PROT_READ | PROT_WRITE),
)


class CountedOp(NamedTuple):
    """An op of a trace, with what it counts."""

    number: int  # in the trace, from 0
    call: str
    counters: Mapping[str, int]
    in_use: InUse  # what was taken, or where negative given up


class InUse(NamedTuple):
    """Frames of the machine that are in use."""

    pages: int
    tables: int

    def since(self, before: InUse) -> InUse:
        """Return what came since."""
        return InUse(self.pages - before.pages, self.tables - before.tables)


def with_program(implementation: str, thp: str = "never") -> Mm:
    """Return the address space of the program that makes the calls, with nothing else in it.

    It has pages of its own, and so page tables: what lies in the same 512 GiB is not the first there.
    """
    from mmmodel import Mm  # here, because it loads the compiler

    space = Mm(implementation, thp=thp)
    at = PROGRAM_START
    for nbytes, prot in _PIECES:
        space.mmap(at, nbytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE)
        at += nbytes
    space.touch(at - 1, 1, "write")
    space.lru_add_drain_all()
    return space


def in_use(space: Mm) -> InUse:
    """Return the frames in use of an address space's machine: pages of user memory, none of them huge, and page tables."""
    ctl = space.state.ctl
    pages = ctl[state.PAGES_TOP] - ctl[state.PAGES_NFREE] - HPAGE_PMD_NR * ctl[state.HUGE_NFREE]
    return InUse(int(pages), int(ctl[state.TABLES_TOP] - ctl[state.TABLES_NFREE]))


def vmas_of(space: Mm, op: Op) -> int:
    """Return how many VMAs of the first process a call is about that locks or unlocks, 0 for any other."""
    if op.proc or op_name(op) not in CALLS:
        return 0
    if isinstance(op, Munlockall):
        return space.map_count
    return vmas_between(space, op.start, op.start + op.nbytes) if isinstance(op, Mlock | Mlock2 | Munlock) else 0


def vmas_between(space: Mm, start: int, end: int) -> int:
    """Return how many VMAs have a byte in [start, end)."""
    vmas = space.state.array("vmas")[space.state.array("order")[: space.map_count]]
    return int(np.count_nonzero((vmas["vm_start"] < end) & (vmas["vm_end"] > start)))


def call_counters(space: Mm, nr_vmas: int) -> dict[str, int]:
    """Return what the last call counted, with what it went past of the VMAs that it was about."""
    counters = space.call_counters()
    return {**counters, KEPT: max(0, nr_vmas - counters["model_vmas_changed"])}


def counted(trace: Trace, implementation: str, tick: Callable[[], None] = lambda: None) -> list[CountedOp]:
    """Carry a trace out on the model; return its ops.

    UsageError for what the model does not have.
    """
    space = with_program(implementation)
    machine = Machine(space)
    found = []
    for number, op in enumerate(trace.ops):
        before, nr_vmas = in_use(space), vmas_of(space, op)
        try:
            machine.outcome(op)
        except (NotModelled, MemoryError) as error:
            raise UsageError(f"trace {one_line(trace.name, 80)}: ops[{number}]: the model does not have it: {error}") from None
        found.append(CountedOp(number, op_name(op), call_counters(space, nr_vmas), in_use(space).since(before)))
        tick()
    return found
