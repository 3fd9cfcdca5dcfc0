"""Figures: the only user of matplotlib. Rows of numbers in, SVG and PNG out.

The same rows give the same bytes: fixed backend, style, size and ids, no date
and no program version in the files. Every implementation has its own colour,
marker and line style, so that none of them is needed alone.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.compare import Row
from bench.reported import REPORTED, REPORTED_SPAN
from bench.results import write_atomic
from bench.scenario import LAYOUT
from bench.sizes import approximate
from mmmodel.constants import IMPLEMENTATIONS

DPI = 200
# Okabe-Ito colours, one darkened, of clearly different lightness for greyscale. Markers and lines also differ in
# size, the later the smaller, so that implementations that coincide all remain visible.
_LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "#D55E00", "marker": "s", "linestyle": "-", "linewidth": 1.5, "markersize": 5.5},
    {"color": "#56B4E9", "marker": "^", "linestyle": (0, (4, 1.5)), "linewidth": 3.0, "markersize": 9.0},
    {"color": "#004C7A", "marker": "o", "linestyle": (0, (1, 1.5)), "linewidth": 1.5, "markersize": 4.2},
)
LOOKS = dict(zip(IMPLEMENTATIONS, _LOOKS, strict=True))
GREY = "#555555"
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "legend.columnspacing": 2.0,
    "svg.hashsalt": "unlockall-bench",
    "svg.fonttype": "path",
    "path.simplify": False,
}
_TIMES = {1e-6: "1 µs", 1e-5: "10 µs", 1e-4: "0.1 ms", 1e-3: "1 ms", 1e-2: "10 ms", 0.1: "0.1 s", 1.0: "1 s", 10.0: "10 s",
          100.0: "100 s", 1000.0: "1000 s"}  # fmt: skip


@contextmanager
def _style() -> Iterator[None]:
    """Use this module's style and nothing of the user's."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def draw_report(rows: Sequence[Row], plots: Path) -> list[Path]:
    """Draw a figure for each scenario, and one for layouts if there is no other; return the files."""
    layouts = [row for row in rows if row.scenario == LAYOUT]
    names = list(dict.fromkeys(row.scenario for row in rows if row.scenario != LAYOUT)) or [LAYOUT]
    files: list[Path] = []
    for name in names:
        lines = [row for row in rows if row.scenario == name and name != LAYOUT]
        shown = layouts if name in ("report", LAYOUT) else []
        files += _save(scaling_figure(lines, shown, name), plots / name, _alternative(lines + shown, name))
    return files


