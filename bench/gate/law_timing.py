"""Timing the points that the laws and floors are about: over each curve from milliseconds to seconds, so by mean values."""

from __future__ import annotations

from pathlib import Path

from rich.progress import Progress

from bench import environment
from bench.gate.checks import Checks
from bench.measuring.repetition import loops_for
from bench.measuring.timing import Plan
from bench.measuring.worker import SourceTree, run_worker

PROCESSES = 3
# Calls for one timed value, by how long a call takes: a value of some tens of milliseconds.
VALUE_SECONDS = 0.03
MAX_LOOPS = 1000


def time_laws(checks: Checks, progress: Progress) -> dict[str, list[float]]:
    """Time the points of the laws and floors, each once in each of some processes; seconds by name."""
    curves = [(law.curve, law.implementation) for law in checks.laws]
    ends = [((floor.group,), one) for floor in checks.floors for one in (floor.baseline, floor.implementation)]
    found = {point.name: point for groups, one in (*curves, *ends) for group in groups for point in group.points([one])}
    here = SourceTree(Path(environment.__file__).parent.parent, environment.source_digest())
    points = tuple(found.values())
    first = run_worker(Plan(points), here)
    loops = {name: loops_for(seconds, VALUE_SECONDS, MAX_LOOPS) for name, seconds in first.items()}
    task = progress.add_task("timing the laws", total=PROCESSES)
    values: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(PROCESSES):
        for name, seconds in run_worker(Plan(points, loops=loops), here).items():
            values[name].append(seconds)
        progress.advance(task)
    progress.remove_task(task)
    return values
