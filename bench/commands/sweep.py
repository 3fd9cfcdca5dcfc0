"""The `sweep` command: a grid of spans, populations, patterns, targets and calls, counted, timed, measured on real kernels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench import environment
from bench.analysis import report_rows
from bench.commands import own_ideas, parser_of
from bench.errors import UsageError, one_line, unknown
from bench.measuring import collect
from bench.measuring.collect_kernels import work_on
from bench.measuring.kernel_points import Asked
from bench.measuring.repetition import Policy, check_counts
from bench.progress import progress_bar
from bench.runs import loading, storage
from bench.runs.pyperf_file import seconds_by_process
from bench.tables import formats
from bench.tables.report_tables import kernels_table, sweep_table
from bench.tables.table import Page
from bench.targets import selection as targets
from bench.targets.selection import Chosen
from bench.workloads import ideas, participants, scenario, selection, sizes
from bench.workloads.scenario import FAMILIES, LEAST_SPAN, Operation, Pattern, Scenario
from bench.workloads.suite import Group

SPANS = "2GiB,16GiB,128GiB"
STEPS = "none,1GiB,2MiB"
NONE = "none"  # in place of a step: no page is in memory


class Grid(msgspec.Struct, frozen=True):
    """What is swept over; every combination is measured."""

    operations: tuple[Operation, ...]
    patterns: tuple[Pattern, ...]
    steps: tuple[int, ...]  # bytes of span for each page in memory; 0: no page
    spans: tuple[int, ...]  # bytes
    chosen: Chosen  # the targets
    seed: int

    def scenarios(self) -> list[Scenario]:
        """Return the address spaces, each once: where no page is in memory, patterns do not differ."""
        found: list[Scenario] = []
        for step in self.steps:
            kinds = [scenario.sparse(step, 1, pattern, seed=self.seed) for pattern in self.patterns]
            for one in kinds if step else [scenario.SCENARIOS["report"]]:
                found += [one.resized(span) for span in self.spans]
        return found

    def groups(self) -> list[Group]:
        """Return what the implementations are compared on."""
        return [Group(one, operation) for operation in self.operations for one in self.scenarios()]

    def words(self) -> list[str]:
        """Return the words of a command line that asks for this grid."""
        steps = ",".join(sizes.format_size(step) if step else NONE for step in self.steps)
        spans = ",".join(sizes.format_size(span) for span in self.spans)
        random = ("--seed", str(self.seed)) if "random" in self.patterns else ()
        part = [one for one in self.chosen.implementations if any(participants.take_part(one, op) for op in self.operations)]
        named = () if self.chosen.order else (("--impl", tuple(map(ideas.word_of, part))),)
        lists = (("--pattern", self.patterns), *named, ("--op", self.operations))
        rest = [word for name in self.chosen.order for word in ("--on", ideas.word_of(name))]
        rest += [word for option, values in lists for word in (option, ",".join(values))]
        return ["--span", spans, "--populate", steps, *rest, *random]


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; the meaning of its words is checked later."""
    parser = parser_of("sweep")
    patterns = ", ".join(FAMILIES)
    parser.add_argument("--span", action="append", help=f"lengths of what is reserved, default {SPANS}")
    parser.add_argument(
        "--populate", action="append", metavar="STEP", help=f"bytes of span for each page in memory, or none; default {STEPS}"
    )
    parser.add_argument("--pattern", action="append", help=f"where these pages are: {patterns}; default every")
    parser.add_argument("--seed", default=str(scenario.DEFAULT_SEED), help="of the pattern random, default %(default)s")
    parser.add_argument("--impl", action="append", default=[], help="implementations, default all, and ideas: FILE.py")
    targets.add_argument(parser)
    own_ideas.add_argument(parser)
    selection.add_operations(parser)
    parser.add_argument("--counters-only", action="store_true", help="count, do not time; not with real kernels")
    parser.add_argument("--results", type=Path, help="directory for raw data, default results/")
    collect.add_arguments(parser)
    formats.add_option(parser)
    parser.epilog = "Lists are separated by commas. An interrupted sweep goes on when the same command is given again."
    return parser.parse_args(argv)


