"""What changed from one set of exact counters to another. Numbers and names only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from bench.counting import Counted


class Change(msgspec.Struct, frozen=True):
    """One point that is not what it was."""

    kind: Literal["added", "removed", "changed"]
    name: str
    # Of one that changed: what, before, after. Of other parameters their digests; a counter that one side lacks is None there.
    differing: tuple[tuple[str, int | str | None, int | str | None], ...] = ()


def changes(old: Sequence[Counted], new: Sequence[Counted]) -> list[Change]:
    """Return what changed: what was added or changed in the order of `new`, then what was removed."""
    before = {one.name: one for one in old}
    after = {one.name: one for one in new}
    found = []
    for name, one in after.items():
        if name not in before:
            found.append(Change("added", name))
        elif one != before[name]:
            found.append(Change("changed", name, _differing(before[name], one)))
    return found + [Change("removed", name) for name in before if name not in after]


def _differing(old: Counted, new: Counted) -> tuple[tuple[str, int | str | None, int | str | None], ...]:
    """Return what differs between two counts of one name."""
    pairs: dict[str, tuple[int | str | None, int | str | None]] = {
        "parameters": (old.point.digest, new.point.digest),
        "span": (old.span, new.span),
        "nr_vmas": (old.nr_vmas, new.nr_vmas),
        "nr_populated": (old.nr_populated, new.nr_populated),
    }
    pairs |= {name: (old.counters.get(name), new.counters.get(name)) for name in {**old.counters, **new.counters}}
    return tuple((what, *pair) for what, pair in pairs.items() if pair[0] != pair[1])
