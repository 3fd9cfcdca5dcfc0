"""Every target by its name. A new one is a module of its own, and a line here."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import psutil
from rich.progress import Progress, TaskID

from bench.errors import UsageError, one_line, unknown
from bench.number_format import approximate
from bench.targets import model
from bench.targets.target import Prepared, Target, TraceTarget
from bench.workloads.scenario import Point, refuse_call


def targets() -> dict[str, Target]:
    """Return the targets by name; the first is the one that others are compared with."""
    return {one.name: one for one in (*model.targets(),)}


def trace_targets() -> dict[str, TraceTarget]:
    """Return those that can carry out traces."""
    return {name: one for name, one in targets().items() if isinstance(one, TraceTarget)}


def names() -> tuple[str, ...]:
    """Return the names of all targets."""
    return tuple(targets())


def find(name: str) -> Target:
    """Return the target of that name."""
    known = targets()
    if name not in known:
        raise unknown(f"unknown implementation {one_line(name, 60)!r}; known are ", name, known)
    return known[name]


def load(wanted: Iterable[str], progress: Progress) -> None:
    """Do what the first use of these targets would wait for."""
    families = {one.family: one for one in map(find, wanted)}
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
    return find(point.implementation).prepare(point)


def needed_bytes(point: Point) -> int:
    """Return the bytes of memory that a prepared point takes at most."""
    return find(point.implementation).needed_bytes(point)


def check(point: Point) -> None:
    """Raise UsageError if a point's call cannot be made, or it would not fit in memory."""
    refuse_call(point)
    needed, available = needed_bytes(point), psutil.virtual_memory().available
    if needed > available:
        raise UsageError(
            f"scenario {point.scenario.name} at this size would need {needed} bytes ({approximate(needed)})"
            f" of memory, and {approximate(available)} are available"
        )
