"""The numbers of figures: what they are taken from, against figures worked out by hand, and what is refused."""

import math
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.analysis import stats
from bench.analysis.report_rows import entries_read
from bench.analysis.reported import REPORTED, REPORTED_SPAN
from bench.analysis.stats import Interval
from bench.errors import MeasurementError, UsageError
from bench.figures import inputs, kinds
from bench.figures.cost import numbers as cost
from bench.figures.distribution import numbers as distribution
from bench.figures.order import numbers as order
from bench.figures.order import words as order_words
from bench.figures.ratio import numbers as density
from bench.figures.ratio.words import crossing_words
from bench.figures.report import numbers as report
from bench.figures.scaling import numbers as scaling
from bench.figures.scaling.words import exponent_words
from bench.figures.words import deviation
from bench.runs import storage
from bench.runs.loaded import LoadedRun, Process
from bench.runs.loaded import slug as slug_of
from bench.workloads.scenario import SCENARIOS, GiB, KiB, Point, sparse
from mmmodel.counters import NAMES
from mmmodel.kernels import IMPLEMENTATIONS
from support import sample_run
from support.drawn import existing
from support.sample_run import SECONDS, SPANS, STEPS, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> LoadedRun:
    """Return the made-up run, as it is loaded."""
    return inputs.load_run(write_run(tmp_path_factory.mktemp("results") / "sample"))


def only(found: list[Any]) -> Any:
    """Return the one figure that there is."""
    (one,) = found
    assert not isinstance(one, inputs.Skipped), one
    return one


def test_scaling_has_every_span_of_every_implementation(run: LoadedRun) -> None:
    data = only(scaling.prepare(run))
    assert (data.name, data.scenario) == ("scaling-report", "report")
    assert [curve.implementation for curve in data.curves] == list(IMPLEMENTATIONS)
    points = {one.counted.name: one for one in run.counted_points}
    for curve in data.curves:
        assert curve.spans == SPANS
        assert curve.nr_processes == (sample_run.NR_PROCESSES,) * len(SPANS)
        for index, span in enumerate(SPANS):
            one = points[Point(SCENARIOS["report"].resized(span), curve.implementation).name]
            assert curve.entries.values[index] == entries_read(one.counted.counters)
            assert curve.seconds.intervals[index] == stats.geometric_mean(one.by_process)
            assert curve.seconds.values[index] == curve.seconds.intervals[index].estimate


def test_exponents_are_those_of_the_made_up_costs(run: LoadedRun) -> None:
    by_name = {curve.implementation: curve for curve in only(scaling.prepare(run)).curves}
    assert by_name["per-page"].seconds.exponent.fitted.contains(1)
    assert not by_name["per-page"].seconds.exponent.curved
    assert by_name["per-page"].seconds.local == pytest.approx([1, 1, 1], abs=0.01)
    assert by_name["page-walk"].seconds.local == pytest.approx([0, 0, 0], abs=1e-9)
    assert exponent_words(by_name["page-walk"].entries) == "0.000 exactly"


def test_crossovers_are_where_the_made_up_costs_are_equal(run: LoadedRun) -> None:
    data = only(density.prepare(run))
    assert data.span == 4 * GiB
    assert [(one.slower, one.faster) for one in data.ratios] == list(combinations(IMPLEMENTATIONS, 2))
    for one in data.ratios:
        assert [point.step for point in one.points] == sorted(STEPS, reverse=True)
    (both,) = (one for one in data.ratios if (one.slower, one.faster) == ("per-page", "page-walk"))
    (between,) = both.crossings
    span_page, page, _ = (a - b for a, b in zip(SECONDS["per-page"], SECONDS["page-walk"], strict=True))
    equal = -span_page / page  # share of pages in memory at which both take the same time, but for the cost of a call
    steps = [point.fraction for point in both.points]
    assert between.low < equal < between.high
    assert max(one for one in steps if one < equal) < between.fraction < min(one for one in steps if one > equal)


