"""Calls down, kernels across: what a page of a span costs as colour, dark for dear, which grey shows as well."""

from __future__ import annotations

from typing import Final

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.figures.scan.numbers import Cell, Offences
from bench.figures.scan.words import cell_words, title_words
from bench.figures.style import GREY, LIGHT, heading, label, new_figure, place, style

ROW: Final = 0.165  # inches
COLOURS: Final = colormaps["cividis_r"]  # light is cheap; its lightness falls all the way, so that it works in grey
DARK: Final = 0.5  # of the scale: white letters from there on
_HATCH: Final = "////"


def draw(data: Offences) -> Figure:
    """Return the grid."""
    with style():
        figure = new_figure(0.95 + ROW * len(data.calls))
        heading(figure, title_words(data), f"{data.unit} for a step of the walk; hatched: something comes of every page")
        axes = figure.subplots()
        values = [cell.per_page for _, row in data.calls for cell in row if cell.per_page]
        norm = LogNorm(min(values, default=0.1), max(values, default=1.0) * 1.001)
        for height, (_, row) in enumerate(data.calls):
            for column, cell in enumerate(row):
                _cell(axes, column, height, cell, data, float(norm(cell.per_page)) if cell.per_page else None)
        axes.set_xlim(0, len(data.kernels))
        axes.set_ylim(len(data.calls), 0)
        axes.set_yticks([height + 0.5 for height in range(len(data.calls))], [label(name, 30) for name, _ in data.calls])
        axes.set_xticks([column + 0.5 for column in range(len(data.kernels))], [label(name, 24) for name in data.kernels])
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelsize=6.8)
        for spine in axes.spines.values():
            spine.set_visible(False)
        place(figure, left=1.75, right=0.15, top=0.75, bottom=0.12)
        return figure


def _cell(axes: Axes, column: int, height: int, cell: Cell, data: Offences, shade: float | None) -> None:
    """Draw one cell: its ground in a shade from 0 to 1, None for none, and what it says."""
    is_output = cell.verdict is not None and cell.verdict.answer == "output"
    ground = "white" if shade is None else COLOURS(shade)
    hatch = _HATCH if is_output else None
    axes.add_patch(Rectangle((column, height), 1, 1, facecolor=ground, edgecolor=LIGHT, linewidth=0.6, hatch=hatch))
    ink = GREY if shade is None else "white" if shade > DARK else "black"
    axes.text(column + 0.5, height + 0.5, label(cell_words(cell, data), 24), ha="center", va="center", fontsize=6.2, color=ink)
