"""Instructions per page from kernel to kernel in words."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.kernel_history import Row
from bench.figures.kernel_history.numbers import NAME, History
from bench.figures.words import Words, table
from bench.number_format import NONE, approximate, count, significant
from bench.tables.table import Table

INSTRUCTIONS = "instructions that real kernels executed, exact"
PER = {"span": "a page of the span, nothing in memory", "memory": "a page in memory"}


def row_words(row: Row) -> str:
    """Return what a row is called in the figure."""
    return f"{row.point.operation} on {row.point.scenario.name}"


def title_words(data: History) -> str:
    """Return the title."""
    return f"From kernel to kernel: {', '.join(data.kernels)}"


def _per_page(value: float) -> str:
    """Return instructions per page; a call that costs less than that without the point's memory has a sign."""
    return significant(value, 4)


def tables(data: History) -> tuple[Table, ...]:
    """Return instructions per page of each size, and the exact instructions."""
    kinds = [[row for row in data.every if row.per == per] for per in PER]
    per_page = tuple(
        table(
            f"Instructions for {words}",
            ("call", *data.kernels),
            [(row.point.group, *_cells(row, data.kernels)) for row in every],
        )
        for words, every in zip(PER.values(), kinds, strict=True)
        if every
    )
    exact = [(row.point.group, *(_count(row, name) for name in data.kernels)) for row in data.every]
    return (*per_page, table("Instructions of the whole call (median of its repeats)", ("call", *data.kernels), exact))


def _cells(row: Row, kernels: Sequence[str]) -> list[str]:
    """Return instructions per page on each kernel."""
    return [_per_page(row.per_page[name]) if name in row.cost else NONE for name in kernels]


def _count(row: Row, kernel: str) -> str:
    """Return the instructions of the whole call on a kernel."""
    return count(row.cost[kernel]) if kernel in row.cost else NONE


def describe(data: History) -> Words:
    """Return the figure in words."""
    shown = [*data.span, *data.memory]
    sentences = [
        f"{row_words(row)} ({approximate(row.point.scenario.span)}): "
        + ", ".join(f"{name} {_per_page(row.per_page[name])}" for name in data.kernels if name in row.cost)
        for row in shown
    ]
    return Words(
        NAME,
        title_words(data),
        INSTRUCTIONS,
        "Instructions that a call executes for each page, on a logarithmic scale; rows cheapest first, by the median of the"
        " kernels. Above: nothing in memory, for each page of the span. Below: for each page in memory, though a call may also"
        " visit those between. Of each call the longest span of the suite. A call that costs no more than without that memory"
        " has no place on the scale. Counted by QEMU (-icount): the same on any machine.",
        "; ".join(sentences) + ".",
        tables(data),
    )
