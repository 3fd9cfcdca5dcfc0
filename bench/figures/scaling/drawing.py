"""Scaling: time and entries read against span, with fitted exponents, and the exponents between neighbours below."""

from __future__ import annotations

import math
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from bench.figures.captions import exponent_words
from bench.figures.report.drawing import mark_report
from bench.figures.scaling.numbers import Cost, Curve, Scaling
from bench.figures.style import GREY, LOOKS, count_ticks, grid, label, line, marker, new_figure, span_ticks, style, time_ticks

MIDDLE_GREY = "#AAAAAA"
Pick = Callable[[Curve], Cost]


def scaling_figure(data: Scaling) -> Figure:
    """Return two log-log panels, each above its local exponents."""
    with style():
        figure = new_figure(5.4)
        panels = figure.subplots(2, 2, height_ratios=(3.2, 1), sharex="col")
        picks: tuple[Pick, Pick] = (lambda curve: curve.seconds, lambda curve: curve.entries)
        for column, pick in enumerate(picks):
            _costs(panels[0, column], data, pick)
            _local(panels[1, column], data, pick)
        (time_axes, entry_axes), (local_axes, _) = panels
        time_axes.set_title(label(f"Time of {data.operation}, {data.scenario}"))
        entry_axes.set_title("Page-table entries read")
        time_ticks(time_axes)
        count_ticks(entry_axes)
        if data.of_report:
            mark_report(time_axes, entry_axes)
        for axes in (time_axes, entry_axes):
            _guides(axes)
        local_axes.set_ylabel("exponent to\nthe next span")
        _legends(figure, data, picks)
        figure.subplots_adjust(left=0.095, right=0.97, top=0.945, bottom=0.27, wspace=0.27, hspace=0.12)
        return figure


def _costs(axes: Axes, data: Scaling, pick: Pick) -> None:
    """Draw one quantity of each implementation with its least and most. A zero has no place on a log scale."""
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    for curve in data.curves:
        cost, look = pick(curve), LOOKS[curve.implementation]
        points = [(span, value) for span, value in zip(curve.spans, cost.values, strict=True) if value > 0]
        if points:
            axes.plot(*zip(*points, strict=True), zorder=3, clip_on=False, **look)
        for span, low, high in zip(curve.spans, cost.low, cost.high, strict=True):
            if low < high:
                axes.plot((span, span), (low, high), color=look["color"], linewidth=1.0, zorder=2)
    grid(axes)
    span_ticks(axes, [span for curve in data.curves for span in curve.spans])
    axes.tick_params(labelbottom=False)


def _local(axes: Axes, data: Scaling, pick: Pick) -> None:
    """Draw the exponents from each span to the next, between the two."""
    for curve in data.curves:
        middles = [math.sqrt(one * two) for one, two in zip(curve.spans, curve.spans[1:], strict=False)]
        if local := pick(curve).local:
            look = LOOKS[curve.implementation]
            axes.plot(middles, local, zorder=3, **look | {"markersize": look["markersize"] * 0.8})
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -0.3), max(high, 1.3))
    axes.yaxis.set_major_locator(FixedLocator([0, 1]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(which="major", color=MIDDLE_GREY, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(labelbottom=True)
    axes.set_xlabel("reserved address space")


def _guides(axes: Axes) -> None:
    """Draw a line of slope 1 at the upper left, where there are no data: costs never grow faster."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    start = left * 2
    length = (right / start) ** 0.17
    height = top / length / 30  # below what real kernels took
    axes.plot((start, start * length), (height, height * length), color=GREY, linewidth=0.8, linestyle=(0, (6, 2)), zorder=1)
    axes.annotate("\u221d span", (start, height), xytext=(-6, 20), textcoords="offset points",
                  ha="left", va="bottom", fontsize=6.5, color=GREY)  # fmt: skip
    axes.set_ylim(bottom, top)


def _legends(figure: Figure, data: Scaling, picks: tuple[Pick, Pick]) -> None:
    """Put a legend with fitted exponents below each column, and one for the crosses below both."""
    for pick, left in zip(picks, (0.09, 0.585), strict=True):
        lines = [
            line(curve.implementation, f"{curve.implementation}: k = {exponent_words(pick(curve).exponent)}")
            for curve in data.curves
        ]
        figure.legend(handles=lines, loc="upper left", bbox_to_anchor=(left, 0.183), handlelength=3.4, alignment="left",
                      title="fitted: \u221d span^k, with 95 % interval", title_fontsize=7.5)  # fmt: skip
    if data.of_report:
        cross = marker("x", "real kernels, as reported in 2021 (not measured here)", color="black")
        figure.legend(handles=[cross], loc="lower left", bbox_to_anchor=(0.09, 0.0), handlelength=3.4)
