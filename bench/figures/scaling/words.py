"""Scaling in words."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.stats import ROUNDING
from bench.figures.scaling.numbers import Cost, Scaling
from bench.figures.words import BOTH, MINUS, POINTS, Words, table, time_ends
from bench.number_format import TOO_FEW, approximate, exponent, exponent_range, seconds
from bench.tables.table import INTERVAL, Table


def exponent_words(cost: Cost) -> str:
    """Return the exponent of a cost: 1.002 [0.998, 1.006], 1.000 exactly; or how far those from span to span go, if not one."""
    if not cost.local:
        return "none"
    if cost.exponent is None:
        text = _range(cost.local, 3)
        if max(cost.local) - min(cost.local) < ROUNDING:
            return f"{text} exactly"
        return f"{text}, no power law" if " .. " in text else text
    fitted = cost.exponent.fitted
    if cost.exponent.curved:
        return f"{_range(cost.local, 2)}, curved"
    if not fitted.is_known:
        return f"{_signed(exponent(fitted.estimate, 2))} ({TOO_FEW} for an interval)"
    digits = 2 if fitted.high - fitted.low > 0.01 else 3
    best, low, high = (_signed(exponent(one, digits)) for one in (fitted.estimate, fitted.low, fitted.high))
    return f"{best} [{low}, {high}]"


def _range(local: Sequence[float], digits: int) -> str:
    """Return the least and the most exponent from a span to the next."""
    return _signed(exponent_range(min(local), max(local), digits))


def _signed(text: str) -> str:
    """Return a number with the sign that stands in text."""
    return text.replace("-", MINUS)


def title_words(data: Scaling) -> str:
    """Return the title."""
    return f"Scaling of {data.operation}() on {data.scenario}"


def describe(data: Scaling) -> Words:
    """Return the figure in words."""
    fits = "; ".join(
        f"{curve.implementation}: time grows as span to the power of {exponent_words(curve.seconds)},"
        f" entries read to the power of {exponent_words(curve.entries)}"
        for curve in data.curves
    )
    return Words(
        data.name,
        title_words(data),
        BOTH,
        f"{data.operation}() on spans of {approximate(data.spans[0])} to {approximate(data.spans[-1])} ({data.summary}), both"
        f" scales logarithmic. Left: time; {POINTS}. Right: page-table entries read, which are exact and have no interval; a"
        " count of zero has no place on the scale. Below each: the exponent from one span to the next, 1 where the cost doubles"
        " with the span, 0 where it does not grow. In brackets: the 95 % interval of the exponent"
        " fitted to the times of all processes. Where these bend away from every line (it says so), and of entries read, which"
        " are exact: the least and the most exponent from span to span.",
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
            exponent_words(curve.seconds),
            exponent_words(curve.entries),
        )
        for curve in data.curves
    )
    header = ("implementation", "spans", "time", "entries read")
    return table("Exponents k of cost ~ span^k: fitted to times, exact of entries read", header, rows, 2)
