"""What changed from one set of exact counts to another, in lines of text."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.counter_diff import Change
from bench.number_format import count

SHOWN = 4  # counters of one changed point


def change_lines(found: Sequence[Change]) -> list[str]:
    """Return a line for every point that changed, then their number."""
    numbers = {kind: sum(one.kind == kind for one in found) for kind in ("added", "removed", "changed")}
    total = ", ".join(f"{number} {kind}" for kind, number in numbers.items())
    return [*(_change_line(one) for one in found), f"counters: {total}"]


def _change_line(one: Change) -> str:
    """Return the line of one point."""
    shown = "; ".join(f"{what}: {_value(old)} -> {_value(new)}" for what, old, new in one.differing[:SHOWN])
    more = f"; and {len(one.differing) - SHOWN} more" if len(one.differing) > SHOWN else ""
    return f"{one.kind:8} {one.name}" + (f": {shown}{more}" if shown else "")


def _value(value: int | str | None) -> str:
    """Return a counter's value as text."""
    if value is None:
        return "absent"
    return value if isinstance(value, str) else count(value)
