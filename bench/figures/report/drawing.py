"""The report's figure: time and entries read against span, a line for each implementation, and what real kernels took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.reported import REPORTED_SPAN
from bench.figures.report.numbers import Call, Report
from bench.figures.report.words import KERNELS, implementation_words, title_words
from bench.figures.style import (
    GREY,
    count_axis,
    grid,
    heading,
    label,
    line,
    looks,
    marker,
    new_figure,
    place,
    span_axis,
    spread,
    style,
    time_axis,
)
from bench.number_format import seconds

MOST_NAMES = 3  # of programs that are written at their place
Value = Callable[[Call], float]


def draw(data: Report) -> Figure:
    """Return time on the left, entries read on the right."""
    with style():
        figure = new_figure(4.0)
        heading(figure, title_words(data), data.summary)
        time_axes, entry_axes = figure.subplots(1, 2)
        _panel(time_axes, data, lambda call: call.seconds.estimate)
        _panel(entry_axes, data, lambda call: call.nr_entries)
        for call in data.all_calls:
            if call.seconds.is_known:
                spread(time_axes, call.span, call.seconds.low, call.seconds.high, looks()[call.implementation]["color"])
        time_axes.set_title("Time")
        entry_axes.set_title("Page-table entries read")
        times = [value for call in data.all_calls for value in call.shown]
        time_axis(time_axes, [*times, *(one.seconds for one in data.marks)])
        count_axis(entry_axes.yaxis, [call.nr_entries for call in data.all_calls])
        for axes in (time_axes, entry_axes):
            _places(axes, data)
        _marks(time_axes, data)
        _values(time_axes, data, lambda call: call.seconds.estimate, seconds)
        _values(entry_axes, data, lambda call: call.nr_entries, lambda value: f"{value:,.0f}")
        _legend(figure, data)
        place(figure, left=0.55, right=0.32, top=0.6, bottom=1.22, wspace=0.33)
        return figure


def _panel(axes: Axes, data: Report, value: Value) -> None:
    """Draw one quantity of every call. A count of zero has no place on a log scale and is left out."""
    for implementation, look in looks().items():
        _points(axes, [call for call in data.calls if call.implementation == implementation], value, look)
        for program in data.programs:
            mine = [call for call in program.calls if call.implementation == implementation]
            _points(axes, mine, value, look | {"linestyle": "none"})
    grid(axes)
    axes.set_xlabel("reserved address space")
    span_axis(axes, data.spans)


def _points(axes: Axes, calls: Sequence[Call], value: Value, look: dict[str, Any]) -> None:
    """Draw some calls of one implementation."""
    points = [(call.span, value(call)) for call in calls if value(call) > 0]
    if points:
        axes.plot(*zip(*points, strict=True), zorder=3, clip_on=False, **look)


def _places(axes: Axes, data: Report) -> None:
    """Say what is at the report's span and at those of programs."""
    places = [("the report", REPORTED_SPAN, (0, (4, 3)), "right")] if data.at_reported_span() else []
    named = len(data.programs) <= MOST_NAMES
    places += [(label(one.name, 40) if named else "", one.calls[0].span, (0, (1, 2)), "left") for one in data.programs]
    for name, span, dashes, side in places:
        axes.axvline(span, color=GREY, linewidth=0.7, linestyle=dashes, zorder=1)
        axes.annotate(name, (span, 0.52), xycoords=("data", "axes fraction"), xytext=(5 if side == "left" else -2.5, 0),
                      textcoords="offset points", rotation=90, ha=side, va="center", fontsize=6, color=GREY)  # fmt: skip


def _marks(axes: Axes, data: Report) -> None:
    """Mark what real kernels took, the lowest's name below the others'."""
    for one, vertical in zip(data.marks, ("top", "bottom", *["center"] * len(data.marks)), strict=False):
        axes.plot(REPORTED_SPAN, one.seconds, color="black", marker="x", markersize=5, markeredgewidth=1.2,
                  linestyle="none", zorder=4, clip_on=False)  # fmt: skip
        axes.annotate(f"{one.kernel}: {seconds(one.seconds)}", (REPORTED_SPAN, one.seconds), xytext=(-6, 0),
                      textcoords="offset points", ha="right", va=vertical, fontsize=7, color="black")  # fmt: skip


def _values(axes: Axes, data: Report, value: Value, text: Callable[[float], str]) -> None:
    """Write the most and the least at the report's span beside their points."""
    calls = sorted((call for call in data.at_reported_span() if value(call) > 0), key=value)
    ends = [(calls[0], 9), (calls[-1], 0)] if len(calls) > 1 else [(call, 0) for call in calls]
    for call, above in ends:
        axes.annotate(text(value(call)), (call.span, value(call)), xytext=(-6, above), textcoords="offset points", ha="right",
                      va="center", fontsize=8, weight="bold", color=looks()[call.implementation]["color"])  # fmt: skip


def _legend(figure: Figure, data: Report) -> None:
    """Put one legend for both panels below them: only what is drawn."""
    used = {call.implementation for call in data.all_calls}
    handles = [line(name, implementation_words(name)) for name in looks() if name in used]
    if data.marks:
        handles.append(marker("x", KERNELS, color="black", markersize=5, markeredgewidth=1.2))
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.06, 0.0), handlelength=3.4)
