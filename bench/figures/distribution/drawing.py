"""Distribution of times: for each call the empirical distribution of its processes, each of them a mark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.figures.distribution.numbers import Distribution, Samples
from bench.figures.distribution.words import sample_words, title_words
from bench.figures.style import GREY, LEGEND_COLUMNS, grid, heading, label, line, looks, new_figure, place, style
from bench.figures.words import MINUS

COLUMNS = 3
WORDS = -0.42  # where panels end below 0: room for words
SHOWN = 0.8  # largest deviation that the common scale is stretched to; marks beyond it lie on its end


def draw(data: Distribution) -> Figure:
    """Return a panel for each call: share of processes against deviation from what all took."""
    lines = -(-len(data.groups) // COLUMNS)
    inches = 1.9 * lines + 1.0
    with style():
        figure = new_figure(inches)
        heading(figure, title_words(data))
        panels = figure.subplots(lines, COLUMNS, sharex=True, sharey=True, squeeze=False)
        for axes in panels.flat[len(data.groups) :]:
            axes.set_visible(False)
        for index, group in enumerate(data.groups):
            axes = panels.flat[index]
            _panel(axes, group, max(0.02, min(SHOWN, data.reach) * 1.1), looks(data.kernels))
            last = index + COLUMNS >= len(data.groups)
            axes.tick_params(labelbottom=last)
            if last:
                axes.set_xlabel("deviation from the mean")
            if index % COLUMNS == 0:
                axes.set_ylabel("share of processes")
        used = {one.implementation for group in data.groups for one in group.samples}
        handles = [line(name, kernels=data.kernels) for name in looks(data.kernels) if name in used]
        figure.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.52, 0.0), ncols=LEGEND_COLUMNS, handlelength=3.4)
        place(figure, left=0.52, right=0.15, top=0.5, bottom=0.74, wspace=0.14, hspace=0.42)
        return figure


def _panel(axes: Axes, group: Samples, reach: float, look: Mapping[str, dict[str, Any]]) -> None:
    """Draw one call's distributions, the time and the number of each in words."""
    for one in group.samples:
        x = [min(max(value - 1, -reach), reach) for value in one.relative]
        axes.plot(x, one.shares, drawstyle="steps-post", zorder=3, clip_on=False, **look[one.implementation])
    facts = "\n".join(map(sample_words, group.samples))
    axes.annotate(facts, (0.985, 0.02), xycoords="axes fraction", ha="right", va="bottom", fontsize=6, linespacing=1.25)
    axes.plot((0, 0), (0, 1), color=GREY, linewidth=0.7, zorder=1)
    axes.set_title(label(group.group, 44), fontsize=7.5)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(WORDS, 1.05)
    axes.set_yticks([0, 0.5, 1], ["0", "½", "1"])
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], prune="both"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _percentage(value)))
    grid(axes)


def _percentage(value: float) -> str:
    """Return a deviation as a signed percentage, as short as a label should be."""
    return f"{value * 100:+.3g} %".replace("-", MINUS) if value else "0"
