"""The explorer alone: on systems whose numbers others have published, and on small ones that can be counted by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pytest

from bench.races.explorer import (
    BREADTH_FIRST,
    DEPTH_FIRST,
    FEWEST_PREEMPTIONS,
    ORDERS,
    Exploration,
    Limits,
    Move,
    explore,
)

# ---- two-phase commit, as TLA+'s TwoPhase has it ----

Commit = tuple[
    tuple[str, ...], str, frozenset[int], frozenset[object]
]  # of each manager, of the transaction manager, heard, sent


class TwoPhaseCommit:
    """Managers prepare or abort; a transaction manager, actor 0, commits when all have prepared.  Nothing sent is ever lost."""

    def __init__(self, managers: int) -> None:
        self.managers = range(managers)

    def start(self) -> Commit:
        return ("working",) * len(self.managers), "init", frozenset(), frozenset()

    def moves(self, state: Commit) -> Sequence[Move[Commit]]:
        states, transaction, heard, sent = state
        found = []
        if transaction == "init":
            if len(heard) == len(self.managers):
                found.append(Move(0, "commit", (states, "committed", heard, sent | {"commit"})))
            found.append(Move(0, "abort", (states, "aborted", heard, sent | {"abort"})))
            found += [
                Move(0, f"hear {one}", (states, transaction, heard | {one}, sent)) for one in self.managers if one in sent
            ]
        for one in self.managers:

            def become(word: str, one: int = one) -> tuple[str, ...]:
                return (*states[:one], word, *states[one + 1 :])

            if states[one] == "working":
                found.append(Move(one + 1, "prepare", (become("prepared"), transaction, heard, sent | {one})))
                found.append(Move(one + 1, "choose to abort", (become("aborted"), transaction, heard, sent)))
            for message in ("commit", "abort"):
                if message in sent:
                    word = "committed" if message == "commit" else "aborted"
                    found.append(Move(one + 1, f"receive {message}", (become(word), transaction, heard, sent)))
        return found

    def findings(self, state: Commit, *, last: bool) -> Sequence[str]:
        return ["disagreement"] if {"committed", "aborted"} <= set(state[0]) else []


@pytest.mark.parametrize(
    ("managers", "distinct", "generated"),
    [(3, 288, 1146), (5, 8832, None)],  # manifest.json of the TLA+ examples; examples/2pc.rs of stateright
)
def test_two_phase_commit(managers: int, distinct: int, generated: int | None) -> None:
    found = explore(TwoPhaseCommit(managers), BREADTH_FIRST)
    assert (found.stored, found.complete, found.findings) == (distinct, True, {})
    if generated:
        assert found.transitions == generated
        assert found.depth + 1 == 11  # TLC counts the states of the path


@pytest.mark.parametrize("order", [DEPTH_FIRST, BREADTH_FIRST])
def test_the_order_does_not_change_what_is_found(order: str) -> None:
    found = explore(TwoPhaseCommit(3), order)
    assert (found.stored, found.transitions, found.complete) == (288, 1146, True)


# ---- loops.pml, which comes with Spin ----


class Loops:
    """A loop over two bytes: its state is the place in it, a and b. Spin takes b for 0 where it is written before read."""

    def start(self) -> tuple[int, int, int]:
        return 0, 0, 0

    def moves(self, state: tuple[int, int, int]) -> Sequence[Move[tuple[int, int, int]]]:
        place, a, b = state
        if place == 0:
            return [Move(0, "a", (1, (a + 1) % 3, b))]
        if place == 1:
            return [Move(0, "b", (2, a, 2 * a)), Move(0, "b", (3, a, 2 * a))]
        if place < 4:
            return [Move(0, "skip", (4, a, b))]
        return [Move(0, "b--", (0, a, 0))]

    def findings(self, state: tuple[int, int, int], *, last: bool) -> Sequence[str]:
        return ["end"] if last else []


def test_loops_as_spin_counts_it() -> None:
    found = explore(Loops())
    assert (found.stored, found.matched, found.transitions, found.depth) == (15, 4, 19, 11)  # Spin: Examples/README_tests.txt
    assert not found.findings and not found.ends


# ---- actors that count, and one that never ends ----


class Counters:
    """Each actor takes as many steps as the system has for it; what is told of a state is where they stand."""

    def __init__(self, *steps: int) -> None:
        self.steps = steps

    def start(self) -> tuple[int, ...]:
        return (0,) * len(self.steps)

    def moves(self, state: tuple[int, ...]) -> Sequence[Move[tuple[int, ...]]]:
        return [
            Move(actor, f"step {done}", (*state[:actor], done + 1, *state[actor + 1 :]))
            for actor, done in enumerate(state)
            if done < self.steps[actor]
        ]

    def findings(self, state: tuple[int, ...], *, last: bool) -> Sequence[str]:
        return [str(state)] + (["end"] if last else [])


@pytest.mark.parametrize("order", ORDERS)
def test_a_grid_has_all_its_points(order: str) -> None:
    found = explore(Counters(3, 4, 2), order)
    points = 4 * 5 * 3
    assert (found.stored, found.complete, found.depth) == (points, True, 9)
    assert list(found.ends) == [(3, 4, 2)]
    assert len(found.findings) == points + 1
    if order != FEWEST_PREEMPTIONS:  # there a point may be looked at once for each actor
        edges = 3 * 5 * 3 + 4 * 4 * 3 + 4 * 5 * 2
        assert found.transitions == edges + 1


def reached_with(preemptions: int, steps: tuple[int, int]) -> set[tuple[int, int]]:
    """Return the points of two counters that some schedule reaches with that many preemptions, by trying all of them."""
    reached = set()
    for ones in range(steps[0] + 1):
        for twos in range(steps[1] + 1):
            for places in combinations(range(ones + twos), ones):
                order = [0 if place in places else 1 for place in range(ones + twos)]
                done, cost = [0, 0], 0
                for last, actor in zip([None, *order], order, strict=False):
                    cost += last is not None and last != actor and done[last] < steps[last]
                    done[actor] += 1
                if cost <= preemptions:
                    reached.add((ones, twos))
    return reached


@pytest.mark.parametrize("preemptions", range(4))
def test_a_bound_on_preemptions_reaches_exactly_what_such_schedules_reach(preemptions: int) -> None:
    found = explore(Counters(3, 3), FEWEST_PREEMPTIONS, Limits(preemptions=preemptions))
    states = {node.state for name, node in found.findings.items() if name != "end"}
    assert states == reached_with(preemptions, (3, 3))
    if len(states) < 16:
        assert found.limit == f"{preemptions:,} preemptions"


def test_the_first_path_has_the_fewest_preemptions() -> None:
    found = explore(Counters(2, 2), FEWEST_PREEMPTIONS)
    for name, preemptions in {"(2, 2)": 0, "(2, 1)": 0, "(1, 1)": 1}.items():
        assert found.findings[name].preemptions == preemptions


@pytest.mark.parametrize(
    ("limits", "told", "stored"),
    [(Limits(states=7), "7 states", 7), (Limits(depth=2), "2 moves deep", 6)],
)
def test_a_limit_that_was_hit_is_told(limits: Limits, told: str, stored: int) -> None:
    found = explore(Counters(4, 4), BREADTH_FIRST, limits)
    assert (found.limit, found.complete, found.stored) == (told, False, stored)


@pytest.mark.parametrize("limits", [Limits(states=25), Limits(depth=8)])
def test_a_limit_that_is_just_enough_cuts_nothing(limits: Limits) -> None:
    found = explore(Counters(4, 4), BREADTH_FIRST, limits)
    assert (found.limit, found.complete, found.stored) == (None, True, 25)


def shown(found: Exploration[tuple[int, ...]]) -> str:
    """Return everything of an exploration as text."""
    paths = {name: [(node.actor, node.name) for node in one.path()] for name, one in found.findings.items()}
    return f"{found.stored} {found.matched} {found.depth} {found.limit} {paths} {list(found.ends)}"


@pytest.mark.parametrize("order", ORDERS)
def test_twice_is_the_same(order: str) -> None:
    assert shown(explore(Counters(3, 2), order)) == shown(explore(Counters(3, 2), order))


def test_a_path_leads_to_its_state() -> None:
    system = Counters(2, 3)
    for node in explore(system, BREADTH_FIRST).findings.values():
        state = system.start()
        for step in node.path():
            (state,) = [move.state for move in system.moves(state) if (move.actor, move.name) == (step.actor, step.name)]
        assert state == node.state and len(node.path()) == sum(node.state)


@pytest.mark.parametrize(
    ("order", "limits"), [("sideways", Limits()), (DEPTH_FIRST, Limits(preemptions=1)), (BREADTH_FIRST, Limits(preemptions=1))]
)
def test_what_cannot_be_asked(order: str, limits: Limits) -> None:
    with pytest.raises(ValueError, match="order"):
        explore(Counters(1), order, limits)
