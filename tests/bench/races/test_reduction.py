"""The reduction: what it rests on holds in every state of every race, and it changes neither ends nor what is told."""

from __future__ import annotations

import pytest

from bench.races.interleaving import Interleaving, Moment
from bench.races.races import RACES
from bench.races.results import variants
from mmmodel.steps import Step
from support.raced import explored, raced, reduced

WHOLE = [name for name, race in RACES.items() if not race.reduce]  # explored with and without
ALL = [(name, without) for name in WHOLE for without in variants(RACES[name])]
IDS = [" without ".join([name, *without]) for name, without in ALL]


@pytest.mark.parametrize(("name", "without"), ALL, ids=IDS)
def test_it_changes_neither_ends_nor_what_is_told(name: str, without: tuple[str, ...]) -> None:
    whole, less = raced(name, *without), reduced(name, *without)
    assert (whole.reduced, less.reduced, less.limit) == (False, True, None)
    assert less.outcomes == whole.outcomes
    assert (set(less.broken), set(less.notes)) == (set(whole.broken), set(whole.notes))
    assert less.stored < whole.stored and less.matched < whole.matched


class Followed:
    """All states of a race: what each state's tasks would do next, and where each step of theirs leads."""

    def __init__(self, system: Interleaving) -> None:
        self.pending: dict[Moment, tuple[Step | None, ...]] = {}
        self.after: dict[Moment, dict[int, Moment]] = {}
        waiting = [system.start()]
        while waiting:
            moment = waiting.pop()
            if moment not in self.pending:
                self.pending[moment] = moment.pending
                self.after[moment] = {move.actor: move.state for move in system.moves(moment)}
                waiting += self.after[moment].values()


def unsound(whole: Followed) -> list[str]:
    """Return what the reduction must not meet, as text."""
    wrong = []
    for moment, pending in whole.pending.items():
        for task, step in enumerate(pending):
            if step is None or not step.quiet or task not in whole.after[moment]:
                continue
            then = whole.after[moment][task]
            before, after = (moment, then) if step.drops else (then, moment)
            if not set(before.findings) <= set(after.findings):
                wrong.append(f"{step.name}: {before.findings} is not told where fewer locks are held")
            others = (whole.after[moment] if step.drops else whole.after[then]).keys() - {task}
            for other in others:
                ways = [whole.after[moment].get(other), then]
                ends = [way and whole.after[way].get(last) for way, last in zip(ways, (task, other), strict=True)]
                if None in ends or ends[0] != ends[1]:
                    wrong.append(f"{step.name} and {pending[other]}: the order matters")
    return wrong


@pytest.mark.parametrize(("name", "without"), ALL, ids=IDS)
def test_quiet_steps_are_quiet_in_every_state(name: str, without: tuple[str, ...]) -> None:
    whole = Followed(explored(name, *without).system)
    assert len(whole.pending) == raced(name, *without).stored
    assert unsound(whole) == []
    kinds = {bool(step.drops) for pending in whole.pending.values() for step in pending if step is not None and step.quiet}
    assert kinds == {False, True}
