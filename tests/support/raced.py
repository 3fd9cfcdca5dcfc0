"""Races explored once for all tests of a process."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

from bench.races import invariants as inv
from bench.races.interleaving import Interleaving, Situation, View
from bench.races.races import RACES
from bench.races.results import Result, run
from support.projected import State, projected


class Explored(NamedTuple):
    """What exploring a race gives, and what was asked for it."""

    result: Result
    system: Interleaving
    states: frozenset[State]
    ends: frozenset[State]


def explore_anew(name: str, without: tuple[str, ...], *, reduce: bool | None = None) -> Explored:
    """Explore a race without some guards."""
    race = RACES[name]
    situation = race.build(race.kernel, without)
    states, ends = set(), set()

    def judge(situation: Situation, view: View) -> Sequence[str]:
        state = projected(situation, view)
        states.add(state)
        if view.last:
            ends.add(state)
        return inv.judge(situation, view)

    system = Interleaving(dataclasses.replace(situation, judge=judge), reduce=race.reduce if reduce is None else reduce)
    return Explored(run(race, without, system=system), system, frozenset(states), frozenset(ends))


@functools.cache
def explored(name: str, *without: str) -> Explored:
    """Explore a race without some guards, if that has not been done yet."""
    return explore_anew(name, without)


@functools.cache
def explored_whole(name: str, *without: str) -> Explored:
    """Explore a race in single steps, though it may be one that is only explored reduced elsewhere."""
    return explore_anew(name, without, reduce=False) if RACES[name].reduce else explored(name, *without)


def raced(name: str, *without: str) -> Result:
    """Return what exploring a race without some guards gives."""
    return explored(name, *without).result


@functools.cache
def reduced(name: str, *without: str) -> Result:
    """Return the same, with steps that nobody can come between as one."""
    return raced(name, *without) if RACES[name].reduce else run(RACES[name], without, reduce=True)
