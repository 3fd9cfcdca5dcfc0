"""How often calls are timed."""

import pytest

from bench.errors import UsageError
from bench.measuring.repetition import MAX_LOOPS, Policy, Repetition, check_counts, repetition_for


def test_slow_calls_are_repeated_less() -> None:
    slow, middle, quick = (repetition_for(seconds, True) for seconds in (4.0, 0.6, 1e-5))
    assert slow.processes * slow.values < middle.processes * middle.values < quick.processes * quick.values
    assert slow.loops == middle.loops == 1 < quick.loops <= MAX_LOOPS
    assert repetition_for(4.0, True, 9, 8) == Repetition(9, 8, 0)


def test_points_that_only_support_others_get_less() -> None:
    main, other = (repetition_for(1e-5, main) for main in (True, False))
    assert other.processes < main.processes


def test_points_named_are_timed_often_whatever_they_take() -> None:
    policy = Policy(often=("a",))
    slow, quick = policy.repetition("a", 4.0), policy.repetition("a", 1e-5)
    assert (slow.processes, slow.values, slow.loops) == (20, 3, 1)
    assert (quick.processes, quick.values) == (20, 3)
    assert quick.loops > 1
    assert policy.repetition("b", 4.0) == repetition_for(4.0, True)
    assert Policy(2, 1, ("a",)).repetition("a", 4.0).processes == 2


@pytest.mark.parametrize(("processes", "values"), [(0, None), (None, 0), (-1, 3)])
def test_less_than_one_is_bad_usage(processes: int | None, values: int | None) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        check_counts(processes, values)
    check_counts(None, 1)
