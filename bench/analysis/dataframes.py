"""Runs as data frames: a row for every point, and the scaling exponents over the sizes of one scenario.

Columns that start with `count_` are exact, those that start with `time_` were
measured; names end with the unit. Those that start with `instructions` are of real
kernels, which `runs_as` tells from the model; a run without any has none of these.
Nothing is formatted here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import pandas as pd

from bench.analysis import stats
from bench.analysis.report_rows import BASELINE, entries_read
from bench.errors import MeasurementError, one_line, unknown
from bench.runs.loaded import LoadedPoint, LoadedRun
from bench.workloads.scenario import LAYOUT
from mmmodel.constants import PAGE_SIZE

Kind = Literal["count_", "time_", "instructions"]
COUNT: Final = "count_"
TIME: Final = "time_"
INSTRUCTIONS: Final = "instructions"
GROUP: Final = ["operation", "scenario", "size"]  # what implementations are compared on
CURVE: Final = ["operation", "scenario", "implementation"]  # what is fitted over its sizes
POINT: Final = ["name", *GROUP, "implementation"]
TIMES: Final = [
    "time_mean_s",  # bench.analysis.stats says of what, with its interval
    "time_mean_low_s",
    "time_mean_high_s",
    "time_processes",
    "time_values",
    "time_ns_per_page",  # by all pages of the span, in memory or not
    "time_speedup",  # the baseline's time by this one's, with its interval
    "time_speedup_low",
    "time_speedup_high",
]
EXPONENTS: Final = [
    "count_exponent",  # of the entries read, fitted; then the least and the most from one span to the next: exact
    "count_exponent_low",
    "count_exponent_high",
    "time_exponent",  # of the times, fitted, with its interval where the shape is "power"
    "time_exponent_low",
    "time_exponent_high",
    "time_exponent_local_low",  # least and most from one span to the next
    "time_exponent_local_high",
    "time_exponent_shape",  # "power", "curved" (no one power fits), "too few" (data for an interval)
]
KERNEL: Final = ["runs_as", "kernel_release"]  # of real kernels; NA for the model
COUNTED_THERE: Final = [
    "instructions",  # the median of all calls, then the least and the most
    "instructions_low",
    "instructions_high",
    "instructions_values",
    "instructions_per_page",
    "instructions_fewer",  # those of the first kernel that runs so by this one's
]
INSTRUCTIONS_EXPONENTS: Final = ["instructions_exponent", "instructions_exponent_low", "instructions_exponent_high"]
Shape = Literal["power", "curved", "too few"]
Cell = str | int | float | None


def points_frame(run: LoadedRun) -> pd.DataFrame:
    """Return a row for every point of a run, in its order: POINT, digest, sizes, counters, TIMES.

    What a run does not have is NA, ends of intervals too where the data are too few for one.
    """
    firsts: dict[tuple[str, ...], LoadedPoint] = {}
    for one in run.points.values():
        if one.kernel or one.implementation == BASELINE:
            firsts.setdefault(_kind(one), one)
    rows = [_row(name, one, firsts.get(_kind(one))) for name, one in run.points.items()]
    counters = dict.fromkeys(key for row in rows for key in row if key.startswith(COUNT))
    whole = ["span_bytes", "nr_vmas", "nr_populated", *counters]
    types = dict.fromkeys([*POINT, "digest"], "str") | dict.fromkeys(whole, "Int64") | dict.fromkeys(TIMES, "float64")
    types |= {"time_processes": "Int64", "time_values": "Int64"}
    if run.kernels:
        types |= dict.fromkeys(KERNEL, "str") | dict.fromkeys(COUNTED_THERE[:4], "Int64")
        types |= dict.fromkeys(COUNTED_THERE[4:], "float64")
    return typed(rows, types)


def typed(rows: Sequence[Mapping[str, Cell]], types: Mapping[str, str]) -> pd.DataFrame:
    """Return rows as a frame with columns of these types; cells that are missing are NA.

    A frame made of the rows at once would take whole numbers through floats wherever one is missing.
    """
    columns = {name: pd.Series([row.get(name) for row in rows], dtype=kind) for name, kind in types.items()}
    return pd.DataFrame(columns)


def _group(one: LoadedPoint) -> tuple[str, str, str]:
    """Return what the points to compare with `one` have in common."""
    return one.name.operation, one.name.scenario, one.name.size


def _kind(one: LoadedPoint) -> tuple[str, ...]:
    """Return what the points have in common whose costs are held to the first of them: the group, and how they run."""
    return *_group(one), one.kernel.runs_as if one.kernel else ""


def _row(name: str, one: LoadedPoint, baseline: LoadedPoint | None) -> dict[str, Cell]:
    """Return one point's row."""
    row: dict[str, Cell] = {"name": name, **dict(zip(GROUP, _group(one), strict=True))}
    row |= {"implementation": one.name.implementation, "digest": one.digest or None}
    row |= {"span_bytes": one.span, "nr_vmas": one.nr_vmas, "nr_populated": one.nr_populated}
    if one.counters is not None:
        try:
            row[COUNT + "entries_read"] = entries_read(one.counters)
        except KeyError as error:
            raise MeasurementError(f"{name} has no counter {error.args[0]}") from None
        row |= {COUNT + key: value for key, value in one.counters.items()}
    if one.processes:
        row |= _time_cells(one, baseline)
    if one.kernel:
        row |= {"runs_as": one.kernel.runs_as, "kernel_release": one.kernel.release}
    return row | _instruction_cells(one, baseline)


