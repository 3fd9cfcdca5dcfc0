"""The `table` command: one run as tables, in a format of one's choice."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bench import environment
from bench.analysis import dataframes
from bench.analysis.dataframes import COUNT, INSTRUCTIONS, TIME, Kind
from bench.analysis.stats import LEAST_SIZES
from bench.commands import parser_of
from bench.errors import MeasurementError
from bench.runs import loading
from bench.runs.loaded import of_targets
from bench.tables import formats, run_tables

KINDS: dict[Kind, str] = {COUNT: "counters", TIME: "times", INSTRUCTIONS: "instructions of real kernels"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that commands which show runs have in common."""
    forms = "default terminal; csv and json have every number"
    parser.add_argument("--format", choices=formats.FORMATS, default="terminal", help=forms)
    formats.add_option(parser)
    parser.add_argument("--exponents", action="store_true", help="only the scaling exponents")
    parser.add_argument("--results", type=Path, help="directory of the runs that are named, default results/")
    parser.add_argument(
        "--on", action="append", default=[], metavar="TARGET", help="only this implementation or real kernel; may be repeated"
    )


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = parser_of("table")
    parser.add_argument("run", help="a run's name in results/, its directory, or a pyperf file")
    add_arguments(parser)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--counters", action="store_const", dest="kind", const=COUNT, help="only what was counted")
    kinds.add_argument("--times", action="store_const", dest="kind", const=TIME, help="only what was timed")
    counted = "only the instructions of real kernels"
    kinds.add_argument("--instructions", action="store_const", dest="kind", const=INSTRUCTIONS, help=counted)
    for option, column in (("--scenario", "scenario"), ("--impl", "implementation"), ("--op", "operation")):
        parser.add_argument(option, action="append", default=[], help=f"only this {column}; may be repeated")
    return parser.parse_args(argv)


def _kinds(args: argparse.Namespace, points: pd.DataFrame) -> tuple[Kind, ...]:
    """Return what to show of what the run has."""
    present = [kind for kind in KINDS if dataframes.has(points, kind)]
    if args.kind and args.kind not in present:
        raise MeasurementError(f"{args.run} has no {KINDS[args.kind]}")
    return tuple(kind for kind in present if args.kind in (None, kind))


def main(argv: Sequence[str]) -> int:
    """Show a run."""
    args = _parse(argv)
    run = of_targets(loading.load(args.run, *environment.results_directories(args.results)), args.on)
    points = dataframes.points_frame(run)
    whole = points  # each word is looked for in all of the run, not in what the others leave of it
    for column, words in (("scenario", args.scenario), ("implementation", args.impl), ("operation", args.op)):
        points = points[points.index.isin(dataframes.select(whole, column, words).index)]
    if not len(points):
        raise MeasurementError(f"{args.run} has nothing of what was asked for together")
    kinds = _kinds(args, points)
    exponents = dataframes.exponents_frame(points, run)
    if args.exponents and not len(exponents):
        raise MeasurementError(f"{args.run} has no scenario at {LEAST_SIZES} sizes, which an exponent needs")
    page = run_tables.table_page(points, exponents, kinds, args.exponents)
    if args.format not in formats.FOR_PROGRAMS:
        formats.show(page, args.format, wide=args.wide)
        return 0
    frames = {} if args.exponents else {"points": dataframes.only(points, kinds)}
    formats.show_frames(frames | {"exponents": dataframes.only(exponents, kinds)}, args.format, page)
    return 0
