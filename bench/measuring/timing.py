"""Timing: the only user of pyperf.Runner.

Run as a program (`python -m bench.measuring.timing --plan FILE [pyperf options]`) it
is a pyperf program: pyperf starts it again for every worker process, and each
worker builds the address space anew, restores it outside the clock before
each call, and times only the call. run_plan() starts that program and checks
that what came back is what was asked for: pyperf matches benchmarks by their
position, so without the check a worker that read other options would be
believed.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pyperf

from bench import environment
from bench.errors import EXIT_INTERRUPTED, BenchError, MeasurementError, UsageError, one_line
from bench.measuring.interleaving import WorkerEnd
from bench.measuring.repetition import Repetition
from bench.runs.record import digest_of
from bench.runs.storage import PREFIX, load_wall, write_atomic
from bench.targets import registry
from bench.targets.target import Prepared
from bench.workloads import ideas
from bench.workloads.ideas import Packed
from bench.workloads.scenario import LAYOUT, SCENARIOS, Point

WARM_UP_SPAN = 1 << 22  # bytes
# Seconds that the calls of one value take together, where pyperf chooses how many: each call needs its address space
# restored off the clock, which takes longer than the shortest calls.
MIN_TIME = 0.01


class Plan(msgspec.Struct, frozen=True):
    """What the measuring program is to measure, in this order."""

    points: tuple[Point, ...]
    counters: dict[str, str] = {}  # digest of the counters that the call of a name must show, where it is known
    loops: dict[str, int] = {}  # calls for each of pyperf's loops, where the points of one process need different numbers
    ideas: tuple[Packed, ...] = ()  # of their implementations: what a process must know to be able to measure them

    def encoded(self) -> bytes:
        """Return it for another process."""
        known = ideas.packed(point.implementation for point in self.points)
        return msgspec.json.encode(msgspec.structs.replace(self, ideas=tuple(known)))

    @classmethod
    def decoded(cls, data: bytes) -> Plan:
        """Return the plan of another process, with its ideas known here."""
        plan = msgspec.json.decode(data, type=cls)
        ideas.unpack(plan.ideas)
        return plan


def time_calls(prepared: Prepared, loops: int) -> float:
    """Return the seconds that `loops` calls took, each in the state in which it was prepared."""
    restore, call, clock = prepared.restore, prepared.call, time.perf_counter
    total = 0.0
    for _ in range(loops):
        restore()
        started = clock()
        call()
        total += clock() - started
    return total


def _in_its_slice(worker_end: WorkerEnd, timed: Callable[[int], float], loops: int) -> float:
    """Call `timed` when this process has a slice."""
    worker_end.wait()
    return timed(loops)


def _timed(prepared: Prepared, expected: str, inner_loops: int, loops: int) -> float:
    """Time `loops * inner_loops` calls; raise if the last of them did other work than the call that was counted."""
    total = time_calls(prepared, loops * inner_loops)
    if expected and digest_of(prepared.counters() or {}) != expected:
        raise MeasurementError("the timed call did other work than the counted one")
    return total


def warm_up(point: Point) -> None:
    """Run the measured call once on a small address space: the first call loads code, whatever its size."""
    scenario = SCENARIOS["report"] if point.scenario.name == LAYOUT else point.scenario
    small = scenario.resized(min(WARM_UP_SPAN, scenario.span))
    registry.prepare(Point(small, point.implementation, point.operation)).call()


def facts_of(point: Point, prepared: Prepared, counters: str) -> dict[str, str | int]:
    """Return what a worker says about what it really built and timed."""
    target = registry.implementation(point.implementation)
    facts: dict[str, str | int] = {
        PREFIX + "digest": point.digest,
        PREFIX + "operation": point.operation,
        PREFIX + "implementation": prepared.implementation,
        PREFIX + "scenario": point.scenario.name,
        PREFIX + "span": point.scenario.span,
        PREFIX + "populated": prepared.nr_populated,
        PREFIX + "vmas": prepared.nr_vmas,
        **{PREFIX + key: fact for key, fact in ideas.facts(point.implementation).items()},
        **target.facts(),
    }
    if source := target.source_digest():
        facts[PREFIX + "source"] = source
    if counters:
        facts[PREFIX + "counters"] = counters  # what _timed() holds the calls to
    return facts


class PyperfProgram:
    """This process as a pyperf program: the options of pyperf's Runner, added to a command's own."""

    def __init__(self, parser: argparse.ArgumentParser | None = None) -> None:
        """Add pyperf's options to `parser`, and those that workers get. Only once in a process."""
        self._runner = pyperf.Runner(
            program_args=("-m", "bench.measuring.timing"), add_cmdline_args=_forward, min_time=MIN_TIME, _argparser=parser
        )
        self._runner.argparser.add_argument("--plan", help=argparse.SUPPRESS)
        self._runner.argparser.add_argument("--slices", help=argparse.SUPPRESS)  # of a single worker among others

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Return the options, which can still be changed before time(); UsageError where pyperf would print and exit with 1."""
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):
                args: argparse.Namespace = self._runner.parse_args(list(argv))
        except SystemExit as request:
            if not request.code:
                print(said.getvalue(), end="")  # --help
                raise
            raise UsageError(one_line(said.getvalue()).removeprefix("ERROR: ")) from None
        return args

    def expected_seconds(self, call: float, prepare: float) -> float:
        """Return about how long the options have a point timed, a call of which takes `call` seconds (see Repetition)."""
        args = self._runner.args
        warmups = 1 if args.warmups is None else args.warmups
        if args.loops:
            return Repetition(args.processes, args.values, warmups, args.loops).expected_seconds(call, prepare)
        # pyperf chooses the loops, in a process more than it is asked for.
        return Repetition(args.processes + 1, args.values, warmups).expected_seconds(max(call, MIN_TIME), prepare)

    def time(self, plan: Plan, begin: Callable[[int], None] = lambda index: None) -> list[pyperf.Benchmark | None]:
        """Time a plan by the options; None where pyperf gives no result, as in a worker of another and by --compare-to.

        `begin` is told the number of each point before it is timed.
        """
        args = self._runner.args
        worker_end = WorkerEnd.read(args.slices) if args.slices else None
        found = []
        for index, point in enumerate(plan.points):
            begin(index)
            loops = plan.loops.get(point.name)
            call: Callable[[int], float] = _not_here
            facts: dict[str, str | int] = {}
            # A worker measures one point, or each in turn. The others only keep their place in the order, unbuilt.
            if args.in_process or (args.worker and args.worker_task in (None, index)):
                warm_up(point)
                prepared = registry.prepare(point)
                expected = plan.counters.get(point.name, "")
                facts = facts_of(point, prepared, expected)
                call = functools.partial(_timed, prepared, expected, loops or 1)
                if worker_end:
                    call = functools.partial(_in_its_slice, worker_end, call)
            found.append(self._runner.bench_time_func(point.name, call, metadata=facts, inner_loops=loops))
        return found

    def time_and_check(self, plan: Plan, begin: Callable[[int], None] = lambda index: None) -> None:
        """Time a plan; raise MeasurementError if pyperf gave up, or what came back is not what was asked for."""
        try:
            benchmarks = self.time(plan, begin)
        except SystemExit as request:
            if isinstance(request.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise MeasurementError(f"pyperf gave up with exit code {request.code}") from None
        except (RuntimeError, ValueError, OSError) as error:
            raise MeasurementError(f"measuring failed: {one_line(error)}") from None
        if not self._runner.args.compare_to:
            for point, benchmark in zip(plan.points, benchmarks, strict=True):
                checked(benchmark, point, plan)


def main() -> int:
    """Be a pyperf program that measures a plan; its workers are this, too."""
    program = PyperfProgram()
    try:
        args = program.parse(sys.argv[1:])
        program.time(Plan.decoded(Path(args.plan).read_bytes()))
    except BenchError as error:
        print(f"{type(error).__name__}: {one_line(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


def _not_here(loops: int) -> float:
    """Stand in for the timed function where pyperf does not call it."""
    raise AssertionError(f"timed {loops} loops outside a worker")


def _forward(command: list[str], args: argparse.Namespace) -> None:
    """Give workers the options that decide what they measure; pyperf forwards only its own."""
    command.extend(("--plan", args.plan))


def run_plan(plan: Plan, repetition: Repetition) -> list[pyperf.Benchmark]:
    """Time a plan's points in fresh processes and return pyperf's benchmarks, in the same order."""
    with tempfile.TemporaryDirectory(prefix="unlockall-bench-") as scratch:
        file, output = Path(scratch) / "plan.json", Path(scratch) / "wall.json"
        write_atomic(file, plan.encoded())
        command = [sys.executable, "-m", "bench.measuring.timing", "--plan", str(file), "-o", str(output), "--quiet"]
        command += [f"--processes={repetition.processes}", f"--values={repetition.values}"]
        command += [f"--warmups={repetition.warmups}", f"--loops={repetition.loops}"]
        if inherited := environment.inherited_settings():
            command.append("--inherit-environ=" + ",".join(inherited))
        done = _run(command)
        if done.returncode:
            lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            reason = next((line for line in lines if "Error:" in line), lines[-1] if lines else "no message")
            raise MeasurementError(f"measuring {plan.points[0].name} failed: {one_line(reason)}")
        benchmarks = load_wall(output)
    other = next(iter(benchmarks.values()), None)  # for the error that names it
    return [checked(benchmarks.get(point.name, other), point, plan) for point in plan.points]


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


def checked(benchmark: pyperf.Benchmark | None, point: Point, plan: Plan, source: str = "") -> pyperf.Benchmark:
    """Return the benchmark of `point` after a look at what its workers say they measured.

    `source`: digest of the sources that they must have run, by default this process's.
    """
    if benchmark is None or benchmark.get_name() != point.name:
        found = benchmark.get_name() if benchmark else "nothing"
        raise MeasurementError(f"asked for {point.name}, but measured was {one_line(found)}")
    if not benchmark.get_nvalue():
        raise MeasurementError(f"no time came back for {point.name}")
    # Sources edited while a run goes on would have it time other code than it counted.
    expected = {"digest": point.digest, "implementation": point.implementation}
    if source := source or registry.implementation(point.implementation).source_digest():
        expected["source"] = source
    if point.name in plan.counters:
        expected["counters"] = plan.counters[point.name]
    for run in benchmark.get_runs():
        told = run.get_metadata()
        for key, value in expected.items():
            if told.get(PREFIX + key) != value:
                raise MeasurementError(f"a worker of {point.name} measured something else ({key} differs)")
    return benchmark


if __name__ == "__main__":
    sys.exit(main())
