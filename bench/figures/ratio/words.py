"""Ratios against population density in words."""

from __future__ import annotations

from bench.analysis.stats import ESTIMATOR, LEAST_PROCESSES
from bench.figures.ratio.numbers import Density, Ratio, RatioPoint
from bench.figures.words import BOTH, Words, table, times
from bench.number_format import approximate, percent, significant
from bench.tables.table import INTERVAL


def title_words(data: Density) -> str:
    """Return the title."""
    return f"Ratio of implementations: {data.operation}() on sparse spans of {approximate(data.span)}"


def crossing_words(ratio: Ratio) -> str:
    """Return where two implementations take the same time."""
    if ratio.crossings:
        return " and ".join(
            f"{percent(one.fraction)} of pages in memory (one every {approximate(one.step)}),"
            f" surely between {percent(one.low)} and {percent(one.high)}"
            for one in ratio.crossings
        )
    level = [one.fraction for one in ratio.points if one.seconds.contains(1)]
    sides = {"slower" if one.seconds.estimate > 1 else "faster" for one in ratio.points if not one.seconds.contains(1)}
    if not sides:
        return f"none in this range (no difference between {ratio.slower} and {ratio.faster} is beyond the noise)"
    where = f"; the interval includes 1 at {len(level)} of {len(ratio.points)} densities" if level else ""
    return f"none in this range ({ratio.slower} is {sides.pop()} than {ratio.faster}{where})"


def legend_words(ratio: Ratio) -> str:
    """Return a ratio's legend entry, which says where times cross."""
    places = " and ".join(percent(one.fraction) for one in ratio.crossings)
    crossover = f"times cross at {places} of pages in memory" if places else "no crossover of times in this range"
    return f"{ratio.slower} / {ratio.faster}: {crossover}"


def _at(point: RatioPoint) -> str:
    """Return a ratio of times with its place."""
    return f"{significant(point.seconds.estimate)} at {percent(point.fraction)} of pages in memory"


def describe(data: Density) -> Words:
    """Return the figure in words."""
    sentences = [
        f"{one.slower} by {one.faster}: {_at(one.points[0])}, {_at(one.points[-1])}; crossover: {crossing_words(one)}."
        for one in data.ratios
    ]
    rows = [
        (
            f"{one.slower} / {one.faster}",
            percent(point.fraction),
            approximate(point.step),
            times(point.seconds),
            "none read" if point.entries is None else significant(point.entries),
        )
        for one in data.ratios
        for point in one.points
    ]
    header = ("ratio", "pages in memory", "one page every", "times", "entries read")
    crossovers = tuple((f"{one.slower} / {one.faster}", crossing_words(one)) for one in data.ratios)
    return Words(
        data.name,
        title_words(data),
        BOTH,
        "How many times as long one implementation takes as another, by the fraction of pages that is in memory. Left: times;"
        f" points are ratios (each time is the {ESTIMATOR}), vertical lines their {INTERVAL}s"
        " (Welch\u2019s t, of logarithms). Right: page-table entries read, which are exact and have no interval. At 1 both cost"
        " the same; a"
        " circle and a dotted line mark where times cross 1 beyond doubt: intervals lie above 1 on one side, below on the"
        " other. An open point has no interval:"
        f" it needs {LEAST_PROCESSES} processes of each.",
        " ".join(sentences),
        (
            table("Crossovers of times", ("ratio", "crossover"), crossovers, 2),
            table("Ratios at each density", header, tuple(rows), 3),
        ),
    )
