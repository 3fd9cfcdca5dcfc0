"""Scaling in words."""

from __future__ import annotations

import math

from bench.analysis.stats import Interval
from bench.figures.scaling.numbers import Scaling
from bench.figures.words import BOTH, MINUS, POINTS, Words, table, time_ends
from bench.number_format import approximate, seconds
from bench.tables.table import INTERVAL, Table


def exponent_words(interval: Interval | None) -> str:
    """Return a fitted exponent with its interval: 1.002 [0.998, 1.006]."""
    if interval is None:
        return "none"
    if math.isinf(interval.low):
        return f"{interval.estimate:.2f}"
    digits = 2 if interval.high - interval.low > 0.01 else 3
    ends = [f"{end:.{digits}f}" for end in (interval.estimate, interval.low, interval.high)]
    best, low, high = (end.replace("-", "") if float(end) == 0 else end.replace("-", MINUS) for end in ends)
    return f"{best} [{low}, {high}]" if interval.low != interval.high else f"{best} exactly"


def title_words(data: Scaling) -> str:
    """Return the title."""
    return f"Scaling of {data.operation}() on {data.scenario}"


def describe(data: Scaling) -> Words:
    """Return the figure in words."""
    fits = "; ".join(
        f"{curve.implementation}: time grows as span to the power of {exponent_words(curve.seconds.exponent)},"
        f" entries read to the power of {exponent_words(curve.entries.exponent)}"
        for curve in data.curves
    )
    return Words(
        data.name,
        title_words(data),
        BOTH,
        f"{data.operation}() on spans of {approximate(data.spans[0])} to {approximate(data.spans[-1])} ({data.summary}), both"
        f" scales logarithmic. Left: time; {POINTS}. Right: page-table entries read, which are exact and have no interval; a"
        " count of zero has no place on the scale. Below each: the exponent from one span to the next, 1 where the cost doubles"
        " with the span, 0 where it does not grow. In brackets: the 95 % interval of the exponent fitted to all spans.",
        f"{fits}.",
        (_points_table(data), _exponents_table(data)),
    )


def _points_table(data: Scaling) -> Table:
    """Return every point of the figure."""
    rows = [
        (
            curve.implementation,
            approximate(span),
            seconds(curve.seconds.values[index]),
            time_ends(curve.seconds.intervals[index]),
            f"{curve.nr_processes[index]}",
            f"{curve.entries.values[index]:,.0f}",
        )
        for curve in data.curves
        for index, span in enumerate(curve.spans)
    ]
    header = ("implementation", "span", "time", INTERVAL, "processes", "entries read")
    return table("Time and entries read at each span", header, tuple(rows), 2)


def _exponents_table(data: Scaling) -> Table:
    """Return the exponents of the figure."""
    rows = tuple(
        (
            curve.implementation,
            f"{approximate(curve.spans[0])} .. {approximate(curve.spans[-1])}",
            exponent_words(curve.seconds.exponent),
            exponent_words(curve.entries.exponent),
        )
        for curve in data.curves
    )
    header = ("implementation", "spans", "time", "entries read")
    return table("Exponents k of cost ~ span^k, with 95 % intervals", header, rows, 2)
