"""Starting single measuring processes: pyperf workers without a manager, each of which times every point of a plan.

The gate starts them itself, as pyperf does not know of two checkouts: each
imports from the directory it is given, alone or interleaved with others.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench import environment
from bench.errors import MeasurementError, one_line
from bench.measuring.interleaving import SchedulerEnd, interleave
from bench.measuring.timing import Plan, checked
from bench.runs.storage import load_wall, write_atomic

Values = dict[str, tuple[float, ...]]  # seconds by the point's name, in the order of measurement


class SourceTree(msgspec.Struct, frozen=True):
    """A directory to import from, with `bench` and `mmmodel`."""

    directory: Path
    source: str  # digest that the model there must have

    def environment(self) -> dict[str, str]:
        """Return the environment of a process that imports from here: little, so that its size moves no result."""
        kept = ("PATH", "HOME", "LANG", "LC_ALL", *environment.inherited_settings())
        return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONPATH": str(self.directory)}


class _Worker:
    """A process that times each point of a plan, `values` times, without warm-ups: the first value is of the first calls."""

    def __init__(
        self, plan: Plan, tree: SourceTree, scratch: Path, values: int, *options: str, fds: Sequence[int] = ()
    ) -> None:
        """Start it; `scratch` is a directory for its files, `fds` are file descriptors that it inherits."""
        self._plan, self._tree, self._output = plan, tree, scratch / "wall.json"
        write_atomic(scratch / "plan.json", plan.encoded())
        words = ["--worker", "--loops=1", f"--values={values}", "--warmups=0", "--quiet", *options]
        words += ["--plan", str(scratch / "plan.json"), "-o", str(self._output)]
        # Not in a process group of its own: Ctrl-C reaches it as well.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.measuring.timing", *words], cwd=tree.directory, env=tree.environment(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=fds,
        )  # fmt: skip

    def end(self) -> None:
        """End it if it still runs."""
        self._process.terminate()
        self._process.communicate()

    def values(self) -> Values:
        """Wait for its end and return what it timed; MeasurementError if that is not what it was to time."""
        out, err = self._process.communicate()
        points, directory = self._plan.points, self._tree.directory
        if self._process.returncode:
            last = (err.strip().splitlines() or ["no message"])[-1]
            measured = len(out.splitlines())  # a line for each benchmark that came to its end
            name = points[min(measured, len(points) - 1)].name
            code = self._process.returncode
            raise MeasurementError(f"{name} ended with exit code {code} in {directory.name}: {one_line(last)}")
        benchmarks = load_wall(self._output)
        names = [point.name for point in points]
        if list(benchmarks) != names:
            raise MeasurementError(f"asked for {', '.join(names)}, but measured was {', '.join(benchmarks)}")
        found = {point.name: checked(benchmarks[point.name], point, self._plan, self._tree.source) for point in points}
        return {name: benchmark.get_values() for name, benchmark in found.items()}


def _directory(stack: contextlib.ExitStack) -> Path:
    """Return a new directory that is removed with the stack."""
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="unlockall-bench-")))


def run_worker(plan: Plan, tree: SourceTree) -> dict[str, float]:
    """Time each point of a plan once, in one process; return seconds by name."""
    with contextlib.ExitStack() as stack:
        worker = _Worker(plan, tree, _directory(stack), 1)
        stack.callback(worker.end)
        return {name: value for name, (value,) in worker.values().items()}


class Interleaving(msgspec.Struct, frozen=True):
    """How the calls of several processes are interleaved at each point."""

    nr_slices: int  # of each process
    calls: int  # in each slice
    cpu: int  # number of the processor that all stay on


def run_interleaved(plan: Plan, trees: Sequence[SourceTree], interleaving: Interleaving) -> list[Values]:
    """Time each point of a plan in one process for each tree, their calls interleaved; return what each timed."""
    with contextlib.ExitStack() as stack:
        workers, ends = [], []
        for tree in trees:
            end = SchedulerEnd(interleaving.calls)
            stack.callback(end.close)
            options = (f"--affinity={interleaving.cpu}", f"--slices={end.worker_end.words()}")
            worker = _Worker(
                plan, tree, _directory(stack), interleaving.nr_slices * interleaving.calls, *options, fds=end.inherited
            )
            stack.callback(worker.end)
            end.started()
            workers.append(worker)
            ends.append(end)
        interleave(ends)
        return [worker.values() for worker in workers]