@pytest.mark.parametrize(
    ("estimates", "expected"),
    [
        ([4, 1 / 4], [0.1]),  # as far above as below: the middle of the two densities, on a log scale
        ([2, 1 / 8], [10**-1.5]),  # a quarter of the way
        ([2, 4], []),
        ([1, 1], []),
        ([2, 1], []),  # it ends on the line
        ([2, 1, 1 / 2], [1]),  # not twice
        ([1, 2], []),
        ([2, 1 / 2, 2], [0.1, 10]),
    ],
)
def test_crossings_are_interpolated_on_log_scales(estimates: list[float], expected: list[float]) -> None:
    fractions = [10.0 ** (2 * index - 2) for index in range(len(estimates))]
    points = [
        density.RatioPoint(fraction, 1 / fraction, Interval(one, one * 0.9, one * 1.1), None)
        for fraction, one in zip(fractions, estimates, strict=True)
    ]
    assert [one.fraction for one in density.crossings(points)] == pytest.approx(expected)


def noisy(*points: tuple[float, float]) -> list[density.RatioPoint]:
    """Return points at ascending densities, each a ratio and by what factor its interval is to either side."""
    return [
        density.RatioPoint(10.0**index, 10.0**-index, Interval(one, one / margin, one * margin), None)
        for index, (one, margin) in enumerate(points, start=-len(points))
    ]


@pytest.mark.parametrize(("left", "right"), [(2.5, 2.5), (math.inf, math.inf), (2.5, 1.2), (1.2, 2.5)])
def test_a_crossing_within_the_noise_is_none(left: float, right: float) -> None:
    points = noisy((2.0, left), (0.5, right))
    assert density.crossings(points) == []
    words = crossing_words(density.Ratio("per-page", "page-walk", tuple(points), ()))
    assert words.startswith("none in this range")


def test_noise_about_one_is_crossed_once_or_never() -> None:
    noise = [(1.1, 1.5), (0.9, 1.5), (1.1, 1.5), (0.9, 1.5)]
    (found,) = density.crossings(noisy((3, 1.2), *noise, (1 / 3, 1.2)))
    assert (found.low, found.high) == pytest.approx((1e-6, 1e-1))
    assert 1e-5 < found.fraction < 1e-2
    assert density.crossings(noisy((3, 1.2), *noise)) == []
    assert density.crossings(noisy((3, 1.2), *noise, (3, 1.2))) == []


def test_no_crossover_is_said_in_words() -> None:
    def said(*points: tuple[float, float]) -> str:
        return crossing_words(density.Ratio("per-page", "page-walk", tuple(noisy(*points)), ()))

    assert said((3, 1.2), (2, 1.2)) == "none in this range (per-page is slower than page-walk)"
    assert said((1 / 3, 1.2)) == "none in this range (per-page is faster than page-walk)"
    assert said((3, 1.2), (1.1, 1.2)).endswith("slower than page-walk; the interval includes 1 at 1 of 2 densities)")
    assert "no difference" in said((1.1, 1.2))


def test_the_breakdown_adds_up_to_the_counters(run: LoadedRun) -> None:
    data = only(cost.prepare(run))
    points = {(one.counted.point.group, one.implementation): one.counted for one in run.counted_points}
    assert {bar.group for bar in data.bars} == {"munlockall/report/2TiB", "munlockall/dense/1GiB"}
    for bar in data.bars:
        counters = points[bar.group, bar.implementation].counters
        assert bar.total(0) == entries_read(counters)
        assert bar.total(1) == sum(counters[name] for name in counters if name.endswith("_lock"))
        for phase, found in zip(data.phases, bar.values, strict=True):
            assert list(found) == [counters[part.counter] for part in phase.parts]


def test_every_lock_that_is_counted_is_shown() -> None:
    shown = {part.counter for phase in cost.PHASES for part in phase.parts}
    of_unmapping = {"model_zap_read", "model_unmap_pmd_read", "model_unmap_upper_read"}  # no phase of mlock or munlock
    assert {name for name in NAMES if name.endswith(("_lock", "_read"))} - of_unmapping <= shown


def test_distributions_have_one_value_for_each_process(run: LoadedRun) -> None:
    data = only(distribution.prepare(run))
    for group in data.groups:
        for one in group.samples:
            assert len(one.by_process) == sample_run.NR_PROCESSES
            middle = math.prod(one.by_process) ** (1 / sample_run.NR_PROCESSES)
            assert one.relative == pytest.approx([seconds / middle for seconds in sorted(one.by_process)])


