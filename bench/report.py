"""The `report` command: count, check that all implementations agree, time, then table and figure."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import pyperf
from rich.progress import Progress

from bench import compare, counting, env, measure, reported, results, scenario, sizes, table, workload
from bench import layout as layouts
from bench.commands import parser_of
from bench.errors import MeasurementError, UsageError, one_line
from bench.progress import compile_model, progress_bar
from bench.scenario import LAYOUT, Point, Scenario
from mmmodel.constants import IMPLEMENTATIONS, PAGE_SIZE

# Spans beside the report's own, for the figure's curve. Few, because each costs worker processes.
CURVE_SPANS = (1 << 31, 1 << 36)
SLOW_CALL = 1.0  # seconds; such a call is timed once in each process
QUICK_CALL = 0.05  # seconds; below it calls are repeated for each timed value
QUICK_VALUE = 2e-3  # seconds that the calls of one timed value should take together
MAX_INNER_LOOPS = 100


class Request(msgspec.Struct, frozen=True):
    """A checked command line."""

    groups: tuple[Scenario, ...]  # what is measured, each through every implementation
    implementations: tuple[str, ...]
    processes: int | None
    values: int | None
    results: Path
    plots: Path


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; the meaning of its words is checked later."""
    parser = parser_of("report")
    parser.add_argument("scenario", nargs="*", help="scenarios (see `list`); default: the report and its program")
    parser.add_argument("--size", action="append", default=[], help="span: 2TiB, 512GiB, 1<<41; may be repeated")
    parser.add_argument("--levels", choices=("4", "5"), default="4", help="levels of page tables, for --size")
    parser.add_argument("--impl", action="append", default=[], help="implementations, default all; may be repeated")
    parser.add_argument("--layout", action="append", default=[], help="layout, by name or path; may be repeated")
    parser.add_argument("--processes", type=int, help="worker processes for each measurement")
    parser.add_argument("--values", type=int, help="timed values in each process")
    parser.add_argument("--results", type=Path, help="directory for raw data, default results/")
    parser.add_argument("--plots", type=Path, help="directory for figures, default plots/")
    return parser.parse_args(argv)


def read_request(argv: Sequence[str]) -> Request:
    """Read a command line and check what its words mean."""
    args = _parse(argv)
    if min(args.processes or 1, args.values or 1) < 1 or 0 in (args.processes, args.values):
        raise UsageError("--processes and --values must be at least 1")
    base = env.base_directory()
    return Request(
        groups=_scenarios(args),
        implementations=_implementations(args.impl),
        processes=args.processes,
        values=args.values,
        results=args.results or base / "results",
        plots=args.plots or base / "plots",
    )


def _implementations(words: Sequence[str]) -> tuple[str, ...]:
    """Return the implementations asked for, in their own order, all of them by default."""
    asked = {name for word in words for name in word.split(",")}
    unknown = sorted(asked - set(IMPLEMENTATIONS))
    if unknown:
        raise UsageError(f"unknown implementation {one_line(unknown[0], 60)!r}; known are {', '.join(IMPLEMENTATIONS)}")
    return tuple(name for name in IMPLEMENTATIONS if not asked or name in asked)


