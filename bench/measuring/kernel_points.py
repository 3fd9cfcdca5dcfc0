"""Many points measured on real kernels: divided into starts of guests, carried out, each value kept as it comes.

Guests under QEMU count instructions, which other load does not change: as many run at a time as there are processors. What is
timed, in a user-mode Linux or on the running kernel, comes after them, one start at a time. A guest that fails ends the
measurement in one error; what others are at comes to its end first, and all that was measured is kept.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from rich.progress import Progress

from bench.errors import BenchError, MeasurementError, one_line
from bench.kernels.protocol import Hello
from bench.kernels.qemu import PROGRAM_NAME
from bench.measuring.counting import tell_if_long
from bench.measuring.kernel_boots import at_once
from bench.measuring.kernel_calls import boot, nr_calls, stamps_per_second
from bench.runs.kernel_record import KernelCost, KernelFacts, Start
from bench.targets.kernel import KernelTarget, Unit
from bench.workloads.scenario import Point

MOST_POINTS: Final = 12  # of a start: an interruption costs no more than these
MOST_SECONDS: Final = 20.0  # that the points of a start are expected to take together
JOIN_SECONDS: Final = 0.2  # between looks at whether guests have ended, so that Ctrl-C is heard


class Repetition(msgspec.Struct, frozen=True):
    """How often points are measured on a kernel."""

    starts: int  # of the kernel
    values: int  # in each
    warmups: int  # calls before them that are not counted


# Instructions repeat within one start; times of a process share its memory layout, and the first call finds cold caches.
USUAL: Final = {"instructions": Repetition(1, 3, 0), "seconds": Repetition(3, 5, 1)}


class Asked(msgspec.Struct, frozen=True):
    """What is asked for about the repetition; the rest is as usual."""

    starts: int | None = None
    values: int | None = None
    warmups: int | None = None
    factor: float = 1.0  # times the usual number of starts

    def of(self, target: KernelTarget) -> Repetition:
        """Return how often points are measured on a kernel."""
        usual = USUAL[target.unit]
        warmups = usual.warmups if self.warmups is None else self.warmups
        starts = self.starts or max(1, round(usual.starts * self.factor))
        return Repetition(starts, self.values or usual.values, warmups)


class Task(msgspec.Struct, frozen=True):
    """One start of a kernel, and what is measured in it."""

    target: KernelTarget
    number: int  # of the start, from 0
    points: tuple[Point, ...]
    repetition: Repetition

    @property
    def rounds(self) -> int:
        """Calls of each point."""
        return self.repetition.warmups + self.repetition.values

    @property
    def calls(self) -> list[str]:
        """Names of the points in the order in which they are carried out."""
        return [
            point.name
            for _, points in self.target.machines(self.points)
            for number in range(self.rounds)
            for point in points
            if number < nr_calls(self.target, point, self.rounds)
        ]

    @property
    def expected_seconds(self) -> float:
        """About how long it takes once the kernel is up."""
        seconds = self.target.expected_seconds
        return sum(nr_calls(self.target, point, self.rounds) * seconds(point) for point in self.points)


class Taken(msgspec.Struct, frozen=True):
    """What a point cost in one start."""

    point: Point
    number: int  # of the start
    kernel: KernelFacts
    start: Start
    is_whole: bool = True  # False: the guest failed before the last value


Keep = Callable[[Taken], None]


def tasks(target: KernelTarget, points: Sequence[Point], number: int, repetition: Repetition) -> list[Task]:
    """Return the starts of a kernel that measure points once: each with some points, or one that takes long alone."""
    found: list[Task] = []
    some: list[Point] = []
    for point in points:
        more = Task(target, number, (*some, point), repetition)
        if some and (len(some) == MOST_POINTS or more.expected_seconds > MOST_SECONDS):
            found.append(Task(target, number, tuple(some), repetition))
            some = []
        some.append(point)
    return [*found, Task(target, number, tuple(some), repetition)] if some else found


def all_tasks(kernels: Sequence[KernelTarget], points: Mapping[str, Sequence[Point]], asked: Asked) -> list[Task]:
    """Return every start of kernels that measures their points, which are by the kernel's name."""
    return [
        task
        for one in kernels
        for number in range(asked.of(one).starts)
        for task in tasks(one, points[one.name], number, asked.of(one))
    ]


def measure(work: Sequence[Task], progress: Progress, keep: Keep) -> None:
    """Carry out tasks; `keep` gets what each point cost in each start as soon as that is known, also where an error ends it.

    MeasurementError for a guest that failed, in one line that names the kernel; no other guest is started then.
    """
    if not work:
        return
    for task in work:
        for point in task.points if task.number == 0 else ():
            tell_if_long(progress, f"measuring {point.name}", task.target.expected_seconds(point))
    shown = _Shown(progress, sum(len(task.calls) for task in work))
    emulated = [task for task in work if task.target.unit == "instructions"]
    try:
        _side_by_side(sorted(emulated, key=lambda task: -task.expected_seconds), shown, keep)
        for task in work:
            if task.target.unit != "instructions":
                _carry_out(task, shown, keep)
    finally:
        shown.end()


