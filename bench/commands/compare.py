"""The `compare` command: two runs, point by point. It says what differs and how surely; judging is the gate's."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench import environment
from bench.analysis import comparison
from bench.analysis.stats import LEAST_SIZES
from bench.commands import parser_of, table
from bench.errors import MeasurementError
from bench.runs import loading
from bench.tables import formats, run_tables


def main(argv: Sequence[str]) -> int:
    """Compare run B with run A; 0 whenever that could be done."""
    parser = parser_of("compare")
    parser.add_argument("a", metavar="A", help="the old run: a name in results/, a directory, or a pyperf file")
    parser.add_argument("b", metavar="B", help="the new run, likewise")
    table.add_arguments(parser)
    args = parser.parse_args(argv)
    found = comparison.compare(*(loading.load(run, *environment.results_directories(args.results)) for run in (args.a, args.b)))
    if args.exponents and not len(found.exponents):
        raise MeasurementError(f"{args.a} and {args.b} have no scenario at {LEAST_SIZES} sizes in common")
    page = run_tables.compare_page(found, args.exponents)
    if args.format not in formats.FOR_PROGRAMS:
        formats.show(page, args.format, wide=args.wide)
        return 0
    frames = {} if args.exponents else {"points": run_tables.compare_frame(found)}
    formats.show_frames(frames | {"exponents": found.exponents, "facts": pd.DataFrame(found.facts)}, args.format, page)
    return 0
