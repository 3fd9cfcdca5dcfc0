"""One set of raw data has one answer, whoever is asked: report, table, compare, every figure, the gate's floors."""

import math
from pathlib import Path
from typing import Any

import pytest

from bench.analysis import comparison, dataframes, report_rows
from bench.analysis.stats import ESTIMATOR
from bench.figures import inputs, kinds
from bench.figures.scaling.words import exponent_words
from bench.gate import laws
from bench.gate.checks import Floor
from bench.gate.expectation import Expected
from bench.number_format import multiple, seconds
from bench.runs import loading, storage
from bench.runs.loaded import LoadedRun
from bench.runs.pyperf_file import seconds_by_process
from bench.tables import report_tables, run_tables
from bench.tables.table import Table
from bench.workloads.scenario import SCENARIOS, GiB, KiB, Point, sparse
from bench.workloads.suite import Group
from support import kept

SLOW, FAST = "per-page", "page-walk"
SPANS = (1 << 31, 1 << 36, 1 << 41)
STEPS = (4 * KiB, 64 * KiB, 1024 * KiB)
# Six processes of three values in µs. One process was disturbed in one value, and lies in the slow one of two groups.
BASE = ((40, 41, 39), (40, 40, 40), (80, 80, 900), (40, 42, 40), (82, 80, 78), (40, 40, 41))
# By hand: the medians are 40, 40, 80, 40, 80, 40; their logarithms' mean is ln 40 + ln 2 / 3.
TIME = 40e-6 * 2 ** (1 / 3)
RATIO = 8.0


def times(point: Point) -> list[list[float]]:
    """Return the values of each process: the same for all sizes."""
    scale = 1e-6 if point.implementation == SLOW else 1e-6 / RATIO
    return [[value * scale for value in values] for values in BASE]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scenarios = [SCENARIOS["report"].resized(span) for span in SPANS] + [sparse(step, 4 * GiB) for step in STEPS]
    points = [Point(one, implementation) for one in scenarios for implementation in (SLOW, FAST)]
    whole = [kept.counted(one, 1000 if one.implementation == SLOW else 10) for one in points]
    dated = {"date": "2026-01-31 23:50:00"}
    return kept.write(tmp_path_factory.mktemp("run") / "one", whole, [kept.timed(one, times(one), **dated) for one in points])


@pytest.fixture(scope="module")
def run(path: Path) -> LoadedRun:
    return inputs.load_run(path)


def expected_time(implementation: str) -> float:
    return TIME if implementation == SLOW else TIME / RATIO


def cells(table: Table, head: str, implementation: str) -> set[str]:
    """Return what a table has in a column, of one implementation."""
    name, column = table.heads.index("implementation"), table.heads.index(head)
    return {row[column] for row in table.rows if row[name] == implementation}


def test_the_report(path: Path) -> None:
    counted = storage.load_counters(path / storage.COUNTERS_FILE).points
    walls = storage.load_wall(path / storage.WALL_FILE)
    rows = report_rows.rows(counted, {name: seconds_by_process(one) for name, one in walls.items()})
    for row in rows:
        assert row.seconds and row.speedup
        assert row.seconds.estimate == pytest.approx(expected_time(row.implementation))
        assert row.speedup.estimate == pytest.approx(1 if row.implementation == SLOW else RATIO)
    table = report_tables.report_table(rows)
    assert ESTIMATOR in table.title
    assert cells(table, "time", SLOW) == {seconds(TIME)} == {"50.4 µs"}
    assert cells(table, "time", FAST) == {seconds(TIME / RATIO)} == {"6.3 µs"}
    assert cells(table, "x faster", FAST) == {multiple(RATIO)} == {"8"}
    assert "per-page took 50.4 µs" in report_tables.sentence(rows) and ", 8 times faster" in report_tables.sentence(rows)


