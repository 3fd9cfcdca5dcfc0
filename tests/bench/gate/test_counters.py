"""Counters against the expectation, laws and floors: each way to be wrong has its verdict."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from bench.analysis import stats
from bench.errors import MeasurementError
from bench.gate import counters, expectation, laws
from bench.gate.checks import CHECKS, SLACK, Bound, Floor, Law, floors, top_level_entries
from bench.gate.counting_process import CountingProcess, Line, read_lines
from bench.gate.expectation import Expected
from bench.gate.verdict import Verdict
from bench.workloads.scenario import SCENARIOS, Point
from bench.workloads.suite import Group
from mmmodel.kernels import implementations
from support.pages import ROOT

ONE = Expected("d", 1, 2, {"model_pte_read": 5, "nr_mlock": -2})


def changed(**changes: Any) -> Expected:
    return msgspec.structs.replace(ONE, **changes)


OTHER = changed(counters={"model_pte_read": 6, "nr_mlock": -2})
WITH_ZERO = changed(counters=ONE.counters | {"model_faults": 0})


@pytest.mark.parametrize(
    ("expected", "first", "second", "verdict", "text"),
    [
        (ONE, ONE, ONE, "pass", "2 counters as expected"),
        (ONE, OTHER, OTHER, "regression", "model_pte_read: 5 -> 6"),
        (OTHER, ONE, ONE, "regression", "model_pte_read: 6 -> 5"),  # less work is a change too
        (ONE, ONE, OTHER, "error", "two runs of the same call differ: model_pte_read: 5 -> 6"),
        (ONE, None, None, "error", "missing"),
        (ONE, ONE, None, "error", "missing"),
        (None, ONE, ONE, "error", "not in the expectation"),
        (ONE, changed(digest="e"), changed(digest="e"), "error", "not the same benchmark"),
        (ONE, changed(nr_populated=3), changed(nr_populated=3), "regression", "2 -> 3 pages in memory"),
        (ONE, changed(counters={"nr_mlock": -2}), changed(counters={"nr_mlock": -2}), "regression", "read: 5 -> absent"),
        # A counter of zero that vanished, and one that is new, are differences as any other.
        (WITH_ZERO, ONE, ONE, "regression", "model_faults: 0 -> absent"),
        (ONE, WITH_ZERO, WITH_ZERO, "regression", "model_faults: absent -> 0"),
        (ONE, ONE, WITH_ZERO, "error", "two runs of the same call differ: model_faults: absent -> 0"),
        (ONE, "it crashed", ONE, "error", "it crashed"),
    ],
)
def test_each_way_to_differ(
    expected: Expected | None, first: Expected | str | None, second: Expected | str | None, verdict: Verdict, text: str
) -> None:
    sides: list[Any] = [{} if one is None else {"x": one} for one in (expected, first, second)]
    (found,) = counters.judge(*sides)
    assert (found.verdict, text in found.text) == (verdict, True), found.text


def test_many_differences_are_counted_not_listed() -> None:
    many = changed(counters={str(i): 1 for i in range(9)})
    (found,) = counters.judge({"x": changed(counters={})}, {"x": many}, {"x": many})
    assert found.text == "0: absent -> 1; 1: absent -> 1; 2: absent -> 1; 3: absent -> 1; and 5 more"
    assert found.numbers == {"differing": 9}


def test_an_expectation_comes_back_and_a_hand_in_it_shows(tmp_path: Path) -> None:
    path = tmp_path / "expectation.json"
    expectation.save(path, "quick", "the command", {"x": ONE})
    assert expectation.load(path).points == {"x": ONE}
    path.write_text(path.read_text().replace('"model_pte_read": 5', '"model_pte_read": 6'))
    with pytest.raises(MeasurementError, match="edited by hand"):
        expectation.load(path)


@pytest.mark.parametrize(
    "change", [('"schema": 1', '"schema": 2'), ('"expectation"', '"counters"'), ("{", "["), ('read": 5', 'read": 5.5')]
)
def test_another_schema_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    path = tmp_path / "expectation.json"
    expectation.save(path, "quick", "the command", {"x": ONE})
    path.write_text(path.read_text().replace(*change, 1))
    with pytest.raises(MeasurementError, match="is not of schema"):
        expectation.load(path)


def test_an_expectation_of_nothing_is_refused(tmp_path: Path) -> None:
    expectation.save(tmp_path / "e.json", "quick", "the command", {})
    with pytest.raises(MeasurementError, match="has no measurement"):
        expectation.load(tmp_path / "e.json")


POINTS = [Point(SCENARIOS["report"].resized(1 << 20), one) for one in ("per-page", "page-walk")]


def test_a_process_of_its_own_counts_what_this_one_counts() -> None:
    found = CountingProcess(POINTS, {"PYTHONHASHSEED": "3"}).results()
    assert list(found) == [point.name for point in POINTS]
    assert isinstance(found[POINTS[0].name], Expected)
    assert found[POINTS[0].name].counters["model_pages_looked_up"] == 256  # type: ignore[union-attr]


def test_where_a_process_died_is_told() -> None:
    line = msgspec.json.encode(Line(POINTS[0].name, ONE)).decode()
    found = read_lines(POINTS, line, "Fatal Python error: Aborted\n", -6)
    assert isinstance(found[POINTS[0].name], Expected)
    assert found[POINTS[1].name] == "counting ended with exit code -6 here: Fatal Python error: Aborted"
    with pytest.raises(MeasurementError, match="no result"):
        read_lines(POINTS, "hello\n", "", 0)


CURVE = tuple(Group(SCENARIOS["report"].resized(1 << shift)) for shift in (20, 22, 24, 26))
LAW = Law("linear", CURVE, "per-page", "span", 0.95, 1.05, slack=0.1)


def along(exponent: float, scale: float = 1000.0) -> dict[str, Expected]:
    names = [group.points(["per-page"])[0].name for group in CURVE]
    return {name: changed(counters=entries(round(scale * 4 ** (i * exponent)))) for i, name in enumerate(names)}


def entries(number: int) -> dict[str, int]:
    return {f"model_{level}_read": number if level == "pte" else 0 for level in ("pgd", "p4d", "pud", "pmd", "pte")}


@pytest.mark.parametrize(
    ("exponent", "verdict"),
    [
        (1.0, "pass"),
        (1.04, "pass"),
        (0.96, "pass"),
        (1.2, "regression"),
        (0.0, "regression"),
        (1.07, "regression"),  # within the slack, which is for times
        (0.93, "regression"),
    ],
)
def test_a_law_by_counters(exponent: float, verdict: Verdict) -> None:
    assert [one.verdict for one in laws.judge_laws([LAW], along(exponent), None)] == [verdict]


@pytest.mark.parametrize(("exponent", "verdict"), [(1.0, "pass"), (1.1, "pass"), (1.4, "regression"), (0.5, "regression")])
def test_a_law_by_times_has_some_slack(exponent: float, verdict: Verdict) -> None:
    times = {name: [1e-3 * 4 ** (i * exponent)] * 3 for i, name in enumerate(along(1.0))}
    assert [one.verdict for one in laws.judge_laws([LAW], along(1.0), times)] == ["pass", verdict]


@pytest.mark.parametrize(("exponent", "verdict"), [(1.14, "pass"), (0.86, "pass"), (1.17, "regression"), (0.83, "regression")])
def test_the_slack_of_times_is_that_of_the_law(exponent: float, verdict: Verdict) -> None:
    times = {name: [1e-3 * 4 ** (i * exponent)] * 3 for i, name in enumerate(along(1.0))}
    assert laws.judge_laws([LAW], along(1.0), times)[1].verdict == verdict


SKIPPING = {one.name for one in implementations() if one.steps_over_holes}


def test_what_the_gate_asks_for() -> None:
    """Bands: a cost that is linear, or none. Slack: along a factor of 256, the cost of a unit may double."""
    bands = {"linear in the span": (0.95, 1.05), "linear in the pages in memory": (0.9, 1.1)}
    asked = CHECKS["reference"]
    for law in asked.laws:
        named = [band for words, band in bands.items() if words in law.what]
        assert [(law.low, law.high)] == (named or [(-0.05, 0.05)]), law.what
        sizes = [group.scenario.span for group in law.curve]
        assert len(sizes) >= 4 and max(sizes) / min(sizes) >= 64
        assert law.slack == pytest.approx(math.log(2) / math.log(256))
    followed = Counter((law.curve[0].operation, law.implementation) for law in asked.laws)
    assert followed == {
        **{("munlockall", one.name): 2 for one in implementations()},
        **{("coredump", name): 2 for name in ("per-page", "dump-walk")},
    }
    assert {floor.implementation for floor in asked.floors} == SKIPPING
    for floor in asked.floors:  # the report: 2**29 pages to a handful of entries, 4.172 s to too little to notice
        assert floor.baseline == "per-page"
        assert 2**29 / 10 <= floor.entries * 10 <= 2**29 * 10
        assert 4.172 / floor.seconds < 1e-3
    timed = [point.implementation for point in asked.timed]
    assert Counter(timed) == {one.name: 2 for one in implementations()}


def test_what_is_expected_follows_the_laws() -> None:
    asked, counted = CHECKS["reference"], expectation.load(ROOT / "results" / "expectation.json").points
    assert {one.verdict for one in laws.judge_laws(asked.laws, counted, None)} == {"pass"}
    assert {one.verdict for one in laws.judge_bounds(asked.bounds, counted)} == {"pass"}
    assert {one.verdict for one in laws.judge_floors(asked.floors, counted, None)} == {"pass"}


def test_noise_that_hides_an_exponent_is_inconclusive() -> None:
    times = {name: [1e-3 * 4**i, 50e-3 * 4 ** (3 - i)] for i, name in enumerate(along(1.0))}
    assert laws.judge_laws([LAW], along(1.0), times)[1].verdict == "inconclusive"


def test_a_size_that_was_not_measured_is_an_error() -> None:
    counted = along(1.0)
    name = next(iter(counted))
    (found,) = laws.judge_laws([LAW], {key: one for key, one in counted.items() if key != name}, None)
    assert (found.verdict, found.text) == ("error", "1 of its 4 sizes were not measured")
    assert laws.judge_laws([LAW], counted, {})[1].verdict == "error"


FLOOR = Floor(CURVE[0], "per-page", "page-walk", entries=100, seconds=50)
BASE, FAST = (CURVE[0].points([one])[0].name for one in ("per-page", "page-walk"))


@pytest.mark.parametrize(("fast", "verdict"), [(9, "pass"), (11, "regression")])
def test_a_floor_by_counters(fast: int, verdict: Verdict) -> None:
    counted = {BASE: changed(counters=entries(1000)), FAST: changed(counters=entries(fast))}
    assert [one.verdict for one in laws.judge_floors([FLOOR], counted, None)] == [verdict]


@pytest.mark.parametrize(
    ("fast", "verdict"),
    [
        ([1.0, 1.1, 1.0], "pass"),
        ([3.0, 3.1, 3.0], "regression"),
        ([0.1, 9.0, 1.0], "inconclusive"),
        ([1.0, 1.1], "inconclusive"),  # two processes have no interval
    ],
)
def test_a_floor_by_times(fast: list[float], verdict: Verdict) -> None:
    counted = {BASE: changed(counters=entries(1000)), FAST: changed(counters=entries(1))}
    found = laws.judge_floors([FLOOR], counted, {BASE: [100.0, 101.0, 99.0], FAST: fast})
    assert [one.verdict for one in found] == ["pass", verdict]


BOUND = Bound(
    "bounded", (*CURVE, Group(SCENARIOS["report"]), Group(SCENARIOS["report"].resized(1 << 50, levels=5))), "page-walk"
)


@pytest.mark.parametrize(
    ("at_2tib", "verdict", "text"),
    [
        (5, "pass", "5 read on munlockall/report/2TiB, at most 5 allowed"),
        (6, "regression", "6 read"),
        (4096, "regression", "4,096"),
    ],
)
def test_a_bound_by_the_entries_of_the_top_page_table(at_2tib: int, verdict: Verdict, text: str) -> None:
    read = {group.points(["page-walk"])[0].name: 1 for group in BOUND.curve} | {"munlockall/report/2TiB/page-walk": at_2tib}
    counted = {name: changed(counters=entries(number)) for name, number in read.items()}
    (found,) = laws.judge_bounds([BOUND], counted)
    assert found.verdict == verdict and found.text.startswith(text)
    (found,) = laws.judge_bounds([BOUND], dict(list(counted.items())[1:]))
    assert (found.verdict, found.text) == ("error", "1 of its 6 sizes were not measured")


@pytest.mark.parametrize(("span", "levels", "most"), [(4096, 4, 1), (8192, 4, 2), (1 << 41, 4, 5), (1 << 50, 5, 5)])
def test_a_span_touches_so_many_entries_of_the_top_page_table(span: int, levels: Literal[4, 5], most: int) -> None:
    assert top_level_entries(SCENARIOS["report"].resized(span, levels)) == most


def test_the_reports_own_entries_are_held_by_a_law_that_is_true_of_them() -> None:
    """They are no power of the span (1, 1, 1, 1, 2, 5): a law of an exponent could only be about another scenario."""
    checks = CHECKS["reference"]
    held = {(one.implementation, group.scenario.name) for one in checks.bounds for group in one.curve}
    assert held == {(name, "report") for name in SKIPPING}
    for law in checks.laws:
        (scenario,) = {group.scenario.name for group in law.curve}
        assert law.what.endswith(f"on {scenario}") and law.what.startswith(f"{law.implementation}: ")


def test_a_law_by_counters_is_exact() -> None:
    names = [group.points(["per-page"])[0].name for group in CURVE]
    bent = {name: changed(counters=entries(number)) for name, number in zip(names, (1000, 4000, 13_000, 64_000), strict=True)}
    (found,) = laws.judge_laws([LAW], bent, None)
    assert found.verdict == "regression" and found.text == "exponent 0.850 .. 1.150 from size to size, law 0.95 .. 1.05"


def test_a_floor_without_its_benchmarks_is_an_error() -> None:
    counted = {BASE: changed(counters=entries(1000)), FAST: changed(counters=entries(1))}
    assert [one.verdict for one in laws.judge_floors([FLOOR], {}, None)] == ["error"]
    assert [one.verdict for one in laws.judge_floors([FLOOR], counted, {BASE: [1.0]})] == ["pass", "error"]


def test_the_slack_of_times_along_each_curve() -> None:
    """What the comment beside SLACK says: along which factor the cost of a unit may change by which."""
    factors = {"head-tail": (64, 1.7), "one-page": (64, 1.7), "dense": (256, 2.0), "report": (1024, 2.4)}
    judged = CHECKS["reference"].laws
    followed = {one.curve[0].scenario.name: [group.scenario.span for group in one.curve] for one in judged}
    assert followed.keys() == factors.keys()
    for name, spans in followed.items():
        factor, change = factors[name]
        assert max(spans) / min(spans) == factor
        assert round(factor**SLACK, 1) == change


def test_only_what_steps_over_holes_has_a_floor_and_only_over_a_baseline_that_does_not() -> None:
    one = implementations()[0]
    stepping, looping = (replace(one, name=name, steps_over_holes=name == "stepping") for name in ("stepping", "looping"))
    assert [(one.baseline, one.implementation) for one in floors((looping, stepping))] == [("looping", "stepping")]
    assert [(one.baseline, one.implementation) for one in floors((looping, looping))] == []
    assert [(one.baseline, one.implementation) for one in floors((stepping, stepping))] == []
    assert [(one.baseline, one.implementation) for one in floors((stepping, looping))] == []


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.75, 1.25, "pass"),  # the band with its slack: what is at its ends is in it
        (0.74, 1.25, "inconclusive"),
        (0.75, 1.26, "inconclusive"),
        (1.25, 1.3, "inconclusive"),
        (0.7, 0.75, "inconclusive"),
        (1.26, 1.3, "regression"),
        (0.7, 0.74, "regression"),
    ],
)
def test_the_ends_of_an_exponents_interval(low: float, high: float, verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    law = msgspec.structs.replace(LAW, low=0.875, high=1.125, slack=0.125)  # sums that are exact: 0.75 and 1.25
    monkeypatch.setattr(stats, "exponent", lambda *given: stats.Exponent(stats.Interval(1.0, low, high), (), False))
    times = {name: [1e-3] * 3 for name in along(1.0)}
    assert laws.judge_laws([law], along(1.0), times)[1].verdict == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(50.0, 90.0, "pass"), (49.9, 90.0, "inconclusive"), (10.0, 50.0, "inconclusive"), (10.0, 49.9, "regression")],
)
def test_the_ends_of_a_ratios_interval(low: float, high: float, verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    """The floor of FLOOR is 50: what is at it holds it, and what reaches up to it may."""
    monkeypatch.setattr(stats, "ratio", lambda *given: stats.Interval(60.0, low, high))
    counted = {BASE: changed(counters=entries(1000)), FAST: changed(counters=entries(1))}
    assert laws.judge_floors([FLOOR], counted, {BASE: [1.0], FAST: [1.0]})[1].verdict == verdict


def test_a_line_that_says_nothing_is_an_error() -> None:
    found = read_lines(POINTS[:1], msgspec.json.encode(Line(POINTS[0].name)).decode(), "", 0)
    assert found == {POINTS[0].name: "nothing was counted"}
