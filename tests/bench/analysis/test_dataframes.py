"""Runs as data frames: the numbers, what is missing, and exponents."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench.analysis import dataframes, stats
from bench.errors import MeasurementError, UsageError
from bench.figures import inputs
from bench.figures.scaling import numbers as scaling
from bench.runs import loading
from bench.runs.loaded import LoadedRun
from mmmodel.counters import NAMES
from support import kept

MiB = 1 << 20


def frame_of(path: Path) -> pd.DataFrame:
    return dataframes.points_frame(loading.load(str(path), path))


def exponents_of(path: Path) -> pd.DataFrame:
    run = loading.load(str(path), path)
    return dataframes.exponents_frame(dataframes.points_frame(run), run)


@pytest.fixture
def run(tmp_path: Path) -> LoadedRun:
    return loading.load_path(kept.write_curve(tmp_path / "curve"))


@pytest.fixture
def curve(run: LoadedRun) -> pd.DataFrame:
    return dataframes.points_frame(run)


def row(frame: pd.DataFrame, name: str) -> pd.Series:
    (found,) = (one for _, one in frame.iterrows() if one["name"] == name)
    return found


def test_a_row_for_every_point_in_order(curve: pd.DataFrame) -> None:
    sizes = ("64MiB", "64MiB", "256MiB", "256MiB", "1GiB", "1GiB")
    assert tuple(curve["size"]) == sizes
    assert tuple(curve["implementation"]) == ("per-page", "page-walk") * 3
    assert set(curve["operation"]) == {"munlockall"} and set(curve["scenario"]) == {"report"}


def test_numbers_of_one_point(tmp_path: Path) -> None:
    here, other = kept.point("per-page"), kept.point("page-walk")
    own, base = [[2.0, 4.0, 90.0], [1.0], [2.0]], [[20.0], [5.0], [10.0]]
    times = [kept.timed(here, base), kept.timed(other, own)]
    entries = kept.counted(other, 7, model_pgd_read=2, model_pte_lock=3)
    found = row(frame_of(kept.write(tmp_path / "run", [entries], times)), other.name)
    assert found["time_mean_s"] == pytest.approx(2.0)  # of 4, 1 and 2
    assert (found["time_processes"], found["time_values"]) == (3, 5)
    assert found["time_ns_per_page"] == pytest.approx(2e9 / 16384)
    assert found["time_speedup"] == pytest.approx(5)
    ratio = stats.ratio([20.0, 5.0, 10.0], [4.0, 1.0, 2.0])
    assert (found["time_speedup_low"], found["time_speedup_high"]) == pytest.approx((ratio.low, ratio.high))
    assert (found["count_entries_read"], found["count_model_pte_lock"], found["count_nr_mlock"]) == (9, 3, -7)
    assert (found["span_bytes"], found["nr_vmas"], found["nr_populated"]) == (64 * MiB, 1, 0)


def test_what_is_not_there_is_na(tmp_path: Path) -> None:
    here, other = kept.point("per-page"), kept.point("page-walk")
    frame = frame_of(kept.write(tmp_path / "run", [kept.counted(here, 5)], [kept.timed(other, [[1.0]])]))
    assert frame["count_entries_read"].dtype == "Int64"  # exact where some are missing, too
    assert row(frame, here.name).filter(like="time_").isna().all()
    assert row(frame, other.name).filter(like="count_").isna().all()
    missing = {"time_mean_low_s", "time_mean_high_s", "time_speedup", "time_speedup_low", "time_speedup_high"}
    timed = row(frame, other.name).filter(like="time_")
    assert set(timed.index[timed.isna()]) == missing


def test_counts_stay_exact_beyond_floats(tmp_path: Path) -> None:
    huge = (1 << 62) + 1
    points = [kept.counted(kept.point(), huge)]
    frame = frame_of(kept.write(tmp_path / "run", points, [kept.timed(kept.point("page-walk"), [[1.0]])]))
    assert int(frame["count_model_pte_read"].iloc[0]) == huge


def test_a_counter_that_is_needed_and_missing(tmp_path: Path) -> None:
    one = kept.counted(kept.point(), 5)
    one.counters.pop("model_pmd_read")
    with pytest.raises(MeasurementError, match="has no counter model_pmd_read"):
        frame_of(kept.write(tmp_path / "run", [one]))


def test_exponents_of_a_law(curve: pd.DataFrame, run: LoadedRun) -> None:
    found = dataframes.exponents_frame(curve, run).set_index("implementation")
    assert list(found.index) == ["per-page", "page-walk"]
    for implementation, power in (("per-page", 1), ("page-walk", 0)):
        for kind in ("count", "time"):
            values = found.loc[implementation, [f"{kind}_exponent{end}" for end in ("", "_low", "_high")]]
            assert np.allclose(values.astype(float), power, atol=0.02 if kind == "time" else 1e-9)
    assert set(found["time_exponent_shape"]) == {"power"}
    assert (found["time_exponent_high"] - found["time_exponent_low"]).min() > 1e-4  # of three processes at each size
    assert set(found["nr_sizes"]) == {3}
    assert set(found["least_span_bytes"]) == {64 * MiB} and set(found["most_span_bytes"]) == {1024 * MiB}


def of_costs(path: Path, entries: list[int], times: list[list[float]]) -> pd.Series:
    """Return the row of exponents of an implementation that costs this at spans that double, each time a process."""
    points = [kept.point(span=MiB << shift) for shift in range(len(entries))]
    whole = [kept.counted(one, number) for one, number in zip(points, entries, strict=True)]
    (found,) = (
        row
        for _, row in exponents_of(
            kept.write(path, whole, [kept.timed(one, [[value] for value in of]) for one, of in zip(points, times, strict=True)])
        ).iterrows()
    )
    return found


def test_what_was_counted_is_said_exactly(tmp_path: Path) -> None:
    """The report's page-walk at 2 GiB to 2 TiB: once "0.23 [-1.47, 1.94]"."""
    found = of_costs(tmp_path / "run", [1, 1, 2, 5], [[1.0]] * 4)
    local = found["count_exponent_low"], found["count_exponent_high"]
    assert local == pytest.approx((0, math.log2(5 / 2)))


