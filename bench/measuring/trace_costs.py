"""What each call of a trace costs real kernels, in exact instructions: the median of some rounds, each of every trace once."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from bench.errors import MeasurementError, UsageError
from bench.kernels.protocol import Answer, Program, program, wait
from bench.kernels.qemu import Qemu
from bench.kernels.selection import series_of
from bench.kernels.session import patience
from bench.measuring import kernel_boots
from bench.measuring.kernel_boots import Boot, Cost, Start
from bench.measuring.kernel_calls import BOOT_SECONDS, SETTLE_NS, SLACK
from bench.targets.kernel import LOOK_UP_SECONDS, PAGE_SECONDS, KernelTarget, counting
from bench.traces.cost_format import Costs
from bench.traces.ops import Mlock, Mmap, Op, SpanOp, Touch, Trace, op_name
from mmmodel.constants import PAGE_SIZE

MEMORY_MIB: Final = 2048
ROUNDS: Final = 3
TRACE_SECONDS: Final = 0.2  # of a deadline, for each trace
MAY_FAIL: Final = ("mlock", "mlock2")  # of memory without access 5.10 locks the VMA and says ENOMEM


def measure(
    targets: Sequence[KernelTarget], traces: Sequence[Trace], rounds: int = ROUNDS, on_value: Callable[[], None] = lambda: None
) -> list[Costs]:
    """Carry traces out on each kernel, several kernels at once; return them with what was measured.

    UsageError for a kernel that counts no instructions, MeasurementError for one that fails.
    """
    boots = kernel_boots.run_all([_start_of(one, traces, rounds, on_value) for one in targets])
    for target, boot in zip(targets, boots, strict=True):
        if boot.error:
            raise MeasurementError(f"{target.name}: {boot.error}")
    names = [f"linux-{'.'.join(map(str, series_of(one.kernel)))}" for one in targets]
    return [
        Costs(one.name, one.window, one.ops, {name: _medians(one, boot) for name, boot in zip(names, boots, strict=True)})
        for one in traces
    ]


def _key(trace: Trace, number: int) -> str:
    """Return the name of one op's measurement."""
    return f"{trace.name}/{number}"


def _medians(trace: Trace, boot: Boot) -> tuple[int, ...]:
    """Return what each op cost: whole instructions, of an even number of rounds the lower of the middle two."""
    costs = [boot.costs[_key(trace, number)].values for number in range(len(trace.ops))]
    return tuple(statistics.median_low(one) for one in costs)


def _start_of(target: KernelTarget, traces: Sequence[Trace], rounds: int, on_value: Callable[[], None]) -> Start:
    """Return what starts a kernel once and carries out all rounds."""

    def start(boot: Boot) -> None:
        for trace, answers in _answers(target, traces, rounds, boot.releases):
            for number, answer in enumerate(answers):
                key = _key(trace, number)
                boot.costs[key] = Cost((*boot.costs.get(key, Cost((), 0)).values, answer.cycles), 0)
            on_value()

    return start


def _answers(
    target: KernelTarget, traces: Sequence[Trace], rounds: int, releases: list[str]
) -> Iterator[tuple[Trace, list[Answer]]]:
    """Yield each trace with its answers, after the guest has settled and one trace went before."""
    kernel = target.selected.kernel
    if not isinstance(kernel, Qemu):
        raise UsageError(f"{target.name} is timed, and calls are counted in instructions: give versions or images for QEMU")
    machine = counting(kernel, "never", MEMORY_MIB)
    wanted = [traces[0], *list(traces) * rounds]
    programs = [Program(0, PAGE_SIZE, (wait(SETTLE_NS),), 0), *(_program(one) for one in wanted)]
    expected = sum(_expected_seconds(target, one) + TRACE_SECONDS for one in wanted)
    deadline = int((BOOT_SECONDS + SLACK * expected) * patience())
    found = machine.run(programs, lambda hello: releases.append(hello.kernel), deadline)
    next(found)
    for number, (trace, answers) in enumerate(zip(wanted, found, strict=True)):
        for op, answer in zip(trace.ops, answers, strict=True):
            if answer.errno and op_name(op) not in MAY_FAIL:
                raise MeasurementError(f"trace {trace.name}: {op_name(op)}() failed with {answer.errno}")
        if number:
            yield trace, answers


def _program(trace: Trace) -> Program:
    """Return the orders of a trace; nothing is looked at between them."""
    return Program(*trace.span, program(trace).orders, 0)


def _expected_seconds(target: KernelTarget, trace: Trace) -> float:
    """Return about how long a trace takes."""
    nr_looked_up = sum(
        op.nbytes // PAGE_SIZE for op in trace.ops if isinstance(op, SpanOp) and not isinstance(op, Touch | Mmap)
    )
    looked_up = nr_looked_up * LOOK_UP_SECONDS["instructions"] if target.is_linear else 0.0
    return looked_up + sum(map(_nr_touched, trace.ops)) * PAGE_SECONDS["instructions"]


def _nr_touched(op: Op) -> int:
    """Return how many pages an op brings into memory, at most."""
    if isinstance(op, Touch):
        return -(-op.nbytes // op.stride)
    return op.nbytes // PAGE_SIZE if isinstance(op, Mlock) else 0
