"""Many points counted and timed, so that an interruption costs no finished one.

Each finished point is a file in a working directory of its own, which a
later call with an equal request finds by its name:

    results/.<command>-<digest>/lock                 held by the process at work
    results/.<command>-<digest>/00007.counters.json  the counters of a point (schema below)
    results/.<command>-<digest>/00007.wall.json      its times, in pyperf's format
    results/.<command>-<digest>/00007.1.kernel.json  of a real kernel (bench.measuring.collect_kernels)

The digest is that of the request, of all sources that decide what is measured,
and of the machine: points of other sources are never taken for these. Files
are checked when they are found; what is not whole, or about something else,
is done again. All points are counted before the first is timed, by this process
or any number of others; timing is local, one point at a time.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import shlex
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
import pyperf
from rich.progress import Progress

from bench import environment
from bench.errors import MeasurementError, UsageError
from bench.measuring import collect_kernels, counting, pool, timing
from bench.measuring.collect_kernels import KernelWork
from bench.measuring.counting import Agreement, CountResult
from bench.measuring.repetition import Policy, Repetition
from bench.runs import kernel_record, record, storage
from bench.runs.kernel_record import KernelCost
from bench.runs.record import Counted
from bench.targets import registry
from bench.targets.kernel import KernelTarget
from bench.workloads import ideas
from bench.workloads.scenario import Point

LOCK_FILE = "lock"
Answers = Generator[tuple[int, CountResult], None, None]


class Request(msgspec.Struct, frozen=True):
    """What is to be measured."""

    command: str  # that asks; names the working directory, too
    line: str  # the command as results keep it: without where it was counted, or written to
    points: tuple[Point, ...]
    policy: Policy = Policy()  # how often each is timed
    timed: bool = True  # else it is counted only
    here: bool = False  # counted by this process, which tells what it is at; else by many
    kernels: tuple[KernelWork, ...] = ()  # what is measured on real kernels, too


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that all commands have that collect points."""
    parser.add_argument("--processes", type=int, help="worker processes that time each point")
    parser.add_argument("--values", type=int, help="timed values in each process")
    parser.add_argument(
        "--scheduler", default="", metavar="ADDRESS", help="Dask scheduler whose workers count, as tcp://HOST:8786"
    )
    add_fresh(parser)


def add_fresh(parser: argparse.ArgumentParser) -> None:
    """Add the option that begins anew."""
    parser.add_argument("--fresh", action="store_true", help="do not go on with what an interrupted run kept")


def words_of(args: argparse.Namespace) -> list[str]:
    """Return those options of add_arguments() that decide what is measured, as words of a command line."""
    options = (("--processes", args.processes), ("--values", args.values))
    return [word for option, value in options if value is not None for word in (option, str(value))]


def line_of(words: Sequence[str]) -> str:
    """Return a command line as results keep it."""
    return shlex.join(["python", "-m", "bench", *words])


class CountedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of a finished point's counters."""

    schema: Literal[1]
    kind: Literal["counted"]
    done: CountResult


class Collected(msgspec.Struct, frozen=True):
    """What was measured, in the order of the request."""

    counted: list[Counted]
    benchmarks: list[pyperf.Benchmark]  # none where nothing was timed
    costs: list[KernelCost] = []  # of points on real kernels


