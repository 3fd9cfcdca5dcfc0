"""Ratio of implementations against population density: times with intervals, entries read, and the crossover."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.figures.ratio.numbers import Density, Ratio
from bench.figures.ratio.words import legend_words, title_words
from bench.figures.style import GREY, LEGEND_ROW, grid, heading, log_axis, looks, new_figure, place, spread, style
from bench.figures.ticks import log_limits, log_ticks
from bench.number_format import approximate, percent, significant

# A ratio to the first of all implementations looks like what is compared with it; others are grey, each of its own shape.
_BETWEEN: tuple[dict[str, Any], ...] = tuple(
    {"color": "#707070", "marker": shape, "linestyle": (0, (5, 1, 1, 1)), "linewidth": 1.2, "markersize": 4}
    for shape in ("D", "v", "P", "X", "<", ">")
)


def _looks(ratios: Sequence[Ratio]) -> list[dict[str, Any]]:
    """Return how each ratio is drawn."""
    baseline, others = next(iter(looks())), cycle(_BETWEEN)
    return [looks()[one.faster] if one.slower == baseline else next(others) for one in ratios]


def draw(data: Density) -> Figure:
    """Return ratios of times on the left, of entries read on the right."""
    with style():
        drawn = list(zip(data.ratios, _looks(data.ratios), strict=True))
        bottom = 0.53 + LEGEND_ROW * len(drawn)
        figure = new_figure(3.02 + bottom)
        heading(figure, title_words(data), "a page in memory at regular steps, the rest reserved")
        time_axes, entry_axes = figure.subplots(1, 2, sharex=True, sharey=True)
        for ratio, look in drawn:
            _times(time_axes, ratio, look)
            _entries(entry_axes, ratio, look)
        _axes(time_axes, data)
        time_axes.set_title("Ratio of times", pad=22)
        entry_axes.set_title("Ratio of page-table entries read", pad=22)
        for axes in (time_axes, entry_axes):
            grid(axes)
            axes.axhline(1.0, color="black", linewidth=0.8, zorder=1)
            axes.set_xlabel("pages in memory")
            axes.tick_params(labelleft=True)
            _step_axis(axes, data)
        _crossings(time_axes, data)
        handles = [Line2D([], [], label=legend_words(one), **look) for one, look in drawn]
        figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.08, 0.0), handlelength=3.6)
        place(figure, left=0.65, right=0.2, top=0.88, bottom=bottom, wspace=0.22)
        return figure


def _times(axes: Axes, ratio: Ratio, look: dict[str, Any]) -> None:
    """Draw a ratio of times with its intervals; one without an interval is drawn open."""
    x, y = [one.fraction for one in ratio.points], [one.seconds.estimate for one in ratio.points]
    axes.plot(x, y, zorder=3, clip_on=False, **look)
    for one in ratio.points:
        if not one.seconds.is_known:
            open_look = look | {"linestyle": "none", "markerfacecolor": "white"}
            axes.plot([one.fraction], [one.seconds.estimate], zorder=4, clip_on=False, **open_look)
        elif one.seconds.low < one.seconds.high:
            spread(axes, one.fraction, one.seconds.low, one.seconds.high, look["color"])


def _entries(axes: Axes, ratio: Ratio, look: dict[str, Any]) -> None:
    """Draw an exact ratio. One to nothing, or of nothing, has no place on a log scale."""
    points = [(one.fraction, one.entries) for one in ratio.points if one.entries]
    if points:
        axes.plot(*zip(*points, strict=True), zorder=3, clip_on=False, **look)


def _axes(axes: Axes, data: Density) -> None:
    """Set limits and ticks of both panels: densities as percentages, ratios as plain numbers."""
    limits = log_limits(one.fraction for ratio in data.ratios for one in ratio.points)
    log_axis(axes.xaxis, limits, log_ticks(*limits), percent)
    limits = log_limits(data.ends())
    log_axis(axes.yaxis, limits, log_ticks(*limits), significant)


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
        axes.plot([one.fraction], [1.0], marker="o", markersize=9, color="black", markerfacecolor="none", linestyle="none",
                  clip_on=False)  # fmt: skip
