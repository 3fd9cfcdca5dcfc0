"""The run order in words."""

from __future__ import annotations

from bench.analysis.stats import ESTIMATOR
from bench.figures.order.numbers import Order
from bench.figures.words import TIMES, Words, deviation, table


def title_words(data: Order) -> str:
    """Return the title."""
    return f"Run order of {data.run}: {len(data.values):,} processes"


def describe(data: Order) -> Words:
    """Return the figure in words."""
    length = data.minutes / len(data.parts)
    rows = tuple(
        (
            f"{length * index:.1f} .. {length * (index + 1):.1f} min",
            f"{number:,}",
            deviation(median) if number else "none",
        )
        for index, (number, median) in enumerate(data.parts)
    )
    drift = "; ".join(f"{when}: {median} ({number} processes)" for when, number, median in rows)
    return Words(
        data.name,
        title_words(data),
        TIMES,
        "Each mark is one worker process: the median of its values by the time of its measurement, which is the"
        f" {ESTIMATOR}. There are no intervals: every process is shown. Left: against the time at which it started, to show"
        " drift of the machine during the run. Right: against its number within its measurement, to show what only"
        " the first processes suffer. Without drift, marks lie about 1 everywhere.",
        f"{len(data.values):,} processes in {data.minutes:.1f} minutes. Median deviation by quarters of the run: {drift}.",
        (table("Drift: median deviation in each quarter of the run", ("started after", "processes", "deviation"), rows),),
    )
