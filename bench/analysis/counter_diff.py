"""What changed from one set of exact counts to another. Numbers and names only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from bench.runs.record import Facts


class Change(msgspec.Struct, frozen=True):
    """One point that is not what it was."""

    kind: Literal["added", "removed", "changed"]
    name: str
    # Of one that changed: what, before, after. What one side lacks is None there.
    differing: tuple[tuple[str, int | str | None, int | str | None], ...] = ()


def changes(old: Mapping[str, Facts], new: Mapping[str, Facts]) -> list[Change]:
    """Return what changed: what was added or changed in the order of `new`, then what was removed."""
    found = []
    for name, facts in new.items():
        if name not in old:
            found.append(Change("added", name))
        elif facts != old[name]:
            found.append(Change("changed", name, _differing(old[name], facts)))
    return found + [Change("removed", name) for name in old if name not in new]


def _differing(old: Facts, new: Facts) -> tuple[tuple[str, int | str | None, int | str | None], ...]:
    """Return what differs between two counts of one name."""
    pairs = ((what, old.get(what), new.get(what)) for what in {**old, **new})
    return tuple((what, before, after) for what, before, after in pairs if before != after)
