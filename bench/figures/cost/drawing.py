"""Cost breakdown: of entries, locks and LRU steps the number on a log scale, and beside it the parts as shares of 100 %."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.figures.cost.numbers import Breakdown, Phase
from bench.figures.cost.words import title_words
from bench.figures.style import GREY, LIGHT, PARTS, count_axis, heading, label, looks, new_figure, place, style

BAR = 0.7  # height of a bar where bars are 1 apart
GAP = 1.0  # between groups, with room for their name
INCH = 0.135  # height of a bar with its distance
TOP, BOTTOM = 0.5, 0.86  # inches above and below the rows


def draw(data: Breakdown) -> Figure:
    """Return a row for each call; for each phase a column of numbers and one of shares."""
    rows, names, height = _rows(data)
    with style():
        figure = new_figure(INCH * height + TOP + BOTTOM)
        heading(figure, title_words(data))
        panels = figure.subplots(1, 2 * len(data.phases), sharey=True, width_ratios=(1.3, 1) * len(data.phases))
        for index, phase in enumerate(data.phases):
            numbers, shares = panels[2 * index], panels[2 * index + 1]
            _numbers(numbers, data, index, rows)
            _shares(shares, data, index, rows)
            numbers.set_title(phase.title, fontsize=8.5)
            shares.legend(handles=_handles(data, index, phase), loc="upper right", bbox_to_anchor=(1.08, -0.32 / INCH / height),
                          ncols=2, handlelength=1.6, handleheight=1.0, columnspacing=0.8, fontsize=7, borderpad=0,
                          handletextpad=0.5)  # fmt: skip
        panels[0].set_ylim(height - 0.3, -0.6)
        panels[0].set_yticks(rows, [bar.implementation for bar in data.bars])
        panels[0].set_zorder(1)  # a long name reaches over the next panel
        panels[0].patch.set_visible(False)
        for position, name in names:
            panels[0].annotate(label(name, 60), (0, position), xycoords=("axes fraction", "data"), xytext=(-46, 0),
                               textcoords="offset points", va="center", weight="bold", fontsize=7.5,
                               annotation_clip=False)  # fmt: skip
        place(figure, left=0.7, right=0.15, top=TOP, bottom=BOTTOM, wspace=0.2)
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


def _numbers(axes: Axes, data: Breakdown, phase: int, rows: list[float]) -> None:
    """Draw how many there are of one phase in each call, with the number on the side that has room."""
    totals = [bar.total(phase) for bar in data.bars]
    count_axis(axes.xaxis, [1, *totals], most=2)
    for row, bar, total in zip(rows, data.bars, totals, strict=True):
        axes.axhline(row, color=LIGHT, linewidth=0.5, zorder=1)
        if total:
            look = looks()[bar.implementation] | {"markersize": 4, "linestyle": "none"}
            axes.plot([total], [row], zorder=3, clip_on=False, **look)
        right = total < max(totals) ** 0.5
        axes.annotate(f"{total:,}" if total else "none", (total or 1, row), xytext=(4 if right else -4, 0),
                      textcoords="offset points", ha="left" if right else "right", va="center", fontsize=6,
                      color="black" if total else GREY)  # fmt: skip
    axes.tick_params(axis="y", length=0, labelsize=7)
    axes.tick_params(axis="x", labelsize=6)
    axes.spines["left"].set_visible(False)


def _shares(axes: Axes, data: Breakdown, phase: int, rows: list[float]) -> None:
    """Draw each call's parts of one phase, in the same order in all."""
    for row, bar in zip(rows, data.bars, strict=True):
        left = 0.0
        for part, share in zip(PARTS, data.shares(bar, phase), strict=False):
            if share:
                axes.barh(row, share, BAR, left, edgecolor="black", linewidth=0.4, clip_on=False, **part)
                left += share
    axes.set_xlim(0, 100)
    axes.set_xticks([0, 50, 100], ["0", "50", "100 %"])
    axes.tick_params(axis="x", labelsize=6)
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.spines["left"].set_visible(False)


def _handles(data: Breakdown, index: int, phase: Phase) -> list[Patch]:
    """Return a phase's legend: the parts that any call has."""
    used = [any(bar.values[index][part] for bar in data.bars) for part in range(len(phase.parts))]
    return [
        Patch(edgecolor="black", linewidth=0.4, label=part.label, **look)
        for part, look, shown in zip(phase.parts, PARTS, used, strict=False)
        if shown
    ]
