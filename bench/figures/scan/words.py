"""What calls cost for each page of a span that nobody touched, in words."""

from __future__ import annotations

from bench.figures.scan.numbers import NAME, Cell, Offences
from bench.figures.words import Words
from bench.tables.scan_tables import answer, page

KIND = {"instructions": "instructions that real kernels executed, exact", "seconds": "times of this machine"}


def title_words(data: Offences) -> str:
    """Return the title."""
    return f"What still walks memory that nobody touched: {', '.join(data.kernels)}"


def cell_words(cell: Cell, data: Offences) -> str:
    """Return what stands in a cell."""
    return answer(cell.verdict, data.unit)


def describe(data: Offences) -> Words:
    """Return the figure in words."""
    sentences = [
        f"{name}: " + ", ".join(f"{kernel} {cell_words(cell, data)}" for kernel, cell in zip(data.kernels, row, strict=True))
        for name, row in data.calls
    ]
    return Words(
        NAME,
        title_words(data),
        KIND[data.unit],
        f"Calls down, kernels across; the darker, the more {data.unit} for each 4 KiB of a span with nothing in memory, on a"
        " logarithmic scale. A step of the walk stands for as much as the cell says. Output: the call makes or returns"
        " something for every page. Without colour: what else makes the call dearer. Not shown: "
        f"{len(data.same)} calls that depend on nothing, or are not there.",
        "; ".join(sentences) + ".",
        page(data.tables).tables,
    )
