"""A schedule as text: CPUs as lanes, a row for each step, locks as bars."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from bench.races.invariants import INVARIANTS, LEGEND, NOTES
from bench.races.schedule import Story

WIDTH: Final = 80  # columns
_STATE: Final = 9  # the widest state of a page
_Row = tuple[str, list[str], str]  # number, a cell for each lane, state


def lines(story: Story) -> Iterator[str]:
    """Yield the lines of a chart."""
    rows = list(_rows(story))
    cpus = sorted({task.cpu for task in story.tasks})
    widths = [max(len(cells[lane]) for _, cells, _ in rows) + 2 for lane in range(len(cpus))]
    while sum(widths) > WIDTH - _STATE - 5:
        widths[widths.index(max(widths))] -= 1
    for number, cells, state in rows:
        lanes = "".join(f"{cell[: width - 1]:{width}}" for cell, width in zip(cells, widths, strict=True))
        yield f"{number:>3}  {lanes}{state}".rstrip()
    yield ""
    told = {name for step in story.steps for name in step.new}
    for name, text in (INVARIANTS | NOTES).items():
        if name in told:
            yield from _wrapped(f"{name}: {text}")
    yield from _wrapped(f"Bars: locks that a task has. {LEGEND}")


def _rows(story: Story) -> Iterator[_Row]:
    """Yield the rows: heads, steps with the page's state where it changes, and what is told of it."""
    cpus = sorted({task.cpu for task in story.tasks})
    lane_of = [cpus.index(task.cpu) for task in story.tasks]
    empty = [""] * len(cpus)
    yield "", [f"CPU {cpu}" for cpu in cpus], "page"
    yield "", ["-" * 12] * len(cpus), story.before
    state, begun = story.before, set()
    for number, step in enumerate(story.steps, 1):
        lane = lane_of[step.task]
        if step.task not in begun:
            begun.add(step.task)
            yield "", [*empty[:lane], f"= {story.tasks[step.task].name} =", *empty[lane + 1 :]], ""
        bars = [0] * len(cpus)
        for task, held in enumerate(step.held):
            bars[lane_of[task]] += len(held)
        cells = ["|" * bar for bar in bars]
        cells[lane] = f"{cells[lane]} {step.name}".strip()
        yield str(number), cells, step.state if step.state != state else ""
        state = step.state
        if number == story.decided:
            yield "", ["* from here on every way leads there", *empty[1:]], ""
        for name in step.new:
            yield "", [f"^ {name}" if name in NOTES else f"^ BROKEN: {name}", *empty[1:]], ""


def _wrapped(text: str) -> list[str]:
    """Return a paragraph in lines."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False)