class FinishedPoints:
    """The files of finished points. None of its methods believes what it finds."""

    def __init__(self, directory: Path, points: Sequence[Point], policy: Policy) -> None:
        self.directory = directory
        self._points = points
        self._policy = policy

    def plan(self, done: CountResult) -> tuple[timing.Plan, Repetition]:
        """Return how a counted point is timed: held to the counters that it showed."""
        name = done.counted.name
        plan = timing.Plan((done.counted.point,), {name: record.digest_of(done.counted.counters)})
        return plan, self._policy.repetition(name, done.seconds)

    def _path(self, index: int, kind: str) -> Path:
        return self.directory / f"{index:05}.{kind}"

    def save_counted(self, index: int, done: CountResult) -> None:
        """Keep a point's counters."""
        content = CountedFile(1, "counted", done)
        storage.write_atomic(self._path(index, storage.COUNTERS_FILE), storage.encode_json(content))

    def load_counted(self, index: int) -> CountResult | None:
        """Return a point's counters, None if they are not there or not whole or another point's."""
        try:
            done = storage.load_json(self._path(index, storage.COUNTERS_FILE), CountedFile).done
        except MeasurementError:
            return None
        same = done.counted.point == self._points[index] and done.counted.name == self._points[index].name
        return done if same else None

    def save_times(self, index: int, benchmark: pyperf.Benchmark) -> None:
        """Keep a point's times."""
        storage.save_wall(self._path(index, storage.WALL_FILE), [benchmark])

    def load_times(self, index: int, done: CountResult | None) -> pyperf.Benchmark | None:
        """Return a point's times, None if they are not there or not what its counters and the policy ask for."""
        if done is None:
            return None
        plan, repetition = self.plan(done)
        try:
            found = storage.load_wall(self._path(index, storage.WALL_FILE)).get(done.counted.name)
            benchmark = timing.checked(found, done.counted.point, plan)
        except MeasurementError:
            return None
        return benchmark if benchmark.get_nvalue() == repetition.processes * repetition.values else None


def count_all(
    points: Sequence[Point], progress: Progress, scheduler: str = "", keep: Callable[[int, CountResult], None] | None = None
) -> list[Counted]:
    """Count points by other processes (see pool.count_each); return what was counted, in the order of `points`.

    `keep` gets each index and result as it comes. Raises MeasurementError where implementations disagree.
    """
    found: list[CountResult | None] = [None] * len(points)
    _count(points, found, progress, partial(pool.count_each, scheduler=scheduler), keep)
    return [done.counted for done in found if done]


def _count(
    points: Sequence[Point],
    found: list[CountResult | None],
    progress: Progress,
    count_each: Callable[[Sequence[Point]], Answers],
    keep: Callable[[int, CountResult], None] | None,
) -> None:
    """Count the points that `found` has nothing for, and put them there."""
    agreement = Agreement()
    for done in found:
        if done:
            agreement.check(done)
    missing = [index for index, done in enumerate(found) if done is None]
    for point in map(points.__getitem__, missing):
        expected = registry.implementation(point.implementation).expected_seconds(point)
        counting.tell_if_long(progress, f"counting {point.name}", expected)
    task = progress.add_task("counting", total=len(found), completed=len(found) - len(missing))
    with closing(count_each([points[index] for index in missing])) as answers:
        for position, done in answers:
            index = missing[position]
            agreement.check(done)
            if keep:
                keep(index, done)
            found[index] = done
            progress.update(task, advance=1, description=f"counting, {done.counted.name} is done")
    progress.remove_task(task)


def _count_here(points: Sequence[Point], progress: Progress) -> Answers:
    """Count points by this process, one after the other, and say which one is next."""
    for index, point in enumerate(points):
        progress.update(progress.task_ids[-1], description=f"counting {point.name}")
        yield index, counting.count(point)


def _time(
    finished: FinishedPoints, results: Sequence[CountResult], times: list[pyperf.Benchmark | None], progress: Progress
) -> None:
    """Time the points that `times` has nothing for, and put them there."""
    task = progress.add_task("timing", total=len(results))
    for index, done in enumerate(results):
        progress.update(task, description=f"timing {done.counted.name}")
        if times[index] is None:
            plan, repetition = finished.plan(done)
            expected = repetition.expected_seconds(done.seconds, done.prepare_seconds)
            counting.tell_if_long(progress, f"timing {done.counted.name}", expected)
            benchmark = timing.run_plan(plan, repetition)[0]
            finished.save_times(index, benchmark)
            times[index] = benchmark
        progress.advance(task)
    progress.remove_task(task)


