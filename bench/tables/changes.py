"""What changed from one set of exact counts to another, in lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.counter_diff import Change, Difference
from bench.number_format import count

SHOWN = 4  # counters of one changed point
ABSENT = "absent"


def value_text(value: int | str | None) -> str:
    """Return a counter's value as text."""
    if value is None:
        return ABSENT
    return value if isinstance(value, str) else count(value)


def differences_text(differing: Sequence[Difference]) -> str:
    """Return the first differences, and how many more there are."""
    shown = "; ".join(f"{what}: {value_text(old)} -> {value_text(new)}" for what, old, new in differing[:SHOWN])
    return shown + (f"; and {len(differing) - SHOWN} more" if len(differing) > SHOWN else "")


def change_lines(found: Sequence[Change]) -> list[str]:
    """Return a line for every point that changed, then their number."""
    numbers = {kind: sum(one.kind == kind for one in found) for kind in ("added", "removed", "changed")}
    total = ", ".join(f"{number} {kind}" for kind, number in numbers.items())
    return [*(_change_line(one) for one in found), f"counters: {total}"]


def _change_line(one: Change) -> str:
    """Return the line of one point."""
    return f"{one.kind:8} {one.name}" + (f": {differences_text(one.differing)}" if one.differing else "")
