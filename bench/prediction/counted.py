"""Counters of the calls of a trace, by the model: what the cost model weighs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from bench.errors import UsageError, one_line
from bench.prediction.terms import CALLS
from bench.traces.checks import PROGRAM_BYTES, PROGRAM_START
from bench.traces.ops import Trace, op_name
from bench.traces.replay import Machine
from mmmodel.constants import MAP_ANONYMOUS, MAP_FIXED_NOREPLACE, MAP_PRIVATE, PROT_READ, PROT_WRITE
from mmmodel.errors import NotModelled

if TYPE_CHECKING:
    from mmmodel import Mm


class CountedOp(NamedTuple):
    """An op of a trace whose cost can be told, with what it counts."""

    number: int  # in the trace, from 0
    call: str
    counters: Mapping[str, int]


def with_program(implementation: str, thp: str = "never") -> Mm:
    """Return the address space of the program that makes the calls, with nothing else in it.

    It has pages of its own, and so page tables: what lies in the same 512 GiB is not the first there.
    """
    from mmmodel import Mm  # here, because it loads the compiler

    space = Mm(implementation, thp=thp)
    space.mmap(PROGRAM_START, PROGRAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE)
    space.touch(PROGRAM_START, 1, "write")
    space.lru_add_drain_all()
    return space


def counted(trace: Trace, implementation: str, tick: Callable[[], None] = lambda: None) -> list[CountedOp]:
    """Carry a trace out on the model; return its calls that lock, unlock or unmap.

    UsageError for what the model does not have.
    """
    space = with_program(implementation)
    machine = Machine(space)
    found = []
    for number, op in enumerate(trace.ops):
        try:
            machine.outcome(op)
        except (NotModelled, MemoryError) as error:
            raise UsageError(f"trace {one_line(trace.name, 80)}: ops[{number}]: the model does not have it: {error}") from None
        if op_name(op) in CALLS and op.proc == 0:
            found.append(CountedOp(number, op_name(op), dict(space.call_counters())))
        tick()
    return found