@contextmanager
def collected(
    request: Request,
    parent: Path,
    progress: Progress,
    scheduler: str = "",
    fresh: bool = False,
    kernels: Sequence[KernelTarget] = (),
) -> Iterator[Collected]:
    """Measure what a request asks for, and give it to the caller to write.

    What is finished is kept in `parent` until the caller has written it without an error. `fresh`: what an
    interrupted call kept is not used. `scheduler`: address of a Dask scheduler whose workers count. `kernels`: the real ones
    that the request names.
    """
    _check_memory(request, scheduler)
    storage.make_directory(parent)
    directory = parent / f".{request.command}-{_digest(request)}"
    with _working(directory, fresh):
        finished = FinishedPoints(directory, request.points, request.policy)
        try:
            done = _collect(request, finished, progress, scheduler)
            costs = collect_kernels.collect(request.kernels, kernels, directory, progress)
            yield msgspec.structs.replace(done, costs=costs)
        except BaseException:
            nr_counted, nr_real = len(list(directory.glob(f"*.{storage.COUNTERS_FILE}"))), collect_kernels.nr_kept(directory)
            if nr_counted or nr_real:
                kept = f"{nr_counted} of {len(request.points)} points"
                real = f", and {nr_real} results of real kernels" if request.kernels else ""
                _print_note(progress, f"kept for the same command: {kept}{real}, in {directory}")
            else:
                shutil.rmtree(directory, ignore_errors=True)
            raise
        shutil.rmtree(directory, ignore_errors=True)


def _collect(request: Request, finished: FinishedPoints, progress: Progress, scheduler: str) -> Collected:
    """Count, then time what is not finished."""
    found = [finished.load_counted(index) for index in range(len(request.points))]
    times = [finished.load_times(index, done) for index, done in enumerate(found)]
    counted, timed = (sum(one is not None for one in some) for some in (found, times))
    if counted:
        _print_note(progress, f"finished before: {counted} of {len(found)} points are counted, {timed} are timed")
    others = partial(pool.count_each, scheduler=scheduler)
    _count(
        request.points,
        found,
        progress,
        partial(_count_here, progress=progress) if request.here else others,
        finished.save_counted,
    )
    results = [done for done in found if done]
    if request.timed:
        _time(finished, results, times, progress)
    return Collected([done.counted for done in results], [one for one in times if one] if request.timed else [])


def save(directory: Path, request: Request, machine: dict[str, str | int], done: Collected, *, dated: bool = False) -> None:
    """Fill a run directory. Equal requests make equal bytes of counters, whoever counted, and when if not `dated`."""
    if done.counted:
        storage.save_counters(directory / storage.COUNTERS_FILE, request.line, machine, done.counted, dated=dated)
    kernel_record.save(directory, request.line, machine, done.benchmarks, done.costs, dated=dated)


def _check_memory(request: Request, scheduler: str) -> None:
    """Refuse a request with a point that does not fit in memory, before anything is done."""
    if request.timed or not scheduler:  # else nothing is built here
        for point in request.points:
            registry.check(point)


def _digest(request: Request) -> str:
    """Return a digest of all that finished points depend on."""
    known = ideas.packed(point.implementation for point in request.points)
    content = (request, counting.sources_digest(), environment.machine_facts(), *known)
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]


@contextmanager
def _working(directory: Path, fresh: bool) -> Iterator[None]:
    """Make a working directory and hold its lock, which the system takes back from a process that dies."""
    with storage.reporting_write_errors(directory):
        directory.mkdir(exist_ok=True)
        lock = (directory / LOCK_FILE).open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another process is at work on the same in {directory}") from None
        if fresh:
            with storage.reporting_write_errors(directory):
                for path in directory.glob("*.json"):
                    path.unlink()
        yield


def _print_note(progress: Progress, text: str) -> None:
    """Print a line on standard error, beside the progress display."""
    progress.console.print(f"unlockall-bench: {text}", highlight=False, soft_wrap=True, markup=False)
