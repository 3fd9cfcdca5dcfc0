"""Points of real kernels collected, so that an interruption costs no finished one: a part of bench.measuring.collect.

What a point cost in one start of its kernel is a file of the working directory:

    results/.<command>-<digest>/00007.1.kernel.json   point 7 of the request's kernels, second start
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
from rich.progress import Progress

from bench.errors import MeasurementError
from bench.measuring import kernel_points
from bench.measuring.kernel_calls import nr_calls
from bench.measuring.kernel_points import Asked, Repetition, Taken
from bench.runs import storage
from bench.runs.kernel_record import KernelCost
from bench.targets.kernel import KernelTarget
from bench.workloads.scenario import Point

KERNEL_FILE: Final = "kernel.json"


class KernelWork(msgspec.Struct, frozen=True):
    """What is to be measured on one real kernel."""

    name: str  # of the target
    identity: str  # what tells it from another kernel of that name
    points: tuple[Point, ...]
    asked: Asked = Asked()


def work_on(target: KernelTarget, points: tuple[Point, ...], asked: Asked) -> KernelWork:
    """Return what is to be measured on a kernel."""
    return KernelWork(target.name, target.digest or target.kernel, points, asked)


class TakenFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of what a finished point cost in one start."""

    schema: Literal[1]
    kind: Literal["kernel"]
    done: Taken


class _Slot(msgspec.Struct, frozen=True):
    """A point in one start, which is measured or is not yet."""

    path: Path
    target: KernelTarget
    point: Point
    number: int  # of the start
    repetition: Repetition

    def load(self) -> Taken | None:
        """Return what was taken, None if it is not there or not whole or of something else."""
        try:
            done = storage.load_json(self.path, TakenFile).done
        except MeasurementError:
            return None
        same = (done.point, done.number, done.kernel.name, done.kernel.image) == (
            self.point,
            self.number,
            self.target.name,
            self.target.digest,
        )
        wanted = nr_calls(self.target, self.point, self.repetition.warmups + self.repetition.values)
        return done if same and done.is_whole and len(done.start.values) + len(done.start.warmups) == wanted else None

    def save(self, done: Taken) -> None:
        """Keep what was taken."""
        storage.write_atomic(self.path, storage.encode_json(TakenFile(1, "kernel", done)))


def collect(
    work: Sequence[KernelWork], targets: Sequence[KernelTarget], directory: Path, progress: Progress
) -> list[KernelCost]:
    """Measure what `directory` has no file of, and keep each as it comes; return what all cost, in the order of `work`.

    MeasurementError for a guest that failed: what is finished is kept.
    """
    slots = _slots(work, {one.name: one for one in targets}, directory)
    found = {key: done for key, slot in slots.items() if (done := slot.load())}
    missing = [slot for key, slot in slots.items() if key not in found]

    def keep(done: Taken) -> None:
        key = done.point.name, done.number
        if done.is_whole:
            slots[key].save(done)
        found[key] = done

    kernel_points.measure(_tasks(missing), progress, keep)
    return kernel_points.joined([found[key] for key in slots], [point for one in work for point in one.points])


def _slots(work: Sequence[KernelWork], targets: dict[str, KernelTarget], directory: Path) -> dict[tuple[str, int], _Slot]:
    """Return every point in every start, by the point's name and the number of the start."""
    found: dict[tuple[str, int], _Slot] = {}
    every = [(one, point) for one in work for point in one.points]
    for index, (one, point) in enumerate(every):
        target = targets[one.name]
        repetition = one.asked.of(target)
        for number in range(repetition.starts):
            path = directory / f"{index:05}.{number}.{KERNEL_FILE}"
            found[point.name, number] = _Slot(path, target, point, number, repetition)
    return found


def _tasks(missing: Sequence[_Slot]) -> list[kernel_points.Task]:
    """Return the starts that measure what is missing."""
    together: dict[tuple[str, int], list[_Slot]] = {}
    for slot in missing:
        together.setdefault((slot.target.name, slot.number), []).append(slot)
    return [
        task
        for (_, number), slots in together.items()
        for task in kernel_points.tasks(slots[0].target, [slot.point for slot in slots], number, slots[0].repetition)
    ]


def nr_kept(directory: Path) -> int:
    """Return how many points in how many starts are finished."""
    return len(list(directory.glob(f"*.{KERNEL_FILE}")))
