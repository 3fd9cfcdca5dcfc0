"""Moments of an exploration: equal to others with the same key, whatever led there, and to nothing else."""

from bench.races.explorer import explore
from bench.races.interleaving import Interleaving, Moment
from bench.races.races import RACES


def test_moments_are_equal_by_their_keys() -> None:
    first = Moment((1, 2), None, 0, 1)
    again = Moment((1, 2), first, 1, 1)
    assert first == again and hash(first) == hash(again)
    assert first != Moment((1, 3), None, 0, 1)
    assert first != (1, 2)


def test_all_is_visited_in_any_order_alike() -> None:
    """What :meth:`visit_all` finds is what is found by going to each state by the way that led there first."""
    race = RACES["mlock-vs-reclaim-07"]
    for reduce in (False, True):
        one, other = (Interleaving(race.build(race.kernel, ("vm-io",)), reduce=reduce) for _ in range(2))
        one.visit_all()
        assert explored(one) == explored(other)


def explored(system: Interleaving) -> tuple[object, ...]:
    """Return what can be told of an exploration, by the schedules that it went through."""
    found = explore(system)
    told = {name: [move.actor for move in node.path()] for name, node in found.findings.items()}
    ends = [[(move.actor, move.name, move.steps) for move in node.path()] for node in found.ends.values()]
    return found.stored, found.matched, found.depth, told, ends