def _scenarios(args: argparse.Namespace) -> tuple[Scenario, ...]:
    """Return the address spaces asked for."""
    everything = not args.scenario and not args.layout
    levels: Literal[4, 5] = 5 if args.levels == "5" else 4
    spans = [sizes.parse_size(text, levels) for text in args.size]
    found: list[Scenario] = []
    for name in args.scenario or (["report"] if everything else []):
        one = scenario.find(name)
        if name == LAYOUT:
            args.layout = args.layout or [scenario.REPORT_LAYOUT]
            continue
        curve = (*CURVE_SPANS, one.span) if everything else (one.span,)
        found += [one.resized(span, levels) for span in spans or curve]
    found += [_layout_scenario(name) for name in args.layout or ([scenario.REPORT_LAYOUT] if everything else [])]
    if spans and not any(one.name != LAYOUT for one in found):
        raise UsageError("--size is for scenarios; a layout has the size that it has")
    names = [Point(one, "").group for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{twice[0].split('/', 1)[1]} is asked for twice")
    return tuple(found)


def _layout_scenario(name_or_path: str) -> Scenario:
    """Return the scenario of a layout, which is read and checked here."""
    loaded = layouts.load(name_or_path)
    where = name_or_path if name_or_path in layouts.shipped_names() else str(Path(name_or_path).resolve())
    base = scenario.SCENARIOS[LAYOUT]
    return msgspec.structs.replace(base, span=loaded.span, layout=where, layout_digest=loaded.digest)


def count_all(request: Request, progress: Progress) -> list[counting.Pass]:
    """Count every call; raise if two implementations leave different states behind."""
    task = progress.add_task("counting", total=len(request.groups) * len(request.implementations))
    passes: list[counting.Pass] = []
    for group in request.groups:
        states: dict[str, object] = {}
        for implementation in request.implementations:
            progress.update(task, description=f"counting {Point(group, implementation).name}")
            done = counting.count(Point(group, implementation))
            states[implementation] = done.state
            passes.append(msgspec.structs.replace(done, state=None))
            progress.advance(task)
        if pair := compare.first_disagreement(states):
            raise MeasurementError(
                f"{pair[0]} and {pair[1]} leave different states after {Point(group, '').group}: nothing was timed"
            )
    progress.remove_task(task)
    return passes


def effort_for(seconds: float, main: bool, request: Request) -> measure.Effort:
    """Return how often to time a call that takes about `seconds`; points of the curve get less.

    A worker takes about a second before its first call, so the number of
    workers decides how long a report takes.
    """
    if seconds > SLOW_CALL:
        effort = measure.Effort(processes=2, values=1, warmups=0)
    elif seconds > QUICK_CALL:
        effort = measure.Effort(processes=3 if main else 1, values=2, warmups=0)
    else:
        effort = measure.Effort(processes=3 if main else 1, values=5, warmups=1)
    return measure.Effort(request.processes or effort.processes, request.values or effort.values, effort.warmups)


def time_all(request: Request, passes: Sequence[counting.Pass], progress: Progress) -> list[pyperf.Benchmark]:
    """Time every call that was counted."""
    task = progress.add_task("timing", total=len(passes))
    benchmarks = []
    for done in passes:
        point = done.counted.point
        loops = 1 if done.seconds > QUICK_CALL else int(QUICK_VALUE / max(done.seconds, 1e-9)) + 1
        point = msgspec.structs.replace(point, inner_loops=min(MAX_INNER_LOOPS, loops))
        progress.update(task, description=f"timing {point.name}")
        main = point.scenario.name != "report" or point.scenario.span not in CURVE_SPANS
        benchmarks += measure.run_plan([point], effort_for(done.seconds, main, request))
        progress.advance(task)
    progress.remove_task(task)
    return benchmarks


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    request = read_request(argv)
    for directory in (request.results, request.plots):
        results.make_directory(directory)
    for group in request.groups:
        workload.foretell_memory(group)
    with progress_bar() as progress:
        compile_model(progress)
        machine = env.machine_facts()
        run = results.run_name("report", results.now(), str(machine["source_digest"]))
        with results.run_directory(request.results, run) as (directory, final):
            passes = count_all(request, progress)
            counted = [done.counted for done in passes]
            results.save_counters(directory / results.COUNTERS_FILE, env.command_line(), machine, counted)
            benchmarks = time_all(request, passes, progress)
            results.save_wall(directory / results.WALL_FILE, benchmarks)
    rows = compare.rows(counted, {one.get_name(): one.get_values() for one in benchmarks})
    files = _draw(rows, request.plots)
    _print(rows, request, final, files)
    return 0


def _draw(rows: Sequence[compare.Row], plots: Path) -> list[Path]:
    """Draw the figures."""
    from bench import plot  # here, because it loads matplotlib, which nothing before needs

    return plot.draw_report(rows, plots)


def _print(rows: Sequence[compare.Row], request: Request, run: Path, figures: Sequence[Path]) -> None:
    """Print tables, where the files are, and the sentence."""
    out = table.console()
    out.print(table.report_table(rows))
    if any(group.name == "report" and group.span == reported.REPORTED_SPAN for group in request.groups):
        out.print(table.reported_table(reported.REPORTED, reported.REPORTED_SPAN, PAGE_SIZE))
    print(f"raw data: {run}")
    print(f"figures:  {', '.join(str(path) for path in figures)}")
    print()
    print(table.sentence(rows))
    sys.stdout.flush()
