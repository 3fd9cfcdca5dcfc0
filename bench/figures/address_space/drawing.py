"""The address space of a process: a bar for each kind of reservation, and a column for each VMA in address order."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from bench.figures.address_space.numbers import AddressSpace, KindRow
from bench.figures.address_space.words import in_memory, share, title_words
from bench.figures.style import GREY, PARTS, grid, heading, label, log_axis, new_figure, place, style
from bench.number_format import approximate
from mmmodel.constants import PAGE_SIZE

ROW = 0.24  # inches
TICK_BITS = 6  # from tick to tick, as powers of two
INK = "#000000"
BELOW = "bars: reserved; black: in memory; share: of the pages that munlockall() of Linux 5.10 looks up"


def draw(data: AddressSpace) -> Figure:
    """Return the kinds above, the VMAs below."""
    nr_rows = len(data.rows)
    with style():
        figure = new_figure(2.9 + ROW * nr_rows)
        heading(figure, title_words(data), BELOW)
        above, below = figure.subplots(2, 1, height_ratios=[ROW * nr_rows, 1.45])
        _kinds(above, data)
        _vmas(below, data)
        place(figure, left=1.45, right=1.75, top=0.5, bottom=0.45, hspace=0.52 / ((ROW * nr_rows + 1.45) / 2))
        return figure


def _size_axis(axis: Axis, largest: int) -> None:
    """Make an axis one of sizes from a page on."""
    first = PAGE_SIZE.bit_length() - 1
    last = max(first + TICK_BITS, (largest - 1).bit_length())
    log_axis(axis, (PAGE_SIZE / 2, 2.0**last * 1.5), [2.0**bits for bits in range(first, last + 1, TICK_BITS)],
             lambda value: approximate(int(value)))  # fmt: skip


def _kinds(axes: Axes, data: AddressSpace) -> None:
    """Draw a bar for each kind."""
    for height, (row, look) in enumerate(zip(data.rows, PARTS, strict=False)):
        axes.barh(height, row.reserved - PAGE_SIZE / 2, left=PAGE_SIZE / 2, height=0.74, edgecolor=INK, linewidth=0.6, **look)
        if row.most > row.least:
            axes.barh(
                height,
                row.most - PAGE_SIZE / 2,
                left=PAGE_SIZE / 2,
                height=0.3,
                facecolor="white",
                edgecolor=INK,
                linewidth=0.6,
            )
        if row.least:
            axes.barh(height, row.least - PAGE_SIZE / 2, left=PAGE_SIZE / 2, height=0.3, facecolor=INK, edgecolor="white",
                      linewidth=0.5)  # fmt: skip
    _size_axis(axes.xaxis, max(row.reserved for row in data.rows))
    axes.set_yticks(range(len(data.rows)), [label(row.name, 24) for row in data.rows])
    axes.set_ylim(len(data.rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    grid(axes)
    axes.grid(visible=False, axis="y")
    _numbers(axes, data)


def _numbers(axes: Axes, data: AddressSpace) -> None:
    """Write reserved, in memory and share to the right of the bars."""
    for number, (head, text) in enumerate(
        (("reserved", _reserved), ("in memory", _in_memory), ("share", lambda row: share(data, row)))
    ):
        cells: Sequence[tuple[float, str]] = [(-0.95, head), *((height, text(row)) for height, row in enumerate(data.rows))]
        for height, cell in cells:
            axes.annotate(cell, (1, height), xycoords=("axes fraction", "data"), xytext=(72 * 0.56 * (number + 1), 0),
                          textcoords="offset points", ha="right", va="center", fontsize=6.5, annotation_clip=False,
                          color=GREY if height < 0 else INK)  # fmt: skip


def _reserved(row: KindRow) -> str:
    """Return what a kind has reserved."""
    return approximate(row.reserved)


def _in_memory(row: KindRow) -> str:
    """Return what of a kind is in memory."""
    return in_memory((row,)) if row.least == row.most else f"≤ {approximate(row.most)}"


def _vmas(axes: Axes, data: AddressSpace) -> None:
    """Draw the VMAs in address order."""
    for number, (row, look) in enumerate(zip(data.rows, PARTS, strict=False)):
        places = [(x, one.reserved) for x, one in enumerate(data.columns) if one.row == number]
        edge = "white" if number < len(PARTS) - 1 else GREY  # of the hatch, too: seen on dark and on light
        if places:
            axes.bar([x for x, _ in places], [height - PAGE_SIZE / 2 for _, height in places], bottom=PAGE_SIZE / 2, width=1.0,
                     label=label(row.name, 24), linewidth=0.25, edgecolor=edge, **look)  # fmt: skip
    found = [(x, one.populated) for x, one in enumerate(data.columns) if one.populated]
    marker_size = max(1.2, min(3.0, 300 / len(data.columns)))
    for color, width in (("white", 2.2), (INK, 1.0)):
        axes.plot([x for x, _ in found], [height for _, height in found], linestyle="none", marker="_", color=color,
                  markersize=marker_size, markeredgewidth=width)  # fmt: skip
    _size_axis(axes.yaxis, max(one.reserved for one in data.columns))
    axes.set_xlim(-0.7, len(data.columns) - 0.3)
    axes.set_xticks([])
    each = "" if data.per_column == 1 else f", {data.per_column} to a column"
    axes.set_xlabel(f"{data.nr_vmas:,} VMAs in address order{each}")
    grid(axes)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=6.5, handlelength=1.2, borderaxespad=0.0)
