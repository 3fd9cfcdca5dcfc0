"""Figures in words: title, caption, text alternative and tables, made from the numbers that are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from bench.analysis.reported import REPORTED, REPORTED_SPAN
from bench.analysis.stats import Interval
from bench.figures import Prepared, values
from bench.figures.cost import numbers as cost
from bench.figures.ratio import numbers as density
from bench.figures.scaling import numbers as scaling
from bench.number_format import approximate, seconds, significant


class Grid(msgspec.Struct, frozen=True):
    """A table. The first `nr_words` columns are words that name the row, the others numbers."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    nr_words: int = 1


class Words(msgspec.Struct, frozen=True):
    """All that is said about one figure."""

    name: str
    title: str
    kind: str  # whether it shows exact counters, times of this machine, or both
    caption: str  # what is to be seen, and how to read it
    alternative: str  # what it shows, for those who cannot see it
    tables: tuple[Grid, ...]


EXACT = "exact counters"
TIMES = "times of this machine"
BOTH = "times of this machine, and exact counters beside them"


def exponent_words(interval: Interval | None) -> str:
    """Return a fitted exponent with its interval: 1.002 [0.998, 1.006]."""
    if interval is None:
        return "none"
    if math.isinf(interval.low):
        return f"{interval.estimate:.2f}"
    digits = 2 if interval.high - interval.low > 0.01 else 3
    ends = [f"{end:.{digits}f}" for end in (interval.estimate, interval.low, interval.high)]
    best, low, high = (end.replace("-", "") if float(end) == 0 else end.replace("-", "\u2212") for end in ends)
    return f"{best} [{low}, {high}]" if interval.low != interval.high else f"{best} exactly"


def describe(prepared: Prepared) -> Words:
    """Return a figure in words."""
    for kind, words in _WORDS:
        if isinstance(prepared, kind):
            return words(prepared)
    raise TypeError(type(prepared).__name__)


def _scaling(data: scaling.Scaling) -> Words:
    """Return the words of a scaling figure."""
    spans = sorted({span for curve in data.curves for span in curve.spans})
    fits = "; ".join(
        f"{curve.implementation}: time grows as span to the power of {exponent_words(curve.seconds.exponent)},"
        f" entries read to the power of {exponent_words(curve.entries.exponent)}"
        for curve in data.curves
    )
    kernels = ""
    if data.of_report:
        took = ", ".join(f"{one.kernel} {one.seconds:.2f} s" for one in REPORTED)
        kernels = (
            f" Crosses are what real kernels took for {approximate(REPORTED_SPAN)}; they were reported, not measured here."
        )
        fits += "".join(
            f"; at {approximate(REPORTED_SPAN)} {name} took {seconds(took)}" for name, took in scaling.at_report(data)
        )
        fits += f". Reported of real kernels, not measured here: {took}"
    return Words(
        data.name,
        f"Scaling of {data.operation} on {data.scenario}",
        BOTH,
        f"{data.operation} on spans of {approximate(spans[0])} to {approximate(spans[-1])} ({data.summary}), both scales"
        " logarithmic. Left: time, the median of the processes\u2019 means, with the least and the most of them. Right:"
        " page-table entries read, which are exact. Below each: the exponent from one span to the next, 1 where the cost"
        " doubles with the span, 0 where it does not grow. In brackets: the 95 % interval of the exponent fitted to all"
        f" spans.{kernels}",
        f"{fits}.",
        (_scaling_table(data), _exponent_table(data)),
    )


def _scaling_table(data: scaling.Scaling) -> Grid:
    """Return every point of a scaling figure."""
    rows = []
    for curve in data.curves:
        for index, span in enumerate(curve.spans):
            time = curve.seconds
            rows.append(
                (
                    curve.implementation,
                    approximate(span),
                    seconds(time.values[index]),
                    f"{seconds(time.low[index])} .. {seconds(time.high[index])}",
                    str(curve.nr_processes[index]),
                    f"{curve.entries.values[index]:,.0f}",
                )
            )
    header = ("implementation", "span", "time", "least .. most", "processes", "entries read")
    return Grid("Time and entries read at each span", header, tuple(rows), 2)


def _exponent_table(data: scaling.Scaling) -> Grid:
    """Return the exponents of a scaling figure."""
    rows = tuple(
        (
            curve.implementation,
            f"{approximate(curve.spans[0])} .. {approximate(curve.spans[-1])}",
            exponent_words(curve.seconds.exponent),
            exponent_words(curve.entries.exponent),
        )
        for curve in data.curves
    )
    return Grid(
        "Exponents k of cost ~ span^k, with 95 % intervals", ("implementation", "spans", "time", "entries read"), rows, 2
    )


def crossing_words(ratio: density.Ratio) -> str:
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


def percent(fraction: float) -> str:
    """Return a fraction as a percentage of three significant digits."""
    return f"{significant(fraction * 100)} %" if fraction >= 1e-6 else f"{fraction * 100:.1e} %"


def times(interval: Interval) -> str:
    """Return a ratio with its interval: 2.51 [2.4, 2.63]."""
    if math.isinf(interval.high):
        return f"{significant(interval.estimate)} (too few for an interval)"
    return f"{significant(interval.estimate)} [{significant(interval.low)}, {significant(interval.high)}]"


def _at(point: density.RatioPoint) -> str:
    """Return a ratio of times with its place."""
    return f"{significant(point.seconds.estimate)} at {percent(point.fraction)} of pages in memory"