def scaling_figure(lines: Sequence[Row], layouts: Sequence[Row], name: str) -> Figure:
    """Return time and entries read against span: a line for each implementation, layouts as open markers."""
    with _style():
        figure = Figure(figsize=(7.2, 3.9), dpi=DPI)
        time_axes, entry_axes = figure.subplots(1, 2)
        _panel(time_axes, lines, layouts, lambda row: row.seconds)
        _panel(entry_axes, lines, layouts, lambda row: row.nr_entries)
        _error_bars(time_axes, [*lines, *layouts])
        time_axes.set_title("Time of munlockall()", loc="left")
        entry_axes.set_title("Page-table entries read", loc="left")
        _time_ticks(time_axes)
        _count_ticks(entry_axes)
        if name == "report":
            _mark_report(time_axes, entry_axes)
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
            style = dict(look)
            if not filled:
                style |= {"linestyle": "none", "markerfacecolor": "white", "markeredgewidth": 1.3}
            axes.plot(*zip(*points, strict=True), zorder=3, clip_on=False, **style)
    axes.grid(which="major", color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel("reserved address space")
    _span_ticks(axes, [row.span for row in (*lines, *layouts)])


def _error_bars(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the least and most of the timed values."""
    for row in rows:
        color = LOOKS[row.implementation]["color"]
        axes.plot((row.span, row.span), (row.low, row.high), color=color, linewidth=1.0, zorder=2)


def _span_ticks(axes: Axes, spans: Sequence[int]) -> None:
    """Label the span axis in units of bytes, some powers of two apart."""
    low, high = min(spans).bit_length() - 2, max(spans).bit_length() + 1
    step = max(1, -(-(high - low) // 4))
    step += step % 5 and 5 - step % 5 if step > 3 else 0  # a factor of 32 reads well: 1 GiB, 32 GiB, 1 TiB
    axes.set_xlim(2.0**low, 2.0**high)
    axes.xaxis.set_major_locator(FixedLocator([2.0**power for power in range(0, 64, step) if low <= power <= high]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: approximate(value)))


def _time_ticks(axes: Axes) -> None:
    """Label the time axis in units, a factor of ten apart."""
    low, high = axes.get_ylim()
    wanted = [value for value in _TIMES if low <= value <= high]
    axes.yaxis.set_major_locator(FixedLocator(wanted))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _TIMES.get(value, "")))
    axes.yaxis.set_minor_locator(NullLocator())


def _count_ticks(axes: Axes) -> None:
    """Label the counts at powers of ten, in full words."""
    words = {1: "1", 10: "10", 100: "100", 1e3: "1000", 1e4: "10 000", 1e5: "100 000", 1e6: "1 million",
             1e7: "10 million", 1e8: "100 million", 1e9: "1 billion", 1e10: "10 billion", 1e11: "100 billion"}  # fmt: skip
    low, high = axes.get_ylim()
    wanted = [value for value in words if low <= value <= high]
    if len(wanted) > 7:
        wanted = wanted[::2] if len(wanted) < 12 else wanted[::3]
    axes.yaxis.set_major_locator(FixedLocator(wanted))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.get(value, "")))
    axes.yaxis.set_minor_locator(NullLocator())


def _mark_report(*both: Axes) -> None:
    """Mark the report's span in both panels, and in the first what real kernels took."""
    for axes in both:
        axes.axvline(REPORTED_SPAN, color=GREY, linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    time_axes, entry_axes = both
    top = max(one.seconds for one in REPORTED) * 4
    time_axes.set_ylim(top=max(top, time_axes.get_ylim()[1]))
    _time_ticks(time_axes)
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
    lines_of = [Line2D([], [], label=one, **look) for one, look in LOOKS.items() if one in used]
    markers = []
    if layouts:
        what = ", ".join(dict.fromkeys(row.group.rsplit("/", 1)[1] for row in layouts))
        what = what if len(what) < 60 else f"{len({row.group for row in layouts})} layouts of real programs"
        markers.append(_marker("o", "open: " + what, markerfacecolor="white", color=GREY))
    if name == "report":
        markers.append(_marker("x", "real kernels, as reported in 2021 (not measured here)", color="black"))
    figure.legend(handles=lines_of, loc="lower center", bbox_to_anchor=(0.52, 0.06), ncols=3, handlelength=3.4)
    figure.legend(handles=markers, loc="lower center", bbox_to_anchor=(0.52, 0.0), ncols=2, handletextpad=0.3)


def _marker(marker: str, label: str, **look: Any) -> Line2D:
    """Return a legend entry that is a marker alone."""
    return Line2D([], [], linestyle="none", marker=marker, label=label, **look)


def _alternative(rows: Sequence[Row], name: str) -> str:
    """Return the figure in words, for those who cannot see it."""
    facts = "; ".join(
        f"{row.implementation} at {approximate(row.span)}: {row.seconds:.3g} s, {row.nr_entries:,} entries" for row in rows
    )
    return f"Time and page-table entries read against reserved address space, scenario {name}. {facts}."


def _save(figure: Figure, stem: Path, alternative: str) -> list[Path]:
    """Write a figure as SVG and PNG, each file as a whole."""
    files = []
    with _style():
        for suffix, metadata in (
            ("svg", {"Date": None, "Creator": None, "Title": "unlockall-bench", "Description": alternative}),
            ("png", {"Software": None, "Description": alternative}),
        ):
            data = io.BytesIO()
            figure.savefig(data, format=suffix, dpi=DPI, metadata=metadata)
            write_atomic(stem.with_name(f"{stem.name}.{suffix}"), data.getvalue())
            files.append(stem.with_name(f"{stem.name}.{suffix}"))
    return files