def test_run_order_is_that_of_the_starts(run: LoadedRun) -> None:
    data = only(order.prepare(run))
    assert len(data.values) == len(run.counted_points) * sample_run.NR_PROCESSES
    assert [one.minutes for one in data.values] == sorted(one.minutes for one in data.values)
    last = 10 * (len(run.counted_points) - 1) + sample_run.NR_PROCESSES - 1
    assert data.minutes == pytest.approx(timedelta(seconds=last) / timedelta(minutes=1))
    # The sample's processes are each slower than the one before.
    middle = math.prod(1 + process / 100 for process in range(sample_run.NR_PROCESSES)) ** (1 / sample_run.NR_PROCESSES)
    assert [one.relative for one in data.values if one.number == 1] == pytest.approx([1 / middle] * len(run.counted_points))
    assert sum(number for number, _ in data.parts) == len(data.values)


def test_drift_is_told_by_quarters_of_the_time_from_the_first_process_to_the_last() -> None:
    values = [order.Value("x", "page-walk", 1, minutes, relative) for minutes, relative in
              ((0, 1.0), (1.9, 1.2), (2, 1.5), (6, 2.0), (7.9, 4.0), (8, 3.0))]  # fmt: skip
    (first, second, third, fourth) = order.parts(values)
    assert first[0] == 2 and first[1] == pytest.approx(1.1)  # until 2 minutes, which belong to the second
    assert second == (1, 1.5)
    assert third[0] == 0
    assert math.isnan(third[1])
    assert fourth == (3, 3.0)  # the last process is in the last quarter


def test_quarters_are_told_with_the_minutes_that_they_are() -> None:
    values = [order.Value("x", "page-walk", 1, minutes, relative) for minutes, relative in
              ((0.0, 1.0), (3.0, 1.1), (7.0, 2.0), (8.0, 2.0))]  # fmt: skip
    told = order_words.describe(order.Order("order", "r", tuple(values), 8.0, order.parts(values)))
    assert [row[:2] for row in told.tables[0].rows] == [
        ("0.0 .. 2.0 min", "1"), ("2.0 .. 4.0 min", "1"), ("4.0 .. 6.0 min", "0"), ("6.0 .. 8.0 min", "2")
    ]  # fmt: skip
    assert [row[2] for row in told.tables[0].rows] == [deviation(1.0), deviation(1.1), "none", deviation(2.0)]


@pytest.mark.parametrize("boundary", [1, 2, 3])
def test_a_process_at_the_end_of_a_quarter_is_in_the_next(boundary: int) -> None:
    moments = (0.0, boundary / 4 - 1e-6, boundary / 4, 1.0)
    found = order.parts([order.Value("x", "page-walk", 1, moment, 1.0) for moment in moments])
    quarters = [0, boundary - 1, boundary, 3]
    assert [number for number, _ in found] == [quarters.count(index) for index in range(4)]


def test_a_process_that_does_not_say_when_it_started_has_no_place(run: LoadedRun) -> None:
    first = run.counted_points[0]
    nameless = msgspec.structs.replace(first, processes=(Process((1.0,), None), *first.processes[1:]))
    data = only(order.prepare(msgspec.structs.replace(run, points=run.points | {first.counted.name: nameless})))
    assert len(data.values) == len(run.counted_points) * sample_run.NR_PROCESSES - 1


def test_without_times_only_the_exact_figure_is_left(tmp_path: Path) -> None:
    run = inputs.load_run(write_run(tmp_path / "counted", timed=False))
    found = {name: isinstance(kind.prepared(run)[0], inputs.Skipped) for name, kind in kinds.KINDS.items()}
    assert found | {"report": True, "scaling": True, "ratio": True, "cost": False, "distribution": True, "order": True} == found
    assert all(one.reason for one in kinds.prepare(run) if isinstance(one, inputs.Skipped))


