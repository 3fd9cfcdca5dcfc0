"""The `compare` command: two runs or two targets, point by point: what differs, and how surely. Judging is the gate's."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import pandas as pd

from bench import environment
from bench.analysis import comparison
from bench.analysis.comparison import Comparison
from bench.analysis.stats import LEAST_SIZES
from bench.commands import parser_of, table
from bench.errors import MeasurementError, UsageError
from bench.runs import loading
from bench.runs.loaded import of_targets
from bench.tables import formats, run_tables


def main(argv: Sequence[str]) -> int:
    """Compare run B with run A; 0 whenever that could be done."""
    parser = parser_of("compare")
    parser.add_argument("a", metavar="A", help="the old run: a name in results/, a directory, or a pyperf file")
    parser.add_argument("b", metavar="B", nargs="?", help="the new run, likewise; A itself where --on-a and --on-b are given")
    table.add_arguments(parser)
    parser.add_argument("--on-a", metavar="TARGET", help="compare --on-b with this target, whose points are taken from A")
    parser.add_argument("--on-b", metavar="TARGET", help="an implementation or a real kernel, whose points are taken from B")
    args = parser.parse_args(argv)
    found = _compared(args)
    if args.exponents and not len(found.exponents):
        raise MeasurementError(f"{found.a} and {found.b} have no scenario at {LEAST_SIZES} sizes in common")
    page = run_tables.compare_page(found, args.exponents)
    if args.format not in formats.FOR_PROGRAMS:
        formats.show(page, args.format, wide=args.wide)
        return 0
    frames = {} if args.exponents else {"points": run_tables.compare_frame(found)}
    formats.show_frames(frames | {"exponents": found.exponents, "facts": pd.DataFrame(found.facts)}, args.format, page)
    return 0


def _compared(args: argparse.Namespace) -> Comparison:
    """Return what the two runs, or targets, have to say about each other."""
    if (args.on_a is None) != (args.on_b is None):
        raise UsageError("--on-a and --on-b belong together")
    if args.b is None and args.on_a is None:
        raise UsageError("give the new run, B, or two targets of one run by --on-a and --on-b")
    directories = environment.results_directories(args.results)
    a, b = (of_targets(loading.load(run, *directories), args.on) for run in (args.a, args.b or args.a))
    return comparison.compare(a, b) if args.on_a is None else comparison.between(a, args.on_a, b, args.on_b)
