"""The look that all figures share, and how they become files.

The same numbers give the same bytes: fixed backend, style, size and ids, no
date in the files, and of program versions that of matplotlib alone, in the SVG. Every implementation has its own
colour, marker, line style and hatch, so that none of them is needed alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.errors import one_line
from bench.figures.ticks import MOST, log_limits, log_ticks, span_limits, span_ticks
from bench.number_format import approximate, seconds
from bench.runs.kernel_record import KernelFacts
from bench.runs.storage import write_atomic
from bench.workloads import participants
from mmmodel.kernels import Look, implementations, newest_until, version_of

DPI = 200
CREATOR = f"Matplotlib {mpl.__version__}"  # files of another version need not be the same
MOST_WORDS = 20_000  # characters of a text alternative
WIDTH = 7.0  # inches, of every figure: both columns of a paper
EDGE = 0.06  # inches, from the edge of a figure to its title
LEGEND_ROW = 0.15  # inches
LEGEND_COLUMNS = 5  # of a legend in one row; more entries make another
_PLACES = re.compile(rb'\b(?:d|x|y)="[^"]*"')
_DECIMALS = re.compile(rb"(\d\.\d\d)\d+")
# Parts of a whole: from dark to light, neighbours with other hatches; no colour of an implementation's.
PARTS: tuple[dict[str, Any], ...] = (
    {"facecolor": "#332288", "hatch": ""},
    {"facecolor": "#117733", "hatch": "xxxx"},
    {"facecolor": "#44AA99", "hatch": "////"},
    {"facecolor": "#DDCC77", "hatch": "\\\\\\\\"},
    {"facecolor": "#F7F3DC", "hatch": ""},
)
# Kernels in the order that they are shown in, from dark to light, each of its own shape.
_KERNELS: tuple[dict[str, Any], ...] = (
    {"color": "#1B1B1B", "marker": "s", "markersize": 4.2},
    {"color": "#1F5A8A", "marker": "o", "markersize": 4.8},
    {"color": "#E39A3B", "marker": "^", "markersize": 5.2},
    {"color": "#2E7D32", "marker": "D", "markersize": 4.4, "markerfacecolor": "white", "markeredgewidth": 1.1},
    {"color": "#8A4FA8", "marker": "v", "markersize": 5.2},
    {"color": "#777777", "marker": "P", "markersize": 5.4, "markerfacecolor": "white", "markeredgewidth": 1.1},
)
KERNEL_MARKERS = ("D", "v", "p", "h", "<", ">", "8", "*")  # of no implementation, and open
KERNEL_LINES = ((0, (4, 2)), (0, (2, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (1, 2.2)), (0, (8, 2)))
GREY = "#555555"
LIGHT = "#DDDDDD"
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.labelsize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "hatch.linewidth": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "legend.columnspacing": 2.0,
    "text.parse_math": False,  # names come out of files, and a dollar sign is one
    "svg.hashsalt": "unlockall-bench",
    "svg.fonttype": "path",
    "path.simplify": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Use this module's style and nothing of the user's."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def looks(kernels: Mapping[str, KernelFacts] | None = None) -> dict[str, dict[str, Any]]:
    """Return how lines and marks of each implementation look, as matplotlib takes it, by name in their usual order.

    `kernels`: real kernels by name, which come after them: each in the colour of the implementation that models
    its series, or else the newest before it, with a dashed line and an open marker of its own.
    """
    found = {one.name: _look(one.look) for one in participants.every()}
    for number, (name, kernel) in enumerate((kernels or {}).items()):
        color = found[model_of(kernel.release)]["color"]
        found[name] = {
            "color": color,
            "marker": KERNEL_MARKERS[number % len(KERNEL_MARKERS)],
            "linestyle": KERNEL_LINES[number % len(KERNEL_LINES)],
            "linewidth": 1.1,
            "markersize": 6.0,
            "markerfacecolor": "none",
            "markeredgewidth": 1.1,
        }
    return found


def model_of(release: str) -> str:
    """Return the first implementation of a release's series, else of the newest before it, else the first of all."""
    return (newest_until(version_of(release)) or implementations()[0]).name


def _look(look: Look) -> dict[str, Any]:
    """Return one implementation's look."""
    open_marker = {} if look.filled else {"markerfacecolor": "none", "markeredgewidth": 1.1}
    return {
        "color": look.color,
        "marker": look.marker,
        "linestyle": look.linestyle,
        "linewidth": look.linewidth,
        "markersize": look.markersize,
        **open_marker,
    }


def kernel_look(number: int) -> dict[str, Any]:
    """Return how the marks of a real kernel look, by its place among those shown."""
    return _KERNELS[number % len(_KERNELS)]


def new_figure(height: float) -> Figure:
    """Return an empty figure of the common width; `height` in inches."""
    return Figure(figsize=(WIDTH, height), dpi=DPI)