def _instruction_cells(one: LoadedPoint, first: LoadedPoint | None) -> dict[str, Cell]:
    """Return the cells of what one point's calls executed on a real kernel; nothing where that is not known."""
    found, typical = one.all_instructions, one.nr_instructions
    if typical is None:
        return {}
    cells: dict[str, Cell] = {"instructions": typical, "instructions_values": len(found)}
    cells |= {"instructions_low": min(found), "instructions_high": max(found)}
    if one.span and one.span >= PAGE_SIZE:
        cells["instructions_per_page"] = typical / (one.span // PAGE_SIZE)
    if first and first.nr_instructions:
        cells["instructions_fewer"] = first.nr_instructions / typical
    return cells


def _time_cells(one: LoadedPoint, baseline: LoadedPoint | None) -> dict[str, Cell]:
    """Return the cells of one point's times."""
    seconds = stats.geometric_mean(one.by_process)
    cells = interval_cells("time_mean", seconds, "_s")
    cells |= {"time_processes": len(one.processes), "time_values": len(one.values)}
    if one.span and one.span >= PAGE_SIZE:
        cells["time_ns_per_page"] = seconds.estimate * 1e9 / (one.span // PAGE_SIZE)
    if baseline is one:
        cells["time_speedup"] = 1.0  # by definition, and without an interval
    elif baseline and baseline.processes:
        cells |= interval_cells("time_speedup", stats.ratio(baseline.by_process, one.by_process))
    return cells


def interval_cells(name: str, interval: stats.Interval, unit: str = "") -> dict[str, Cell]:
    """Return an estimate and the ends of its interval as cells; ends of no interval are NaN."""
    low, high = (interval.low, interval.high) if interval.is_known else (math.nan, math.nan)
    return {name + unit: interval.estimate, f"{name}_low{unit}": low, f"{name}_high{unit}": high}


def exponents_frame(frame: pd.DataFrame, run: LoadedRun) -> pd.DataFrame:
    """Return k of cost ~ span**k for each operation, scenario and implementation of `frame` that has at least three spans.

    `frame` has points of `run`. EXPONENTS says what the columns are. NaN where a
    quantity is known at fewer spans, or where a count is zero, which has no
    logarithm. Layouts are programs, not sizes of one thing, and have none.
    """
    rows: list[dict[str, Cell]] = []
    sized = frame[frame["span_bytes"].notna() & (frame["scenario"] != LAYOUT)]
    for key, curve in sized.groupby(CURVE, sort=False):
        spans = curve["span_bytes"].astype("int64")
        if spans.nunique() < stats.LEAST_SIZES:
            continue
        row: dict[str, Cell] = dict(zip(CURVE, map(str, key), strict=True))
        row |= {"nr_sizes": int(spans.nunique()), "least_span_bytes": int(spans.min()), "most_span_bytes": int(spans.max())}
        row |= _counted_exponent(curve, COUNT + "entries_read", COUNT + "exponent")
        row |= _counted_exponent(curve, "instructions", "instructions_exponent")
        row |= _timed_exponent([run.points[str(name)] for name in curve["name"]])
        rows.append(row)
    whole = ("nr_sizes", "least_span_bytes", "most_span_bytes")
    types = dict.fromkeys(CURVE, "str") | dict.fromkeys(whole, "Int64") | dict.fromkeys(EXPONENTS, "float64")
    real = dict.fromkeys(INSTRUCTIONS_EXPONENTS, "float64") if run.kernels else {}
    return typed(rows, types | {"time_exponent_shape": "str"} | real)


def _counted_exponent(curve: pd.DataFrame, column: str, name: str) -> dict[str, Cell]:
    """Return the cells of an exact quantity along a curve, the entries read for one; nothing where it has no exponent."""
    if column not in curve:
        return {}
    known = curve[curve[column].notna()]
    counted = known[column].astype("int64").tolist()
    if known["span_bytes"].nunique() < stats.LEAST_SIZES or min(counted) <= 0:
        return {}
    found = stats.exponent(known["span_bytes"].astype("int64").tolist(), counted)
    return {name: found.fitted.estimate, f"{name}_low": min(found.local), f"{name}_high": max(found.local)}


def _timed_exponent(curve: Sequence[LoadedPoint]) -> dict[str, Cell]:
    """Return the cells of the times along a curve; nothing where they have no exponent."""
    timed = [(one.span, seconds) for one in curve for seconds in one.by_process if one.span]
    if len({span for span, _ in timed}) < stats.LEAST_SIZES:
        return {}
    found = stats.exponent([span for span, _ in timed], [seconds for _, seconds in timed])
    shape: Shape = "curved" if found.curved else "power" if found.fitted.is_known else "too few"
    cells: dict[str, Cell] = {"time_exponent": found.fitted.estimate, "time_exponent_shape": shape}
    if shape == "power":
        cells |= interval_cells("time_exponent", found.fitted)
    return cells | {"time_exponent_local_low": min(found.local), "time_exponent_local_high": max(found.local)}


def has(frame: pd.DataFrame, kind: Kind) -> bool:
    """Tell whether there is anything of a kind, counted or timed, in a frame of points or exponents."""
    return any(bool(frame[name].notna().any()) for name in frame.columns if name.startswith(kind))


def only(frame: pd.DataFrame, kinds: Sequence[Kind]) -> pd.DataFrame:
    """Return a frame without the columns of the kinds that are not asked for."""
    dropped = tuple({COUNT, TIME, INSTRUCTIONS} - set(kinds))
    return frame[[name for name in frame.columns if not (dropped and name.startswith(dropped))]]


def select(frame: pd.DataFrame, column: str, words: Sequence[str]) -> pd.DataFrame:
    """Return the rows whose `column` is one of the comma-separated words, all rows if there are none."""
    asked = {name for word in words for name in word.split(",")}
    if not asked:
        return frame
    known = list(dict.fromkeys(frame[column]))
    others = sorted(asked - set(known))
    if others:
        raise unknown(f"this run has no {column} {one_line(others[0], 60)!r}; it has ", others[0], known)
    return frame[frame[column].isin(asked)]