def test_tables_and_what_they_agree_on_with_the_report(run: LoadedRun, path: Path) -> None:
    frame = dataframes.points_frame(run)
    for _, row in frame.iterrows():
        assert row["time_mean_s"] == pytest.approx(expected_time(row["implementation"]))
        assert row["time_speedup"] == pytest.approx(1 if row["implementation"] == SLOW else RATIO)
    walls = storage.load_wall(path / storage.WALL_FILE)
    counted = storage.load_counters(path / storage.COUNTERS_FILE).points
    rows = report_rows.rows(counted, {name: seconds_by_process(one) for name, one in walls.items()})
    for made, (_, kept_row) in zip(rows, frame.iterrows(), strict=True):
        assert made.seconds
        assert (made.seconds.low, made.seconds.high) == (kept_row["time_mean_low_s"], kept_row["time_mean_high_s"])
    page = run_tables.table_page(frame, dataframes.exponents_frame(frame, run), ("time_",), False)
    assert ESTIMATOR in page.tables[0].title
    assert cells(page.tables[0], "time", SLOW) == {"50.4 µs"}
    assert cells(page.tables[0], "x faster", FAST) == {"8"}


def test_compare(run: LoadedRun, path: Path) -> None:
    found = comparison.compare(run, loading.load_path(path))
    for _, row in found.points.iterrows():
        assert row["time_a_s"] == row["time_b_s"] == pytest.approx(expected_time(row["implementation"]))
        assert row["time_ratio"] == pytest.approx(1)
    page = run_tables.compare_page(found)
    assert any(ESTIMATOR in text for text in page.remarks)
    assert cells(page.tables[0], "A", SLOW) == {"50.4 µs"}


def test_every_figure_with_times(run: LoadedRun) -> None:
    data: dict[str, Any] = {name: kinds.KINDS[name].prepare(run)[0] for name in kinds.NAMES}
    assert not [one for one in data.values() if isinstance(one, inputs.Skipped)]
    frame = dataframes.points_frame(run).set_index("name")
    for call in data["report"].calls:
        assert call.seconds.estimate == pytest.approx(expected_time(call.implementation))
    for curve in data["scaling"].curves:
        assert curve.seconds.values == pytest.approx([expected_time(curve.implementation)] * len(SPANS))
        assert exponent_words(curve.seconds).startswith("0.00 [")
    (ratio,) = (one for one in data["ratio"].ratios if (one.slower, one.faster) == (SLOW, FAST))
    for point, step in zip(ratio.points, reversed(STEPS), strict=True):
        row = frame.loc[Point(sparse(step, 4 * GiB), FAST).name]
        assert (point.seconds.low, point.seconds.high) == (row["time_speedup_low"], row["time_speedup_high"])
        assert point.seconds.estimate == pytest.approx(RATIO)
    for group in data["distribution"].groups:
        for sample in group.samples:
            assert sample.seconds == pytest.approx(expected_time(sample.implementation))
            assert math.prod(sample.relative) == pytest.approx(1)
    for value in data["order"].values:
        assert math.isclose(value.relative, 2 ** (-1 / 3)) or math.isclose(value.relative, 2 ** (2 / 3))


def test_every_figure_with_times_names_it(run: LoadedRun) -> None:
    for kind in ("report", "scaling", "ratio", "distribution", "order"):
        for one in kinds.KINDS[kind].prepared(run):
            assert not isinstance(one, inputs.Skipped)
            assert ESTIMATOR in one.words().caption, kind


def test_a_floor_of_the_gate(run: LoadedRun) -> None:
    group = Group(SCENARIOS["report"])
    counted = {one.counted.name: Expected("", 1, 0, one.counted.counters) for one in run.counted_points}
    by_process = {one.counted.name: one.by_process for one in run.counted_points}
    _, timed = laws.judge_floors([Floor(group, SLOW, FAST, entries=1, seconds=1)], counted, by_process)
    row = dataframes.points_frame(run).set_index("name").loc[Point(group.scenario, FAST).name]
    assert timed.numbers["ratio"] == pytest.approx(RATIO) == pytest.approx(row["time_speedup"])
    assert timed.numbers["interval_low"] == row["time_speedup_low"]
