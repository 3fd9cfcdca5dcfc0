"""Instructions per page from kernel to kernel: a row for each call, a mark for each kernel."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.kernel_history import Row
from bench.figures.kernel_history.numbers import History
from bench.figures.kernel_history.words import row_words, title_words
from bench.figures.style import GREY, LIGHT, grid, heading, kernel_look, label, log_axis, new_figure, place, style
from bench.figures.ticks import log_limits, log_ticks
from bench.number_format import NONE, significant

ROW, COLUMN = 0.155, 0.56  # inches, of a row and of a column of numbers
MOST_COLUMNS = 5  # of numbers; where there are more kernels there is no room for any
TITLES = {"span": "For each page of the span, nothing in memory", "memory": "For each page in memory"}


def draw(data: History) -> Figure:
    """Return a panel for spans with nothing in memory, and one for pages in memory."""
    parts = [(per, rows) for per, rows in (("span", data.span), ("memory", data.memory)) if rows]
    with style():
        nr_columns = len(data.kernels) if len(data.kernels) <= MOST_COLUMNS else 0
        nr_rows = sum(len(rows) for _, rows in parts)
        figure = new_figure(1.1 + ROW * nr_rows + 0.55 * len(parts))
        heading(
            figure,
            title_words(data),
            "instructions per page, cheapest calls first; memory was locked before all calls but mlockall() and mmap()",
        )
        panels = figure.subplots(len(parts), 1, squeeze=False, height_ratios=[len(rows) + 0.6 for _, rows in parts])[:, 0]
        for axes, (per, rows) in zip(panels, parts, strict=True):
            _panel(axes, rows, data.kernels)
            if nr_columns:
                _numbers(axes, rows, data.kernels)
            axes.set_title(TITLES[per])
        handles = [Line2D([], [], linestyle="none", label=label(name, 30), **kernel_look(number))
                   for number, name in enumerate(data.kernels)]  # fmt: skip
        figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.2, 0.0), ncols=min(5, len(handles)))
        place(
            figure,
            left=1.75,
            right=0.2 + COLUMN * nr_columns,
            top=0.68,
            bottom=0.55,
            hspace=0.6 / max(1.0, ROW * nr_rows / len(parts)),
        )
        return figure


def _panel(axes: Axes, rows: Sequence[Row], kernels: Sequence[str]) -> None:
    """Draw the rows of one panel, the first on top."""
    for place_of, row in enumerate(rows):
        values = {name: value for name, value in row.per_page.items() if value > 0}
        if values:
            axes.plot((min(values.values()), max(values.values())), (place_of, place_of), color=LIGHT, linewidth=2.0, zorder=1)
        for number, name in enumerate(kernels):
            if name in values:
                axes.plot([values[name]], [place_of], linestyle="none", zorder=3, clip_on=False, **kernel_look(number))
    limits = log_limits(value for row in rows for value in row.per_page.values() if value > 0)
    log_axis(axes.xaxis, limits, log_ticks(*limits), significant)
    axes.set_yticks(range(len(rows)), [label(row_words(row), 40) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=7)
    axes.tick_params(axis="x", colors=GREY)
    grid(axes)
    axes.grid(visible=False, axis="y")


def _numbers(axes: Axes, rows: Sequence[Row], kernels: Sequence[str]) -> None:
    """Write the numbers to the right of a panel, a column for each kernel below its name."""
    for number, name in enumerate(kernels):
        cells = [(-1.0, label(name, 10)), *((place_of, _cell(row, name)) for place_of, row in enumerate(rows))]
        for place_of, text in cells:
            axes.annotate(text, (1, place_of), xycoords=("axes fraction", "data"), xytext=(72 * COLUMN * (number + 1), 0),
                          textcoords="offset points", ha="right", va="center", fontsize=6.5, annotation_clip=False,
                          color=kernel_look(number)["color"])  # fmt: skip


def _cell(row: Row, kernel: str) -> str:
    """Return the number of a row on a kernel."""
    return significant(row.per_page[kernel]) if kernel in row.cost else NONE
