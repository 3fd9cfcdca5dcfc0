"""The `report` command: count, check that all implementations agree, time, measure real kernels, then table and figure."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from bench import environment
from bench.analysis import report_rows, reported
from bench.commands import own_ideas, parser_of
from bench.errors import UsageError, one_line
from bench.figures import inputs, kinds
from bench.measuring import collect
from bench.measuring.collect_kernels import work_on
from bench.measuring.kernel_points import Asked
from bench.measuring.repetition import Policy, check_counts
from bench.progress import progress_bar
from bench.runs import loading, storage
from bench.tables import formats, report_tables
from bench.tables.table import Page
from bench.targets import selection as targets
from bench.targets.selection import Chosen
from bench.workloads import scenario, selection, sizes
from bench.workloads.scenario import LAYOUT, ON_A_LAYOUT, ONE_PAGE, Operation, Point, Scenario
from bench.workloads.suite import Group
from mmmodel.constants import PAGE_SIZE

# Spans beside the report's own, for the figure's curve. Few, because each costs worker processes.
CURVE_SPANS = (1 << 31, 1 << 36)
DUMPED: Operation = "coredump"  # what the default address space is another of


class Request(msgspec.Struct, frozen=True):
    """A checked command line."""

    groups: tuple[Scenario, ...]  # what is measured, each through every implementation
    chosen: Chosen  # the targets
    kernel_points: dict[str, tuple[Point, ...]]  # of each real kernel, by its name
    processes: int | None
    values: int | None
    results: Path
    plots: Path | None  # None: beside the run
    fresh: bool  # what an interrupted report kept is not used
    wide: bool  # every column of the table
    counterexample: Path | None  # where a trace goes on which an idea is wrong
    operation: Operation = "munlockall"

    def measurements(self) -> collect.Request:
        """Return what is to be measured."""
        points = self.chosen.points([Group(one, self.operation) for one in self.groups])
        less = tuple(one.name for one in points if one.scenario.name == _usual(self.operation) and _is_beside(one.scenario))
        asked = Asked(self.processes, self.values)
        return collect.Request(
            command="report",
            line=environment.command_line(),
            points=points,
            policy=Policy(self.processes, self.values, less=less),
            here=True,
            kernels=tuple(work_on(one, self.kernel_points[one.name], asked) for one in self.chosen.kernels),
        )


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; the meaning of its words is checked later."""
    parser = parser_of("report")
    selection.add_arguments(parser)
    parser.add_argument("--op", default="munlockall", help=f"the call: {', '.join(selection.OPERATIONS)}; default munlockall")
    targets.add_argument(parser)
    own_ideas.add_argument(parser)
    parser.add_argument("--processes", type=int, help="worker processes for each measurement, starts of a real kernel")
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
    operation = _operation(args.op)
    chosen, groups = targets.chosen(args.on, args.impl), _scenarios(args, operation)
    chosen.points([Group(one, operation) for one in groups])
    if not chosen.implementations:
        groups = tuple(one for one in groups if _is_for_kernels(args, one))
    return Request(
        groups=groups,
        operation=operation,
        chosen=chosen,
        kernel_points=chosen.kernel_points([Group(one, operation) for one in groups if _is_for_kernels(args, one)]),
        processes=args.processes,
        values=args.values,
        results=args.results or base / "results",
        plots=args.plots,
        fresh=args.fresh,
        wide=args.wide,
        counterexample=args.counterexample,
    )


def _operation(word: str) -> Operation:
    """Return the call that is asked for."""
    found = selection.operations([word])
    if len(found) > 1:
        raise UsageError(f"--op {one_line(word, 60)}: report is of one call; run takes several")
    return found[0]


def _usual(operation: Operation) -> str:
    """Return the scenario that a call is measured on if none is named."""
    return ONE_PAGE if operation == DUMPED else "report"


def _is_beside(one: Scenario) -> bool:
    """Tell whether an address space is there for the figure's curve alone."""
    return one.span in CURVE_SPANS


def _scenarios(args: argparse.Namespace, operation: Operation) -> tuple[Scenario, ...]:
    """Return the address spaces asked for; by default the report's, with a curve of smaller ones, and its program's.

    That is, where the call is one that they can be measured with: a core dump has an address space of its own.
    """
    if args.scenario or args.layout:
        return selection.scenarios(args)
    usual = scenario.find(_usual(operation))
    levels: Literal[4, 5] = 5 if args.levels == "5" else 4
    spans = [sizes.parse_size(text, levels) for text in args.size] or [*CURVE_SPANS, usual.span]
    curve = tuple(usual.resized(span, levels) for span in spans)
    selection.refuse_twice(Point(one, "").group for one in curve)
    program = (selection.layout_scenario(scenario.REPORT_LAYOUT),) if operation in ON_A_LAYOUT else ()
    return (*curve, *program)


def _is_for_kernels(args: argparse.Namespace, one: Scenario) -> bool:
    """Tell whether real kernels are measured on an address space: the program's, which takes long, where it is asked for."""
    return one.name != LAYOUT or bool(args.scenario or args.layout)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    request = read_request(argv)
    for directory in (request.results, *filter(None, [request.plots])):
        storage.make_directory(directory)
    measurements = request.measurements()
    with progress_bar() as progress:
        own_ideas.load(request.chosen.implementations, progress, measurements.points, request.counterexample)
        machine = environment.machine_facts()
        with collect.collected(
            measurements, request.results, progress, fresh=request.fresh, kernels=request.chosen.kernels
        ) as done:
            run = storage.run_name("report", storage.now(), str(machine["source_digest"]))
            with storage.run_directory(request.results, run) as (directory, final):
                collect.save(directory, measurements, machine, done, dated=True)
    rows = report_rows.of_run(loading.load_path(final), request.chosen.order)
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
    if predicted := report_rows.all_predictions(rows):
        tables.append(report_tables.ratios_table(predicted))
    skipped = sorted({one.layout for one in request.groups if one.name == LAYOUT and not _measured_there(one, request)})
    remarks = tuple(
        f"{name} was not measured on real kernels, where it takes long: ask for it by --layout." for name in skipped
    )
    is_reported = any(one.name == "report" and one.span == reported.REPORTED_SPAN for one in request.groups)
    if is_reported and request.operation == "munlockall":
        tables.append(report_tables.reported_table(reported.REPORTED, reported.REPORTED_SPAN, PAGE_SIZE))
    formats.show(Page(tuple(tables), remarks=remarks), wide=request.wide)
    print(f"raw data: {run}")
    sys.stdout.flush()


def _measured_there(one: Scenario, request: Request) -> bool:
    """Tell whether an address space was measured on all that was asked for."""
    return all(any(point.scenario == one for point in points) for points in request.kernel_points.values())
