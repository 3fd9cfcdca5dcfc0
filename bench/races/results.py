"""A race explored: how it can end, what breaks, and the schedule that leads there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from bench.errors import UsageError, one_line, unknown
from bench.races.explorer import BREADTH_FIRST, FEWEST_PREEMPTIONS, NO_LIMITS, Exploration, Limits, Node, explore
from bench.races.interleaving import Interleaving, Moment, Schedule
from bench.races.invariants import INVARIANTS, NOTES, outcome
from bench.races.races import RACES, Race


@dataclass(frozen=True)
class Witness:
    """A schedule that leads to a state of which something is told."""

    finding: str  # its name
    schedule: Schedule
    preemptions: int  # steps of it that take over from a task that could have gone on
    decided: int | None = None  # the first step after which every way leads to what is told, from 1; None: not looked for


@dataclass(frozen=True)
class Result:
    """What exploring one race gave."""

    race: Race
    without: tuple[str, ...]  # guards left out
    stored: int  # distinct states
    matched: int  # steps that led to a known one
    depth: int  # moves of the longest way that was the shortest to its state
    reduced: bool  # steps that nobody can come between were one move
    limit: str | None  # what cut the exploration short
    outcomes: tuple[str, ...]  # how it can end, sorted
    broken: dict[str, Witness]  # invariants by name, the worst first
    notes: dict[str, Witness]  # what is allowed and worth telling


def race_named(name: str) -> Race:
    """Return a race; UsageError names those that there are."""
    if name not in RACES:
        raise unknown(f"unknown race {one_line(name, 60)!r}; races are ", name, RACES)
    return RACES[name]


def check_guards(race: Race, without: Collection[str]) -> tuple[str, ...]:
    """Return guards to leave out, in the race's order; UsageError: one that the race does not have."""
    for guard in without:
        if guard not in race.guards:
            said = f"{race.name} has no guard {one_line(guard, 60)!r}; its guards are "
            raise unknown(said, guard, race.guards) if race.guards else UsageError(f"{race.name} has no guard to leave out")
    return tuple(guard for guard in race.guards if guard in without)


def variants(race: Race) -> list[tuple[str, ...]]:
    """Return a race as the kernel runs it, and with each of its guards left out alone."""
    return [(), *((guard,) for guard in race.guards)]


def _witnesses(found: Exploration[Moment], names: Collection[str]) -> dict[str, Witness]:
    """Return what was found of some names, in their order."""
    nodes = {name: found.findings[name] for name in names if name in found.findings}
    return {name: Witness(name, _schedule(node), node.preemptions) for name, node in nodes.items()}


def _decided(system: Interleaving, finding: str, node: Node[Moment]) -> int:
    """Return after which step of a way every way on leads to something that is told.  All states must have been explored."""
    known: dict[Moment, bool] = {}

    def inevitable(state: Moment) -> bool:
        if state not in known:
            moves = system.moves(state)
            told = finding in system.findings(state, last=not moves)
            known[state] = told or (bool(moves) and all(inevitable(move.state) for move in moves))
        return known[state]

    steps = 0
    for move in node.path():
        steps += move.steps
        if inevitable(move.state):
            break
    return steps


def _schedule(node: Node[Moment]) -> Schedule:
    """Return the steps on the way to a state."""
    return tuple(move.actor for move in node.path() for _ in range(move.steps))


def run(
    race: Race,
    without: Collection[str] = (),
    limits: Limits | None = None,
    *,
    readable: bool = False,
    reduce: bool | None = None,
    system: Interleaving | None = None,
) -> Result:
    """Explore a race, within the race's own bounds if none are given, and reduced if the race says so or `reduce` does.

    `readable`: schedules of the fewest preemptions in place of the shortest; states that several tasks lead to are matched more
    often then.  A limit on preemptions implies it.  `system`: that of the race, for who wants to ask it more.
    """
    without = check_guards(race, without)
    limits = Limits(preemptions=race.preemptions) if limits is None else limits
    if system is None:
        system = Interleaving(race.build(race.kernel, without), reduce=race.reduce if reduce is None else reduce)
    readable = readable or limits.preemptions is not None
    if limits == NO_LIMITS:
        system.visit_all()
    found = explore(system, FEWEST_PREEMPTIONS if readable else BREADTH_FIRST, limits)
    outcomes = set()
    for end in found.ends:
        system.go_to(end.schedule())
        outcomes.add(outcome(system.situation))
    broken, notes = (_witnesses(found, names) for names in (INVARIANTS, NOTES))
    if readable and found.complete:
        for kind in (broken, notes):
            for name, witness in kind.items():
                kind[name] = replace(witness, decided=_decided(system, name, found.findings[name]))
    return Result(
        race,
        without,
        found.stored,
        found.matched,
        found.depth,
        system.reduce,
        found.limit,
        tuple(sorted(outcomes)),
        broken,
        notes,
    )
