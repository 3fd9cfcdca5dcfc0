"""Statistics: laws that must hold for any data, and intervals that cover as often as they say."""

import itertools
import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.analysis import stats
from bench.analysis.stats import Interval
from bench.errors import MeasurementError

TIME = st.floats(1e-9, 1e3)
TIMES = st.lists(TIME, min_size=1, max_size=8)
SIZES = st.lists(st.integers(1, 1 << 47), min_size=3, max_size=8, unique=True).map(sorted)
FEW = settings(max_examples=60, deadline=None)
BAD = (math.nan, math.inf, -math.inf, 0.0, -1e-6)


def same(one: Interval, other: Interval, tolerance: float = 1e-9) -> bool:
    pairs = ((one.estimate, other.estimate), (one.low, other.low), (one.high, other.high))
    return all(math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance) for a, b in pairs)


def ordered(one: Interval) -> bool:
    return one.low <= one.estimate <= one.high


def inverse(one: Interval) -> Interval:
    return Interval(1 / one.estimate, 1 / one.high if one.high else math.inf, 1 / one.low if one.low else math.inf)


@FEW
@given(TIMES, TIMES)
def test_ratio_swapped_is_the_inverse(new: list[float], old: list[float]) -> None:
    there, back = stats.ratio(new, old), stats.ratio(old, new)
    assert ordered(there)
    assert same(inverse(there), back, 1e-6) or there.high > 1e300 or there.low < 1e-300


@FEW
@given(TIMES, TIMES, st.integers(-30, 30), st.randoms(use_true_random=False))
def test_ratio_is_free_of_unit_and_order(new: list[float], old: list[float], power: int, random: object) -> None:
    unit = 2.0**power
    found = stats.ratio(new, old)
    assume(found.high < 1e300)
    assert same(stats.ratio([one * unit for one in new], [one * unit for one in old]), found, 1e-6)
    assert same(stats.ratio(sorted(new), sorted(old, reverse=True)), found, 1e-6)


@FEW
@given(TIMES, st.floats(0.01, 100))
def test_ratio_of_a_scaled_run_is_the_scale(old: list[float], factor: float) -> None:
    found = stats.ratio([one * factor for one in old], old)
    assert math.isclose(found.estimate, factor, rel_tol=1e-9)
    assert found.contains(found.estimate) and found.is_known is (len(old) >= 3)


@FEW
@given(TIMES)
def test_more_confidence_is_a_wider_interval(values: list[float]) -> None:
    narrow, wide = stats.geometric_mean(values, 0.8), stats.geometric_mean(values, 0.99)
    assert wide.low <= narrow.low <= narrow.estimate <= narrow.high <= wide.high
    assert math.isclose(narrow.estimate, math.prod(one ** (1 / len(values)) for one in values), rel_tol=1e-9)


@FEW
@given(*[st.lists(st.integers(1, 50), min_size=3, max_size=6, unique=True)] * 2)
def test_ratio_is_welch_of_the_logarithms(new: list[int], old: list[int]) -> None:
    found = stats.ratio(new, old)
    other = scipy.stats.ttest_ind(np.log(new), np.log(old), equal_var=False).confidence_interval(0.95)
    assert math.isclose(math.log(found.low), other.low, rel_tol=1e-6, abs_tol=1e-9)
    assert math.isclose(math.log(found.high), other.high, rel_tol=1e-6, abs_tol=1e-9)


def test_values_that_agree_to_the_last_digit() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = stats.ratio([1.0, 1.0 + 2e-16, 1.0], [2.0, 2.0, 2.0])
    assert ordered(found)
    assert math.isclose(found.low, 0.5) and math.isclose(found.high, 0.5)
    same_twice = stats.ratio([3.0] * 3, [2.0] * 3)
    assert same_twice.low == same_twice.estimate == same_twice.high == pytest.approx(1.5)


def test_absurd_spread_is_an_infinite_end() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = stats.ratio([1e-300, 1e300, 1.0], [1.0, 2.0, 3.0])
    assert found.high == math.inf and found.low == 0


@FEW
@given(SIZES, st.floats(-2, 3), st.floats(1e-9, 1e3))
def test_exponent_of_an_exact_law(sizes: list[int], power: float, factor: float) -> None:
    assume(sizes[-1] / sizes[0] > 1.1)
    values = [factor * (one / sizes[0]) ** power for one in sizes]
    whole = stats.exponent(sizes, values)
    found = whole.fitted
    assert math.isclose(found.estimate, power, rel_tol=1e-6, abs_tol=1e-6)
    assert found.is_known is (len(sizes) >= 4) and not whole.curved
    assert not found.is_known or found.high - found.low < 1e-6
    if all(b / a > 1.01 for a, b in itertools.pairwise(sizes)):
        assert np.allclose(stats.local_exponents(sizes, values), power, atol=1e-6)


