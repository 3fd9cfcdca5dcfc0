"""Instructions per page from kernel to kernel: a row for each call, a mark for each kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.figures.kernel_history.numbers import History
from bench.figures.kernel_history.words import row_words, title_words
from bench.figures.style import GREY, LIGHT, grid, heading, kernel_look, label, log_axis, new_figure, place, style
from bench.figures.ticks import log_limits, log_ticks
from bench.number_format import NONE, significant

ROW, COLUMN = 0.155, 0.56  # inches, of a row and of a column of numbers
MOST_COLUMNS = 5  # of numbers; where there are more kernels there is no room for any
BELOW = "instructions per page, cheapest first; memory was locked before the call, but for mlockall() and mmap()"


class Panel(NamedTuple):
    """Rows that share an axis."""

    title: str
    rows: Sequence[tuple[str, Mapping[str, float]]]  # what it is, and instructions per page by kernel


def draw(data: History) -> Figure:
    """Return a panel for spans with nothing in memory, and one for pages in memory."""
    titles = {"For each page of the span, nothing in memory": data.span, "For each page in memory": data.memory}
    panels = [Panel(title, [(row_words(row), row.per_page) for row in rows]) for title, rows in titles.items() if rows]
    return draw_panels(title_words(data), BELOW, panels, data.kernels)


def draw_panels(title: str, below: str, panels: Sequence[Panel], kernels: Sequence[str]) -> Figure:
    """Return panels one above the other, with the numbers beside them where there is room."""
    with style():
        nr_columns = len(kernels) if len(kernels) <= MOST_COLUMNS else 0
        sizes = [len(panel.rows) for panel in panels]
        figure = new_figure(1.1 + ROW * sum(sizes) + 0.55 * len(panels))
        heading(figure, title, below)
        every = figure.subplots(len(panels), 1, squeeze=False, height_ratios=[size + 0.6 for size in sizes])[:, 0]
        for axes, panel in zip(every, panels, strict=True):
            _rows(axes, panel, kernels)
            axes.set_title(panel.title)
            if nr_columns:
                _numbers(axes, panel, kernels)
        handles = [Line2D([], [], linestyle="none", label=label(name, 30), **kernel_look(number))
                   for number, name in enumerate(kernels)]  # fmt: skip
        figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.2, 0.0), ncols=min(5, len(handles)))
        between = 0.6 / max(1.0, ROW * sum(sizes) / len(panels))
        place(figure, left=1.75, right=0.2 + COLUMN * nr_columns, top=0.68, bottom=0.55, hspace=between)
        return figure


def _rows(axes: Axes, panel: Panel, kernels: Sequence[str]) -> None:
    """Draw the rows of one panel, the first on top."""
    for height, (_, found) in enumerate(panel.rows):
        values = {name: value for name, value in found.items() if value > 0}
        if values:
            axes.plot((min(values.values()), max(values.values())), (height, height), color=LIGHT, linewidth=2.0, zorder=1)
        for number, name in enumerate(kernels):
            if name in values:
                axes.plot([values[name]], [height], linestyle="none", zorder=3, clip_on=False, **kernel_look(number))
    limits = log_limits(value for _, found in panel.rows for value in found.values() if value > 0)
    log_axis(axes.xaxis, limits, log_ticks(*limits, 4), significant)
    axes.set_yticks(range(len(panel.rows)), [label(text, 40) for text, _ in panel.rows])
    axes.set_ylim(len(panel.rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=7)
    axes.tick_params(axis="x", colors=GREY)
    grid(axes)
    axes.grid(visible=False, axis="y")


def _numbers(axes: Axes, panel: Panel, kernels: Sequence[str]) -> None:
    """Write the numbers to the right of a panel, a column for each kernel below its name."""
    for number, name in enumerate(kernels):
        cells = [(-1.0, label(name, 10)), *((height, _cell(found, name)) for height, (_, found) in enumerate(panel.rows))]
        for height, text in cells:
            axes.annotate(text, (1, height), xycoords=("axes fraction", "data"), xytext=(72 * COLUMN * (number + 1), 0),
                          textcoords="offset points", ha="right", va="center", fontsize=6.5, annotation_clip=False)  # fmt: skip


def _cell(found: Mapping[str, float], kernel: str) -> str:
    """Return the number of a row on a kernel."""
    return significant(found[kernel]) if kernel in found else NONE
