"""The one diff of exact counts: what is not the same on both sides. Numbers and names only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from bench.runs.record import Facts


class Difference(NamedTuple):
    """A counter, or another fact of a counted call, that is not the same on both sides."""

    what: str
    old: int | str | None  # None: absent, which no number equals, zero neither
    new: int | str | None


def differences(old: Facts, new: Facts) -> tuple[Difference, ...]:
    """Return what differs, in the order of `old`, then what only `new` has."""
    found = (Difference(what, old.get(what), new.get(what)) for what in {**old, **new})
    return tuple(one for one in found if one.old != one.new)


class Change(msgspec.Struct, frozen=True):
    """One point that is not what it was."""

    kind: Literal["added", "removed", "changed"]
    name: str
    differing: tuple[Difference, ...] = ()  # of one that changed


def changes(old: Mapping[str, Facts], new: Mapping[str, Facts]) -> list[Change]:
    """Return what changed: what was added or changed in the order of `new`, then what was removed."""
    found = []
    for name, facts in new.items():
        if name not in old:
            found.append(Change("added", name))
        elif differing := differences(old[name], facts):
            found.append(Change("changed", name, differing))
    return found + [Change("removed", name) for name in old if name not in new]
