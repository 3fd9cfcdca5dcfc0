"""Every target by its name: the implementations of the model, and real kernels. A new one is a module, and a line here."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import psutil
from rich.progress import Progress, TaskID

from bench.errors import UsageError, one_line, unknown
from bench.number_format import approximate
from bench.targets import kernel, model
from bench.targets.target import Prepared, PreparingTarget, Target, TraceTarget
from bench.workloads import ideas, participants
from bench.workloads.scenario import Point


def targets() -> dict[str, PreparingTarget]:
    """Return what is measured where nothing is named, by name; the first is the one that others are compared with."""
    return {one.name: one for one in (*model.targets(),)}


def trace_targets() -> dict[str, TraceTarget]:
    """Return those that can carry out traces, which hold no operation that some have another implementation of."""
    return {name: one for name, one in targets().items() if isinstance(one, TraceTarget) and not participants.only(name)}


def names() -> tuple[str, ...]:
    """Return the names of targets(), as --impl takes them; ideas of one's own are named by their files."""
    return tuple(name for name, one in targets().items() if not getattr(one, "idea", ""))


def implementation(name: str) -> PreparingTarget:
    """Return the one of targets() that has this name."""
    known = targets()
    if name not in known:
        raise unknown(f"unknown implementation {one_line(name, 60)!r}; known are ", name, known)
    return known[name]


def from_file(path: str) -> str:
    """Make the idea in a file one of targets(); return its name. UsageError if that cannot be."""
    name = ideas.from_file(path)
    if kernel.is_kernel(name):
        raise UsageError(f"{one_line(path, 120)}: {name} means a real kernel: rename the file")
    return name


def find(word: str) -> Target:
    """Return the target that a word names: one of targets(), a real kernel, or an idea's file; UsageError if there is none."""
    if ideas.is_file(word):
        word = from_file(word)
    known = targets()
    if word in known:
        return known[word]
    if kernel.is_kernel(word):
        return kernel.find(word)
    listed = f"{', '.join(known)}, {kernel.ALLOWED}"
    raise unknown(f"there is no target {one_line(word, 60)!r}: give ", word, known, listed)


def load(wanted: Iterable[str], progress: Progress) -> None:
    """Do what the first use of these of targets() would wait for."""
    families = {one.family: one for one in map(implementation, wanted)}
    for family, one in families.items():
        task = progress.add_task(f"loading the {family} (the first run compiles it)", total=None)
        one.load(functools.partial(_show_progress, progress, task))
        progress.remove_task(task)


def _show_progress(progress: Progress, task: TaskID, done: int, total: int, _name: str) -> None:
    """Show how far a target is."""
    progress.update(task, completed=done, total=total)


def prepare(point: Point) -> Prepared:
    """Build what a point asks for. Refused before it starts when it cannot be measured, or memory would not suffice."""
    check(point)
    return implementation(point.implementation).prepare(point)


def needed_bytes(point: Point) -> int:
    """Return the bytes of memory that a prepared point takes at most."""
    return implementation(point.implementation).needed_bytes(point)


def check(point: Point) -> None:
    """Raise UsageError if a point cannot be carried out in this process, or it would not fit in memory."""
    implementation(point.implementation).check(point)
    needed, available = needed_bytes(point), psutil.virtual_memory().available
    if needed > available:
        raise UsageError(
            f"scenario {point.scenario.name} at this size would need {needed} bytes ({approximate(needed)})"
            f" of memory, and {approximate(available)} are available"
        )
