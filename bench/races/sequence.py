"""A schedule as a sequence chart in SVG: CPUs as lanes, time downwards, locks as spans.

Marked are the step that decides, where another task takes over, and what breaks where it does.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape

from bench.races.invariants import INVARIANTS, LEGEND, NOTES
from bench.races.schedule import Story

LANE: Final = 268  # pixels
ROW: Final = 17
_LEFT, _TOP, _STATE, _TOLD = 40, 96, 90, 290  # margins; width of the page's state, and of what is told of it
_SPAN, _TEXT = 9, 62  # width of a lock's span, and where the names of steps begin, in a lane
# Okabe-Ito, in the order in which paths nest these locks.
LOCKS: Final = {
    "mmap_lock": ("#56B4E9", "mmap_lock"),
    "page": ("#CC79A7", "page lock"),
    "rmap": ("#F0E442", "i_mmap or anon_vma lock"),
    "ptl": ("#009E73", "page table lock"),
    "lru_lock": ("#E69F00", "LRU lock"),
}
_WRONG, _NOTE, _INK, _PALE, _DECIDED = "#B3261E", "#5F6B7A", "#1B1F24", "#D5DAE0", "#8A5A00"
_FONT: Final = "font-family:'DejaVu Sans',Arial,sans-serif"


def svg(story: Story, title: str) -> str:
    """Return the chart of a schedule as a document."""
    cpus = sorted({task.cpu for task in story.tasks})
    rows = len(story.steps)
    width = _LEFT + LANE * len(cpus) + _STATE + _TOLD
    legend = _TOP + rows * ROW + 26
    height = legend + 48
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" style="{_FONT};font-size:12px;fill:{_INK}">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(_described(story))}</desc>",
        f'<rect width="{width}" height="{height}" fill="#FFFFFF"/>',
        f'<text x="{_LEFT}" y="26" style="font-size:15px;font-weight:bold">{escape(title)}</text>',
        f'<text x="{_LEFT}" y="44" fill="{_NOTE}">{escape(_meaning(story))}</text>',
        *_lanes(story, cpus, rows),
        *_takeovers(story, cpus),
        *_spans(story, cpus),
        *_steps(story, cpus, width),
        *_legend(story, legend),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _described(story: Story) -> str:
    """Return the schedule in words, for who cannot see it."""
    return "; ".join(
        f"{number}. {story.tasks[step.task].name}: {step.name}{''.join(f' ({name})' for name in step.new)}"
        f"{' (from here on every way leads there)' if number == story.decided else ''}"
        for number, step in enumerate(story.steps, 1)
    )


def _meaning(story: Story) -> str:
    """Return what is told of the last step, in words."""
    told = {name for step in story.steps for name in step.new}
    last = set(story.steps[-1].new) if story.steps else set()
    name = next((name for found in (last, told) for name in (*INVARIANTS, *NOTES) if name in found), "")
    return f"Broken: {INVARIANTS[name]}." if name in INVARIANTS else f"{NOTES[name]}." if name else ""


def _x(story: Story, cpus: list[int], task: int) -> int:
    """Return where the lane of a task begins."""
    return _LEFT + LANE * cpus.index(story.tasks[task].cpu)


def _y(row: int) -> int:
    """Return the top of a step's row, from 0."""
    return _TOP + row * ROW


def _lanes(story: Story, cpus: list[int], rows: int) -> Iterator[str]:
    """Yield the heads of the lanes, and their lines."""
    for cpu in cpus:
        x = _LEFT + LANE * cpus.index(cpu)
        names = ", then ".join(task.name for task in story.tasks if task.cpu == cpu)
        yield f'<text x="{x}" y="70"><tspan style="font-weight:bold">CPU {cpu}</tspan>: {escape(names)}</text>'
        yield f'<line x1="{x}" y1="{_TOP - 18}" x2="{x}" y2="{_y(rows)}" stroke="{_PALE}"/>'
    yield f'<text x="{_LEFT + LANE * len(cpus)}" y="70" style="font-weight:bold">page</text>'
    yield f'<text x="{_LEFT + LANE * len(cpus)}" y="{_TOP - 5}" style="font-family:monospace">{escape(story.before)}</text>'


