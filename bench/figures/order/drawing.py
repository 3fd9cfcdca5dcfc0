"""Run order: each process by the time of its measurement, against when it started and against its number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench.figures.order.numbers import Order, Value
from bench.figures.order.words import title_words
from bench.figures.style import LEGEND_COLUMNS, grid, heading, looks, marker, new_figure, place, style

TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


def draw(data: Order) -> Figure:
    """Return two panels with the same marks: by time, and by number within a measurement."""
    with style():
        figure = new_figure(3.3)
        heading(figure, title_words(data))
        by_time, by_number = figure.subplots(1, 2, sharey=True, width_ratios=(2.4, 1))
        by_time.set_yscale("log")
        _marks(by_time, data, lambda one: one.minutes)
        _marks(by_number, data, lambda one: one.number)
        by_time.set_title("By the time at which the process started")
        by_time.set_xlabel("minutes after the run\u2019s first process")
        by_time.set_ylabel("by the time of its measurement")
        by_number.set_title("By its number")
        by_number.set_xlabel("process of its measurement")
        by_number.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        _ratio_ticks(by_time, data)
        used = {one.implementation for one in data.values}
        handles = [marker(look["marker"], name, **_look(look)) for name, look in looks(data.kernels).items() if name in used]
        figure.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.52, 0.0), ncols=LEGEND_COLUMNS, handletextpad=0.2)
        place(figure, left=0.55, right=0.1, top=0.5, bottom=0.72, wspace=0.06)
        return figure


def _look(look: dict[str, Any]) -> dict[str, Any]:
    """Return an implementation's mark for crowds: small, and open so that others show through."""
    return {"color": look["color"], "markersize": 3.8, "markerfacecolor": "none", "markeredgewidth": 0.9}


def _marks(axes: Axes, data: Order, place: Callable[[Value], float]) -> None:
    """Draw every process."""
    for name, look in looks(data.kernels).items():
        mine = [one for one in data.values if one.implementation == name]
        if mine:
            axes.plot([place(one) for one in mine], [one.relative for one in mine], linestyle="none",
                      marker=look["marker"], zorder=3, clip_on=False, **_look(look))  # fmt: skip
    axes.axhline(1.0, color="black", linewidth=0.8, zorder=1)
    grid(axes)


def _ratio_ticks(axes: Axes, data: Order) -> None:
    """Label ratios about 1 as plain numbers."""
    low, high = min(one.relative for one in data.values), max(one.relative for one in data.values)
    margin = (max(high, 1.1) / min(low, 0.9)) ** 0.04
    axes.set_ylim(min(low, 0.9) / margin, max(high, 1.1) * margin)
    wanted = [tick for tick in TICKS if axes.get_ylim()[0] <= tick <= axes.get_ylim()[1]]
    if len(wanted) > 9:
        wanted = [tick for tick in wanted if tick not in (0.7, 0.8, 0.9, 1.1, 1.25, 1.5)]
    axes.yaxis.set_major_locator(FixedLocator(wanted))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
