"""Checkouts to be timed against each other, and timing them in turn.

An arm is a directory with a copy of this tree's `bench` and of one checkout's
`mmmodel`: both arms are measured by the same code, and lie side by side in
directories of the same depth. Workers run in it, so that they import from it.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.progress import Progress

from bench import env, measure
from bench.effort import loops_for
from bench.errors import MeasurementError, UsageError, one_line
from bench.gate.times import Arms
from bench.scenario import Point

ARMS = ("base", "head", "control")  # the control is the base again, in a directory of its own
# Calls for one timed value, by how long a call takes: a value of some tens of milliseconds.
VALUE_SECONDS = 0.03
MAX_LOOPS = 1000


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


def time_arms(arms: dict[str, Arm], plan: measure.Plan, rounds: int, seed: int, progress: Progress) -> dict[str, Arms]:
    """Time every point of the plan on every arm, once in each round, each round in fresh processes, one after the other."""
    times: dict[str, dict[str, list[float]]] = {arm: {point.name: [] for point in plan.points} for arm in arms}
    task = progress.add_task("timing against the base", total=rounds * len(arms))
    for order in orders(rounds, seed):
        for name in order:
            arm = arms[name]
            for benchmark_name, value in measure.run_worker(plan, arm.directory, arm.source).items():
                times[name][benchmark_name].append(value)
            progress.advance(task)
    progress.remove_task(task)
    return {point.name: Arms(*(times[arm][point.name] for arm in ARMS)) for point in plan.points}


def calibrated(points: Sequence[Point], arm: Arm) -> measure.Plan:
    """Return the plan that times the points with as many calls for a value as suit them; the same for every arm."""
    first = measure.run_worker(measure.Plan(tuple(points)), arm.directory, arm.source)
    loops = {name: loops_for(seconds, VALUE_SECONDS, MAX_LOOPS) for name, seconds in first.items()}
    return measure.Plan(tuple(points), loops=loops)