def _takeovers(story: Story, cpus: list[int]) -> Iterator[str]:
    """Yield an arrow for each time that another CPU goes on."""
    for row, (step, then) in enumerate(zip(story.steps, story.steps[1:], strict=False), 1):
        start, end = (_x(story, cpus, one.task) + _TEXT for one in (step, then))
        if start != end:
            head = -4 if end > start else 4
            y, end = _y(row) + 1, end + head
            yield f'<path d="M{start} {y}H{end}" fill="none" stroke="{_NOTE}" stroke-dasharray="2 3"/>'
            yield f'<path d="M{end} {y - 3}l{-head} 3l{head} 3z" fill="{_NOTE}"/>'


def _spans(story: Story, cpus: list[int]) -> Iterator[str]:
    """Yield a rectangle for each time that a lock is held."""
    for task in range(len(story.tasks)):
        x = _x(story, cpus, task)
        for depth, kind in enumerate(_locks(story)):
            color, _ = LOCKS[kind]
            held = [kind in step.held[task] for step in story.steps]
            for first, last in _runs(held):
                place = f'x="{x + 2 + depth * (_SPAN + 1)}" y="{_y(first) + 3}" width="{_SPAN}"'
                yield f'<rect {place} height="{(last - first + 1) * ROW - 2}" rx="2" fill="{color}"/>'


def _locks(story: Story) -> list[str]:
    """Return the kinds of locks that are taken, in the order of LOCKS."""
    taken = {kind for step in story.steps for held in step.held for kind in held}
    return [kind for kind in LOCKS if kind in taken]


def _runs(held: list[bool]) -> Iterator[tuple[int, int]]:
    """Yield first and last row of each stretch that is held, with the row in which it ends."""
    first = None
    for row, one in enumerate([*held, False]):
        if one and first is None:
            first = row
        elif not one and first is not None:
            yield first, min(row, len(held) - 1)
            first = None


def _steps(story: Story, cpus: list[int], width: int) -> Iterator[str]:
    """Yield the steps: those that change the page are bold; what breaks or is worth telling stands beside its step."""
    state = story.before
    for row, step in enumerate(story.steps):
        y, page = _y(row) + 13, _LEFT + LANE * len(cpus)
        x = _x(story, cpus, step.task)
        weight = ' style="font-weight:bold"' if step.state != state else ""
        broken = [name for name in step.new if name not in NOTES]
        if step.new:
            color = _WRONG if broken else _NOTE
            place = f'x="{_LEFT - 32}" y="{_y(row) + 1}" width="{width - 16}" height="{ROW - 1}"'
            yield f'<rect {place} fill="{color}" opacity="0.12"/>'
            yield f'<text x="{page + _STATE}" y="{y}" fill="{color}">{escape("; ".join(step.new))}</text>'
        if row + 1 == story.decided:
            place = f'x="{x + _TEXT - 5}" y="{_y(row) + 1}" width="{LANE - _TEXT - 8}" height="{ROW - 1}"'
            yield f'<rect {place} rx="4" fill="#FFE9A8" stroke="{_DECIDED}"/>'
            yield f'<text x="{page + _STATE}" y="{y}" fill="{_DECIDED}">from here on every way leads there</text>'
        yield f'<text x="{_LEFT - 10}" y="{y}" text-anchor="end" fill="{_NOTE}">{row + 1}</text>'
        yield f'<text x="{x + _TEXT}" y="{y}"{weight}>{escape(step.name)}</text>'
        if step.state != state:
            yield f'<text x="{page}" y="{y}" style="font-family:monospace">{escape(step.state)}</text>'
        state = step.state


def _legend(story: Story, y: int) -> Iterator[str]:
    """Yield the colours of the locks, and what the letters of the page's state are."""
    x = _LEFT
    for color, name in (LOCKS[kind] for kind in _locks(story)):
        yield f'<rect x="{x}" y="{y - 10}" width="{_SPAN}" height="12" rx="2" fill="{color}"/>'
        yield f'<text x="{x + _SPAN + 5}" y="{y}">{name}</text>'
        x += 7 * len(name) + 32
    for number, line in enumerate(textwrap.wrap(f"{LEGEND} Bold: steps that change it.", 110)):
        yield f'<text x="{_LEFT}" y="{y + 20 + 14 * number}" style="font-size:11px" fill="{_NOTE}">{escape(line)}</text>'
