"""Checkouts to be timed against each other, and timing them in turn.

An arm is a directory with a copy of this tree's `bench` and of one checkout's
`mmmodel`: both arms are measured by the same code, and lie side by side in
directories of the same depth. Workers run in it, so that they import from it.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec
from rich.progress import Progress

from bench import env, measure
from bench.effort import loops_for
from bench.errors import MeasurementError, UsageError, one_line
from bench.gate.times import Arms
from bench.scenario import Point

ARMS = ("base", "head", "control")  # the control is the base again, in a directory of its own
# What else a machine does comes in bursts of tens of milliseconds, and only ever makes a call slower. So what a process
# says of a benchmark is the least of single short calls over a longer time than such a burst takes.
CALLS_SECONDS = 0.1
MAX_CALLS = 500


class Arm(msgspec.Struct, frozen=True):
    """A directory to run workers in."""

    name: str
    directory: Path
    source: str  # digest of its model's sources, as it says itself


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
def prepared(revision: str) -> Iterator[dict[str, Arm]]:
    """Give the arms: `revision` twice, and this tree; all is removed at the end."""
    tree = env.base_directory()
    commit = _git(tree, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix="unlockall-bench-") as scratch:
        worktree = Path(scratch) / "worktree"
        _git(tree, "worktree", "add", "--detach", str(worktree), commit)
        try:
            if not (worktree / "mmmodel").is_dir():
                raise UsageError(f"{one_line(revision, 60)} has no mmmodel to measure")
            models = {"base": worktree, "head": tree, "control": worktree}
            yield {name: _make_arm(Path(scratch) / name, name, model) for name, model in models.items()}
        finally:
            subprocess.run(["git", "-C", str(tree), "worktree", "remove", "--force", str(worktree)],
                           capture_output=True, check=False)  # fmt: skip


def _make_arm(directory: Path, name: str, model: Path) -> Arm:
    """Copy what an arm runs, compile it, and ask it what it is."""
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(env.base_directory() / "bench", directory / "bench", ignore=ignored)
    shutil.copytree(model / "mmmodel", directory / "mmmodel", ignore=ignored)
    program = "import mmmodel; mmmodel.warm_up(); from mmmodel.jit import source_digest; print(source_digest())"
    done = subprocess.run([sys.executable, "-c", program], cwd=directory, env=measure.worker_environment(directory),
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise MeasurementError(f"the {name} model does not load: {one_line(last)}")
    return Arm(name, directory, done.stdout.split()[-1])


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

    plan: measure.Plan
    calls: int  # of each point in each process

    def only(self, names: Collection[str]) -> Task:
        """Return the same for some of the points."""
        points = tuple(point for point in self.plan.points if point.name in names)
        return Task(measure.Plan(points), self.calls)


def calibrated(points: Sequence[Point], arm: Arm) -> Task:
    """Return the task of timing points with as many calls as suit the longest of them; the same for every arm."""
    plan = measure.Plan(tuple(points))
    first = measure.run_worker(plan, arm.directory, arm.source)
    longest = max(min(values) for values in first.values())
    return Task(plan, loops_for(longest, CALLS_SECONDS, MAX_CALLS))


def time_arms(arms: dict[str, Arm], task: Task, rounds: int, seed: int, progress: Progress) -> dict[str, Arms]:
    """Time every point on every arm, once in each round, each round in fresh processes, one after the other."""
    names = [point.name for point in task.plan.points]
    times: dict[str, dict[str, list[float]]] = {arm: {name: [] for name in names} for arm in arms}
    shown = progress.add_task("timing against the base", total=rounds * len(arms))
    for order, cpu in zip(orders(rounds, seed), processors(rounds), strict=True):
        for arm in (arms[name] for name in order):
            for name, values in measure.run_worker(task.plan, arm.directory, arm.source, task.calls, cpu).items():
                times[arm.name][name].append(min(values))
            progress.advance(shown)
    progress.remove_task(shown)
    return {name: Arms(*(times[arm][name] for arm in ARMS)) for name in names}
