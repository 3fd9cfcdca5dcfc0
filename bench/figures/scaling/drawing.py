"""Scaling: time and entries read against span, with fitted exponents, and the exponents between neighbours below."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from bench.figures.scaling.numbers import Cost, Curve, Scaling
from bench.figures.scaling.words import exponent_words, title_words
from bench.figures.style import (
    GREY,
    count_axis,
    grid,
    heading,
    line,
    looks,
    new_figure,
    place,
    room_below,
    span_axis,
    spread,
    style,
    time_axis,
)

MIDDLE_GREY = "#AAAAAA"
GUIDE = 10.0  # the line of slope 1 is so much higher and wider at its end, above all data
Pick = Callable[[Curve], Cost]


def draw(data: Scaling) -> Figure:
    """Return two log-log panels, each above its local exponents."""
    with style():
        bottom = room_below(1 + len(data.curves))  # a title and an entry each
        figure = new_figure(3.78 + bottom)
        heading(figure, title_words(data), data.summary)
        panels = figure.subplots(2, 2, height_ratios=(3.2, 1), sharex="col")
        picks: tuple[Pick, Pick] = (lambda curve: curve.seconds, lambda curve: curve.entries)
        for column, pick in enumerate(picks):
            _costs(panels[0, column], data, pick)
            _local(panels[1, column], data, pick)
        (time_axes, entry_axes), (local_axes, _) = panels
        time_axes.set_title("Time")
        entry_axes.set_title("Page-table entries read")
        times, entries = ([value for curve in data.curves for value in pick(curve).shown] for pick in picks)
        time_axis(time_axes, [*times, max(times) * GUIDE * 2])
        count_axis(entry_axes.yaxis, [*entries, max([*entries, 1]) * GUIDE * 2])
        for axes, values in ((time_axes, times), (entry_axes, entries)):
            _guide(axes, max([*values, 0]) * 2, min(data.spans))
        local_axes.set_ylabel("exponent to\nthe next span")
        _legends(figure, data, picks)
        place(figure, left=0.78, right=0.32, top=0.6, bottom=bottom, wspace=0.3, hspace=0.12)
        return figure


def _costs(axes: Axes, data: Scaling, pick: Pick) -> None:
    """Draw one quantity of each implementation with its intervals. A zero has no place on a log scale."""
    for curve in data.curves:
        cost, look = pick(curve), looks()[curve.implementation]
        points = [(span, value) for span, value in zip(curve.spans, cost.values, strict=True) if value > 0]
        if points:
            axes.plot(*zip(*points, strict=True), zorder=3, clip_on=False, **look)
        for span, interval in zip(curve.spans, cost.intervals, strict=bool(cost.intervals)):
            if interval.is_known:
                spread(axes, span, interval.low, interval.high, look["color"])
    grid(axes)
    span_axis(axes, data.spans)
    axes.tick_params(labelbottom=False)


def _local(axes: Axes, data: Scaling, pick: Pick) -> None:
    """Draw the exponents from each span to the next, between the two."""
    found = [0.0, 1.0]
    for curve in data.curves:
        if local := pick(curve).local:
            axes.plot(curve.middles, local, zorder=3, clip_on=False, **looks()[curve.implementation])
            found += local
    margin = (max(found) - min(found)) * 0.15
    axes.set_ylim(min(found) - margin, max(found) + margin)
    axes.yaxis.set_major_locator(FixedLocator([0, 1]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(which="major", color=MIDDLE_GREY, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(labelbottom=True)
    axes.set_xlabel("reserved address space")


def _guide(axes: Axes, height: float, span: float) -> None:
    """Draw a line of slope 1 above all data, where its axis has room for it."""
    if height:
        axes.plot((span, span * GUIDE), (height, height * GUIDE), color=GREY, linewidth=0.8, linestyle=(0, (6, 2)), zorder=1)
        axes.annotate("\u221d span", (span * GUIDE, height * GUIDE), xytext=(4, 0), textcoords="offset points",
                      ha="left", va="top", fontsize=7, color=GREY)  # fmt: skip


def _legends(figure: Figure, data: Scaling, picks: tuple[Pick, Pick]) -> None:
    """Put a legend with fitted exponents below each column."""
    titles = "fitted: \u221d span^k, with 95 % interval", "exact: k from each span to the next"
    for pick, left, title in zip(picks, (0.1, 0.585), titles, strict=True):
        lines = [
            line(curve.implementation, f"{curve.implementation}: k = {exponent_words(pick(curve))}") for curve in data.curves
        ]
        figure.legend(handles=lines, loc="lower left", bbox_to_anchor=(left, 0.0), handlelength=3.4, alignment="left",
                      title=title, title_fontsize=7.5)  # fmt: skip
