"""The `run` command: a pyperf program whose benchmarks are points, on the model and on real kernels.

Everything that pyperf's users know works: -o, --append, --fast, --rigorous,
--affinity, and so on. Before the first time every call is counted and the
states that implementations leave are compared; each timed call must then show
the same counters. Files are written as a whole: what pyperf writes in place
goes to a scratch directory first. Real kernels come after the model; how often
and where their calls are timed is not pyperf's, but -p, -n and -w say it of
them, too: starts of a kernel, values in each, and those that do not count.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pyperf
from rich.progress import Progress

from bench import environment
from bench.commands import own_ideas, parser_of, run_kernels
from bench.errors import BenchError, UsageError, one_line
from bench.measuring import counting, kernel_points, timing
from bench.measuring.counting import CountResult
from bench.progress import progress_bar
from bench.runs import kernel_record, record, storage
from bench.runs.kernel_record import KernelCost
from bench.targets import registry
from bench.targets import selection as targets
from bench.workloads import selection, suite
from bench.workloads.scenario import Point

# Metadata that runs of one benchmark must share, beyond what pyperf compares, before they may lie in one file.
SHARED = ("digest", "source", "counters")


class Destination(msgspec.Struct, frozen=True):
    """Where the results go: a file that the user named, an existing file that they are added to, or a run directory."""

    output: Path | None = None
    append: Path | None = None
    results: Path | None = None


def _arguments() -> argparse.ArgumentParser:
    """Return a parser of this command's own options; pyperf adds its."""
    parser = parser_of("run")
    parser.usage = "%(prog)s [scenario ...] [--op OP] [--impl IMPL] [--on TARGET] [--size SIZE] [pyperf options]"
    selection.add_arguments(parser)
    targets.add_argument(parser)
    own_ideas.add_argument(parser)
    selection.add_operations(parser)
    parser.add_argument("--suite", choices=tuple(suite.SUITES), help="points to measure when none is named, default default")
    parser.add_argument("--results", type=Path, help="directory for a new run, default results/; not with -o")
    return parser


def _checked_options(args: argparse.Namespace) -> argparse.Namespace:
    """Return the options after a look at those that pyperf takes on trust."""
    if args.worker or args.plan:
        raise UsageError("--worker and --plan are for the measuring program's own processes")
    if args.affinity:
        _check_affinity(args.affinity)
    return args


def _check_affinity(text: str) -> None:
    """Raise UsageError unless the processors are there; pyperf would notice only in each worker."""
    available = os.sched_getaffinity(0)
    found = [re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip()) for part in text.split(",")]
    asked = {cpu for part in found if part for cpu in (int(part[1]), int(part[2] or part[1]))}
    if not all(found) or not asked <= available:
        have = ", ".join(map(str, sorted(available)))
        raise UsageError(f"--affinity {one_line(text, 60)!r} is no list of this machine's processors, which are {have}")


def _groups(args: argparse.Namespace) -> Sequence[suite.Group]:
    """Return what is to be measured."""
    if args.scenario or args.layout:
        if args.suite:
            raise UsageError("--suite is for runs that name no scenario and no layout")
        scenarios = selection.scenarios(args)
        return [suite.Group(one, operation) for operation in selection.operations(args.op) for one in scenarios]
    if args.size or args.levels != "4":
        raise UsageError("--size and --levels need a scenario")
    wanted = selection.operations(args.op) if args.op else selection.OPERATIONS
    chosen = [group for group in suite.SUITES[args.suite or "default"] if group.operation in wanted]
    if not chosen:
        raise UsageError(f"suite {args.suite or 'default'} does not measure {', '.join(wanted)}")
    return chosen


def _points(args: argparse.Namespace) -> tuple[Point, ...]:
    """Return what is to be measured on the model."""
    return targets.chosen(args.on, args.impl).points(_groups(args))


def _destination(args: argparse.Namespace) -> Destination:
    """Return where the results go, checked before anything is measured."""
    if args.output and args.append:
        raise UsageError("use -o for a new file or --append for an existing one, not both")
    named = args.output or args.append
    if named and args.results:
        raise UsageError("use --results for a run directory or -o for a file, not both")
    if args.compare_to or (not named and (args.track_memory or args.tracemalloc)):
        return Destination()  # shown, not kept: a run directory holds times of this tree alone
    if not named:
        return Destination(results=storage.make_directory(args.results or environment.base_directory() / "results"))
    path = Path(named)
    if path.exists() and not path.is_file():
        raise UsageError(f"{one_line(path, 120)} is no file")
    storage.check_parent(path)
    return Destination(append=path) if args.append else Destination(output=path)


def refuse_mixture(old: Mapping[str, pyperf.Benchmark], new: Mapping[str, str], point: Point) -> None:
    """Raise UsageError if runs of `point` in a file measured something else than what would be added to them.

    pyperf merges runs whose own metadata agree, whatever was measured. `new`: values of SHARED.
    """
    benchmark = old.get(point.name)
    for run in benchmark.get_runs() if benchmark else ():
        told = run.get_metadata()
        for key in SHARED:
            if told.get(storage.PREFIX + key) != new[key]:
                raise UsageError(f"--append would mix runs of {point.name} whose {key} differs; use -o with a new file")


def refuse_mixtures(old: Mapping[str, pyperf.Benchmark], plan: timing.Plan) -> None:
    """Raise UsageError if a file has runs that those of a plan must not be added to."""
    for point in plan.points:
        source = registry.implementation(point.implementation).source_digest()
        new = {"digest": point.digest, "source": source, "counters": plan.counters[point.name]}
        refuse_mixture(old, new, point)