@FEW
@given(SIZES, st.data())
def test_exponent_is_free_of_units_and_order(sizes: list[int], data: st.DataObject) -> None:
    assume(sizes[-1] / sizes[0] > 1.1)
    values = data.draw(st.lists(TIME, min_size=len(sizes), max_size=len(sizes)))
    found = stats.exponent(sizes, values).fitted
    assert ordered(found)
    order = data.draw(st.permutations(range(len(sizes))))
    assert same(stats.exponent([sizes[i] for i in order], [values[i] for i in order]).fitted, found, 1e-6)
    assert same(stats.exponent([one * 4096 for one in sizes], [one * 1e9 for one in values]).fitted, found, 1e-6)


@pytest.mark.parametrize("values", [[1, 3, 3, 9], [5, 4, 4, 6], [2, 2, 2, 3]])
def test_exponent_is_the_regression_of_the_logarithms(values: list[float]) -> None:
    found = stats.exponent([1, 2, 4, 8], values).fitted
    other = scipy.stats.linregress(np.log([1, 2, 4, 8]), np.log(values))
    half = 4.302653 * other.stderr  # Student's t at 0.975 for 4 - 2 degrees of freedom
    assert same(found, Interval(other.slope, other.slope - half, other.slope + half), 1e-6)


def test_a_constant_quantity_has_exponent_zero() -> None:
    assert stats.exponent([1, 2, 4, 8], [5, 5, 5, 5]) == stats.Exponent(Interval(0, 0, 0), (0, 0, 0), curved=False)


def test_a_bend_shows_in_the_local_exponents() -> None:
    assert stats.local_exponents([1, 2, 4, 8], [1, 1, 2, 8]) == pytest.approx([0, 1, 2])
    assert stats.exponent([1, 2, 4, 8], [1, 1, 2, 8]).local == pytest.approx([0, 1, 2])


CURVE = [1, 1, 1, 2, 2, 2, 4, 4, 4]  # three processes at each of three sizes


@pytest.mark.parametrize(
    ("sizes", "values", "known", "curved"),
    [
        ([1, 2, 4], [1, 5, 300], False, False),  # three values: once "1.91 [-7.37, 11.18]"
        ([1, 2, 4, 4], [1, 2, 4, 4], True, False),
        ([1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2], False, False),  # two sizes lie on a line whatever was measured
        (CURVE, [1.0, 1.01, 0.99, 2.02, 2, 1.98, 4.03, 3.98, 4], True, False),
        (CURVE, [1.0, 1.01, 0.99, 1.02, 1, 0.98, 4.03, 3.98, 4], True, True),
        (CURVE, [1.0, 1.01, 0.99, 3.9, 4, 4.1, 4.03, 3.98, 4], True, True),
        (CURVE, [1.0, 1.9, 0.5, 1.02, 2.1, 0.98, 2.03, 0.98, 2], True, False),  # what bends there is within the noise
        ([1, 2, 4, 8, 16], [1, 2.01, 3.99, 8.01, 15.98], True, False),
        ([1, 2, 4, 8, 16], [1, 1.01, 1.3, 3, 16], True, True),
    ],
)
def test_thin_data_have_no_interval_and_a_bend_is_said(
    sizes: list[float], values: list[float], known: bool, curved: bool
) -> None:
    found = stats.exponent(sizes, values)
    assert (found.fitted.is_known, found.curved) == (known, curved)


def test_a_straight_law_is_called_curved_as_rarely_as_it_says() -> None:
    rng = np.random.default_rng(20210202)
    sizes = [1 << i for i in range(0, 12, 2) for _ in range(3)]
    law = np.array(sizes, dtype=float) ** 0.7
    alarms = sum(stats.exponent(sizes, (law * np.exp(rng.normal(0, 0.2, 18))).tolist()).curved for _ in range(1000))
    assert 30 < alarms < 75  # 5 %


@pytest.mark.parametrize(("nr_values", "finite"), [(1, False), (4, False), (5, True), (9, True)])
def test_median_needs_five_differences(nr_values: int, finite: bool) -> None:
    # All n on one side of the median has a probability of 2**-n, which is at most 5 % from n = 5 on.
    found = stats.median_interval(list(range(nr_values)))
    assert math.isfinite(found.low) is finite and math.isfinite(found.high) is finite


@FEW
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=25), st.sampled_from([0.9, 0.95, 0.999]))
def test_median_ends_are_the_order_statistics_of_the_sign_test(values: list[float], confidence: float) -> None:
    ascending, n = sorted(values), len(values)
    tail = 0.0
    rank = 0  # of the lower end: the largest whose chance of lying above the median is small enough
    for below in range(n):
        tail += math.comb(n, below) / 2**n
        if tail > 1 - confidence + 1e-12:
            break
        rank = below + 1
    found = stats.median_interval(values, confidence)
    assert (found.low, found.high) == ((ascending[rank - 1], ascending[n - rank]) if rank else (-math.inf, math.inf))
    assert found == stats.median_interval(ascending[::-1], confidence)
    negated = stats.median_interval([-one for one in values], confidence)
    assert (negated.low, negated.high) == (-found.high, -found.low)


