"""What an explorer of ours and a Promela model both know of a state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bench.races import invariants as inv
from bench.races.interleaving import Situation, View
from mmmodel import state as st
from mmmodel.constants import _PAGE_PSE, VM_IO, VM_LOCKED, PG_lru
from mmmodel.migrate import is_migration_entry
from mmmodel.mlock_batch import LRU_PAGE, MUNLOCK_ENTRY, NEW_PAGE


class Vma(NamedTuple):
    """One address space's VMA, and its entry for each page."""

    locked: int  # VM_LOCKED
    io: int  # VM_IO
    entries: tuple[int, ...]  # each one of ENTRIES

    def __str__(self) -> str:
        """The VMA in words."""
        flags = [name for name, bit in (("VM_LOCKED", self.locked), ("VM_IO", self.io)) if bit]
        return " ".join([*flags, ", ".join(ENTRIES[entry] for entry in self.entries)])


class Page(NamedTuple):
    """One page, of order 0 or huge."""

    lru: int
    unevictable: int
    mlocked: int
    mlock_count: int
    cached: int  # in the page cache or the swap cache
    references: int

    def __str__(self) -> str:
        """The page in words."""
        flags = (
            ("PG_lru", self.lru),
            ("PG_unevictable", self.unevictable),
            ("PG_mlocked", self.mlocked),
            ("cached", self.cached),
        )
        words = " ".join(name for name, bit in flags if bit) or "no flags"
        return f"{words}; mlock_count {self.mlock_count}, {self.references} references"


class Batches(NamedTuple):
    """What a CPU has of the pages."""

    adds: tuple[int, ...]  # how often each is in lru_add
    queued: tuple[tuple[int, int], ...]  # the mlock batch, in its order: the page, and one of TAGS

    def __str__(self) -> str:
        """The batches in words; nothing if they are empty."""
        words = [one for page, times in enumerate(self.adds) for one in ["lru_add" + self._of(page)] * times]
        return " ".join([*words, *(TAGS[tag] + self._of(page) for page, tag in self.queued)])

    def _of(self, page: int) -> str:
        return f" of page {page}" if len(self.adds) > 1 else ""


class State(NamedTuple):
    """What both tools know of a state."""

    vmas: tuple[Vma, Vma]  # the second is of zeros in races of one address space
    lru_lock: int  # somebody has it
    batches: tuple[Batches, Batches, Batches]  # by CPU
    pages: tuple[Page, ...]

    def __str__(self) -> str:
        """The state in words."""
        words = [*map(str, self.vmas), *map(str, self.pages)]
        words += ["LRU lock"] * self.lru_lock
        return "; ".join([*words, *(f"CPU {cpu}: {batch}" for cpu, batch in enumerate(map(str, self.batches)) if batch)])


ENTRIES = ("no entry", "mapped", "in migration", "swapped out", "mapped by a table of entries")
TAGS = ("", "mlock", "new", "munlock")


def entry_of(entry: int, *, huge: bool) -> int:
    """Return which of ENTRIES an entry is."""
    if not entry:
        return 0
    if entry & 1:
        return 4 if huge and not entry & _PAGE_PSE else 1
    return 2 if is_migration_entry(entry) else 3


def vma_of(situation: Situation, entries: Sequence[tuple[int, int]]) -> Vma:
    """Return an address space's VMA and its entries, each a VMA and a slot."""
    state = situation.mm.state
    flags = int(state.vmas[entries[0][0]]["vm_flags"])
    kinds = tuple(entry_of(int(state.entries[slot]), huge=situation.huge) for _vma, slot in entries)
    return Vma(int(bool(flags & VM_LOCKED)), int(bool(flags & VM_IO)), kinds)


def batches_of(situation: Situation, cpu: int) -> Batches:
    """Return what a CPU's batches have of the pages."""
    vectors, pfns = situation.mm.machine.arrays["pvecs"][cpu].tolist(), situation.pages
    adds = vectors[st.LRU_ADD_PVEC][1 : vectors[st.LRU_ADD_PVEC][0] + 1]
    queued = vectors[st.MLOCK_PVEC][1 : vectors[st.MLOCK_PVEC][0] + 1]
    tags = {LRU_PAGE: 1, NEW_PAGE: 2, MUNLOCK_ENTRY: 3}
    return Batches(
        tuple(adds.count(pfn) for pfn in pfns),
        tuple((pfns.index(one >> 2), tags[one & 3]) for one in queued if one >> 2 in pfns),
    )


def page_of(situation: Situation, pfn: int) -> Page:
    """Return what is compared of a page."""
    page = inv.facts_of(situation, pfn)
    return Page(
        int(bool(page.flags & PG_lru)), int(page.unevictable), int(page.mlocked), page.count, int(page.cached), page.refcount
    )


def projected(situation: Situation, view: View) -> State:
    """Return what both tools know of the state in which a situation is."""
    nr_pages = len(situation.pages)
    lru_lock = any(lock.kind == "lru_lock" for held in view.held for lock in held)
    spaces = [situation.entries[first : first + nr_pages] for first in range(0, len(situation.entries), nr_pages)]
    vmas = [*(vma_of(situation, entries) for entries in spaces), Vma(0, 0, (0,) * nr_pages)]
    return State(
        (vmas[0], vmas[1]),
        int(lru_lock),
        (batches_of(situation, 0), batches_of(situation, 1), batches_of(situation, 2)),
        tuple(page_of(situation, pfn) for pfn in situation.pages),
    )