@contextlib.contextmanager
def _scratch_files(args: argparse.Namespace, destination: Destination) -> Iterator[Path]:
    """Have pyperf write to a scratch directory, which disappears; give the file that it will have written there."""
    final = destination.output or destination.append
    with tempfile.TemporaryDirectory(prefix="unlockall-bench-") as scratch:
        part = Path(scratch) / (final.name if final else storage.WALL_FILE)
        args.append = None
        if final or destination.results:
            args.output = str(part)
        yield part


def _count(points: Sequence[Point], progress: Progress) -> list[CountResult]:
    """Count the calls and compare the states that they leave."""
    for point in points:
        registry.check(point)
    return counting.count_points(points, progress)


def _time(program: timing.PyperfProgram, plan: timing.Plan, results: Sequence[CountResult]) -> None:
    """Time a plan; what takes long is told on standard error, beside what pyperf prints."""
    with progress_bar(others=True) as progress:
        task = progress.add_task("timing", total=len(results))

        def begin(index: int) -> None:
            what = f"timing {plan.points[index].name}"
            progress.update(task, completed=index, description=what)
            expected = program.expected_seconds(results[index].seconds, results[index].prepare_seconds)
            counting.tell_if_long(progress, what, expected)

        program.time_and_check(plan, begin)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    program = timing.PyperfProgram(_arguments())
    args = _checked_options(program.parse(argv))
    groups, chosen = _groups(args), targets.chosen(args.on, args.impl)
    points, destination = chosen.points(groups), _destination(args)
    kernel_work = kernel_points.all_tasks(
        chosen.kernels, chosen.kernel_points(groups), run_kernels.asked(args, argv, chosen.kernels)
    )
    old = storage.load_wall(destination.append) if destination.append and destination.append.exists() else {}
    with progress_bar() as progress:
        own_ideas.load([point.implementation for point in points], progress, points, args.counterexample)
        results = _count(points, progress)
    counted = [one.counted for one in results]
    plan = timing.Plan(points, {one.name: record.digest_of(one.counters) for one in counted})
    refuse_mixtures(old, plan)
    run_kernels.refuse_mixtures(old, kernel_work)
    args.inherit_environ = sorted({*(args.inherit_environ or ()), *environment.inherited_settings()})
    with _scratch_files(args, destination) as part:
        if points:
            args.plan = str(part.with_name("plan.json"))
            storage.write_atomic(Path(args.plan), plan.encoded())
            _time(program, plan, results)
        costs, failure = _measure_kernels(kernel_work, part)
        if failure and not points and not costs:
            raise failure
        where = _keep_or_rescue(part, destination, counted, plan, costs)
    if not args.quiet:
        run_kernels.tell(costs)
        if where:
            print(f"raw data: {where}")
    if failure:
        failure.add_note(f"what was measured before is kept in {where}")
        raise failure
    return 0


def _measure_kernels(work: Sequence[kernel_points.Task], part: Path) -> tuple[list[KernelCost], BenchError | None]:
    """Measure on real kernels and add their times to the file of times; return what it cost, and the error that ended it."""
    if not work:
        return [], None
    with progress_bar() as progress:
        taken, failure = kernel_points.take(work, progress)
    costs = kernel_points.joined(taken, [point for task in work for point in task.points])
    if timed := kernel_record.benchmarks([one for one in costs if one.unit == "seconds"]):
        before = storage.load_wall(part).values() if part.exists() else ()
        storage.save_wall(part, [*before, *timed])
    return costs, failure


def _keep_or_rescue(
    part: Path,
    destination: Destination,
    counted: Sequence[record.Counted],
    plan: timing.Plan,
    costs: Sequence[KernelCost] = (),
) -> Path | None:
    """Put the finished file where it belongs; where that fails, keep it elsewhere, and say where in the error."""
    try:
        return _keep(part, destination, counted, plan, costs)
    except Exception as error:
        if part.exists():
            rescued = Path(tempfile.mkdtemp(prefix="unlockall-bench-")) / storage.WALL_FILE
            shutil.copyfile(part, rescued)
            error.add_note(f"what was timed is kept in {rescued}")
        raise


def _keep(
    part: Path,
    destination: Destination,
    counted: Sequence[record.Counted],
    plan: timing.Plan,
    costs: Sequence[KernelCost],
) -> Path | None:
    """Put the finished file where it belongs; return where that is."""
    if destination.append:
        append(part, destination.append, plan)
        return destination.append
    if destination.output:
        storage.write_atomic(destination.output, part.read_bytes(), replace=False)
        return destination.output
    if not destination.results:
        return None
    machine = environment.machine_facts()
    name = storage.run_name("run", storage.now(), str(machine["source_digest"]))
    with storage.run_directory(destination.results, name) as (directory, kept):
        if counted:
            storage.save_counters(directory / storage.COUNTERS_FILE, environment.command_line(), machine, counted)
        if part.exists():
            storage.write_atomic(directory / storage.WALL_FILE, part.read_bytes())
        kernel_record.save_counts(directory, environment.command_line(), machine, costs)
    return kept


def append(part: Path, final: Path, plan: timing.Plan) -> None:
    """Add the runs of a pyperf file to another, as that is now: it may have grown since this command began."""
    with storage.locked_directory(final.parent):
        old = storage.load_wall(final) if final.exists() else {}
        new = storage.load_wall(part)
        refuse_mixtures(old, plan)
        run_kernels.refuse_mixtures_with(old, new.values())
        storage.save_wall(final, storage.merged(old, new, one_line(final, 120)))
