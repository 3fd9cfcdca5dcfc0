"""The cost breakdown in words."""

from __future__ import annotations

from bench.figures.cost.numbers import Breakdown
from bench.figures.words import EXACT, Words, left_out, table


def title_words(data: Breakdown) -> str:
    """Return the title."""
    groups = list(dict.fromkeys(bar.group for bar in data.bars))
    return f"What a call costs, by kind: {groups[0] if len(groups) == 1 else f'{len(groups)} calls'}"


def describe(data: Breakdown) -> Words:
    """Return the figure in words."""
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
        tables.append(table(f"{phase.title} ({phase.unit})", header, rows, 2))
    lacking = f" Not counted in this run, and not in its sums: {', '.join(data.not_counted)}." if data.not_counted else ""
    return Words(
        data.name,
        title_words(data),
        EXACT,
        "Three columns, each twice. Points: how many in all, on a logarithmic scale, with the number beside it. Bars: the parts"
        " of that as shares of 100 %. Counted are page-table entries read at each level, locks taken by kind (each a lock and"
        " its unlock), and steps on the LRU lists, of which a pagevec or batch holds up to 15 pages. All are exact, the same on"
        f" every machine: there are no intervals, and no time is in this figure.{left_out(data.nr_left_out)}{lacking}",
        "; ".join(facts) + ".",
        tuple(tables),
    )
