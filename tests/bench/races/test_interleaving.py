"""Moments of an exploration: equal to others with the same key, whatever led there, and to nothing else."""

from bench.races.interleaving import Moment


def test_moments_are_equal_by_their_keys() -> None:
    first = Moment((1, 2), None, 0, [0, 1])
    again = Moment((1, 2), first, 1, [1])
    assert first == again and hash(first) == hash(again)
    assert first != Moment((1, 3), None, 0, [0, 1])
    assert first != (1, 2)
