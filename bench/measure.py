"""Timing: the only user of pyperf.Runner.

Run as a program (`python -m bench.measure --plan FILE [pyperf options]`) it
is a pyperf program: pyperf starts it again for every worker process, and each
worker builds the address space anew, restores it outside the clock before
each call, and times only the call. run_plan() starts that program and checks
that what came back is what was asked for: pyperf matches benchmarks by their
position, so without the check a worker that read other options would be
believed.
"""

from __future__ import annotations

import argparse
import functools
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pyperf

from bench import env
from bench.errors import MeasurementError, one_line
from bench.results import load_wall, write_atomic
from bench.scenario import LAYOUT, SCENARIOS, Point
from bench.workload import Prepared, prepare

PREFIX = "mlock_"  # of metadata keys that are ours
WARM_UP_SPAN = 1 << 22  # bytes


class Effort(msgspec.Struct, frozen=True):
    """How often a point is timed."""

    processes: int = 3  # worker processes, each with an address space of its own
    values: int = 3  # timed values in each
    warmups: int = 1  # values that are not counted before them


class Plan(msgspec.Struct, frozen=True):
    """What the measuring program is to measure, in this order."""

    points: tuple[Point, ...]


def time_calls(prepared: Prepared, inner_loops: int, loops: int) -> float:
    """Return the seconds that `loops * inner_loops` calls took, each on the restored address space."""
    space, call, clock = prepared.space, prepared.call, time.perf_counter
    snapshot = space.snapshot()
    total = 0.0
    for _ in range(loops * inner_loops):
        space.restore(snapshot)
        started = clock()
        call()
        total += clock() - started
    space.restore(snapshot)
    return total


def warm_up(point: Point) -> None:
    """Run the measured call once on a small address space: the first call loads code, whatever its size."""
    scenario = SCENARIOS["report"] if point.scenario.name == LAYOUT else point.scenario
    small = scenario.resized(min(WARM_UP_SPAN, scenario.span))
    prepare(Point(small, point.implementation, point.operation)).call()


def _facts(point: Point, prepared: Prepared) -> dict[str, str | int]:
    """Return what a worker says about what it really built."""
    return {
        PREFIX + "digest": point.digest,
        PREFIX + "implementation": prepared.space.impl,
        PREFIX + "scenario": point.scenario.name,
        PREFIX + "populated": prepared.nr_populated,
        PREFIX + "vmas": prepared.nr_vmas,
        PREFIX + "source": env.source_digest(),
    }


def main() -> None:
    """Be a pyperf program."""
    runner = pyperf.Runner(program_args=("-m", "bench.measure"), add_cmdline_args=_forward)
    runner.argparser.add_argument("--plan", required=True, help=argparse.SUPPRESS)
    args = runner.parse_args()
    plan = msgspec.json.decode(Path(args.plan).read_bytes(), type=Plan)
    for index, point in enumerate(plan.points):
        call: Callable[[int], float] = _not_here
        facts: dict[str, str | int] = {}
        # A worker measures one point. The others only keep their place in the order, unbuilt.
        if args.worker and args.worker_task in (None, index):
            warm_up(point)
            prepared = prepare(point)
            facts = _facts(point, prepared)
            call = functools.partial(time_calls, prepared, point.inner_loops)
        runner.bench_time_func(point.name, call, inner_loops=point.inner_loops, metadata=facts)


def _not_here(loops: int) -> float:
    """Stand in for the timed function where pyperf does not call it."""
    raise AssertionError(f"timed {loops} loops outside a worker")


def _forward(command: list[str], args: argparse.Namespace) -> None:
    """Give workers the options that decide what they measure; pyperf forwards only its own."""
    command.extend(("--plan", args.plan))


def run_plan(points: Sequence[Point], effort: Effort) -> list[pyperf.Benchmark]:
    """Time `points` in fresh processes and return pyperf's benchmarks, in the same order."""
    with tempfile.TemporaryDirectory(prefix="unlockall-bench-") as scratch:
        plan, output = Path(scratch) / "plan.json", Path(scratch) / "wall.json"
        write_atomic(plan, msgspec.json.encode(Plan(tuple(points))))
        command = [sys.executable, "-m", "bench.measure", "--plan", str(plan), "-o", str(output), "--quiet"]
        command += [f"--processes={effort.processes}", f"--values={effort.values}"]
        command += [f"--warmups={effort.warmups}", "--loops=1"]
        if inherited := env.inherited_settings():
            command.append("--inherit-environ=" + ",".join(inherited))
        done = _run(command)
        if done.returncode:
            lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            reason = next((line for line in lines if "Error:" in line), lines[-1] if lines else "no message")
            raise MeasurementError(f"measuring {points[0].name} failed: {one_line(reason)}")
        benchmarks = load_wall(output)
    return [_checked(benchmarks, point) for point in points]


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; when this process is interrupted, end it too."""
    # Not in a process group of its own: Ctrl-C reaches it and its workers as well.
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            out, err = process.communicate()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _checked(benchmarks: dict[str, pyperf.Benchmark], point: Point) -> pyperf.Benchmark:
    """Return the benchmark of `point` after a look at what its workers say they measured."""
    if point.name not in benchmarks:
        found = ", ".join(benchmarks) or "nothing"
        raise MeasurementError(f"asked for {point.name}, but measured was {one_line(found)}")
    benchmark = benchmarks[point.name]
    if not benchmark.get_nvalue():
        raise MeasurementError(f"no time came back for {point.name}")
    # Sources edited while a run goes on would have it time other code than it counted.
    expected = {"digest": point.digest, "implementation": point.implementation, "source": env.source_digest()}
    for run in benchmark.get_runs():
        metadata = run.get_metadata()
        for key, value in expected.items():
            if metadata.get(PREFIX + key) != value:
                raise MeasurementError(f"a worker of {point.name} measured something else ({key} differs)")
    return benchmark


if __name__ == "__main__":
    main()
