"""The figure of the `report` command: time and page-table entries read against span."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.report_rows import Row
from bench.analysis.reported import REPORTED, REPORTED_SPAN
from bench.figures.style import (
    GREY,
    LOOKS,
    count_ticks,
    grid,
    label,
    line,
    marker,
    new_figure,
    save,
    span_ticks,
    style,
    time_ticks,
)
from bench.number_format import approximate
from bench.workloads.scenario import LAYOUT


def draw_report(rows: Sequence[Row], plots: Path) -> list[Path]:
    """Draw a figure for each scenario, and one for layouts if there is no other; return the files."""
    layouts = [row for row in rows if row.scenario == LAYOUT]
    names = list(dict.fromkeys(row.scenario for row in rows if row.scenario != LAYOUT)) or [LAYOUT]
    files: list[Path] = []
    for name in names:
        lines = [row for row in rows if row.scenario == name and name != LAYOUT]
        shown = layouts if name in ("report", LAYOUT) else []
        files += save(report_figure(lines, shown, name), plots / name, "unlockall-bench", _alternative(lines + shown, name))
    return files


def report_figure(lines: Sequence[Row], layouts: Sequence[Row], name: str) -> Figure:
    """Return time and entries read against span: a line for each implementation, layouts as open markers."""
    with style():
        figure = new_figure(3.9)
        time_axes, entry_axes = figure.subplots(1, 2)
        _panel(time_axes, lines, layouts, lambda row: row.seconds)
        _panel(entry_axes, lines, layouts, lambda row: row.nr_entries)
        _error_bars(time_axes, [*lines, *layouts])
        time_axes.set_title("Time of munlockall()", loc="left")
        entry_axes.set_title("Page-table entries read", loc="left")
        time_ticks(time_axes)
        count_ticks(entry_axes)
        if name == "report":
            mark_report(time_axes, entry_axes)
        _legend(figure, lines, layouts, name)
        figure.subplots_adjust(left=0.085, right=0.965, top=0.92, bottom=0.26, wspace=0.24)
        return figure


def _panel(axes: Axes, lines: Sequence[Row], layouts: Sequence[Row], value: Callable[[Row], float]) -> None:
    """Draw one quantity against the span on log axes. A count of zero has no place there and is left out."""
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    for implementation, look in LOOKS.items():
        for rows, filled in ((lines, True), (layouts, False)):
            mine = sorted((row for row in rows if row.implementation == implementation), key=lambda row: row.span)
            points = [(row.span, value(row)) for row in mine if value(row) > 0]
            if not points:
                continue
            shown = dict(look)
            if not filled:
                shown |= {"linestyle": "none", "markerfacecolor": "white", "markeredgewidth": 1.3}
            axes.plot(*zip(*points, strict=True), zorder=3, clip_on=False, **shown)
    grid(axes)
    axes.set_xlabel("reserved address space")
    span_ticks(axes, [row.span for row in (*lines, *layouts)])


def _error_bars(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the least and most of the timed values."""
    for row in rows:
        color = LOOKS[row.implementation]["color"]
        axes.plot((row.span, row.span), (row.low, row.high), color=color, linewidth=1.0, zorder=2)


def mark_report(*both: Axes) -> None:
    """Mark the report's span in both panels, and in the first what real kernels took."""
    for axes in both:
        axes.axvline(REPORTED_SPAN, color=GREY, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    time_axes, entry_axes = both
    top = max(one.seconds for one in REPORTED) * 4
    time_axes.set_ylim(top=max(top, time_axes.get_ylim()[1]))
    time_ticks(time_axes)
    for one in REPORTED:
        time_axes.plot(REPORTED_SPAN, one.seconds, color="black", marker="x", markersize=5, markeredgewidth=1.2,
                       linestyle="none", zorder=4)  # fmt: skip
    below, middle, above = sorted(REPORTED, key=lambda one: one.seconds)
    for one, vertical in ((below, "top"), (middle, "bottom"), (above, "center")):
        time_axes.annotate(f"{one.kernel}: {one.seconds:.2f} s ", (REPORTED_SPAN, one.seconds), xytext=(-5, 0),
                           textcoords="offset points", ha="right", va=vertical, fontsize=6.5, color="black")  # fmt: skip
    for axes in (time_axes, entry_axes):
        axes.annotate("the report", (REPORTED_SPAN, 0.4), xycoords=("data", "axes fraction"), xytext=(-3, 0),
                      textcoords="offset points", rotation=90, ha="right", va="bottom", fontsize=6.5, color=GREY)  # fmt: skip


def _legend(figure: Figure, lines: Sequence[Row], layouts: Sequence[Row], name: str) -> None:
    """Put one legend for both panels below them."""
    used = {row.implementation for row in (*lines, *layouts)}
    lines_of = [line(one) for one in LOOKS if one in used]
    markers = []
    if layouts:
        what = label(", ".join(dict.fromkeys(row.group.rsplit("/", 1)[1] for row in layouts)))
        what = what if len(what) < 60 else f"{len({row.group for row in layouts})} layouts of real programs"
        markers.append(marker("o", "open: " + what, markerfacecolor="white", color=GREY))
    if name == "report":
        markers.append(marker("x", "real kernels, as reported in 2021 (not measured here)", color="black"))
    figure.legend(handles=lines_of, loc="lower center", bbox_to_anchor=(0.52, 0.06), ncols=3, handlelength=3.4)
    figure.legend(handles=markers, loc="lower center", bbox_to_anchor=(0.52, 0.0), ncols=2, handletextpad=0.3)


def _alternative(rows: Sequence[Row], name: str) -> str:
    """Return the figure in words, for those who cannot see it."""
    facts = "; ".join(
        f"{row.implementation} at {approximate(row.span)}: {row.seconds:.3g} s, {row.nr_entries:,} entries" for row in rows
    )
    return f"Time and page-table entries read against reserved address space, scenario {name}. {facts}."