def test_two_spans_are_no_curve_and_two_densities_no_range(tmp_path: Path) -> None:
    scenarios = [SCENARIOS["report"].resized(span) for span in SPANS[:2]] + [sparse(step, 4 * GiB) for step in STEPS[:2]]
    done = [sample_run.counted(one, name) for one in scenarios for name in IMPLEMENTATIONS]
    run = inputs.load_run(write_run(tmp_path / "few", done))
    assert [type(one) for kind in ("scaling", "ratio") for one in kinds.KINDS[kind].prepare(run)] == [inputs.Skipped] * 2


def test_a_count_of_zero_has_no_exponent(tmp_path: Path) -> None:
    nothing = dict.fromkeys(NAMES, 0)
    walks = {one.name for one in sample_run.points() if one.point.implementation == "page-walk"}
    done = [msgspec.structs.replace(one, counters=nothing) if one.name in walks else one for one in sample_run.points()]
    run = inputs.load_run(write_run(tmp_path / "zero", done))
    data = only(scaling.prepare(run))
    (walk,) = (curve for curve in data.curves if curve.implementation == "page-walk")
    assert walk.entries.exponent is None
    assert walk.entries.local == ()
    assert walk.seconds.exponent is not None
    ratios = only(density.prepare(run))
    assert {point.entries for one in ratios.ratios if one.faster == "page-walk" for point in one.points} == {None}
    for one in existing(kinds.prepare(run)):
        assert isinstance(one, inputs.Skipped) or one.words().tables


def changed_counters(directory: Path, more: dict[str, int], less: set[str]) -> LoadedRun:
    """Return the made-up run with counters added to all its points, and others taken away."""
    done = [
        msgspec.structs.replace(one, counters={key: value for key, value in (one.counters | more).items() if key not in less})
        for one in sample_run.points()
    ]
    return inputs.load_run(write_run(directory, done))


def test_a_counter_that_no_figure_knows_changes_none(run: LoadedRun, tmp_path: Path) -> None:
    more = changed_counters(tmp_path / "sample", {"model_counted_since_tomorrow": 7}, set())
    assert [one.data for one in existing(kinds.prepare(more))] == [one.data for one in existing(kinds.prepare(run))]


def test_a_counter_that_no_figure_shows_may_be_missing(run: LoadedRun, tmp_path: Path) -> None:
    shown = {part.counter for phase in cost.PHASES for part in phase.parts}
    less = changed_counters(tmp_path / "sample", {}, set(NAMES) - shown)
    assert less.counted_points[0].counted.counters.keys() == shown
    assert [one.data for one in existing(kinds.prepare(less))] == [one.data for one in existing(kinds.prepare(run))]


def test_a_cost_that_a_run_did_not_count_is_left_out_and_named(run: LoadedRun, tmp_path: Path) -> None:
    changed = changed_counters(tmp_path / "sample", {}, {"model_lru_lock"})
    prepared = {one.kind.name: one for one in existing(kinds.prepare(changed))}
    assert prepared.keys() == kinds.KINDS.keys()
    whole, data = only(cost.prepare(run)), prepared["cost"].data
    assert [part.label for part in data.phases[1].parts] == ["page table", "page", "reverse map"]
    locks = [bar.values[1][:1] + bar.values[1][2:] for bar in whole.bars]
    assert [bar.values[1] for bar in data.bars] == locks
    assert "Not counted in this run, and not in its sums: model_lru_lock." in prepared["cost"].words().caption
    assert "Not counted" not in kinds.KINDS["cost"].describe(whole).caption


def test_without_a_counter_that_it_needs_a_figure_is_skipped_with_the_reason(tmp_path: Path) -> None:
    found = kinds.prepare(changed_counters(tmp_path / "sample", {}, {"model_p4d_read"}))
    skipped = {one.name: one.reason for one in found if isinstance(one, inputs.Skipped)}
    assert skipped.keys() == {"report", "scaling", "ratio"}
    assert all(reason.endswith("; this run has calls without the counter model_p4d_read") for reason in skipped.values())


