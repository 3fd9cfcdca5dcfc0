"""What an explorer of ours and a Promela model both know of a state."""

from __future__ import annotations

from typing import NamedTuple

from bench.races import invariants as inv
from bench.races.interleaving import Situation, View
from mmmodel import state as st
from mmmodel.constants import VM_IO, VM_LOCKED, PG_lru
from mmmodel.migrate import is_migration_entry
from mmmodel.mlock_batch import LRU_PAGE, MUNLOCK_ENTRY, NEW_PAGE


class Vma(NamedTuple):
    """One address space's VMA, and its entry for the page."""

    locked: int  # VM_LOCKED
    io: int  # VM_IO
    entry: int  # one of ENTRIES


class State(NamedTuple):
    """What both tools know of a state."""

    vmas: tuple[Vma, Vma]  # the second is of zeros in races of one address space
    lru: int
    unevictable: int
    mlocked: int
    mlock_count: int
    cached: int  # in the page cache or the swap cache
    lru_lock: int  # somebody has it
    references: int
    batches: tuple[str, str, str]  # by CPU: how often the page is in lru_add, and its tags in the mlock batch, in their order

    def __str__(self) -> str:
        """The state in words."""
        words = []
        for vma in self.vmas:
            flags = [name for name, bit in (("VM_LOCKED", vma.locked), ("VM_IO", vma.io)) if bit]
            words.append(" ".join([*flags, ENTRIES[vma.entry]]))
        page = (
            ("PG_lru", self.lru),
            ("PG_unevictable", self.unevictable),
            ("PG_mlocked", self.mlocked),
            ("cached", self.cached),
        )
        words.append(" ".join(name for name, bit in page if bit) or "no flags")
        words.append(f"mlock_count {self.mlock_count}, {self.references} references")
        words += ["LRU lock"] * self.lru_lock
        batches = (
            " ".join(["lru_add"] * int(one[0]) + [TAGS[int(tag)] for tag in one[1:] if tag != "0"]) for one in self.batches
        )
        return "; ".join([*words, *(f"CPU {cpu}: {batch}" for cpu, batch in enumerate(batches) if batch)])


ENTRIES = ("no entry", "mapped", "in migration", "swapped out")
TAGS = ("", "mlock", "new", "munlock")


def vma_of(situation: Situation, vma: int, slot: int) -> Vma:
    """Return an address space's VMA and its entry."""
    state = situation.mm.state
    flags, entry = int(state.vmas[vma]["vm_flags"]), int(state.entries[slot])
    if not entry:
        kind = 0
    elif entry & 1:
        kind = 1
    else:
        kind = 2 if is_migration_entry(entry) else 3
    return Vma(int(bool(flags & VM_LOCKED)), int(bool(flags & VM_IO)), kind)


def batches_of(situation: Situation, cpu: int) -> str:
    """Return what a CPU's batches have of the page."""
    vectors, pfn = situation.mm.machine.arrays["pvecs"][cpu].tolist(), situation.pages[0]
    adds = vectors[st.LRU_ADD_PVEC][1 : vectors[st.LRU_ADD_PVEC][0] + 1].count(pfn)
    queued = vectors[st.MLOCK_PVEC][1 : vectors[st.MLOCK_PVEC][0] + 1]
    tags = ["123"[(LRU_PAGE, NEW_PAGE, MUNLOCK_ENTRY).index(one & 3)] for one in queued if one >> 2 == pfn]
    return f"{adds}{''.join(tags):0<3}"


def projected(situation: Situation, view: View) -> State:
    """Return what both tools know of the state in which a situation is."""
    lru_lock = any(lock.kind == "lru_lock" for held in view.held for lock in held)
    page = inv.facts_of(situation, situation.pages[0])
    vmas = [vma_of(situation, vma, slot) for vma, slot in situation.entries] + [Vma(0, 0, 0)]
    return State(
        (vmas[0], vmas[1]),
        int(bool(page.flags & PG_lru)),
        int(page.unevictable),
        int(page.mlocked),
        page.count,
        int(page.cached),
        int(lru_lock),
        page.refcount,
        (batches_of(situation, 0), batches_of(situation, 1), batches_of(situation, 2)),
    )


def can_be_projected(situation: Situation) -> bool:
    """Whether a situation is of one page of order 0."""
    return len(situation.pages) == 1 and not situation.huge
