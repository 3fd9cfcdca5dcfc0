"""Ratio of implementations against population density: times with intervals, entries read, and the crossover."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.figures.captions import multiple, percent
from bench.figures.ratio.numbers import PAIRS, Density, Ratio
from bench.figures.style import GREY, LOOKS, grid, label, new_figure, style
from bench.number_format import approximate

# A ratio to per-page looks like what is compared with it; the third is between the two others.
_BETWEEN: dict[str, Any] = {
    "color": "#333333",
    "marker": "D",
    "linestyle": (0, (5, 1, 1, 1)),
    "linewidth": 1.2,
    "markersize": 4,
}
_RATIO_LOOKS: dict[tuple[str, str], dict[str, Any]] = dict(
    zip(PAIRS, (LOOKS["page-walk"], LOOKS["hole-skip"], _BETWEEN), strict=True)
)


def ratio_figure(data: Density) -> Figure:
    """Return ratios of times on the left, of entries read on the right."""
    with style():
        figure = new_figure(4.3)
        time_axes, entry_axes = figure.subplots(1, 2, sharex=True, sharey=True)
        for ratio in data.ratios:
            _times(time_axes, ratio)
            _entries(entry_axes, ratio)
        _density_ticks(time_axes, data)
        time_axes.set_title(label(f"Ratio of times, {data.operation}"), pad=22)
        entry_axes.set_title("Ratio of page-table entries read", pad=22)
        for axes in (time_axes, entry_axes):
            grid(axes)
            axes.axhline(1.0, color="black", linewidth=0.8, zorder=1)
            axes.set_xlabel("pages in memory")
            axes.tick_params(labelleft=True)
            _step_axis(axes, data)
        _crossings(time_axes, data)
        handles = [_handle(one) for one in data.ratios]
        figure.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.52, 0.0), handlelength=3.6)
        figure.subplots_adjust(left=0.085, right=0.975, top=0.86, bottom=0.265, wspace=0.17)
        return figure


def _handle(ratio: Ratio) -> Line2D:
    """Return a ratio's legend entry, which says where times cross."""
    places = " and ".join(percent(one.fraction) for one in ratio.crossings)
    crossover = f"times cross at {places} of pages in memory" if places else "no crossover of times in this range"
    return Line2D([], [], label=f"{ratio.slower} / {ratio.faster}: {crossover}", **_RATIO_LOOKS[ratio.slower, ratio.faster])


def _times(axes: Axes, ratio: Ratio) -> None:
    """Draw a ratio of times with its intervals; one without an interval is drawn open."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    look = _RATIO_LOOKS[ratio.slower, ratio.faster]
    x, y = [one.fraction for one in ratio.points], [one.seconds.estimate for one in ratio.points]
    axes.plot(x, y, zorder=3, clip_on=False, **look)
    for one in ratio.points:
        if math.isinf(one.seconds.high):
            open_look = look | {"linestyle": "none", "markerfacecolor": "white"}
            axes.plot([one.fraction], [one.seconds.estimate], zorder=4, **open_look)
        elif one.seconds.low < one.seconds.high:
            ends = (one.seconds.low, one.seconds.high)
            axes.plot((one.fraction, one.fraction), ends, color=look["color"], linewidth=1.0, zorder=2)


def _entries(axes: Axes, ratio: Ratio) -> None:
    """Draw an exact ratio. One to nothing, or of nothing, has no place on a log scale."""
    points = [(one.fraction, one.entries) for one in ratio.points if one.entries]
    if points:
        axes.plot(*zip(*points, strict=True), zorder=3, clip_on=False, **_RATIO_LOOKS[ratio.slower, ratio.faster])


def _density_ticks(axes: Axes, data: Density) -> None:
    """Label densities as percentages, ratios as plain numbers."""
    low = min(one.fraction for ratio in data.ratios for one in ratio.points)
    axes.set_xlim(low / 2, 2)
    powers = range(math.floor(math.log10(low)), 1)
    axes.xaxis.set_major_locator(FixedLocator([10.0**power for power in powers if 10.0**power > low / 2][::-2]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: percent(value).replace(".0e-0", "e-")))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: multiple(value)))
    axes.yaxis.set_minor_locator(NullLocator())


def _step_axis(axes: Axes, data: Density) -> None:
    """Say on top of a panel what a density is as a step from page to page."""
    steps = sorted({one.step: one.fraction for ratio in data.ratios for one in ratio.points}.items())
    shown = steps[:: max(1, len(steps) // 4)]
    top = axes.twiny()
    top.set_xscale("log")
    top.set_xlim(axes.get_xlim())
    top.xaxis.set_major_locator(FixedLocator([fraction for _, fraction in shown]))
    top.xaxis.set_minor_locator(NullLocator())
    texts = {fraction: approximate(step) for step, fraction in shown}
    top.xaxis.set_major_formatter(FuncFormatter(lambda value, _: texts.get(value, "")))
    top.tick_params(length=2, pad=1, colors=GREY, labelsize=7)
    top.spines["top"].set_visible(True)
    top.spines["top"].set_color(GREY)
    axes.annotate("one page every", (0, 1), xycoords="axes fraction", xytext=(0, 14), textcoords="offset points",
                  fontsize=7, color=GREY)  # fmt: skip


def _crossings(axes: Axes, data: Density) -> None:
    """Mark where times cross 1."""
    for one in (crossing for ratio in data.ratios for crossing in ratio.crossings):
        axes.axvline(one.fraction, color=GREY, linewidth=0.9, linestyle=(0, (1, 2)), zorder=1)
        axes.plot([one.fraction], [1.0], marker="o", markersize=9, color="black", markerfacecolor="none", linestyle="none")
