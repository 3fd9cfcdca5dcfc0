"""The `report` command: count, check that all implementations agree, time, then table and figure."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from bench import environment
from bench.analysis import report_rows, reported
from bench.commands import parser_of
from bench.figures import inputs, kinds
from bench.measuring import collect
from bench.measuring.repetition import Policy, check_counts
from bench.progress import progress_bar
from bench.runs import storage
from bench.runs.pyperf_file import seconds_by_process
from bench.tables import formats, report_tables
from bench.tables.table import Page
from bench.targets import registry
from bench.workloads import scenario, selection, sizes
from bench.workloads.scenario import Point, Scenario
from mmmodel.constants import PAGE_SIZE

# Spans beside the report's own, for the figure's curve. Few, because each costs worker processes.
CURVE_SPANS = (1 << 31, 1 << 36)


class Request(msgspec.Struct, frozen=True):
    """A checked command line."""

    groups: tuple[Scenario, ...]  # what is measured, each through every implementation
    implementations: tuple[str, ...]
    processes: int | None
    values: int | None
    results: Path
    plots: Path | None  # None: beside the run
    fresh: bool  # what an interrupted report kept is not used
    wide: bool  # every column of the table

    def measurements(self) -> collect.Request:
        """Return what is to be measured."""
        points = tuple(Point(group, name) for group in self.groups for name in self.implementations)
        less = tuple(one.name for one in points if one.scenario.name == "report" and one.scenario.span in CURVE_SPANS)
        policy = Policy(self.processes, self.values, less=less)
        return collect.Request("report", environment.command_line(), points, policy, here=True)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; the meaning of its words is checked later."""
    parser = parser_of("report")
    selection.add_arguments(parser)
    parser.add_argument("--processes", type=int, help="worker processes for each measurement")
    parser.add_argument("--values", type=int, help="timed values in each process")
    parser.add_argument("--results", type=Path, help="directory for raw data, default results/")
    parser.add_argument("--plots", type=Path, help="directory for figures, default figures/ in the run's directory")
    collect.add_fresh(parser)
    parser.epilog = "An interrupted report goes on when the same command is given again."
    formats.add_option(parser)
    return parser.parse_args(argv)


def read_request(argv: Sequence[str]) -> Request:
    """Read a command line and check what its words mean."""
    args = _parse(argv)
    check_counts(args.processes, args.values)
    base = environment.base_directory()
    return Request(
        groups=_scenarios(args),
        implementations=selection.implementations(args.impl, registry.names()),
        processes=args.processes,
        values=args.values,
        results=args.results or base / "results",
        plots=args.plots,
        fresh=args.fresh,
        wide=args.wide,
    )


def _scenarios(args: argparse.Namespace) -> tuple[Scenario, ...]:
    """Return the address spaces asked for; by default the report's, with a curve of smaller ones, and its program's."""
    if args.scenario or args.layout:
        return selection.scenarios(args)
    report = scenario.find("report")
    levels: Literal[4, 5] = 5 if args.levels == "5" else 4
    spans = [sizes.parse_size(text, levels) for text in args.size] or [*CURVE_SPANS, report.span]
    curve = tuple(report.resized(span, levels) for span in spans)
    selection.refuse_twice(Point(one, "").group for one in curve)
    return (*curve, selection.layout_scenario(scenario.REPORT_LAYOUT))


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    request = read_request(argv)
    for directory in (request.results, *filter(None, [request.plots])):
        storage.make_directory(directory)
    measurements = request.measurements()
    with progress_bar() as progress:
        registry.load(request.implementations, progress)
        machine = environment.machine_facts()
        with collect.collected(measurements, request.results, progress, fresh=request.fresh) as done:
            run = storage.run_name("report", storage.now(), str(machine["source_digest"]))
            with storage.run_directory(request.results, run) as (directory, final):
                collect.save(directory, measurements, machine, done, dated=True)
    rows = report_rows.rows(done.counted, {one.get_name(): seconds_by_process(one) for one in done.benchmarks})
    _print(rows, request, final)
    files = _draw(final, request.plots or final / "figures")
    print(f"figures:  {', '.join(str(path) for path in files) or 'none'}")
    print()
    formats.show_text(report_tables.sentence(rows))
    sys.stdout.flush()
    return 0


def _draw(run: Path, plots: Path) -> list[Path]:
    """Draw the figures of a run that is complete."""
    from bench.figures.style import save  # here, because it loads matplotlib, which nothing before needs

    storage.make_directory(plots)
    files: list[Path] = []
    for one in kinds.prepare(inputs.load_run(run), ["report"]):
        if not isinstance(one, inputs.Skipped):
            words = one.words()
            files += save(one.draw(), plots / words.name, words.title, words.alternative)
    return files


def _print(rows: Sequence[report_rows.Row], request: Request, run: Path) -> None:
    """Print tables, and where the run is kept: known before anything is drawn of it."""
    tables = [report_tables.report_table(rows)]
    if any(group.name == "report" and group.span == reported.REPORTED_SPAN for group in request.groups):
        tables.append(report_tables.reported_table(reported.REPORTED, reported.REPORTED_SPAN, PAGE_SIZE))
    formats.show(Page(tuple(tables)), wide=request.wide)
    print(f"raw data: {run}")
    sys.stdout.flush()
