"""Limits and ticks of log axes: never fewer than two ticks, no data on the edge, few labels."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.figures.ticks import LEAST_SPAN, MOST, MOST_FINE, log_limits, log_ticks, span_limits, span_ticks

positive = st.floats(1e-12, 1e15)


@given(st.lists(positive, max_size=4), st.integers(2, MOST))
@example([], MOST)
@example([3.1e-6], 2)
@example([3.1e-6, 3.2e-6], 2)
@example([16_809_540, 67_108_353], MOST)  # entries of sparse-2MiB at 64 GiB
@example([1, 10, 100], 2)
@example([1.4e12, 3.58e14], 2)  # two powers of ten, and eight times 1, 2 or 5
def test_there_are_always_two_ticks(values: list[float], most: int) -> None:
    low, high = log_limits(values)
    ticks = log_ticks(low, high, most)
    assert 2 <= len(ticks) <= max(most, MOST_FINE)
    assert ticks == sorted(set(ticks))
    assert all(low * 0.999 < tick < high * 1.001 for tick in ticks)
    assert high / low > LEAST_SPAN * 0.999
    assert all(low < value < high for value in values)


def test_ticks_are_round() -> None:
    assert log_ticks(0.9, 1.1e6) == [1, 100, 10_000, 1_000_000]
    assert log_ticks(0.9, 1100) == [1, 10, 100, 1000]
    assert log_ticks(0.9, 4.2e9, 2) == [1, 1e5]
    assert log_ticks(2.5e7, 2.6e8) == pytest.approx([5e7, 1e8, 2e8])
    assert log_ticks(1e-6, 1e-5) == pytest.approx([1e-6, 2e-6, 5e-6, 1e-5])


@given(st.lists(st.integers(4096, 1 << 57), min_size=1, max_size=4))
@example([4096])
@example([12 << 40])
@example([1 << 31, 1 << 50])
def test_spans_lie_between_powers_of_two_and_some_are_labelled(spans: list[int]) -> None:
    low, high = span_limits(spans)
    ticks = span_ticks(low, high)
    assert low < min(spans) <= max(spans) < high
    assert high / low >= 16
    assert 2 <= len(ticks) <= MOST
    assert all(math.log2(tick).is_integer() and low <= tick <= high for tick in ticks)


def test_spans_are_labelled_at_round_sizes() -> None:
    assert span_ticks(1 << 30, 1 << 51) == [1 << 30, 1 << 35, 1 << 40, 1 << 45, 1 << 50]
    assert span_ticks(1 << 20, 1 << 24) == [1 << power for power in range(20, 25)]
