"""The distributions in words."""

from __future__ import annotations

from bench.analysis.stats import ESTIMATOR
from bench.figures.distribution.numbers import FEWEST_PROCESSES, Distribution, Sample
from bench.figures.words import TIMES, Words, deviation, left_out, table
from bench.number_format import seconds


def sample_words(sample: Sample) -> str:
    """Return an implementation's time and number of processes."""
    return f"{sample.implementation}: {seconds(sample.seconds)}, n = {len(sample.by_process)}"


def title_words(data: Distribution) -> str:
    """Return the title."""
    calls = data.groups[0].group if len(data.groups) == 1 else f"{len(data.groups)} calls"
    return f"How processes differ: {calls}"


def describe(data: Distribution) -> Words:
    """Return the figure in words."""
    rows, facts = [], []
    for group in data.groups:
        for one in group.samples:
            low, high = deviation(one.relative[0]), deviation(one.relative[-1])
            rows.append((group.group, one.implementation, f"{len(one.by_process)}", seconds(one.seconds), low, high))
            facts.append(f"{group.group}, {one.implementation}: {len(one.by_process)} processes, {low} to {high}")
    few = left_out(data.nr_too_few, f", because they were timed in fewer than {FEWEST_PROCESSES} processes")
    return Words(
        data.name,
        title_words(data),
        TIMES,
        "Each mark is one worker process: the median of its values, as the deviation from the time of that measurement, which"
        f" is the {ESTIMATOR}. A line climbs from the fastest process to the slowest; the steeper, the better times repeat."
        " There are no intervals: every process is shown. The times and the number n of processes stand in each panel;"
        f" marks beyond the scale lie on its edge.{left_out(data.nr_left_out)}{few}",
        "Deviation of processes from the time of their measurement. " + "; ".join(facts) + ".",
        (table("Processes", ("call", "implementation", "n", "time", "least", "most"), tuple(rows), 2),),
    )
