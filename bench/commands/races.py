"""The `races` command: what can happen when mlock or munlock and another path run at the same time."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.commands import parser_of
from bench.errors import EXIT_DIFFERENCES, UsageError, one_line
from bench.number_format import count
from bench.progress import progress_bar
from bench.races import chart
from bench.races.explorer import Limits
from bench.races.races import GUARDS, RACES, Race
from bench.races.results import Result, Witness, check_guards, race_named, run, variants
from bench.races.schedule import encode, load, replay, tell
from bench.races.sequence import svg
from bench.runs.storage import write_atomic
from bench.tables import formats
from bench.tables.race_tables import races_page


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = parser_of("races")
    parser.add_argument("race", nargs="?", help=f"one of {', '.join(RACES)}; all if none is named")
    parser.add_argument("--without", action="append", default=[], metavar="GUARD", help=f"leave out: {', '.join(GUARDS)}")
    parser.add_argument("--explain", action="store_true", help="show the schedule that breaks something, step by step")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep that schedule")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw it as a sequence chart")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run a schedule that was kept")
    parser.add_argument("--reduce", action="store_true", help="take steps that nobody can come between as one")
    parser.add_argument("--preemptions", type=int, metavar="N", help="only schedules with at most N preemptions")
    parser.add_argument("--states", type=int, metavar="N", help="stop after N states of a race")
    formats.add_option(parser)
    return parser


def _limits(options: argparse.Namespace) -> Limits | None:
    """Return the limits that were asked for; None leaves a race its own."""
    if options.preemptions is not None and options.preemptions < 0:
        raise UsageError(f"--preemptions {options.preemptions}: 0 or more")
    if options.states is not None and options.states < 1:
        raise UsageError(f"--states {options.states}: 1 or more")
    if options.preemptions is None and options.states is None:
        return None
    return Limits(states=options.states, preemptions=options.preemptions)


def read_request(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments; UsageError for those that do not go together."""
    options = _parser().parse_args(argv)
    for path in (options.save, options.svg):
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"{one_line(path, 120)}: there is no directory {one_line(path.parent, 120)}")
    if options.replay is not None:
        others = ("race", "without", "explain", "save", "reduce", "preemptions", "states")
        if any(getattr(options, one) not in (None, [], False) for one in others):
            raise UsageError("--replay takes everything from its file: give nothing else with it")
        return options
    if options.race is None and (options.without or options.explain or options.save or options.svg):
        raise UsageError("name a race with --without, --explain, --save and --svg")
    return options


def _explore(work: Sequence[tuple[Race, tuple[str, ...]]], limits: Limits | None, reduce: bool | None) -> list[Result]:
    """Explore races, each without some guards."""
    found = []
    with progress_bar() as progress:
        bar = progress.add_task("races", total=len(work))
        for race, without in work:
            progress.update(bar, description=" without ".join([race.name, *without]))
            found.append(run(race, without, limits, reduce=reduce))
            progress.advance(bar)
    return found


def _worst(result: Result) -> Witness | None:
    """Return the schedule to show: of the worst invariant that is broken, else of what is worth telling."""
    return next(iter([*result.broken.values(), *result.notes.values()]), None)


def _explain(options: argparse.Namespace) -> int:
    """Show, and keep, the schedule with the fewest preemptions that leads to the worst of a race."""
    result = run(race_named(options.race), options.without, _limits(options), readable=True, reduce=options.reduce or None)
    witness = _worst(result)
    name = " without ".join([result.race.name, *result.without])
    how_far = f"{count(result.stored)} states, {f'stopped at {result.limit}' if result.limit else 'all that there are'}"
    if witness is None:
        if options.save or options.svg:
            raise UsageError(f"{name}: nothing is broken, so there is no schedule to keep")
        print(f"{name}: nothing is broken\n{how_far}")
        return 0
    steps, taken = len(witness.schedule), witness.preemptions
    story = tell(result.race, result.without, witness.schedule, witness.decided)
    if options.svg:
        write_atomic(options.svg, svg(story, f"{name}: {witness.finding}").encode())
    if options.save:
        write_atomic(options.save, encode(result.race, result.without, witness))
    print(f"{name}: {witness.finding}")
    print(f"{steps} steps, {taken} preemption{'' if taken == 1 else 's'}; {how_far}\n")
    print(*chart.lines(story), sep="\n")
    return 0


def _replay(path: Path, drawn: Path | None) -> int:
    """Run a schedule that was kept, and draw it if asked to; exit code 1 if it goes another way now."""
    saved = load(path)
    found = replay(saved)
    if found.changed:
        line = "the sources have changed since this schedule was kept"
        print(f"unlockall-bench: {one_line(path, 120)}: {line}", file=sys.stderr)
    title = f"{' without '.join([found.story.race.name, *found.story.without])}: {one_line(saved.finding)}"
    if drawn:
        write_atomic(drawn, svg(found.story, title).encode())
    print(f"{title}\n")
    print(*chart.lines(found.story), sep="\n")
    if found.differs is None:
        return 0
    print(f"unlockall-bench: {one_line(path, 120)}: {found.differs}", file=sys.stderr)
    return EXIT_DIFFERENCES


def main(argv: Sequence[str]) -> int:
    """Explore races, explain one, or replay a schedule."""
    options = read_request(argv)
    if options.replay is not None:
        return _replay(options.replay, options.svg)
    limits = _limits(options)
    if options.explain or options.save or options.svg:
        return _explain(options)
    if options.race is None:
        work = [(race, without) for race in RACES.values() for without in variants(race)]
    else:
        race = race_named(options.race)
        work = [(race, check_guards(race, options.without))] if options.without else [(race, one) for one in variants(race)]
    results = _explore(work, limits, options.reduce or None)
    formats.show(races_page(results), wide=options.wide)
    return 0