def take(work: Sequence[Task], progress: Progress) -> tuple[list[Taken], BenchError | None]:
    """Carry out tasks; return what was taken, and the error that ended it, if one did."""
    found: list[Taken] = []
    try:
        measure(work, progress, found.append)
    except BenchError as error:
        return found, error
    return found, None


def joined(taken: Sequence[Taken], points: Sequence[Point]) -> list[KernelCost]:
    """Return what was taken of each point, all starts together, in the order of `points`; those of which nothing was, not."""
    found: dict[str, list[Taken]] = {}
    for one in taken:
        found.setdefault(one.point.name, []).append(one)
    return [_cost(found[name]) for name in dict.fromkeys(point.name for point in points) if name in found]


def _cost(taken: Sequence[Taken]) -> KernelCost:
    """Return what one point cost in all starts."""
    ordered = sorted(taken, key=lambda one: one.number)
    first = ordered[0]
    unit: Unit = "seconds" if isinstance(first.start.values[0], float) else "instructions"
    return KernelCost(first.point, first.kernel, unit, tuple(one.start for one in ordered))


class _Shown:
    """What the progress display says of guests, some of which run at the same time."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._at: dict[str, str] = {}
        self._task = progress.add_task("measuring on real kernels", total=total)

    def at(self, task: Task, what: str, done: int = 0) -> None:
        """Say what a task is at, "" for nothing more, and that so many calls are done."""
        with self._lock:
            key = f"{task.target.name}, start {task.number + 1}, {task.points[0].group}"
            if what:
                self._at[key] = what
            else:
                self._at.pop(key, None)
            self._progress.update(
                self._task, advance=done, description="measuring " + " and ".join(dict.fromkeys(self._at.values()))
            )

    def end(self) -> None:
        """Show nothing more."""
        self._progress.remove_task(self._task)


def _side_by_side(work: Sequence[Task], shown: _Shown, keep: Keep) -> None:
    """Carry out tasks, as many at a time as there are processors, in threads that end with this process."""
    waiting, failed, lock = deque(work), list[BaseException](), threading.Lock()

    def keep_one(taken: Taken) -> None:
        with lock:
            keep(taken)

    def carry_out_some() -> None:
        while waiting and not failed:
            try:
                _carry_out(waiting.popleft(), shown, keep_one)
            except IndexError:
                return  # another took the last
            except BaseException as error:
                failed.append(error)

    threads = [threading.Thread(target=carry_out_some, daemon=True) for _ in range(min(len(work), at_once()))]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(JOIN_SECONDS)
    if failed:
        raise failed[0]


def _carry_out(task: Task, shown: _Shown, keep: Keep) -> None:
    """Start a kernel and measure some points."""
    said: list[Hello] = []
    got: dict[str, list[int]] = {point.name: [] for point in task.points}
    date = str(datetime.now())
    coming = deque(task.calls)
    shown.at(task, coming.popleft())
    try:
        for value in boot(task.target, task.points, said.append, task.rounds):
            mine = got[value.point.name]
            mine.append(value.cost)
            shown.at(task, coming.popleft() if coming else "", 1)
            if len(mine) == nr_calls(task.target, value.point, task.rounds):
                keep(_taken(task, value.point, mine, said[0], date))
    except BenchError as error:
        for point in task.points:
            if 0 < len(got[point.name]) < nr_calls(task.target, point, task.rounds):
                keep(_taken(task, point, got[point.name], said[0], date, is_whole=False))
        if isinstance(error, MeasurementError):
            raise MeasurementError(f"{task.target.name} ({task.target.runs_as}): {one_line(error, 1000)}") from None
        raise
    finally:
        shown.at(task, "")


def _taken(task: Task, point: Point, costs: Sequence[int], hello: Hello, date: str, *, is_whole: bool = True) -> Taken:
    """Return what a point cost in one start, in the unit of its kernel."""
    target = task.target
    values: tuple[int | float, ...] = tuple(costs)
    if target.unit == "seconds":
        values = tuple(cost / stamps_per_second() for cost in costs)
    if any(value <= 0 for value in values):
        raise MeasurementError(f"{point.name} costs no more than the same call without it: it cannot be measured")
    nr_warmups = min(task.repetition.warmups, len(values) - 1)
    emulator = _emulator() if target.unit == "instructions" else ""
    kernel = KernelFacts(target.name, hello.kernel, target.runs_as, target.digest, emulator)
    return Taken(point, task.number, kernel, Start(values[nr_warmups:], values[:nr_warmups], date), is_whole)


@functools.cache
def _emulator() -> str:
    """Return QEMU's name and version."""
    program = shutil.which(PROGRAM_NAME)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout if program else ""
    return one_line(next(iter(said.splitlines()), ""), 80)