def _density(data: density.Density) -> Words:
    """Return the words of the figure of ratios."""
    sentences = [
        f"{one.slower} by {one.faster}: {_at(one.points[0])}, {_at(one.points[-1])}; crossover: {crossing_words(one)}."
        for one in data.ratios
    ]
    rows = []
    for one in data.ratios:
        for point in one.points:
            entries = "none read" if point.entries is None else significant(point.entries)
            rows.append(
                (
                    f"{one.slower} / {one.faster}",
                    percent(point.fraction),
                    approximate(point.step),
                    times(point.seconds),
                    entries,
                )
            )
    header = ("ratio", "pages in memory", "one page every", "times", "entries read")
    return Words(
        data.name,
        "Ratio of implementations against population density",
        BOTH,
        f"{data.operation} on {approximate(data.span)} with a page in memory at regular steps: how many times as long one"
        " implementation takes as another, by the fraction of pages that is in memory. Left: times, with 95 % intervals of"
        " the ratio of processes\u2019 means. Right: page-table entries read, which are exact. At 1 both cost the same;"
        " a circle and a dotted line mark where times cross 1 beyond doubt: intervals lie above 1 on one side, below on the"
        " other.",
        " ".join(sentences),
        (
            Grid("Crossovers of times", ("ratio", "crossover"),
                 tuple((f"{one.slower} / {one.faster}", crossing_words(one)) for one in data.ratios), 2),
            Grid("Ratios at each density", header, tuple(rows), 3),
        ),
    )  # fmt: skip


def _cost(data: cost.Breakdown) -> Words:
    """Return the words of the cost breakdown."""
    facts = []
    for bar in data.bars:
        parts = [f"{bar.total(index):,} {phase.title[0].lower()}{phase.title[1:]}" for index, phase in enumerate(data.phases)]
        facts.append(f"{bar.group}, {bar.implementation}: {', '.join(parts)}")
    tables = []
    for index, phase in enumerate(data.phases):
        rows = tuple(
            (bar.group, bar.implementation, *(f"{value:,}" for value in bar.values[index]), f"{bar.total(index):,}")
            for bar in data.bars
        )
        header = ("call", "implementation", *(part.label for part in phase.parts), "all")
        tables.append(Grid(f"{phase.title} ({phase.unit})", header, rows, 2))
    more = f" {data.nr_left_out} more calls of this run are not shown." if data.nr_left_out else ""
    return Words(
        data.name,
        "What a call costs, by kind",
        EXACT,
        "Each bar is one call, its parts as shares of 100 %, the whole in numbers beside it: page-table entries read at each"
        " level, locks taken by kind (each a lock and its unlock), and steps on the LRU lists, of which a pagevec or batch"
        f" holds up to 15 pages. All are exact counts, the same on every machine; no time is in this figure.{more}",
        "; ".join(facts) + ".",
        tuple(tables),
    )


def sample_words(sample: values.Sample) -> str:
    """Return an implementation's median and number of processes."""
    return f"{sample.implementation}: {seconds(sample.median)}, n = {len(sample.means)}"


def multiple(value: float) -> str:
    """Return a ratio as text."""
    return significant(value)


def _distribution(data: values.Distribution) -> Words:
    """Return the words of the distributions."""
    rows, facts = [], []
    for group in data.groups:
        for one in group.samples:
            low, high = one.relative[0], one.relative[-1]
            rows.append(
                (group.group, one.implementation, str(len(one.means)), seconds(one.median), deviation(low), deviation(high))
            )
            facts.append(
                f"{group.group}, {one.implementation}: {len(one.means)} processes, {deviation(low)} to {deviation(high)}"
            )
    more = f" {data.nr_left_out} more calls of this run are not shown." if data.nr_left_out else ""
    return Words(
        data.name,
        "Distribution of times",
        TIMES,
        "Each mark is one worker process: the mean time of its calls, as the deviation from the median of all processes of"
        " that measurement. A line climbs from the fastest process to the slowest; the steeper, the better times repeat."
        f" The medians and the number n of processes stand in each panel; marks beyond the scale lie on its edge.{more}",
        "Deviation of processes\u2019 means from their median. " + "; ".join(facts) + ".",
        (Grid("Means of processes", ("call", "implementation", "n", "median", "least", "most"), tuple(rows), 2),),
    )


def deviation(relative: float) -> str:
    """Return a value relative to 1 as a signed percentage."""
    return f"{(relative - 1) * 100:+.1f} %".replace("-", "\u2212")


def _order(data: values.Order) -> Words:
    """Return the words of the run order."""
    length = data.minutes / len(data.parts)
    rows = tuple(
        (
            f"{length * index:.1f} .. {length * (index + 1):.1f} min",
            str(number),
            deviation(median) if number else "none",
        )
        for index, (number, median) in enumerate(data.parts)
    )
    drift = "; ".join(f"{when}: {median} ({number} processes)" for when, number, median in rows)
    return Words(
        data.name,
        "Run order",
        TIMES,
        "Each mark is one worker process: its mean by the median of its measurement. Left: against the time at which it"
        " started, to show drift of the machine during the run. Right: against its number within its measurement, to show"
        " what only the first processes suffer. Without drift, marks lie about 1 everywhere.",
        f"{len(data.values)} processes in {data.minutes:.1f} minutes. Median deviation by quarters of the run: {drift}.",
        (Grid("Drift: median deviation in each quarter of the run", ("started after", "processes", "deviation"), rows),),
    )


# One function for each kind of figure; each gets only its own.
_WORDS: Sequence[tuple[type, Callable[..., Words]]] = (
    (scaling.Scaling, _scaling),
    (density.Density, _density),
    (cost.Breakdown, _cost),
    (values.Distribution, _distribution),
    (values.Order, _order),
)
