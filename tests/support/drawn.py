"""What can be read in a figure, for tests of what is drawn."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from bench.figures.inputs import Skipped

Figured = TypeVar("Figured")


def legend_texts(figure: Figure) -> list[str]:
    """Return what the legends of a figure and of its panels say."""
    legends = [*figure.legends, *(found for axes in figure.axes if (found := axes.get_legend()))]
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def labels_of(axis: Axis) -> list[str]:
    """Return the labels at the major ticks within an axis' limits, each once."""
    low, high = sorted(axis.get_view_interval())
    inside = [tick for tick in axis.get_majorticklocs() if low <= tick <= high]
    return [text for text in dict.fromkeys(axis.get_major_formatter().format_ticks(inside)) if text]


def _texts_of(axes: Axes) -> Iterator[Text]:
    """Yield every text of a panel; of tick labels those within its limits, since others are not drawn."""
    yield from axes.texts
    yield from (one for one in axes.get_children() if isinstance(one, Text) and one.get_text() == axes.get_title("left"))
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        yield axis.label
        yield from (tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high)


def texts_in(figure: Figure) -> list[Text]:
    """Return every text that is drawn."""
    figure.draw_without_rendering()  # which makes the ticks
    texts = [text for axes in figure.axes if axes.get_visible() for text in _texts_of(axes)]
    texts += [text for legend in figure.legends for text in legend.get_texts()]
    return [text for text in (*texts, *figure.texts) if text.get_text() and text.get_visible()]


def texts_outside(figure: Figure) -> list[str]:
    """Return every text that reaches beyond the edge of the figure."""
    canvas: Any = FigureCanvasAgg(figure)  # draw() has no types
    canvas.draw()
    width, height = canvas.get_width_height()
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts_in(figure)]
    return [text for text, box in boxes if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height]


def existing(found: Sequence[Figured | Skipped]) -> list[Figured]:
    """The figures that were asked for, none of which was skipped."""
    made = [one for one in found if not isinstance(one, Skipped)]
    assert len(made) == len(found), found
    return made


def xs(line: Line2D) -> list[float]:
    """The places of a line's points on the x axis."""
    return [float(x) for x in np.asarray(line.get_xdata())]


def ys(line: Line2D) -> list[float]:
    """The places of a line's points on the y axis."""
    return [float(y) for y in np.asarray(line.get_ydata())]


def points(axes: Axes) -> set[tuple[float, float]]:
    """Every point of every line of a panel."""
    return {point for line in axes.lines for point in zip(xs(line), ys(line), strict=True)}
