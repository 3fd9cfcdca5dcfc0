"""Calls of real kernels: points carried out by a guest, each several times, until their cost repeats.

A guest settles first: just after its start other threads of the kernel work, and an instruction counter does not tell whose an
instruction is. Rounds of all points follow each other, so that what still disturbs one is not in all its values.

What a call on all of an address space costs the guest itself is taken off instructions, which are exact. Of times it is not:
what is left of one noise less another is no time. It is some microseconds, as the guest's own memory is unlocked before.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from bench.errors import MeasurementError, one_line
from bench.kernels.host import Host
from bench.kernels.points import program, without_span
from bench.kernels.protocol import SYS, Answer, Hello, Program, wait
from bench.kernels.recording import Kernel
from bench.kernels.session import patience
from bench.targets.kernel import KernelTarget
from bench.workloads.scenario import LAYOUT, Point
from mmmodel.constants import PAGE_SIZE

SETTLE_NS: Final = 2_000_000_000  # of the guest's clock
CALIBRATION_NS: Final = 50_000_000
ROUNDS: Final = 3
LONG_SECONDS: Final = 10.0  # a point that takes longer is carried out once in a start
FIRST_SPAN: Final = 1 << 30  # bytes, of the call before those that are measured, where that would take long itself
EMPTY_ROUNDS: Final = 3  # of the same call without the point's memory
BOOT_SECONDS: Final = 120  # of a deadline
CORE_WRITTEN: Final = 0x80  # of the status of a process that died
SLACK: Final = 20  # times what a machine is expected to take, before it is given up


class Value(NamedTuple):
    """What one call of a point cost: instructions, or time stamps of the processor."""

    point: Point
    cost: int
    taken_off: int = 0  # of all that was seen: what the call takes without the point's memory


class _Item(NamedTuple):
    """One program of a batch, with what it is for."""

    program: Program
    point: Point | None  # None: the guest settles
    is_empty: bool = False  # without the point's memory, to be taken off


def _batch(target: KernelTarget, points: Sequence[Point], rounds: int) -> list[_Item]:
    """Return the programs of one start, in order."""
    items = [_Item(Program(0, PAGE_SIZE, (wait(SETTLE_NS),), 0), None)]
    # The first to use memory finds other lists and caches than all after it: 100,000 instructions more on 5.10.
    items += [_Item(program(point, target.start(point)), None) for point in _first(target, points)]
    for point in points if target.unit == "instructions" else ():
        if (empty := without_span(point)) is not None:
            items += [_Item(empty, point, is_empty=True)] * EMPTY_ROUNDS
    for number in range(rounds):
        items += [
            _Item(program(point, target.start(point)), point) for point in points if number < nr_calls(target, point, rounds)
        ]
    return items


def _first(target: KernelTarget, points: Sequence[Point]) -> list[Point]:
    """Return what is carried out first, and not measured: the first of the points, on less where that takes long."""
    found = list(points[:1])
    if found and target.expected_seconds(found[0]) >= LONG_SECONDS:
        scenario = found[0].scenario
        shorter = scenario if scenario.name == LAYOUT else scenario.resized(min(scenario.span, FIRST_SPAN), scenario.levels)
        found = [msgspec.structs.replace(found[0], scenario=shorter)] if shorter is not scenario else []
    return found


def nr_calls(target: KernelTarget, point: Point, rounds: int) -> int:
    """Return how often a start of `rounds` rounds carries a point out."""
    return rounds if target.expected_seconds(point) < LONG_SECONDS else 1


def _called(what: str) -> str:
    """Return an order as a call of the guest's: "mlockall(0x3)"."""
    letter, _, *numbers = what.split()
    names = {f"{number:x}": name for name, number in SYS.items()}
    if letter == "c" and numbers and numbers[0] in names:
        return f"{names[numbers[0]]}({', '.join(f'0x{one}' for one in numbers[1:])})"
    return f"order {one_line(what, 80)!r}"


def _cost(item: _Item, answers: Sequence[Answer]) -> int:
    """Return what the last order of a program cost; MeasurementError if any did not do what it should."""
    assert item.point is not None
    for number, answer in enumerate(answers):
        last = number == len(answers) - 1
        if last and item.point.operation == "coredump":
            if answer.died is None or not answer.died & CORE_WRITTEN:
                raise MeasurementError(f"{item.point.name}: no core file was written")
        elif answer.errno and not (last and item.point.operation == "exit" and answer.died == 0):
            what = item.program.orders[number]
            raise MeasurementError(f"{item.point.name}: the guest's {_called(what)} failed with {answer.errno}")
    return answers[-1].cycles


def boot(
    target: KernelTarget,
    points: Sequence[Point],
    hello: Callable[[Hello], None] = lambda _: None,
    rounds: int = ROUNDS,
) -> Generator[Value, None, None]:
    """Start a kernel once for every machine that the points need, and yield what each call cost, as it comes.

    GuestError for a guest that failed; what was yielded before is good.
    """
    for machine, chosen in target.machines(points):
        yield from _on_machine(target, machine, chosen, hello, rounds)


def _on_machine(
    target: KernelTarget, machine: Kernel, points: Sequence[Point], hello: Callable[[Hello], None], rounds: int
) -> Iterator[Value]:
    """Carry out points on one machine."""
    items = _batch(target, points, rounds)
    expected = sum(target.expected_seconds(one.point) for one in items if one.point and not one.is_empty)
    deadline = int((BOOT_SECONDS + SLACK * (expected + len(items) * 0.1)) * patience())
    empty: dict[str, list[int]] = {}
    for item, answers in zip(items, machine.run([one.program for one in items], hello, deadline), strict=True):
        if item.point is None:
            continue
        cost = _cost(item, answers)
        if item.is_empty:
            empty.setdefault(item.point.name, []).append(cost)
            continue
        without = empty.get(item.point.name)
        taken_off = int(statistics.median(without)) if without else 0
        yield Value(item.point, cost - taken_off, taken_off)


@functools.cache
def stamps_per_second() -> float:
    """Return the frequency of the processor's time stamps, by the running kernel's clock."""
    programs = [Program(0, PAGE_SIZE, (wait(CALIBRATION_NS),), 0)] * 3
    ratios = [answers[0].cycles / answers[0].result * 1e9 for answers in Host().run(programs, lambda _: None)]
    return statistics.median(ratios)


def costs(values: Sequence[Value]) -> Mapping[str, list[int]]:
    """Return the costs of each point, by name, in order."""
    found: dict[str, list[int]] = {}
    for one in values:
        found.setdefault(one.point.name, []).append(one.cost)
    return found
