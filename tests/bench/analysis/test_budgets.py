"""Verdicts on the model's own speed and size."""

import math

import pytest

from bench.analysis.budgets import BUDGETS, judge
from bench.analysis.report_rows import slowdown_percent
from bench.commands.speed import TIMED
from bench.errors import MeasurementError


def test_the_median_is_held_against_the_budget() -> None:
    assert judge("help", [0.1, 0.2, 9.0]).met
    assert judge("help", [0.3]).met
    missed = judge("help", [0.1, 0.31, 0.4])
    assert (missed.met, missed.value, missed.low, missed.high, missed.nr_values) == (False, 0.31, 0.1, 0.4, 3)
    assert judge("help", [0.1, 0.2]).value == pytest.approx(0.15)


@pytest.mark.parametrize("values", [[], [math.nan], [0.1, math.nan]])
def test_nothing_measured_is_no_pass(values: list[float]) -> None:
    with pytest.raises(MeasurementError):
        judge("help", values)


def test_every_timed_point_has_a_budget_and_a_name_of_its_own() -> None:
    assert set(TIMED) <= set(BUDGETS)
    assert len({point.name for point in TIMED.values()}) == len(TIMED)


def test_slowdown_is_of_the_first_against_the_second() -> None:
    assert slowdown_percent([(1.05, 1.0), (1.0, 2.0)]) == pytest.approx([5.0, -50.0])