def test_thin_and_curved_times_have_no_interval(tmp_path: Path) -> None:
    thin = of_costs(tmp_path / "thin", [1] * 3, [[1.0], [3.0], [100.0]])
    assert thin["time_exponent_shape"] == "too few" and thin.filter(like="time_exponent_low").isna().all()
    assert thin["time_exponent"] > 0
    curved = of_costs(tmp_path / "curved", [1] * 3, [[1.0, 1.1, 1.0], [1.0, 1.0, 1.1], [4.0, 4.1, 4.0]])
    assert curved["time_exponent_shape"] == "curved" and curved.filter(like="time_exponent_low").isna().all()
    ends = [curved[f"time_exponent_local_{end}"] for end in ("low", "high")]
    assert ends == pytest.approx([0, 2], abs=0.1)


def test_no_exponent_without_three_sizes_or_of_zero(tmp_path: Path, curve: pd.DataFrame, run: LoadedRun) -> None:
    assert dataframes.exponents_frame(curve[curve["size"] != "1GiB"], run).empty
    spans = (MiB, 2 * MiB, 4 * MiB)
    whole = [kept.counted(kept.point(span=span), 0) for span in spans]
    times = [kept.timed(kept.point(span=span), [[1.0]]) for span in spans[:2]]
    found = exponents_of(kept.write(tmp_path / "run", whole, times))
    assert len(found) == 1
    assert found.filter(like="exponent").isna().all(axis=None)


def test_programs_are_no_sizes_of_one_thing(curve: pd.DataFrame, run: LoadedRun) -> None:
    assert dataframes.exponents_frame(curve.assign(scenario="layout"), run).empty


def test_kinds_of_columns(curve: pd.DataFrame) -> None:
    counts, times = dataframes.only(curve, ["count_"]), dataframes.only(curve, ["time_"])
    assert dataframes.has(counts, "count_") and not dataframes.has(counts, "time_")
    assert dataframes.has(times, "time_") and not dataframes.has(times, "count_")
    assert set(counts) | set(times) == set(curve) == set(dataframes.only(curve, ["count_", "time_"]))
    assert not dataframes.has(curve.assign(**dict.fromkeys(dataframes.TIMES, math.nan)), "time_")


def test_rows_are_selected_by_words(curve: pd.DataFrame) -> None:
    assert set(dataframes.select(curve, "implementation", ["page-walk"])["implementation"]) == {"page-walk"}
    assert len(dataframes.select(curve, "implementation", ["page-walk,per-page"])) == len(curve)
    assert len(dataframes.select(curve, "implementation", [])) == len(curve)
    with pytest.raises(UsageError, match=r"no implementation 'hole-skip'; it has per-page, page-walk"):
        dataframes.select(curve, "implementation", ["page-walk,hole-skip"])


def test_exponents_are_those_of_the_figures(tmp_path: Path) -> None:
    points = [kept.point(one, size) for size in (64 * MiB, 256 * MiB, 1024 * MiB) for one in ("per-page", "page-walk")]
    counters = {name: 1 for name in NAMES if name != "model_pte_read"}
    times = [kept.timed(one, [[2.0, 2.0, 50.0 + 7 * index], [3.0 + index], [1.0]]) for index, one in enumerate(points)]
    path = kept.write(tmp_path / "run", [kept.counted(one, 5, **counters) for one in points], times)
    (drawn,) = (one for one in scaling.prepare(inputs.load_run(path)) if isinstance(one, scaling.Scaling))
    table = exponents_of(path).set_index("implementation")
    for curve in drawn.curves:
        assert curve.seconds.exponent
        assert table.loc[curve.implementation, "time_exponent"] == pytest.approx(curve.seconds.exponent.fitted.estimate)
