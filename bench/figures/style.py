"""The look that all figures share, and how they become files.

The same numbers give the same bytes: fixed backend, style, size and ids, no
date and no program version in the files. Every implementation has its own
colour, marker, line style and hatch, so that none of them is needed alone.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.errors import one_line
from bench.number_format import approximate
from bench.runs.storage import write_atomic
from mmmodel.constants import IMPLEMENTATIONS

DPI = 200
MOST_WORDS = 20_000  # characters of a text alternative
WIDTH = 7.2  # inches, of every figure: two columns of a paper
# Okabe-Ito colours, one darkened, of clearly different lightness for greyscale. Markers and lines also differ in
# size, the later the smaller, so that implementations that coincide all remain visible.
_LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "#D55E00", "marker": "s", "linestyle": "-", "linewidth": 1.5, "markersize": 5.5},
    {"color": "#56B4E9", "marker": "^", "linestyle": (0, (4, 1.5)), "linewidth": 3.0, "markersize": 9.0},
    {"color": "#004C7A", "marker": "o", "linestyle": (0, (1, 1.5)), "linewidth": 1.5, "markersize": 4.2},
)
LOOKS = dict(zip(IMPLEMENTATIONS, _LOOKS, strict=True))
# Parts of a whole: from dark to light, neighbours with other hatches; no colour of an implementation's.
PARTS: tuple[dict[str, Any], ...] = (
    {"facecolor": "#332288", "hatch": ""},
    {"facecolor": "#117733", "hatch": "xxxx"},
    {"facecolor": "#44AA99", "hatch": "////"},
    {"facecolor": "#DDCC77", "hatch": "...."},
    {"facecolor": "#F7F3DC", "hatch": ""},
)
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
_TIMES = {10.0**power: text for power, text in zip(range(-9, 5), (
    "1 ns", "10 ns", "0.1 µs", "1 µs", "10 µs", "0.1 ms", "1 ms", "10 ms", "0.1 s", "1 s", "10 s", "100 s", "1000 s",
    "10 000 s"), strict=True)}  # fmt: skip
_COUNTS = dict(zip(range(12), ("1", "10", "100", "1000", "10 000", "100 000", "1 million", "10 million", "100 million",
                               "1 billion", "10 billion", "100 billion"), strict=True))  # fmt: skip


@contextmanager
def style() -> Iterator[None]:
    """Use this module's style and nothing of the user's."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


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


def span_ticks(axes: Axes, spans: Sequence[int]) -> None:
    """Label the span axis in units of bytes, some powers of two apart."""
    low, high = min(spans).bit_length() - 2, max(spans).bit_length() + 1
    step = max(1, -(-(high - low) // 4))
    step += step % 5 and 5 - step % 5 if step > 3 else 0  # a factor of 32 reads well: 1 GiB, 32 GiB, 1 TiB
    axes.set_xlim(2.0**low, 2.0**high)
    axes.xaxis.set_major_locator(FixedLocator([2.0**power for power in range(0, 64, step) if low <= power <= high]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: approximate(value)))


def time_ticks(axes: Axes) -> None:
    """Label the time axis in units, a factor of ten apart."""
    low, high = axes.get_ylim()
    wanted = [value for value in _TIMES if low <= value <= high]
    axes.yaxis.set_major_locator(FixedLocator(wanted))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _TIMES.get(value, "")))
    axes.yaxis.set_minor_locator(NullLocator())


def count_ticks(axes: Axes) -> None:
    """Label the counts at powers of ten, in full words."""
    words = {10.0**power: text for power, text in _COUNTS.items()}
    low, high = axes.get_ylim()
    wanted = [value for value in words if low <= value <= high]
    if len(wanted) > 7:
        wanted = wanted[::2] if len(wanted) < 12 else wanted[::3]
    axes.yaxis.set_major_locator(FixedLocator(wanted))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.get(value, "")))
    axes.yaxis.set_minor_locator(NullLocator())


def marker(shape: str, text: str, **look: Any) -> Line2D:
    """Return a legend entry that is a marker alone."""
    return Line2D([], [], linestyle="none", marker=shape, label=text, **look)


def line(implementation: str, text: str = "") -> Line2D:
    """Return an implementation's legend entry."""
    return Line2D([], [], label=text or implementation, **LOOKS[implementation])


def save(figure: Figure, stem: Path, title: str, alternative: str) -> list[Path]:
    """Write a figure as SVG and PNG, each file as a whole; `stem` is their path without the suffix."""
    files = []
    title, alternative = one_line(title), one_line(alternative, MOST_WORDS)
    with style():
        for suffix, metadata in (
            ("svg", {"Date": None, "Creator": None, "Title": title}),
            ("png", {"Software": None, "Title": title, "Description": alternative}),
        ):
            data = io.BytesIO()
            figure.savefig(data, format=suffix, dpi=DPI, metadata=metadata)
            content = _described(data.getvalue(), alternative) if suffix == "svg" else data.getvalue()
            write_atomic(stem.with_name(f"{stem.name}.{suffix}"), content)
            files.append(stem.with_name(f"{stem.name}.{suffix}"))
    return files


def _described(svg: bytes, alternative: str) -> bytes:
    """Return an SVG file with a description after its title, where screen readers look for it."""
    end = b"</title>"
    before, found, after = svg.partition(end)
    if not found:
        raise ValueError("the SVG file has no title")
    return before + end + f"\n <desc>{escape(alternative)}</desc>".encode() + after