def coverage(make: Callable[[np.random.Generator], Interval], truth: float, trials: int) -> tuple[float, float]:
    """Return how often the interval of simulated data is wholly above and wholly below the truth."""
    rng = np.random.default_rng(20210202)
    made = [make(rng) for _ in range(trials)]
    return sum(one.low > truth for one in made) / trials, sum(one.high < truth for one in made) / trials


def test_median_interval_errs_as_rarely_as_it_says() -> None:
    # Skewed, as times are, with median 0. For n = 12 each end errs with 79 / 4096, 1.9 %.
    above, below = coverage(lambda rng: stats.median_interval((np.exp(rng.normal(size=12)) - 1).tolist()), 0, 300)
    assert 0.003 < above < 0.045 and 0.003 < below < 0.045


def test_ratio_interval_errs_as_often_as_it_says() -> None:
    def one(rng: np.random.Generator) -> Interval:
        return stats.ratio(np.exp(rng.normal(0.3, 0.02, 20)).tolist(), np.exp(rng.normal(0, 0.1, 6)).tolist())

    above, below = coverage(one, math.exp(0.3), 1500)
    assert 0.015 < above < 0.04 and 0.015 < below < 0.04  # 2.5 % each


def test_exponent_interval_errs_as_often_as_it_says() -> None:
    sizes = [1 << i for i in range(0, 12, 2)]
    law = np.array(sizes, dtype=float) ** 0.7

    above, below = coverage(lambda rng: stats.exponent(sizes, (law * np.exp(rng.normal(0, 0.1, 6))).tolist()).fitted, 0.7, 1500)
    assert 0.015 < above < 0.04 and 0.015 < below < 0.04


def test_mean_interval_errs_as_often_as_it_says() -> None:
    above, below = coverage(lambda rng: stats.geometric_mean(np.exp(rng.normal(1, 0.1, 4)).tolist()), math.e, 1500)
    assert 0.015 < above < 0.04 and 0.015 < below < 0.04


@pytest.mark.parametrize("few", [[1.0], [2.0, 2.1]])
def test_fewer_than_three_processes_give_no_interval(few: list[float]) -> None:
    many = [1.0, 1.1, 0.9]
    for found in (stats.ratio(few, many), stats.ratio(many, few), stats.geometric_mean(few)):
        assert (found.low, found.high, found.is_known) == (0, math.inf, False)
        assert found.contains(1) and found.contains(1e9)
    two = stats.exponent([1, 2], [3, 6]).fitted
    assert two.estimate == pytest.approx(1) and (two.low, two.high) == (-math.inf, math.inf)


@pytest.mark.parametrize("bad", BAD)
def test_no_value_that_is_no_time(bad: float) -> None:
    good = [1.0, 2.0, 3.0]
    for use in (
        lambda values: stats.ratio(values, good),
        lambda values: stats.ratio(good, values),
        lambda values: stats.exponent(good, values),
        lambda values: stats.exponent(values, good),
        lambda values: stats.local_exponents(good, values),
        stats.geometric_mean,
    ):
        with pytest.raises(MeasurementError, match="no finite number above zero"):
            use([1.0, bad, 3.0])
    if not math.isfinite(bad):
        with pytest.raises(MeasurementError, match="finite"):
            stats.median_interval([1.0, bad])


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: stats.ratio([], [1.0]), "no value of the new run"),
        (lambda: stats.ratio([1.0], []), "no value of the old run"),
        (lambda: stats.geometric_mean([]), "no value"),
        (lambda: stats.median_interval([]), "at least one"),
        (lambda: stats.exponent([], []), "no value of the sizes"),
        (lambda: stats.exponent([4, 4, 4], [1, 2, 3]), "at least two sizes"),
        (lambda: stats.exponent([1, 2, 3], [1.0]), "3 sizes do not go with 1 values"),
        (lambda: stats.local_exponents([1, 2, 2], [1, 1, 1]), "ascend"),
        (lambda: stats.local_exponents([2, 1], [1, 1]), "ascend"),
    ],
)
def test_too_few_or_ill_sorted_data(use: Callable[[], object], message: str) -> None:
    with pytest.raises(MeasurementError, match=message):
        use()


def test_two_sizes_have_no_bend_however_many_values() -> None:
    found = stats.exponent([1, 2] * 20, [value for number in range(20) for value in (1 + number / 100, 3 + number / 50)])
    assert not found.curved and not found.fitted.is_known
