"""Instructions per page by kind of page in words."""

from __future__ import annotations

from bench.analysis.kernel_costs import KindRow
from bench.figures.kernel_costs.numbers import NAME, PageCosts
from bench.figures.kernel_history.words import INSTRUCTIONS
from bench.figures.words import Words, table
from bench.number_format import NONE, significant
from bench.tables.table import Table


def title_words(data: PageCosts) -> str:
    """Return the title."""
    return f"Where the time of munlock() goes: {', '.join(data.kernels)}"


def per_page(row: KindRow, kernel: str) -> str:
    """Return the instructions for a page on a kernel."""
    return significant(row.fitted[kernel].per_page, 4) if kernel in row.fitted else NONE


def _per_entry(row: KindRow, kernel: str) -> str:
    """Return the instructions for what one entry covers."""
    return significant(row.fitted[kernel].per_page * row.covers, 4) if kernel in row.fitted else NONE


def tables(data: PageCosts) -> tuple[Table, ...]:
    """Return instructions per page, and per entry where an entry covers many."""
    heads = ("kind of page", *data.kernels)
    entries = [row for row in data.kinds if row.covers > 1]
    return (
        table("munlock(): instructions for a page", heads, [(row.name, *(per_page(row, one) for one in data.kernels))
                                                            for row in data.kinds]),
        table("munlock(): instructions for what one entry of the page tables covers", ("kind of page", "pages", *data.kernels),
              [(row.name, f"{row.covers:,}", *(_per_entry(row, one) for one in data.kernels)) for row in entries]),
    )  # fmt: skip


def describe(data: PageCosts) -> Words:
    """Return the figure in words."""
    sentences = [
        f"{row.name} ({row.summary}): " + ", ".join(f"{one} {per_page(row, one)}" for one in data.kernels if one in row.fitted)
        for row in data.kinds
    ]
    return Words(
        NAME,
        title_words(data),
        INSTRUCTIONS,
        "Instructions that munlock() executes for each page of a kind, on a logarithmic scale: the difference of two exact"
        " runs, by the pages in which they differ. What costs nothing for a page has no place on the scale. A missing entry"
        " stands for many pages: 512 below a PMD, 262,144 below a PUD.",
        "; ".join(sentences) + ".",
        tables(data),
    )
