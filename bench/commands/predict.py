"""The `predict` command: what calls would cost real kernels, how true that is, and the weights that tell it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench.commands import parser_of, predict_calibrate, predict_check, predict_fit, predict_layouts
from bench.commands.predict_fleet import TOP
from bench.errors import UsageError
from bench.prediction import weights
from bench.prediction.checking import BAR, SMALL_BAR
from bench.tables import formats


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = parser_of("predict")
    parser.add_argument(
        "file",
        nargs="*",
        type=Path,
        metavar="PID|FILE",
        help="processes, layouts, smaps, maps, pmap -X, directories of them, or -; cost files with --check, --fit",
    )
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--check", action="store_true", help="hold predictions against the instructions that cost files have")
    modes.add_argument("--fit", action="store_true", help="fit the weights on cost files")
    modes.add_argument("--calibrate", metavar="TARGET", help="measure how long an instruction takes on host, or uml-5.10")
    modes.add_argument("--try", dest="try_on", metavar="TARGET", help="hold predicted times against the calls of a target")
    parser.add_argument("--kernel", action="append", metavar="SERIES", help="predict for this kernel alone: 5.10, 6.1, 6.12")
    parser.add_argument("--range", metavar="START-END", help="predict mlock(), munlock() and munmap() of these addresses")
    parser.add_argument("--rank", action="store_true", help="many files, as those of directories: one table, the worst first")
    parser.add_argument("--top", type=int, metavar="N", default=TOP, help="files in that table (default %(default)s)")
    parser.add_argument("--scheduler", default="", metavar="ADDRESS", help="Dask scheduler whose workers predict them")
    parser.add_argument("--fresh", action="store_true", help="do not go on with what an interrupted command kept")
    parser.add_argument("--fail-over", metavar="TIME", help="exit 1 if a call may take longer: 100ms")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="use these weights, not those that come with the package")
    parser.add_argument("--out", type=Path, metavar="FILE", help="with --fit: write the weights there")
    parser.add_argument("--bar", metavar="PERCENT", type=float, default=BAR * 100, help="error that --check allows (default 2)")
    parser.add_argument(
        "--small-bar",
        metavar="PERCENT",
        type=float,
        default=SMALL_BAR * 100,
        help="of calls below 10,000 instructions (default 5)",
    )
    parser.add_argument("--format", choices=("terminal", "markdown", "json"), default="terminal", help="default terminal")
    formats.add_option(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Do what was asked."""
    options = _parser().parse_args(argv)
    if bool(options.file) == bool(options.calibrate or options.try_on):
        raise UsageError("give files, or a target to --calibrate or --try (see unlockall-bench predict --help)")
    if options.fit:
        return predict_fit.run(options)
    chosen = weights.load(options.weights) if options.weights else weights.shipped()
    if options.check:
        return predict_check.run(options, chosen)
    if options.calibrate:
        return predict_calibrate.calibrate(options, chosen)
    if options.try_on:
        return predict_calibrate.try_out(options, chosen)
    return predict_layouts.run(options, chosen)