def label(text: str, limit: int = 80) -> str:
    """Return a text out of a file as it can be drawn: on one line, not too long, in letters that the font has."""
    return one_line(text.encode("ascii", "replace").decode(), limit)


def grid(axes: Axes) -> None:
    """Draw the grid of an axes' major ticks below all else."""
    axes.grid(which="major", color=LIGHT, linewidth=0.5)
    axes.set_axisbelow(True)


def log_axis(axis: Axis, limits: tuple[float, float], ticks: Sequence[float], text: Callable[[float], str]) -> None:
    """Make an axis logarithmic, with these limits and ticks and no others."""
    axes = axis.axes
    (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
    (axes.set_xlim if axis is axes.xaxis else axes.set_ylim)(limits)
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    axis.set_minor_locator(NullLocator())


def span_axis(axes: Axes, spans: Iterable[int]) -> None:
    """Make x an axis of spans in bytes, labelled at some powers of two."""
    limits = span_limits(spans)
    log_axis(axes.xaxis, limits, span_ticks(*limits), approximate)


def time_axis(axes: Axes, values: Iterable[float]) -> None:
    """Make y an axis of seconds that holds these."""
    limits = log_limits(values)
    log_axis(axes.yaxis, limits, log_ticks(*limits), seconds)


def whole(value: float) -> str:
    """Return a count in full."""
    return f"{value:,.12g}"


def count_axis(axis: Axis, values: Iterable[float], most: int = MOST, text: Callable[[float], str] = whole) -> None:
    """Make an axis one of counts that holds these, with at most so many ticks; a zero has no place on it."""
    limits = log_limits(value for value in values if value > 0)
    log_axis(axis, limits, log_ticks(*limits, most), text)


def heading(figure: Figure, text: str, below: str = "") -> None:
    """Write the title of the whole figure above its panels, and a line in smaller letters below it."""
    left, height = EDGE / WIDTH, figure.get_figheight()
    figure.text(left, 1 - EDGE / height, label(text, 100), ha="left", va="top", fontsize=9.0, weight="bold")
    figure.text(left, 1 - (EDGE + 0.17) / height, label(below, 110), ha="left", va="top", fontsize=7.5, color=GREY)


def room_below(nr_rows: int) -> float:
    """Return the inches below panels for the words of their axes and so many rows of a legend."""
    return 0.62 + LEGEND_ROW * nr_rows


def place(figure: Figure, left: float, right: float, top: float, bottom: float, **between: float) -> None:
    """Place the panels: margins in inches, distances between panels in parts of one (wspace, hspace)."""
    width, height = figure.get_size_inches()
    figure.subplots_adjust(left=left / width, right=1 - right / width, top=1 - top / height, bottom=bottom / height, **between)


def spread(axes: Axes, x: float, low: float, high: float, color: str) -> None:
    """Draw an interval as a vertical line."""
    axes.plot((x, x), (low, high), color=color, linewidth=0.9, zorder=2, clip_on=False)


def marker(shape: str, text: str, **look: Any) -> Line2D:
    """Return a legend entry that is a marker alone."""
    return Line2D([], [], linestyle="none", marker=shape, label=text, **look)


def line(implementation: str, text: str = "", kernels: Mapping[str, KernelFacts] | None = None) -> Line2D:
    """Return the legend entry of an implementation, or of a real kernel."""
    kernel = (kernels or {}).get(implementation)
    return Line2D([], [], label=text or (kernel.title if kernel else implementation), **looks(kernels)[implementation])


def save(figure: Figure, stem: Path, title: str, alternative: str) -> list[Path]:
    """Write a figure as SVG and PNG, each file as a whole; `stem` is their path without the suffix."""
    files = []
    title, alternative = one_line(title), one_line(alternative, MOST_WORDS)
    with style():
        for suffix, metadata in (
            ("svg", {"Date": None, "Creator": CREATOR, "Title": title}),
            ("png", {"Software": None, "Title": title, "Description": alternative}),
        ):
            data = io.BytesIO()
            figure.savefig(data, format=suffix, dpi=DPI, metadata=metadata)
            content = _compact(_described(data.getvalue(), alternative)) if suffix == "svg" else data.getvalue()
            write_atomic(stem.with_name(f"{stem.name}.{suffix}"), content)
            files.append(stem.with_name(f"{stem.name}.{suffix}"))
    return files


def _compact(svg: bytes) -> bytes:
    """Return an SVG file with places to a hundredth of a point, and without indentation."""
    found = _PLACES.sub(lambda part: _DECIMALS.sub(rb"\1", part[0]), svg)
    return b"\n".join(line.strip() for line in found.split(b"\n"))


def _described(svg: bytes, alternative: str) -> bytes:
    """Return an SVG file with a description after its title, where screen readers look for it."""
    end = b"</title>"
    before, found, after = svg.partition(end)
    if not found:
        raise ValueError("the SVG file has no title")
    return before + end + f"\n <desc>{escape(alternative)}</desc>".encode() + after
