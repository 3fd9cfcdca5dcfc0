"""What calls cost, by kind: entries read at each level, locks taken, steps on the LRU lists. Exact counters alone."""

from __future__ import annotations

import msgspec

from bench.figures.inputs import Measured, Run, Skipped, main_groups

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


def prepare(run: Run) -> list[Breakdown | Skipped]:
    """Return the breakdown of the main munlockall() calls, or of other calls if there is none."""
    unlocked = [one for one in run.points if one.counted.point.operation == "munlockall"]
    points = unlocked or list(run.points)
    groups = main_groups(points, len(points))
    shown = [group for group in groups if _worth(groups[group])][:MOST_GROUPS]
    bars = tuple(_bar(group, one) for group in shown for one in groups[group].values())
    if not bars:
        return [Skipped(NAME, "no call of this run read an entry or took a lock")]
    return [Breakdown(NAME, PHASES, bars, len(groups) - len(shown))]


def _worth(members: dict[str, Measured]) -> bool:
    """Tell whether there is something to take apart."""
    return any(sum(map(sum, _bar("", one).values)) for one in members.values())


def _bar(group: str, one: Measured) -> Bar:
    """Return one call's counters by phase and part."""
    counters = one.counted.counters
    return Bar(group, one.implementation, tuple(tuple(counters[part.counter] for part in phase.parts) for phase in PHASES))
