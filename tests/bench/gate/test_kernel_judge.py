"""Judging real kernels on made-up numbers: each rule is seen to bite, and not to bite where it must not."""

import pytest

from bench.gate.kernel_checks import laws
from bench.gate.kernel_judge import Arms, jitter, judge, tolerance
from bench.gate.verdict import Finding
from bench.measuring.kernel_boots import Boot, Cost
from bench.workloads.scenario import SCENARIOS, MiB
from bench.workloads.suite import Group

POINT = "munlock/dense/16MiB"


def boots(*starts: tuple[int, ...], name: str = POINT, taken_off: int = 0) -> list[Boot]:
    """Return starts that measured one point."""
    return [Boot({name: Cost(values, taken_off)}) for values in starts]


def verdict(base: list[Boot], head: list[Boot], name: str = POINT) -> str:
    """Return how one point is judged."""
    (found,) = judge(Arms(base, head), [name], [])
    return found.verdict


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (((100, 100, 100), (100, 100, 100)), 0),
        (((100, 100, 900), (100, 100, 100)), 0),  # one that something else disturbed
        (((10, 100, 900), (100, 100, 100)), 0),
        (((100, 100, 900), (100, 900, 100)), 800),  # two of six may be the median of three
        (((100, 100, 100), (130, 130, 130)), 30),
        (((100, 900), (100, 100)), 800),  # of two, one is not disturbed more than the other
        (((100,), (130,)), 30),  # a call that takes long is made once in a start
        (((1, 2, 3, 4, 5), (6, 7, 8, 9, 10)), 5),  # the medians of five lie between the third and the eighth
    ],
)
def test_jitter_is_how_far_apart_medians_of_the_values_can_be(values: tuple[tuple[int, ...], ...], expected: int) -> None:
    assert jitter([Cost(one, 0) for one in values]) == expected


# The base is 10 from itself, the head 20: together they may be 30 apart.
BASE = boots((1000, 1000, 1000), (1010, 1010, 1010))


@pytest.mark.parametrize(
    ("lowest", "expected"), [(1040, "pass"), (1041, "regression"), (1000, "pass"), (950, "pass"), (949, "faster")]
)
def test_a_point_is_dearer_beyond_both_kernels_jitter_and_no_sooner(lowest: int, expected: str) -> None:
    assert verdict(BASE, boots((lowest,) * 3, (lowest + 20,) * 3)) == expected


def test_what_one_start_does_not_confirm_is_not_dearer() -> None:
    assert verdict(boots((1000,) * 3, (1000,) * 3), boots((1300,) * 3, (1000,) * 3)) != "regression"
    assert verdict(boots((1000,) * 3, (1000,) * 3), boots((1300,) * 3, (1300,) * 3)) == "regression"


def test_one_disturbed_call_neither_alarms_nor_hides() -> None:
    still = boots((1000, 1000, 1000), (1000, 1000, 1000))
    assert verdict(still, boots((9000, 1000, 1000), (1000, 1000, 1000))) == "pass"
    assert verdict(boots((1000, 1000, 9000), (1000, 1000, 1000)), boots((1001,) * 3, (1001,) * 3)) == "regression"


def two_points(small: str, large: str, jitter_of_large: int) -> list[Boot]:
    """Return starts that measured a call of 1,000 without jitter, and one of 10,000 with some."""
    values = ((10_000,) * 3, (10_000 + jitter_of_large,) * 3)
    return [Boot({small: Cost((1000,) * 3, 0), large: Cost(one, 0)}) for one in values]


def test_a_point_is_held_to_the_jitter_of_its_calls_points_in_proportion() -> None:
    large, small = "munlock/sparse-2MiB/2GiB", POINT
    assert tolerance(two_points(small, large, 500), small) == pytest.approx(500 * 1000 / 10_250)
    assert tolerance(two_points(small, "munmap/dense/16MiB", 500), small) == 0  # of another call
    swapped = two_points(large, small, 0)
    for number, boot in enumerate(swapped):
        boot.costs[large] = Cost((1000 + 7 * number,) * 3, 0)
    assert tolerance(swapped, small) == 7  # of a shorter call: as it is, not ten times as much


