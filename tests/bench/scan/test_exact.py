"""Counts, and what their repetitions leave open."""

import math
import random

import pytest

from bench.scan import exact, law
from bench.scan.exact import Bounds


def test_a_cost_lies_between_its_two_lowest_values() -> None:
    assert exact.bounds([437_995, 668_555, 437_996]) == Bounds(437_995, 437_996)
    assert exact.bounds([7.0]) == Bounds(7.0, 7.0)
    assert Bounds(30, 34).since(Bounds(10, 11)) == Bounds(19, 24)


@pytest.mark.parametrize("power", [0.5, 1.0, 1.3, 2.0])
def test_three_exact_sizes_give_the_power_itself(power: float) -> None:
    units = {n: n for n in (1, 5, 17, 65)}
    costs = {n: Bounds(*[900 + 70 * (n - 1) ** power] * 2) for n in (1, 5, 17)}
    found = exact.exponent(units, costs)
    assert found is not None
    assert (found.low, found.estimate, found.high) == pytest.approx((power, power, power))


def test_an_exponent_holds_every_slope_that_bounds_leave_open() -> None:
    draw = random.Random(5)
    sizes = (2, 64, 256, 1024)
    for _ in range(50):
        true = {n: 800 + 400.0 * n**1.05 for n in sizes}
        costs = {n: Bounds(cost - draw.random() * 300, cost + draw.random() * 300) for n, cost in true.items()}
        found = exact.exponent({n: n for n in sizes}, costs)
        assert found is not None
        within = {n: Bounds(*[draw.uniform(*one)] * 2) for n, one in costs.items()}
        inside = exact.exponent({n: n for n in sizes}, within)
        assert inside is not None
        assert found.low <= inside.low == inside.high <= found.high
        assert found.low <= math.nextafter(found.estimate, 2) and found.estimate <= found.high


def test_what_has_not_grown_beyond_its_bounds_gives_no_exponent() -> None:
    units = {n: n for n in (1, 8, 64)}
    assert exact.exponent(units, {1: Bounds(100, 140), 8: Bounds(130, 150), 64: Bounds(900, 910)}) is None
    assert exact.exponent({1: 1, 8: 1, 64: 2}, {n: Bounds(100.0 + n, 100.0 + n) for n in (1, 8, 64)}) is None
    assert exact.each({1: Bounds(100, 140), 8: Bounds(130, 150)}, 7) is None


def test_tails_reach_sixteen_times_their_smallest_size_and_have_three() -> None:
    assert exact.tails([1, 128, 512, 2048, 4096, 8192]) == [
        [512, 2048, 4096, 8192], [128, 512, 2048, 4096, 8192], [1, 128, 512, 2048, 4096, 8192],
    ]  # fmt: skip
    assert exact.tails([2, 64, 256, 1024]) == [[64, 256, 1024], [2, 64, 256, 1024]]
    assert exact.tails([1, 4, 8]) == []


def test_sizes_that_are_worth_more_values_are_those_that_did_not_repeat() -> None:
    values = {1: [100, 100, 900], 8: [500, 700, 800], 64: [4000, 4030, 9000]}
    assert exact.loose(values) == [8]
    assert exact.loose({1: [100, 150], 8: [500, 500], 64: [4000, 4000]}) == [1]  # 50 of the 400 until the next


def test_a_law_is_that_of_the_largest_sizes() -> None:
    # As MADV_UNMERGEABLE of 6.12: 40 a page up to the first table's end, 283 each from there on.
    sizes = (1, 512, 2048, 4096, 8192)
    found = law.judge("pages", {n: [3_500_000 + 40 * min(n, 512) + 283 * max(n - 512, 0)] * 3 for n in sizes}, "instructions")
    assert found.kind == "linear" and found.per_unit is not None
    assert found.per_unit.estimate == pytest.approx(283)
    assert found.base == 3_500_040


@pytest.mark.parametrize(
    ("power", "kind"), [(0.5, "no law"), (0.8, "no law"), (1.0, "linear"), (1.25, "no law"), (2.0, "no law")]
)
@pytest.mark.parametrize("sizes", [(2, 64, 256, 1024), (2, 64, 256, 1024, 2048, 4096), (1, 512, 2048, 4096, 8192)])
def test_no_tail_makes_another_power_linear(power: float, kind: str, sizes: tuple[int, ...]) -> None:
    assert law.judge("VMAs", {n: [2000 + 700.0 * n**power] * 3 for n in sizes}, "instructions").kind == kind


def test_three_sizes_that_repeat_are_a_law() -> None:
    values = {n: [2000 + 50 * n] * 3 for n in (1, 128, 512)}
    assert law.judge("tables", values, "instructions").kind == "linear"
    values[512] = [2000 + 50 * 512, 90_000, 95_000]
    assert law.judge("tables", values, "instructions").kind == "too few"
    assert law.judge("tables", values, "seconds").kind != "linear"


def test_a_count_that_stays_beyond_one_gib_is_constant_however_far_it_was_seen() -> None:
    # As mprotect() of locked memory on 5.10, whose set-up takes long: entries of one table, then of the table above it alone.
    spans = {1 << 12: 1415, 1 << 21: 9055, 1 << 28: 13500, 1 << 30: 26940, 1 << 31: 26949, 1 << 32: 26985}
    values = {n: [cost, cost, cost + 4000] for n, cost in spans.items()}
    assert law.judge("span", values, "instructions", is_whole=False).kind == "nothing"
    assert (
        law.judge("span", {n: [1e-9 * one for one in each] for n, each in values.items()}, "seconds", is_whole=False).kind
        == "too few"
    )
    assert law.judge("span", {n: values[n] for n in values if n <= 1 << 30}, "instructions", is_whole=False).kind != "nothing"
    values[1 << 32] = [26_985, 30_000, 31_000]  # 12 million more in the process of `LARGE`, or nothing
    assert law.judge("span", values, "instructions", is_whole=False).kind == "too few"
