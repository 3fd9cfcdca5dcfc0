"""Laws of costs that are known."""

import random

import pytest

from bench.analysis import stats
from bench.scan import law as laws
from bench.scan.law import Law, Values
from bench.scan.layouts import Axis
from bench.targets.kernel import Unit
from support.fake_scan import PAGE, PMD, PUD, steps

SPANS = (PAGE, PMD, *(1 << power for power in range(26, 31, 2)))
WHOLE = (*SPANS, *(1 << power for power in range(32, 39, 2)))
PAGES, TABLES, VMAS = (1, 512, 1024, 2048, 4096), (1, 64, 128, 256, 512), (2, 128, 256, 512, 1024)


def judge(axis: Axis, values: Values, *, is_whole: bool = True) -> Law:
    """Judge instructions, or times where they are less than one."""
    unit: Unit = "instructions" if min(map(min, values.values())) > 1 else "seconds"
    return laws.judge(axis, values, unit, is_whole=is_whole)


def costs(sizes: tuple[int, ...], each: float, unit: int = 1, base: float = 2000.0) -> dict[int, list[float]]:
    """Return exact costs, three of each size."""
    return {size: [base + each * steps(size, unit)] * 3 for size in sizes}


@pytest.mark.parametrize(("unit", "each"), [(PAGE, 100.0), (PAGE, 3.0), (PMD, 40.0), (PMD, 3000.0), (PUD, 500.0), (PUD, 200.0)])
def test_the_step_of_a_walk_is_found_and_what_it_costs(unit: int, each: float) -> None:
    law = judge("span", costs(WHOLE, each, unit))
    assert (law.kind, law.unit) == ("linear", unit)
    assert law.per_unit is not None and law.exponent is not None
    assert law.per_unit.contains(law.per_unit.estimate)
    assert law.per_unit.estimate == pytest.approx(each)
    assert law.exponent.estimate == pytest.approx(1.0)
    assert law.of(1 << 41) == pytest.approx(2000 + each * ((1 << 41) // unit), rel=0.01)


@pytest.mark.parametrize("sizes", [SPANS, WHOLE])
def test_a_constant_cost_depends_on_nothing_but_only_if_it_was_seen_far_enough(sizes: tuple[int, ...]) -> None:
    law = judge("span", costs(sizes, 0.0), is_whole=False)
    assert law.kind == ("nothing" if sizes == WHOLE else "too few")
    assert judge("span", costs(sizes, 0.0)).kind == "nothing"


@pytest.mark.parametrize(("axis", "sizes"), [("pages", PAGES), ("tables", TABLES), ("VMAs", VMAS)])
def test_what_is_counted_one_by_one(axis: Axis, sizes: tuple[int, ...]) -> None:
    assert judge(axis, costs(sizes, 50.0)).kind == "linear"
    assert judge(axis, costs(sizes, 0.0)).kind == "nothing"


def test_growth_that_would_not_double_the_call_is_none() -> None:
    assert judge("VMAs", costs(VMAS, 0.02)).kind == "nothing"  # 65,530 of them: 1,311 to 2,000
    assert judge("VMAs", costs(VMAS, 0.05)).kind == "linear"


def test_growth_of_a_span_that_would_come_to_less_than_a_millisecond_is_none() -> None:
    assert judge("span", costs(WHOLE, 100.0, PUD)).kind == "nothing"  # 1.27 million instructions at 12.44 TiB
    assert judge("span", costs(WHOLE, 200.0, PUD)).kind == "linear"


def test_growth_that_ends_where_the_tables_below_one_entry_are_walked_is_none() -> None:
    # As munmap() of 6.1: each of the 512 entries for 2 MiB that a table has costs 75, each for 1 GiB beyond 44.
    values = {size: [5000.0 + 75 * min(size // PMD, 512) + 44 * (size // PUD)] * 3 for size in WHOLE}
    assert judge("span", values).kind == "nothing"


def test_steps_of_two_mib_seen_below_one_gib_alone_may_be_those_of_one_table() -> None:
    assert judge("span", costs(SPANS, 500.0, PMD), is_whole=False).kind == "too few"
    assert judge("span", costs((*SPANS, 1 << 31), 500.0, PMD), is_whole=False).kind == "linear"


@pytest.mark.parametrize("last", [1 << 30, 1 << 31, 1 << 34])
def test_a_step_that_costs_less_where_tables_above_it_are_missing(last: int) -> None:
    # As munlock() of 5.10: 324 instructions a page with a page table, 162 without, 115 with no table above it either.
    def of(size: int) -> float:
        return 2000 + 324 * min(size, PMD) / PAGE + 162 * max(min(size, PUD) - PMD, 0) / PAGE + 115 * max(size - PUD, 0) / PAGE

    law = judge("span", {size: [of(size)] * 3 for size in (*WHOLE, 1 << 31, 1 << 33) if size <= last})
    assert (law.kind, law.unit, law.base) == ("linear", PAGE, of(PAGE))
    assert law.per_unit is not None
    assert law.per_unit.estimate == pytest.approx(115 if last > PUD else 162)


def test_a_call_that_is_dearer_beyond_the_first_size_by_the_same_everywhere_is_constant() -> None:
    values = {size: [2000.0 if size == PAGE else 3500.0] * 3 for size in WHOLE}
    assert judge("span", values).kind == "nothing"


def test_other_powers_are_no_law() -> None:
    assert judge("pages", {n: [2000.0 + 0.1 * n**2] * 3 for n in PAGES}).kind == "no law"
    assert judge("span", {n: [2000.0 + 1000 * (n / PAGE) ** 0.5] * 3 for n in WHOLE}).kind == "no law"


def test_few_sizes_or_values_are_too_few() -> None:
    assert judge("pages", costs(PAGES[:2], 50.0)).kind == "too few"
    assert judge("pages", {n: values[:2] for n, values in costs(PAGES, 50.0).items()}).kind == "too few"


def test_a_disturbed_value_of_each_size_changes_nothing() -> None:
    for each, kind in ((100.0, "linear"), (0.0, "nothing")):
        values = costs(WHOLE, each, PAGE)
        for one in values.values():
            one[1] += 9000.0
        assert judge("span", values).kind == kind


@pytest.mark.parametrize("seed", range(5))
def test_times_that_scatter_by_a_fifth(seed: int) -> None:
    draw = random.Random(seed)

    def noisy(each: float, unit: int) -> dict[int, list[float]]:
        return {
            size: [1e-9 * draw.lognormvariate(0, 0.2) * (1000 + each * steps(size, unit)) for _ in range(7)] for size in WHOLE
        }

    linear, nothing = judge("span", noisy(100.0, PAGE)), judge("span", noisy(0.0, PAGE))
    assert (linear.kind, linear.unit, nothing.kind) == ("linear", PAGE, "nothing")
    assert linear.per_unit is not None
    assert linear.per_unit.estimate == pytest.approx(1e-7, rel=0.3)
    assert judge("span", noisy(20_000.0, PMD)).unit == PMD


def test_constant_costs_rise_by_chance_alone_as_seldom_as_it_says() -> None:
    draw = random.Random(7)
    sizes = [size for size in SPANS for _ in range(3)]
    found = sum(stats.rises(sizes, [draw.random() for _ in sizes], 0.05) for _ in range(2000))
    assert 60 <= found <= 140  # 100 are expected, with a standard deviation of 10
    assert not stats.rises(sizes, [1.0] * len(sizes), 0.05)
    assert not stats.rises([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], 0.05)
