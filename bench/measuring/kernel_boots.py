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


Start = Callable[[Boot], None]  # carries out a start, and puts what it measures into a Boot


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
    """Start kernels in order; `on_value` is called from other threads, at each value."""

    def start_of(order: Order) -> Start:
        return lambda boot: _start(order, boot, on_value)

    return run_all([start_of(one) for one in orders])


def run_all(starts: Sequence[Start]) -> list[Boot]:
    """Carry out starts, in order, as many at once as there are processors.

    Each puts what it measures into its Boot; one that fails says so there, and keeps what it had.
    """
    wanted: queue.SimpleQueue[tuple[int, Start]] = queue.SimpleQueue()
    done: queue.SimpleQueue[_Done] = queue.SimpleQueue()
    for one in enumerate(starts):
        wanted.put(one)
    # Not waited for when this program ends, as at Ctrl-C: the keeper of each guest ends it then.
    for _ in range(min(at_once(), len(starts))):
        threading.Thread(target=_work, args=(wanted, done), daemon=True).start()
    found: dict[int, Boot] = {}
    while len(found) < len(starts):
        over = done.get()
        if over.failure is not None:
            raise over.failure
        found[over.number] = over.boot
    return [found[number] for number in range(len(starts))]


def _work(wanted: queue.SimpleQueue[tuple[int, Start]], done: queue.SimpleQueue[_Done]) -> None:
    """Carry out starts until there is none."""
    while True:
        try:
            number, start = wanted.get_nowait()
        except queue.Empty:
            return
        boot = Boot()
        try:
            start(boot)
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
