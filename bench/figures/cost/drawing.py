"""Cost breakdown: bars of 100 % for entries, locks and LRU steps, with the whole in numbers beside each."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.figures.cost.numbers import Breakdown, Phase
from bench.figures.style import GREY, PARTS, label, new_figure, style

BAR = 0.72  # height of a bar where bars are 1 apart
GAP = 1.0  # between groups, with room for their name
INCH = 0.155  # height of a bar with its distance


def cost_figure(data: Breakdown) -> Figure:
    """Return a row for each call, a column of shares for each phase."""
    rows, names, height = _rows(data)
    with style():
        inches = INCH * height
        figure = new_figure(inches + 1.45)
        panels = figure.subplots(1, len(data.phases), sharey=True)
        for index, (axes, phase) in enumerate(zip(panels, data.phases, strict=True)):
            _shares(axes, data, index, rows)
            axes.set_title(phase.title, fontsize=8.5)
            axes.legend(handles=_handles(data, index, phase), loc="upper left", bbox_to_anchor=(-0.03, -0.32 / inches), ncols=2,
                        handlelength=1.6, handleheight=1.0, columnspacing=1.0, fontsize=7, borderpad=0)  # fmt: skip
        panels[0].set_ylim(height - 0.3, -0.6)
        panels[0].set_yticks(rows, [bar.implementation for bar in data.bars])
        panels[0].set_zorder(1)  # a long name reaches over the next panel
        panels[0].patch.set_visible(False)
        for position, name in names:
            panels[0].annotate(label(name, 60), (0, position), xycoords=("axes fraction", "data"), xytext=(-46, 0),
                               textcoords="offset points", va="center", weight="bold", fontsize=7.5,
                               annotation_clip=False)  # fmt: skip
        figure.subplots_adjust(left=0.1, right=0.905, top=1 - 0.3 / (inches + 1.45), bottom=1.1 / (inches + 1.45), wspace=0.54)
        return figure


def _rows(data: Breakdown) -> tuple[list[float], list[tuple[float, str]], float]:
    """Return where each bar lies, where each group's name stands, and the height of all."""
    rows: list[float] = []
    names: list[tuple[float, str]] = []
    position, group = 0.0, None
    for bar in data.bars:
        if bar.group != group:
            position += GAP * 0.35 if group is not None else 0.0
            names.append((position, bar.group))
            position, group = position + GAP, bar.group
        rows.append(position)
        position += 1.0
    return rows, names, position


def _shares(axes: Axes, data: Breakdown, phase: int, rows: list[float]) -> None:
    """Draw each call's parts of one phase, in the same order in all, and its total in numbers."""
    for row, bar in zip(rows, data.bars, strict=True):
        total, left = bar.total(phase), 0.0
        for part, value in zip(PARTS, bar.values[phase], strict=False):
            if value:
                share = 100 * value / total
                axes.barh(row, share, BAR, left, edgecolor="black", linewidth=0.4, clip_on=False, **part)
                left += share
        axes.annotate(f"{total:,}" if total else "none", (100 if total else 0, row), xytext=(2.5, 0),
                      textcoords="offset points", va="center", fontsize=6.5, color="black" if total else GREY)  # fmt: skip
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 50, 100], ["0", "50", "100 %"])
    axes.tick_params(axis="y", length=0, labelsize=7)
    axes.spines["left"].set_visible(False)


def _handles(data: Breakdown, index: int, phase: Phase) -> list[Patch]:
    """Return a phase's legend: the parts that any call has."""
    used = [any(bar.values[index][part] for bar in data.bars) for part in range(len(phase.parts))]
    return [
        Patch(edgecolor="black", linewidth=0.4, label=part.label, **look)
        for part, look, shown in zip(phase.parts, PARTS, used, strict=False)
        if shown
    ]
