"""The `reference` command: results/reference/ measured anew and replaced as a whole, and what changed in its counters told."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench import environment
from bench.analysis.counter_diff import changes
from bench.commands import parser_of
from bench.errors import MeasurementError, UsageError, one_line
from bench.measuring import collect
from bench.measuring.repetition import Policy, check_counts
from bench.progress import progress_bar
from bench.runs import storage
from bench.runs.record import Counted
from bench.tables.changes import change_lines
from bench.targets import registry
from bench.workloads.scenario import SCENARIOS
from bench.workloads.suite import SUITES, Group, points_of

SUITE = "reference"
# Timed more often than all others: their distributions and the order of their runs are looked at.
OFTEN = tuple(point.name for one in ("report", "sparse-2MiB", "dense") for point in Group(SCENARIOS[one]).points())
PARTS = {storage.COUNTERS_FILE, storage.WALL_FILE}


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = parser_of("reference")
    parser.add_argument("--suite", default=SUITE, choices=list(SUITES), help=f"what is measured, default {SUITE}")
    parser.add_argument("--to", type=Path, help="directory that is replaced, default results/reference/")
    collect.add_arguments(parser)
    return parser.parse_args(argv)


def read_request(args: argparse.Namespace) -> collect.Request:
    """Check what the words of a command line mean."""
    check_counts(args.processes, args.values)
    line = ["reference", *(() if args.suite == SUITE else ("--suite", args.suite)), *collect.words_of(args)]
    return collect.Request(
        command="reference",
        line=collect.line_of(line),
        points=points_of(SUITES[args.suite]),
        policy=Policy(args.processes, args.values, often=OFTEN),
    )


def old_counters(directory: Path) -> tuple[list[Counted], str]:
    """Return the counters of the reference that will be replaced, and why there are none if so.

    Raises UsageError if the directory holds anything else: it would be lost.
    """
    try:
        others = sorted(path.name for path in directory.iterdir() if path.name not in PARTS)
    except FileNotFoundError:
        return [], "there was none before"
    except OSError as error:
        raise UsageError(f"cannot replace {one_line(directory, 120)}: {error.strerror}") from None
    if others:
        raise UsageError(f"{one_line(directory, 120)} is no reference, or has more in it: {one_line(others[0], 80)}")
    try:
        return storage.load_counters(directory / storage.COUNTERS_FILE).points, ""
    except MeasurementError as error:
        return [], f"the one before could not be read: {error}"


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    args = _parse(argv)
    request = read_request(args)
    directory = (args.to or environment.base_directory() / "results" / "reference").resolve()
    old, reason = old_counters(directory)
    with progress_bar() as progress:
        registry.load([point.implementation for point in request.points], progress)
        with (
            collect.collected(request, directory.parent, progress, args.scheduler, args.fresh) as done,
            storage.replaced_directory(directory) as part,
        ):
            collect.save(part, request, environment.machine_facts(), done)
    if reason:
        print(f"nothing to compare with: {one_line(reason, 400)}")
    before, after = ({one.name: one.facts for one in counted} for counted in (old, done.counted))
    print("\n".join(change_lines(changes(before, after))))
    print(f"reference: {directory}")
    return 0