def test_few_processes_are_no_distribution(tmp_path: Path) -> None:
    done = sample_run.points()
    few = write_run(tmp_path / "few", done, timed=False)
    times = sample_run.benchmarks(done[:3]) + sample_run.benchmarks(done[3:], distribution.FEWEST_PROCESSES - 1)
    storage.save_wall(few / storage.WALL_FILE, times)
    data = only(distribution.prepare(inputs.load_run(few)))
    assert [group.group for group in data.groups] == [done[0].point.group]
    assert data.nr_too_few == len({one.point.group for one in done}) - 1
    words = kinds.KINDS["distribution"].describe(data)
    assert f"{data.nr_too_few} more calls of this run are not shown, because they were timed in fewer than 6" in words.caption
    storage.save_wall(few / storage.WALL_FILE, times[3:])
    (skipped,) = distribution.prepare(inputs.load_run(few))
    assert skipped == inputs.Skipped(skipped.name, "it needs a call that was timed in 6 processes or more")


def test_the_report_has_every_span_and_the_real_kernels(run: LoadedRun) -> None:
    data = only([one for one in existing(report.prepare(run)) if one.scenario == "report"])
    points = {one.counted.name: one for one in run.counted_points}
    assert (data.name, data.spans) == ("report", list(SPANS))
    assert len(data.calls) == len(SPANS) * len(IMPLEMENTATIONS)
    for call in data.calls:
        one = points[Point(SCENARIOS["report"].resized(call.span), call.implementation).name]
        assert call.seconds == stats.geometric_mean(one.by_process)
        assert call.seconds.estimate == pytest.approx(math.prod(one.by_process) ** (1 / len(one.processes)))
        assert call.nr_entries == entries_read(one.counted.counters)
    assert data.marks == REPORTED


def of_report(tmp_path: Path, spans: list[int], implementations: list[str]) -> report.Report:
    """Return the numbers of the report's figure of a run of these."""
    done = [sample_run.counted(SCENARIOS["report"].resized(span), name) for span in spans for name in implementations]
    found: report.Report = only(report.prepare(inputs.load_run(write_run(tmp_path / "run", done))))
    return found


@pytest.mark.parametrize(
    ("spans", "implementations", "words"),
    [
        ([GiB, 4 * GiB], list(IMPLEMENTATIONS), ""),  # not at the report's span
        ([REPORTED_SPAN], ["page-walk"], "took so much longer that they are not marked"),  # microseconds: far from any of them
    ],
)
def test_real_kernels_far_from_what_was_measured_are_not_marked(
    tmp_path: Path, spans: list[int], implementations: list[str], words: str
) -> None:
    data = of_report(tmp_path, spans, implementations)
    said = kinds.KINDS["report"].describe(data)
    assert data.marks == ()
    assert words in said.alternative
    assert "real kernels" not in said.caption
    assert len(said.tables) == 1


def test_a_run_of_few_scenarios_has_a_report_of_each_and_one_of_many_that_of_the_report(tmp_path: Path) -> None:
    few = [SCENARIOS["thp"], SCENARIOS["layout"].resized(1 << 40), SCENARIOS["dense"]]
    many = [*few, SCENARIOS["report"], SCENARIOS["head-tail"], SCENARIOS["many-vmas"]]
    names = []
    for index, scenarios in enumerate((few, many, many[:3] + many[4:] + [SCENARIOS["sparse-random"]])):
        run = write_run(tmp_path / str(index), [sample_run.counted(one, "page-walk") for one in scenarios])
        names.append([one.name for one in report.prepare(inputs.load_run(run))])
    assert names == [["report-thp", "report-dense", "report-layout"], ["report"], ["report"]]
    assert isinstance(report.prepare(inputs.load_run(run))[0], inputs.Skipped)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: msgspec.structs.replace(one, span=100), "has a span or a number of pages"),
        (lambda one: msgspec.structs.replace(one, nr_populated=1 << 40), "has a span or a number of pages"),
    ],
)
def test_numbers_that_cannot_be_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    done = sample_run.points()
    with pytest.raises(MeasurementError, match=message):
        inputs.load_run(write_run(tmp_path / "wrong", [change(done[0]), *done[1:]], timed=False))