def test_a_kernel_that_is_far_from_itself_is_inconclusive_and_what_is_mostly_the_guests_own_memory_is_not() -> None:
    steady = {f"munlock/a{number}/1MiB": Cost((1000,) * 3, 0) for number in range(3)}
    wild = [Boot({**steady, "exit/b/1MiB": Cost((one,) * 3, 100)}) for one in (1000, 1400)]
    names = [*wild[0].costs]
    assert [one.verdict for one in judge(Arms(wild, wild), names, [])] == ["pass"] * 3 + ["inconclusive"]
    own = [Boot({**steady, "exit/b/1MiB": Cost((one,) * 3, 80_000)}) for one in (1000, 1400)]
    assert [one.verdict for one in judge(Arms(own, own), names, [])] == ["pass"] * 4


def test_a_point_that_a_start_lacks_is_an_error_and_hides_no_other() -> None:
    base = two_points("munmap/dense/16MiB", POINT, 0)
    head = two_points("munmap/dense/16MiB", POINT, 0)
    del head[1].costs[POINT]
    found = judge(Arms(base, head), ["munmap/dense/16MiB", POINT, "exit/report/1GiB"], [])
    assert [one.verdict for one in found] == ["pass", "error", "error"]
    assert found[1].text == "measured in 2 starts of the base and 1 of the head, 2 of each are needed"


# ---- laws ----

SPANS = tuple(Group(SCENARIOS["report"].resized(span * MiB), "munlock") for span in (4, 16, 64))
DENSE = tuple(Group(SCENARIOS["dense"].resized(span * MiB)) for span in (4, 16, 64))


def by_cost(curve: tuple[Group, ...], cost: float, power: float = 1.0, fixed: int = 2000) -> list[Boot]:
    """Return two starts in which each point of a curve costs something fixed, and something by its pages."""
    pages = [group.scenario.span // 4096 for group in curve]
    costs = {group.name: Cost((int(fixed + cost * nr**power),) * 3, 0) for group, nr in zip(curve, pages, strict=True)}
    return [Boot(dict(costs)), Boot(dict(costs))]


def law(curve: tuple[Group, ...], base: list[Boot], head: list[Boot]) -> Finding:
    """Return what is found of the one law of a curve."""
    (found,) = judge(Arms(base, head), [], laws(curve))
    return found


@pytest.mark.parametrize(
    ("base", "head", "verdict", "word"),
    [
        (0, 0, "pass", ""),
        (0, 0.9, "pass", ""),  # less than an instruction a page: it cannot visit them
        (0, 1.1, "regression", "broken: "),
        (100, 0, "faster", "broken by the base alone: "),
        (100, 90, "pass", "broken by both: "),
    ],
)
def test_a_kernel_that_visits_every_page_breaks_the_law_by_name(base: float, head: float, verdict: str, word: str) -> None:
    found = law(SPANS, by_cost(SPANS, base), by_cost(SPANS, head))
    assert found.name == "munlock: an untouched span is not visited page by page, on report"
    assert found.verdict == verdict
    assert found.text.startswith(word)


@pytest.mark.parametrize(("power", "verdict"), [(1.0, "pass"), (1.08, "pass"), (1.2, "regression"), (0.8, "regression")])
def test_cost_is_linear_in_the_pages_in_memory(power: float, verdict: str) -> None:
    found = law(DENSE, by_cost(DENSE, 700, fixed=0), by_cost(DENSE, 700, power, fixed=0))
    assert (found.name, found.verdict) == ("munlockall: linear in the pages in memory, on dense", verdict)


def test_a_law_needs_all_of_its_sizes() -> None:
    head = by_cost(SPANS, 0)
    for boot in head:
        del boot.costs[SPANS[1].name]
    assert law(SPANS, by_cost(SPANS, 0), head).verdict == "error"


def test_one_size_has_no_law() -> None:
    assert laws(SPANS[:1]) == []


def test_what_is_no_more_than_disturbs_other_points_is_not_inconclusive() -> None:
    busy = [
        Boot(
            {**{f"munlock/a{nr}/1MiB": Cost((1_000_000 + by,) * 3, 0) for nr in range(3)}, "exit/b/1MiB": Cost((small,) * 3, 0)}
        )
        for by, small in ((0, 1000), (2500, 1300))
    ]
    found = judge(Arms(busy, busy), [*busy[0].costs], [])  # tolerances: 5,000 three times, and 600 of 1,150
    assert [one.verdict for one in found] == ["pass"] * 4
