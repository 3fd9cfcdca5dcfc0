"""The verdict on times: what it must do whatever the numbers, and how often it errs."""

import math
import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import MeasurementError
from bench.gate.arms import ARMS, orders, processors
from bench.gate.times import Arms, Rounds, Rule, confirmed, judge, judge_one, log_ratios
from bench.gate.verdict import Finding

RULE = Rule(nr_benchmarks=6)
times = st.lists(st.lists(st.floats(1e-6, 10.0), min_size=2, max_size=2), min_size=14, max_size=14)


def all_of(value: float, rounds: int = 14) -> Rounds:
    return [[value] * 3] * rounds


def noisy(rng: random.Random, level: float, spread: float, rounds: int = 14) -> Rounds:
    return [[level * math.exp(rng.gauss(0, spread))] for _ in range(rounds)]


def arms(rng: random.Random, slowdown: float = 1.0, spread: float = 0.02) -> Arms:
    return Arms(noisy(rng, 1.0, spread), noisy(rng, slowdown, spread), noisy(rng, 1.0, spread))


@settings(max_examples=40)
@given(base=times, head=times, factor=st.floats(1.0, 100.0))
def test_slower_is_never_better(base: Rounds, head: Rounds, factor: float) -> None:
    badness = {"pass": 0, "inconclusive": 1, "regression": 2}
    before = judge_one("x", Arms(base, head, base), RULE)
    after = judge_one("x", Arms(base, [[value * factor for value in turns] for turns in head], base), RULE)
    assert badness[after.verdict] >= badness[before.verdict]


@settings(max_examples=40)
@given(base=times, head=times, control=times, unit=st.sampled_from([1e-9, 1e-3, 1e6]), seed=st.integers())
def test_neither_units_nor_the_order_of_rounds_matter(
    base: Rounds, head: Rounds, control: Rounds, unit: float, seed: int
) -> None:
    before = judge_one("x", Arms(base, head, control), RULE)
    rounds = list(zip(base, head, control, strict=True))
    random.Random(seed).shuffle(rounds)
    after = judge_one(
        "x", Arms(*([[value * unit for value in turns] for turns in arm] for arm in zip(*rounds, strict=True))), RULE
    )
    assert after.verdict == before.verdict
    assert after.numbers["log_ratio"] == pytest.approx(before.numbers["log_ratio"], abs=1e-9)


@settings(max_examples=40)
@given(base=times, head=times)
def test_what_is_slower_one_way_is_not_slower_the_other(base: Rounds, head: Rounds) -> None:
    both = {judge_one("x", Arms(*pair, pair[0]), RULE).verdict for pair in ((base, head), (head, base))}
    assert both != {"regression"}


@pytest.mark.parametrize("percent", [10, 30])
def test_a_slowdown_is_seen_in_nearly_every_run(percent: int) -> None:
    rng = random.Random(percent)
    found = [judge_one("x", arms(rng, 1 + percent / 100), RULE).verdict for _ in range(100)]
    assert found.count("regression") >= 90
    assert "pass" not in found if percent == 30 else found.count("pass") <= 5


def test_the_same_code_raises_no_alarm() -> None:
    rng = random.Random(7)
    found = [one for _ in range(50) for one in judge({str(i): arms(rng) for i in range(6)}, RULE)]
    assert [one for one in found if one.verdict == "regression"] == []
    assert sum(one.verdict == "pass" for one in found) > 0.95 * len(found)


def test_a_slowdown_within_the_tolerance_passes() -> None:
    assert judge_one("x", Arms(all_of(1.0), all_of(1.02), all_of(1.0)), RULE).verdict == "pass"
    assert judge_one("x", Arms(all_of(1.0), all_of(1.04), all_of(1.0)), RULE).verdict == "regression"


def test_what_got_faster_passes_and_says_so() -> None:
    found = judge_one("x", Arms(all_of(1.0), all_of(0.5), all_of(1.0)), RULE)
    assert found.verdict == "pass"
    assert found.text.startswith("faster: -50.0 %")


@pytest.mark.parametrize("drift", [0.8, 1.25])
def test_a_base_that_differs_from_itself_judges_nothing(drift: float) -> None:
    found = judge_one("x", Arms(all_of(1.0), all_of(1.5), all_of(drift)), RULE)
    assert found.verdict == "inconclusive"
    assert "the base differs from itself" in found.text


def test_noise_that_could_hide_a_slowdown_is_inconclusive() -> None:
    rng = random.Random(3)
    found = [judge_one("x", arms(rng, spread=0.5), RULE).verdict for _ in range(20)]
    assert found.count("inconclusive") >= 15
    assert "regression" not in found


def test_what_makes_whole_turns_slower_is_in_no_ratio() -> None:
    rng = random.Random(5)
    busy = [[rng.choice((1.0, 1.4)) for _ in range(40)] for _ in range(14)]
    slower = [[value * 1.1 for value in turns] for turns in busy]
    assert log_ratios(slower, busy) == pytest.approx([math.log(1.1)] * 14)
    assert judge_one("x", Arms(busy, slower, busy), RULE).verdict == "regression"


def test_too_few_rounds_are_an_error() -> None:
    found = judge_one("x", Arms(all_of(1.0, 4), all_of(9.0, 4), all_of(1.0, 4)), RULE)
    assert found.verdict == "error"
    assert "4 rounds are too few" in found.text


@pytest.mark.parametrize("number", [1, 3, 6, 24])
def test_the_least_rounds_are_the_fewest_that_give_an_interval(number: int) -> None:
    rule = Rule(nr_benchmarks=number)
    enough, few = (Arms(all_of(1.0, n), all_of(1.0, n), all_of(1.0, n)) for n in (rule.least_rounds, rule.least_rounds - 1))
    assert judge_one("x", enough, rule).verdict == "pass"
    assert judge_one("x", few, rule).verdict == "error"


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_time_is_refused(wrong: float) -> None:
    with pytest.raises(MeasurementError, match="no finite number above zero"):
        log_ratios([[1.0, wrong]], [[1.0, 1.0]])


def test_an_alarm_counts_only_if_it_is_seen_twice() -> None:
    first = Finding("times", "x", "regression", "slower: +9 %")
    assert confirmed(first, Finding("times", "x", "regression", "slower: +8 %")).verdict == "regression"
    cleared = confirmed(first, Finding("times", "x", "pass", "+0 %"))
    assert cleared.verdict == "pass"
    assert "not confirmed, first seen slower: +9 %" in cleared.text


@given(st.integers(1, 40), st.integers())
@settings(max_examples=30)
def test_every_round_has_every_arm_and_pairs_of_rounds_mirror_each_other(rounds: int, seed: int) -> None:
    found = orders(rounds, seed)
    assert len(found) == rounds
    assert all(sorted(order) == sorted(ARMS) for order in found)
    assert all(found[i + 1] == found[i][::-1] for i in range(0, rounds - 1, 2))


def test_the_order_is_not_always_the_same() -> None:
    assert len({order for seed in range(20) for order in orders(2, seed)}) == 6


def test_all_arms_of_two_mirrored_rounds_stay_on_one_processor_of_those_allowed() -> None:
    found = processors(9)
    assert len(found) == 9
    assert set(found) <= os.sched_getaffinity(0)
    assert all(found[i] == found[i + 1] for i in range(0, 8, 2))
