"""The races: for each the situation, the kernel, and the guards that can be left out of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from bench.races import situations as of
from bench.races.guards import (
    ALL_SPECIAL,
    DRAINS,
    FLAGS_FIRST,
    GUARDS,
    LRU_FIRST,
    MIGRATION_DRAIN,
    ONE_STORE,
    VM_IO_GUARD,
)
from bench.races.interleaving import Situation
from bench.races.machines import PATCH_07
from bench.races.situations import LOCK, UNLOCK
from mmmodel.kernels import LINUX_5_10, LINUX_6_1, LINUX_6_12, Kernel

__all__ = [
    "ALL_SPECIAL",
    "DRAINS",
    "FLAGS_FIRST",
    "GUARDS",
    "LRU_FIRST",
    "MIGRATION_DRAIN",
    "ONE_STORE",
    "RACES",
    "VM_IO_GUARD",
    "Race",
]


@dataclass(frozen=True)
class Race:
    """Paths that run at the same time."""

    name: str
    summary: str  # one line
    kernel: Kernel
    guards: tuple[str, ...]  # that can be left out
    build: Callable[[Kernel, Collection[str]], Situation]  # without these guards
    reduce: bool = False  # steps that nobody can come between are one move, or there were too many states
    preemptions: int | None = None  # how far it is explored if nobody asks for more


_MLOCK: Final = (VM_IO_GUARD, ONE_STORE, FLAGS_FIRST, DRAINS)
_MLOCK_07: Final = (VM_IO_GUARD, ONE_STORE, FLAGS_FIRST)  # it has nothing to drain


_CALLS, _ALONE, _MUNLOCK = (LOCK, UNLOCK), (LOCK,), (UNLOCK,)
_THEN: Final = "mlock, then munlock, while"
_LOCKERS: Final = "one process unlocks a page while another"


def _truncation() -> tuple[Race, ...]:
    build, said = of.munlock_vs_truncate, "munlock clears VM_LOCKED while a hole is punched under it"
    pinned = partial(build, pinned=True)
    return (
        Race("munlock-vs-truncate", said, LINUX_6_1, (FLAGS_FIRST, DRAINS), build),
        Race("munlock-vs-truncate-pinned", "the same, and somebody holds the page for a while", LINUX_6_1, (), pinned),
        Race("munlock-vs-truncate-07", f"{said}, after patch 07 alone", PATCH_07, (FLAGS_FIRST,), build),
        Race("munlock-vs-truncate-5.10", f"{said}, in 5.10", LINUX_5_10, (), build),
    )


def _migration() -> tuple[Race, ...]:
    both, alone = partial(of.mlock_vs_migration, locks=_CALLS), partial(of.mlock_vs_migration, locks=_ALONE)
    repaired = partial(of.mlock_vs_migration, locks=_ALONE, repaired=True)
    said, again = f"{_THEN} migration maps the page again", "mlock alone, while migration maps the page again"
    return (
        Race("mlock-vs-migration", said, LINUX_6_1, (*_MLOCK, LRU_FIRST), both),
        Race("mlock-vs-migration-held", again, LINUX_6_1, (VM_IO_GUARD, MIGRATION_DRAIN), alone),
        Race("mlock-vs-migration-reclaim", "the same, and reclaim meets the page afterwards", LINUX_6_1, (), repaired),
        Race("mlock-vs-migration-07", f"{said}, after patch 07 alone", PATCH_07, (*_MLOCK_07, LRU_FIRST), both),
        Race("mlock-vs-migration-5.10", f"{said}, in 5.10", LINUX_5_10, (), both),
    )


def _reclaim() -> tuple[Race, ...]:
    build, said = of.mlock_vs_reclaim, f"{_THEN} reclaim is at the page"
    return (
        Race("mlock-vs-reclaim", said, LINUX_6_1, _MLOCK, build),
        Race("mlock-vs-reclaim-07", f"{said}, after patch 07 alone", PATCH_07, _MLOCK_07, build),
        Race("mlock-vs-reclaim-5.10", f"{said}, in 5.10", LINUX_5_10, (), build),
        Race("driver-mmap", "a driver maps a page in its ->mmap() under MCL_FUTURE", LINUX_6_1, (ALL_SPECIAL,), of.driver),
    )


def _lru_add() -> tuple[Race, ...]:
    build, said = of.munlock_vs_lru_add, "munlock of a page that another CPU is putting on its LRU"
    isolated, locked = partial(build, then="compaction"), partial(build, then="mlock")
    again = "the same, and the page is"
    two = partial(partial, of.two_pages_vs_lru_add)
    return (
        Race("munlock-vs-lru-add", said, LINUX_6_1, (), build),
        Race("munlock-vs-lru-add-compaction", f"{again} taken off its LRU and put back afterwards", LINUX_6_1, (), isolated),
        Race("munlock-vs-lru-add-mlock", f"{again} locked and unlocked once more afterwards", LINUX_6_1, (), locked),
        Race("munlock-vs-lru-add-first", "munlock of two pages, that one first", LINUX_6_1, (), two(order="wl")),
        Race("munlock-vs-lru-add-second", "munlock of two pages, one on its LRU first", LINUX_6_1, (), two(order="lw")),
        Race("munlock-vs-lru-add-07", f"{said}, after patch 07 alone", PATCH_07, (), build),
        Race("munlock-vs-lru-add-5.10", f"{said}, in 5.10", LINUX_5_10, (), build),
    )


def _lockers() -> tuple[Race, ...]:
    both, held = partial(of.two_lockers, locks=_CALLS), partial(of.two_lockers, locks=_ALONE)
    isolated = partial(of.two_lockers, locks=_ALONE, isolated=True)
    said = f"{_LOCKERS} locks and unlocks it, on two CPUs"
    return (
        Race("two-lockers", said, LINUX_6_1, (DRAINS,), both),
        Race("two-lockers-held", f"{_LOCKERS} locks it, on two CPUs", LINUX_6_1, (DRAINS,), held),
        Race("two-lockers-07", f"{said}, after patch 07 alone", PATCH_07, (), both),
        Race("two-lockers-held-07", f"{_LOCKERS} locks it, after patch 07 alone", PATCH_07, (), held),
        Race(
            "two-lockers-compaction", f"{_LOCKERS} locks it and a third task isolates it", LINUX_6_1, (), isolated, reduce=True
        ),
    )


def _three_tasks() -> tuple[Race, ...]:
    truncated, reclaimed = of.mlock_vs_migration_vs_truncate, of.mlock_vs_migration_vs_reclaim
    two, said = of.two_pages_vs_migration_vs_reclaim, f"{_THEN} migration maps the page again"
    pages = f"{_THEN} migration maps one page again and reclaim is at another"
    return (
        Race(
            "mlock-vs-migration-vs-truncate", f"{said} and a hole is punched", LINUX_6_1, (VM_IO_GUARD,), truncated, reduce=True
        ),
        Race(
            "mlock-vs-migration-vs-reclaim", f"{said} and reclaim is at it", LINUX_6_1, (VM_IO_GUARD,), reclaimed, reduce=True
        ),
        Race("two-pages-vs-migration-vs-reclaim", pages, LINUX_6_1, (VM_IO_GUARD,), two, reduce=True, preemptions=1),
    )


def _huge() -> tuple[Race, ...]:
    split, mapped = partial(partial, of.huge_vs_split), partial(partial, of.huge_vs_migration)
    shared = "a child locks a huge page that its parent has locked, while the child's PMD is split"
    unlock, lock = "munlock of a huge page whose PMD is being split", f"{_THEN} the PMD of a huge page is split"
    migrated = f"{_THEN} migration maps a huge page again"
    return (
        Race("huge-munlock-vs-split", unlock, LINUX_6_1, (), split(locks=_MUNLOCK, locked=True)),
        Race("huge-munlock-vs-split-6.12", f"{unlock}, in 6.12", LINUX_6_12, (), split(locks=_MUNLOCK, locked=True)),
        Race("huge-mlock-vs-split", lock, LINUX_6_1, (), split(locks=_CALLS, locked=False)),
        Race("huge-mlock-vs-split-6.12", f"{lock}, in 6.12", LINUX_6_12, (), split(locks=_CALLS, locked=False)),
        Race("huge-shared-vs-split", shared, LINUX_6_1, (), of.huge_shared_vs_split),
        Race("huge-mlock-vs-migration", migrated, LINUX_6_1, (VM_IO_GUARD,), mapped(locks=_CALLS)),
        Race("huge-mlock-vs-migration-6.12", f"{migrated}, in 6.12", LINUX_6_12, (VM_IO_GUARD,), mapped(locks=_CALLS)),
    )


RACES: Final = {
    race.name: race
    for group in (_truncation, _migration, _reclaim, _lru_add, _lockers, _three_tasks, _huge)
    for race in group()
}
