"""Seconds from instructions."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench.commands.predict_layouts import address_range, duration
from bench.errors import MeasurementError, UsageError
from bench.prediction import times
from bench.prediction.times import Calibration, Measured
from bench.prediction.weights import Cost

EXACT = [Measured(f"p{n}", "munlock", n, (2e-6 + n * 1e-10,)) for n in (1e3, 1e5, 1e7)]


def calibration(target: str, series: str) -> Calibration:
    """Return a calibration whose points lie on a line."""
    return Calibration(target, series, series, "2026-01-01T00:00:00Z", tuple(EXACT), times.lines_of(EXACT))


def test_a_line_is_found_and_points_on_it_have_no_spread() -> None:
    line = times.fit_line(EXACT)
    assert [line.overhead, line.factor] == pytest.approx([2e-6, 1e-10])
    assert line.spread == pytest.approx(0, abs=1e-9)


def test_scatter_widens_the_interval_both_ways() -> None:
    scattered = [Measured(f"p{n}", "munlock", 1e6 * (n + 1), (1e-4 * (n + 1) * (1.3 if n % 2 else 0.75),)) for n in range(8)]
    interval = times.fit_line(scattered).interval(Cost(1e6, 1e6, 1e6))
    assert interval.low < interval.seconds / 1.25 and interval.high > interval.seconds * 1.25


def test_without_calibration_the_published_range_is_given() -> None:
    found = times.seconds_of(Cost(1e9, 0.9e9, 1.1e9), "munlock", None)
    assert found.low == pytest.approx(0.9e9 * times.PUBLISHED[0]) and found.high == pytest.approx(1.1e9 * times.PUBLISHED[1])
    assert found.seconds == pytest.approx(math.sqrt(found.low * found.high))


def test_calibrations_are_kept_by_target_and_the_nearest_kernel_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "cache" / times.FILE
    for one in (calibration("uml-5.10", "5.10"), calibration("host", "6.12"), calibration("host", "6.12")):
        times.save(path, one)
    known = times.load(path)
    assert set(known.targets) == {"uml-5.10", "host"}
    assert [known.nearest(series).target for series in ("5.10", "6.1", "6.12")] == ["uml-5.10", "host", "host"]  # type: ignore[union-attr]
    assert [one.name for one in path.parent.iterdir()] == [times.FILE]
    path.write_text("{}")
    with pytest.raises(MeasurementError):
        times.load(path)


@pytest.mark.parametrize(("text", "seconds"), [("100ms", 0.1), ("2.5s", 2.5), ("30us", 30e-6), ("7 ns", 7e-9)])
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "100", "ms", "-1s", "1e3s", "1 h", "٣s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError):
        duration(text)


@pytest.mark.parametrize("text", ["", "0-0", "1000-0", "0-1001", "x-y", "1000", "-1000-2000"])
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(UsageError):
        address_range(text)


def steady(calls: float) -> list[Measured]:
    """Return points on a line, each called twice: once faster and once slower by a factor."""
    return [Measured(one.name, one.call, one.instructions, (one.seconds[0] / calls, one.seconds[0] * calls)) for one in EXACT]


def test_calls_that_scatter_about_their_point_widen_the_interval_too() -> None:
    spread = times.fit_line(steady(1.5)).spread
    assert spread > 2 * math.log(1.5)  # the deviation of a call, with few points to tell it by
    assert times.fit_line(steady(1.0)).spread < 0.1 * spread


def test_a_point_twice_too_slow_counts_as_one_twice_too_fast() -> None:
    points = [Measured(f"p{n}", "munlock", 1e6, (1e-4 * factor,)) for n, factor in enumerate((0.5, 2.0, 0.5, 2.0))]
    assert times.fit_line(points).interval(Cost(1e6, 1e6, 1e6)).seconds == pytest.approx(1e-4, rel=1e-3)


@pytest.mark.parametrize("points", [EXACT[:2], [*EXACT, Measured("none", "munlock", 1e3, (0.0,))]])
def test_too_few_points_and_none_that_took_time_are_refused(points: list[Measured]) -> None:
    with pytest.raises(MeasurementError):
        times.fit_line(points)
