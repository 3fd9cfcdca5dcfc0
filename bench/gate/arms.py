"""Checkouts to be timed against each other, and timing them interleaved.

An arm is a directory with a copy of this tree's `bench` and of one checkout's
`mmmodel`: both arms are measured by the same code, and lie side by side in
directories of the same depth. Workers run in it, so that they import from it.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec
from rich.progress import Progress

from bench import environment
from bench.errors import MeasurementError, UsageError, one_line
from bench.gate.times import Arms
from bench.measuring import worker
from bench.measuring.timing import Plan
from bench.measuring.worker import SourceTree
from bench.workloads.scenario import Point

ARMS = ("base", "head", "control")  # the control is the base again, in a directory of its own
# Slices of some milliseconds, many in each process: the median of the ratios of neighbouring slices is free of what else the
# machine does for longer than a slice, and the median of the calls of a slice of what it does for shorter.
SLICES = 25
CALLS = 10  # in each slice
LONGEST = 0.4  # seconds that a process may take for the calls of a point, or there are fewer slices
FEWEST_SLICES = 4


def _git(checkout: Path, *words: str) -> str:
    """Run git and return what it printed."""
    try:
        done = subprocess.run(["git", "-C", str(checkout), *words], capture_output=True, text=True, check=False)
    except OSError as error:
        raise UsageError(f"--base needs git: {one_line(error)}") from None
    if done.returncode:
        raise UsageError(f"git {' '.join(words[:2])}: {one_line(done.stderr, 200)}")
    return done.stdout.strip()


@contextlib.contextmanager
def checked_out(revision: str) -> Iterator[dict[str, SourceTree]]:
    """Give the arms: `revision` twice, and this tree; all is removed at the end."""
    tree = environment.base_directory()
    try:
        commit = _git(tree, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except UsageError:
        _git(tree, "rev-parse", "--git-dir")  # tells what is wrong where this is no checkout at all
        raise UsageError(f"--base {one_line(revision, 60)!r} names no commit of {one_line(tree, 100)}") from None
    with tempfile.TemporaryDirectory(prefix="unlockall-bench-") as scratch:
        worktree = Path(scratch) / "worktree"
        _git(tree, "worktree", "add", "--detach", str(worktree), commit)
        try:
            if not (worktree / "mmmodel").is_dir():
                raise UsageError(f"{one_line(revision, 60)} has no mmmodel to measure")
            models = {"base": worktree, "head": tree, "control": worktree}
            yield {name: _make_arm(name, model, Path(scratch)) for name, model in models.items()}
        finally:
            subprocess.run(["git", "-C", str(tree), "worktree", "remove", "--force", str(worktree)],
                           capture_output=True, check=False)  # fmt: skip


def _make_arm(name: str, model: Path, scratch: Path) -> SourceTree:
    """Copy what an arm runs, compile it, and ask it what it is."""
    directory = scratch / name
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(environment.base_directory() / "bench", directory / "bench", ignore=ignored)
    shutil.copytree(model / "mmmodel", directory / "mmmodel", ignore=ignored)
    tree = SourceTree(directory, source="")
    # The registry of targets, too: an older model may lack what it is made of.
    program = "import mmmodel, mmmodel.jit, bench.targets.registry; mmmodel.warm_up(); print(mmmodel.jit.source_digest())"
    done = subprocess.run([sys.executable, "-c", program], cwd=directory, env=tree.environment(),
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise MeasurementError(f"the {name} model does not load: {one_line(last)}")
    return msgspec.structs.replace(tree, source=done.stdout.split()[-1])


def orders(rounds: int, seed: int) -> list[tuple[str, ...]]:
    """Return the order of the arms in each round: random, and in every second round the reverse of the one before."""
    shuffled = random.Random(seed)
    found: list[tuple[str, ...]] = []
    while len(found) < rounds:
        order = tuple(shuffled.sample(ARMS, len(ARMS)))
        found += [order, order[::-1]]
    return found[:rounds]


def processors(rounds: int) -> list[int]:
    """Return the processor for each round: all arms of two mirrored rounds on the same, as no two are equally busy."""
    available = sorted(os.sched_getaffinity(0))
    return [available[number // 2 % len(available)] for number in range(rounds)]


class Task(msgspec.Struct, frozen=True):
    """What each process of each arm times."""

    points: tuple[Point, ...]
    slices: int  # of each process

    def only(self, names: Collection[str]) -> Task:
        """Return the same for some of the points."""
        return Task(tuple(point for point in self.points if point.name in names), self.slices)


def calibrated(points: Sequence[Point], tree: SourceTree) -> Task:
    """Return the task of timing points with as many slices as suit the longest of them; the same for every arm."""
    longest = max(worker.run_worker(Plan(tuple(points)), tree).values())
    return Task(tuple(points), max(FEWEST_SLICES, min(SLICES, int(LONGEST / (longest * CALLS)))))


def _medians_of_slices(values: Sequence[float]) -> list[float]:
    """Return the median of the calls of each slice, in seconds."""
    return [statistics.median(values[first : first + CALLS]) for first in range(0, len(values), CALLS)]


def time_arms(trees: dict[str, SourceTree], task: Task, rounds: int, seed: int, progress: Progress) -> dict[str, Arms]:
    """Time every point on every arm, in each round in fresh interleaved processes."""
    plan = Plan(task.points)
    times: dict[str, dict[str, list[list[float]]]] = {arm: {one.name: [] for one in task.points} for arm in trees}
    shown = progress.add_task("timing against the base", total=rounds)
    for order, cpu in zip(orders(rounds, seed), processors(rounds), strict=True):
        interleaving = worker.Interleaving(task.slices, CALLS, cpu)
        found = worker.run_interleaved(plan, [trees[arm] for arm in order], interleaving)
        for arm, timed in zip(order, found, strict=True):
            for name, values in timed.items():
                times[arm][name].append(_medians_of_slices(values))
        progress.advance(shown)
    progress.remove_task(shown)
    return {one.name: Arms(*(times[arm][one.name] for arm in ARMS)) for one in task.points}