def test_times_of_other_work_than_was_counted_are_refused(tmp_path: Path) -> None:
    done = sample_run.points()
    directory = write_run(tmp_path / "mixed", done)
    changed = [msgspec.structs.replace(one, counters=one.counters | {"model_pte_read": 7}) for one in done]
    storage.save_counters(directory / storage.COUNTERS_FILE, "x", {}, changed)
    with pytest.raises(MeasurementError, match="other work"):
        inputs.load_run(directory)


def test_calls_that_were_only_timed_are_counted_as_left_out(tmp_path: Path) -> None:
    done = sample_run.points()
    directory = write_run(tmp_path / "more", done)
    storage.save_counters(directory / storage.COUNTERS_FILE, "x", {}, done[2:])
    assert inputs.load_run(directory).nr_foreign == 2


def test_the_reference_comes_before_newer_runs_and_those_before_older(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no run in"):
        inputs.find_runs([], [tmp_path])
    for name, created in (("zzz", "2026-01-01T00:00:00Z"), ("aaa", "2026-01-02T00:00:00Z"), (".part", "2027-01-01T00:00:00Z")):
        path = write_run(tmp_path / name, timed=False) / storage.COUNTERS_FILE
        path.write_bytes(storage.encode_json(msgspec.structs.replace(storage.load_counters(path), created=created)))
    assert inputs.find_runs([], [tmp_path]) == [tmp_path / "aaa"]
    write_run(tmp_path / "reference", timed=False)
    assert inputs.find_runs([], [tmp_path]) == [tmp_path / "reference"]
    assert inputs.find_runs([Path("zzz"), tmp_path / "aaa"], [tmp_path]) == [tmp_path / "zzz", tmp_path / "aaa"]
    with pytest.raises(UsageError, match="no run 'nosuch'"):
        inputs.find_runs([Path("nosuch")], [tmp_path])


@pytest.mark.parametrize("name", ["../../etc", ".hidden", "a/b", "", "...", "<script>", "\x1b[31m", "é" * 300])
def test_names_become_safe_parts_of_paths(name: str) -> None:
    slug = slug_of(name)
    assert slug
    assert len(slug) <= 80
    assert not slug.startswith(".")
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        (Interval(1.0, 0.998, 1.002), "1.000 [0.998, 1.002]"),
        (Interval(0.04, -0.1, 0.18), "0.04 [\u22120.10, 0.18]"),
        (Interval(-0.0001, -0.0002, 0.0), "0.000 [0.000, 0.000]"),
        (Interval(1.91, -math.inf, math.inf), "1.91 (too few for an interval)"),
    ],
)
def test_measured_exponents_in_words(interval: Interval, words: str) -> None:
    cost = scaling.Cost((1.0, 1.0, 1.0), (interval,) * 3, stats.Exponent(interval, (-0.1, 2.0), curved=False), (-0.1, 2.0))
    assert exponent_words(cost) == words
    bent = msgspec.structs.replace(cost, exponent=stats.Exponent(interval, (-0.1, 2.0), curved=True))
    assert exponent_words(bent) == "\u22120.10 .. 2.00, curved"


@pytest.mark.parametrize(
    ("local", "words"),
    [
        ((1.0, 1.0), "1.000 exactly"),
        ((1.0, 1.0002), "1.000"),
        ((0.0, 0.6609), "0.000 .. 0.661, no power law"),
        ((), "none"),  # a count of zero
    ],
)
def test_exact_exponents_in_words(local: tuple[float, ...], words: str) -> None:
    assert exponent_words(scaling.Cost((1.0,) * 3, (), None, local)) == words


def test_tables_have_a_cell_for_every_column(run: LoadedRun) -> None:
    for one in existing(kinds.prepare(run)):
        words = one.words()
        assert words.caption
        assert words.alternative
        for table in words.tables:
            assert {len(row) for row in table.rows} == {len(table.heads)}


def test_steps_are_told_as_sizes(run: LoadedRun) -> None:
    words = kinds.KINDS["ratio"].describe(only(density.prepare(run)))
    assert {row[2] for row in words.tables[1].rows} == {"4 KiB", "256 KiB", "16 MiB", "1 GiB"}
    assert STEPS[0] == 4 * KiB