def read_grid(args: argparse.Namespace) -> Grid:
    """Check what the words of a command line mean."""
    spans = tuple(sizes.parse_size(word) for word in _words(args.span or [SPANS], "--span"))
    steps = tuple(0 if word == NONE else sizes.parse_size(word) for word in _words(args.populate or [STEPS], "--populate"))
    patterns = tuple(_pattern(word) for word in _words(args.pattern or ["every"], "--pattern"))
    for option, values in (("--span", spans), ("--populate", steps), ("--pattern", patterns)):
        if len(set(values)) < len(values):
            raise UsageError(f"{option} names the same twice")
    grid = Grid(
        operations=selection.operations(args.op),
        patterns=patterns,
        steps=steps,
        spans=spans,
        chosen=targets.chosen(args.on, args.impl),
        seed=scenario.parse_seed(args.seed),
    )
    _refuse(grid)
    return grid


def _words(options: Sequence[str], name: str) -> list[str]:
    """Return the comma-separated words of an option that may be repeated."""
    words = [word.strip() for option in options for word in option.split(",")]
    if not all(words):
        raise UsageError(f"{name} has an empty word")
    return words


def _pattern(word: str) -> Pattern:
    """Return the pattern of this name."""
    for known in FAMILIES:
        if word == known:
            return known
    raise unknown(f"unknown pattern {one_line(word, 60)!r}; known are ", word, FAMILIES)


def _refuse(grid: Grid) -> None:
    """Raise UsageError at combinations that cannot be measured, or that would measure one thing by several names."""
    widest, smallest = max(grid.steps), min(grid.spans)
    if widest > smallest:
        raise UsageError(
            f"--populate {sizes.format_size(widest)} is more than a span of {sizes.format_size(smallest)}, which"
            " would have one page whatever the step"
        )
    for operation in grid.operations:
        if operation == "touch":
            raise UsageError("touch is not for a sweep: what is swept over cannot be accessed once it is prepared")
        if operation == "mmap" and any(grid.steps):
            raise UsageError("mmap finds nothing in memory: sweep it with --populate none")
        if smallest < LEAST_SPAN.get(operation, 0):
            raise UsageError(f"{operation} needs a span of at least {LEAST_SPAN[operation]} bytes")


def read_request(args: argparse.Namespace) -> collect.Request:
    """Return what a command line asks for."""
    grid = read_grid(args)
    check_counts(args.processes, args.values)
    kernels, asked = grid.chosen.kernels, Asked(args.processes, args.values)
    if kernels and args.counters_only:
        raise UsageError(f"--counters-only is of the model: {kernels[0].name}, a real kernel, has no counters")
    on_kernels = grid.chosen.kernel_points(grid.groups())
    only = ["--counters-only"] if args.counters_only else []
    return collect.Request(
        command="sweep",
        line=collect.line_of(["sweep", *grid.words(), *only, *collect.words_of(args)]),
        points=grid.chosen.points(grid.groups()),
        policy=Policy(args.processes, args.values),
        timed=not args.counters_only,
        kernels=tuple(work_on(one, on_kernels[one.name], asked) for one in kernels),
    )


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    args = _parse(argv)
    request, chosen = read_request(args), targets.chosen(args.on, args.impl)
    directory = args.results or environment.base_directory() / "results"
    with progress_bar() as progress:
        own_ideas.load(chosen.implementations, progress, request.points, args.counterexample)
        machine = environment.machine_facts()
        with collect.collected(request, directory, progress, args.scheduler, args.fresh, chosen.kernels) as done:
            run = storage.run_name("sweep", storage.now(), str(machine["source_digest"]))
            with storage.run_directory(directory, run) as (part, final):
                collect.save(part, request, machine, done)
    if chosen.kernels:
        table = kernels_table(report_rows.of_run(loading.load_path(final), chosen.order))
    else:
        times = {one.get_name(): seconds_by_process(one) for one in done.benchmarks}
        table = sweep_table(done.counted, report_rows.rows(done.counted, times) if request.timed else [])
    formats.show(Page((table,)), wide=args.wide)
    print(f"raw data: {final}")
    sys.stdout.flush()
    return 0
