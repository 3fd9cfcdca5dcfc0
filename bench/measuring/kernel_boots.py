"""Several starts of real kernels, some at once: what instructions are counted in does not depend on what else runs."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from bench.errors import BenchError, told
from bench.measuring import kernel_calls
from bench.targets.kernel import KernelTarget
from bench.workloads.scenario import Point
from bench.workloads.suite import Group


class Cost(msgspec.Struct, frozen=True):
    """What the calls of one point cost in one start."""

    values: tuple[int, ...]  # in order, each as it was measured less `taken_off`
    taken_off: int  # what the same call takes without the point's memory


class Boot(msgspec.Struct):
    """One start of a kernel: as much as it came to."""

    costs: dict[str, Cost] = {}  # by the group of the point
    releases: list[str] = []  # what it said that it is, once for each machine
    error: str = ""  # why it ended before its end


class Order(NamedTuple):
    """A start that is wanted."""

    target: KernelTarget
    groups: Sequence[Group]
    rounds: int = kernel_calls.ROUNDS

    def points(self) -> list[Point]:
        """Return what is carried out."""
        return [point for group in self.groups for point in group.points([self.target.name])]

    def nr_values(self) -> int:
        """Return how many values come, at most."""
        return len(self.points()) * self.rounds


class _Done(NamedTuple):
    """What a thread has to say when a start is over."""

    number: int
    boot: Boot
    failure: BaseException | None  # of this program


def at_once() -> int:
    """Return how many guests run at a time: one for each processor."""
    return len(os.sched_getaffinity(0))


def run(orders: Sequence[Order], on_value: Callable[[], None] = lambda: None) -> list[Boot]:
    """Start kernels in order, as many at once as there are processors; a start that fails says so, and keeps what it had.

    `on_value` is called from other threads, at each value.
    """
    wanted: queue.SimpleQueue[tuple[int, Order]] = queue.SimpleQueue()
    done: queue.SimpleQueue[_Done] = queue.SimpleQueue()
    for number, order in enumerate(orders):
        wanted.put((number, order))
    # Not waited for when this program ends, as at Ctrl-C: the keeper of each guest ends it then.
    for _ in range(min(at_once(), len(orders))):
        threading.Thread(target=_work, args=(wanted, done, on_value), daemon=True).start()
    found: dict[int, Boot] = {}
    while len(found) < len(orders):
        one = done.get()
        if one.failure is not None:
            raise one.failure
        found[one.number] = one.boot
    return [found[number] for number in range(len(orders))]


def _work(wanted: queue.SimpleQueue[tuple[int, Order]], done: queue.SimpleQueue[_Done], on_value: Callable[[], None]) -> None:
    """Carry out orders until there is none."""
    while True:
        try:
            number, order = wanted.get_nowait()
        except queue.Empty:
            return
        boot = Boot()
        try:
            _start(order, boot, on_value)
        except BenchError as error:
            boot.error = told(error)
        except BaseException as error:  # whatever it is, the one who waits must hear of it
            done.put(_Done(number, boot, error))
            return
        done.put(_Done(number, boot, None))


def _start(order: Order, boot: Boot, on_value: Callable[[], None]) -> None:
    """Start a kernel once and put what its calls cost into `boot`, as it comes."""
    for value in kernel_calls.boot(
        order.target, order.points(), lambda hello: boot.releases.append(hello.kernel), order.rounds
    ):
        before = boot.costs.get(value.point.group, Cost((), value.taken_off))
        boot.costs[value.point.group] = Cost((*before.values, value.cost), value.taken_off)
        on_value()
