"""What calls cost, by kind: entries read at each level, locks taken, steps on the LRU lists. Exact counters alone."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bench.figures.inputs import Skipped, main_groups
from bench.runs.loaded import LoadedPoint, LoadedRun

NAME = "cost"
MOST_GROUPS = 7


class Part(msgspec.Struct, frozen=True):
    """One kind of cost."""

    counter: str
    label: str


class Phase(msgspec.Struct, frozen=True):
    """Kinds that add up to a whole."""

    title: str
    unit: str
    parts: tuple[Part, ...]


class Bar(msgspec.Struct, frozen=True):
    """One implementation's call."""

    group: str
    implementation: str
    values: tuple[tuple[int, ...], ...]  # by phase, then by part

    def total(self, phase: int) -> int:
        """Return the sum over a phase's parts."""
        return sum(self.values[phase])


class Breakdown(msgspec.Struct, frozen=True):
    """The figure's numbers."""

    name: str
    phases: tuple[Phase, ...]
    bars: tuple[Bar, ...]  # of a group side by side
    nr_left_out: int  # groups for which there is no place
    not_counted: tuple[str, ...]  # counters that a phase should have and the run lacks

    def shares(self, bar: Bar, phase: int) -> tuple[float, ...]:
        """Return a bar's parts of one phase in percent of their sum; empty where that is zero."""
        total = bar.total(phase)
        return tuple(100 * value / total for value in bar.values[phase]) if total else ()


PHASES = (
    Phase(
        "Page-table entries read",
        "entries",
        tuple(Part(f"model_{level}_read", level.upper()) for level in ("pgd", "p4d", "pud", "pmd", "pte")),
    ),
    Phase(
        "Locks taken",
        "round trips",
        (
            Part("model_pte_lock", "page table"),
            Part("model_lru_lock", "LRU"),
            Part("model_page_lock", "page"),
            Part("model_rmap_lock", "reverse map"),
        ),
    ),
    Phase(
        "Steps on LRU lists",
        "pages or batches",
        (
            Part("model_isolated", "page taken off"),
            Part("model_putback", "page put on"),
            Part("model_pagevecs", "pagevec (5.10)"),
            Part("model_mlock_batches", "batch (6.1)"),
        ),
    ),
)


def prepare(run: LoadedRun) -> list[Breakdown | Skipped]:
    """Return the breakdown of the main munlockall() calls, or of other calls if there is none."""
    unlocked = [one for one in run.counted_points if one.counted.point.operation == "munlockall"]
    points = unlocked or list(run.counted_points)
    phases, not_counted = _phases(points)
    groups = main_groups(points, len(points))
    bars = {group: [_bar(group, one, phases) for one in members.values()] for group, members in groups.items()}
    worth = [group for group in groups if any(sum(map(sum, bar.values)) for bar in bars[group])]
    shown = worth[:MOST_GROUPS]
    if not shown:
        return [Skipped(NAME, "no call of this run read an entry or took a lock")]
    return [Breakdown(NAME, phases, tuple(bar for group in shown for bar in bars[group]), len(worth) - len(shown), not_counted)]


def _phases(points: Sequence[LoadedPoint]) -> tuple[tuple[Phase, ...], tuple[str, ...]]:
    """Return the phases with the parts that all points have counted, and the counters of the others."""
    lacking = {
        part.counter
        for phase in PHASES
        for part in phase.parts
        if any(part.counter not in one.counted.counters for one in points)
    }
    phases = (
        msgspec.structs.replace(phase, parts=tuple(part for part in phase.parts if part.counter not in lacking))
        for phase in PHASES
    )
    return tuple(phase for phase in phases if phase.parts), tuple(sorted(lacking))


def _bar(group: str, one: LoadedPoint, phases: Sequence[Phase]) -> Bar:
    """Return one call's counters by phase and part."""
    counters = one.counted.counters
    return Bar(group, one.implementation, tuple(tuple(counters[part.counter] for part in phase.parts) for phase in phases))
