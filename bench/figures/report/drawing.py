"""The report's figure: time and entries read against span, a line for each implementation, and what real kernels took.

Real kernels that were measured have dashed lines and open marks: times beside the model's, instructions in a panel of their
own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.reported import REPORTED_SPAN
from bench.figures.report.numbers import Call, KernelCall, Report
from bench.figures.report.words import KERNELS, implementation_words, kernel_words, title_words
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
    room_below,
    span_axis,
    spread,
    style,
    time_axis,
    whole,
)
from bench.number_format import seconds, short

TIME, ENTRIES, INSTRUCTIONS = "Time", "Page-table entries read", "Instructions of real kernels"
MOST_NAMES = 3  # of programs that are written at their place
Value = Callable[[Call], float]


def draw(data: Report) -> Figure:
    """Return time on the left, entries read on the right, and instructions of real kernels right of that, if there are any."""
    kinds = [kind for kind, present in _panels(data).items() if present]
    with style():
        handles = _handles(data)
        bottom = room_below(len(handles))
        figure = new_figure(2.78 + bottom)
        heading(figure, title_words(data), data.summary)
        panels = figure.subplots(1, len(kinds), squeeze=False)[0]
        for kind, axes in zip(kinds, panels, strict=True):
            axes.set_title(kind)
            grid(axes)
            axes.set_xlabel("reserved address space")
            span_axis(axes, data.spans)
            _PANELS[kind](axes, data)
        figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.06, 0.0), handlelength=3.4)
        place(figure, left=0.55, right=0.32, top=0.6, bottom=bottom, wspace=0.33)
        return figure


def _panels(data: Report) -> dict[str, bool]:
    """Return which panels there is something for."""
    return {
        TIME: bool(data.all_calls or data.kernel_times),
        ENTRIES: bool(data.all_calls),
        INSTRUCTIONS: any(call.instructions for call in data.kernel_calls),
    }


def _times(axes: Axes, data: Report) -> None:
    """Draw times with their intervals, of the model and of real kernels."""
    look = looks(data.kernels)
    _panel(axes, data, lambda call: call.seconds.estimate)
    _kernel_lines(axes, data, lambda call: call.seconds.estimate if call.seconds else 0)
    shown = [(call.implementation, call.span, call.seconds) for call in data.all_calls]
    shown += [(call.kernel, call.span, seconds) for call, seconds in data.kernel_times]
    for name, span, interval in shown:
        if interval.is_known:
            spread(axes, span, interval.low, interval.high, look[name]["color"])
    times = [value for call in data.all_calls for value in call.shown]
    times += [interval.estimate for _, _, interval in shown]
    time_axis(axes, [*times, *(one.seconds for one in data.marks)])
    _places(axes, data)
    _marks(axes, data)
    _values(axes, data, lambda call: call.seconds.estimate, seconds)


def _entries(axes: Axes, data: Report) -> None:
    """Draw the page-table entries that the model read."""
    _panel(axes, data, lambda call: call.nr_entries)
    count_axis(axes.yaxis, [call.nr_entries for call in data.all_calls], text=short if data.kernels else whole)
    _places(axes, data)
    _values(axes, data, lambda call: call.nr_entries, lambda value: f"{value:,.0f}")


def _instructions(axes: Axes, data: Report) -> None:
    """Draw the instructions that real kernels executed."""
    _kernel_lines(axes, data, lambda call: call.instructions or 0)
    count_axis(axes.yaxis, [call.instructions for call in data.kernel_calls if call.instructions], text=short)
    _places(axes, data)


_PANELS: dict[str, Callable[[Axes, Report], None]] = {TIME: _times, ENTRIES: _entries, INSTRUCTIONS: _instructions}


def _kernel_lines(axes: Axes, data: Report, value: Callable[[KernelCall], float]) -> None:
    """Draw one quantity of real kernels: a line for each, and a point for each program."""
    for name, look in looks(data.kernels).items():
        mine = [call for call in data.kernel_calls if call.kernel == name and value(call) > 0]
        for calls, shown in (
            ([call for call in mine if not call.program], look),
            ([call for call in mine if call.program], look | {"linestyle": "none"}),
        ):
            if calls:
                axes.plot([call.span for call in calls], [value(call) for call in calls], zorder=3, clip_on=False, **shown)


def _panel(axes: Axes, data: Report, value: Value) -> None:
    """Draw one quantity of every call of the model. A count of zero has no place on a log scale and is left out."""
    for implementation, look in looks().items():
        _points(axes, [call for call in data.calls if call.implementation == implementation], value, look)
        for program in data.programs:
            mine = [call for call in program.calls if call.implementation == implementation]
            _points(axes, mine, value, look | {"linestyle": "none"})


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


def _handles(data: Report) -> list[Line2D]:
    """Return the entries of one legend for all panels below them: only what is drawn."""
    used = {call.implementation for call in data.all_calls}
    handles = [line(name, implementation_words(name)) for name in looks() if name in used]
    handles += [line(name, kernel_words(data, name), data.kernels) for name in data.kernels]
    if data.marks:
        handles.append(marker("x", KERNELS, color="black", markersize=5, markeredgewidth=1.2))
    return handles
