"""What must hold of a page while others run, what must hold when all are done, and what is only worth telling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.races.interleaving import Situation, View
from mmmodel import state as st
from mmmodel.constants import (
    _PAGE_PSE,
    HPAGE_PMD_NR,
    PFN_FIELD,
    PTE_SHIFT,
    PTRS_PER_TABLE,
    VM_IO,
    VM_LOCKED,
    PG_head,
    PG_lru,
    PG_mlocked,
    PG_swapcache,
    PG_unevictable,
)
from mmmodel.counters import NR_MLOCK
from mmmodel.kernels import V6_1
from mmmodel.mlock_batch import MUNLOCK_ENTRY
from mmmodel.pgtable import pte_pfn

# Broken when told of a state. In any state:
REFERENCE_MISSING: Final = "reference missing"  # fewer references than mappings, caches and vectors
NR_MLOCK_WRONG: Final = "nr_mlock wrong"  # nr_mlock is not the number of pages with PG_mlocked
COUNT_TOO_HIGH: Final = "count too high"  # mlock_count above the number of VM_LOCKED mappings, and nobody is at work on it
# When all tasks are done:
STRANDED_MLOCKED: Final = "stranded, mlocked"  # PG_mlocked, and no VM_LOCKED VMA maps it
STRANDED: Final = "stranded, not mlocked"  # on the unevictable LRU without PG_mlocked, and no VM_LOCKED VMA maps it
REFERENCE_LEFT: Final = "reference left"  # a vector holds a locked page, which can then not be migrated
OFF_LRU: Final = "off its LRU"  # in use, and neither on a list nor in a vector on its way there
DEADLOCK: Final = "deadlock"  # a task cannot go on
INVARIANTS: Final = {  # the worst first
    STRANDED_MLOCKED: "in the end, a page that no VM_LOCKED VMA maps has no PG_mlocked",
    STRANDED: "in the end, a page that no VM_LOCKED VMA maps is not on the unevictable LRU",
    REFERENCE_LEFT: "in the end, no vector of a CPU holds a page that a VM_LOCKED VMA maps",
    OFF_LRU: "in the end, a page in use is on an LRU",
    DEADLOCK: "in the end, every task is done",
    COUNT_TOO_HIGH: "mlock_count of a mapped page is at most the number of its VM_LOCKED mappings, while nobody changes them",
    NR_MLOCK_WRONG: "nr_mlock is the number of pages with PG_mlocked, while nobody has an LRU lock",
    REFERENCE_MISSING: "a page has at least as many references as mappings, caches and vectors",
}
# Allowed, and worth telling:
UNDERCOUNT: Final = "undercount"  # in the end, a VM_LOCKED VMA maps a page that is not mlocked
MLOCKED_UNMAPPED: Final = "mlocked, not mapped"  # held by others until they drop it
IN_VECTOR: Final = "in a vector"  # in the end, until its CPU processes that
NOTES: Final = {
    UNDERCOUNT: "in the end, a VM_LOCKED VMA maps a page without PG_mlocked: reclaim mlocks it when it meets it",
    MLOCKED_UNMAPPED: "a page has PG_mlocked and no mapping; it loses it with its last reference",
    IN_VECTOR: "in the end, a page that no VM_LOCKED VMA maps waits in a vector until its CPU processes that",
}


@dataclass(frozen=True)
class Facts:
    """One page as it stands."""

    flags: int
    refcount: int
    mappings: int  # entries that map it
    locked: int  # those of VM_LOCKED VMAs
    cached: bool  # in the page cache or the swap cache
    count: int  # mlock_count; 0 where it is not valid
    nr_pages: int
    queued: tuple[int, ...]  # tags of its places in the vectors; -1: on its way to an LRU

    @property
    def mlocked(self) -> bool:
        """PG_mlocked."""
        return bool(self.flags & PG_mlocked)

    @property
    def unevictable(self) -> bool:
        """PG_unevictable."""
        return bool(self.flags & PG_unevictable)


def _entries_of(situation: Situation, pfn: int) -> Iterator[int]:
    """Yield the flags of the VMA of each entry that maps a page."""
    state = situation.mm.state
    for vma, slot in situation.entries:
        entry = int(state.entries[slot])
        if situation.huge and entry & 1 and not entry & _PAGE_PSE:  # split: a table of entries
            table = (entry >> PTE_SHIFT & PFN_FIELD) * PTRS_PER_TABLE
            entries = situation.mm.machine.arrays["entries"][table : table + PTRS_PER_TABLE]
            part = (entries >> PTE_SHIFT & PFN_FIELD) - pfn
            mapped = int(np.count_nonzero((entries & 1 != 0) & (part >= 0) & (part < HPAGE_PMD_NR)))
            yield from [int(state.vmas[vma]["vm_flags"])] * mapped
        elif entry & 1 and int(pte_pfn(entry)) == pfn:
            yield int(state.vmas[vma]["vm_flags"])


def facts_of(situation: Situation, pfn: int) -> Facts:
    """Collect what is known of a page."""
    arrays = situation.mm.machine.arrays
    page = arrays["pages"][pfn]
    flags = int(page["flags"])
    entries = list(_entries_of(situation, pfn))
    queued: list[int] = []
    for vectors in arrays["pvecs"].tolist():
        queued += [-1 for one in vectors[st.LRU_ADD_PVEC][1 : vectors[st.LRU_ADD_PVEC][0] + 1] if one == pfn]
        queued += [one & 3 for one in vectors[st.MLOCK_PVEC][1 : vectors[st.MLOCK_PVEC][0] + 1] if one >> 2 == pfn]
    in_file = any(
        int(arrays["entries"][slot]) and int(pte_pfn(arrays["entries"][slot])) == pfn for slot in situation.cache_slots
    )
    return Facts(
        flags=flags,
        refcount=int(page["refcount"]),
        mappings=len(entries),
        locked=sum(1 for one in entries if one & VM_LOCKED),
        cached=in_file or bool(flags & PG_swapcache),
        nr_pages=HPAGE_PMD_NR if flags & PG_head else 1,
        count=int(page["lru_prev"]) if flags & PG_unevictable and situation.mm.machine.ctl[st.KERNEL] >= V6_1 else 0,
        queued=tuple(queued),
    )


def _always(page: Facts, at_work: bool) -> Iterator[str]:
    """Yield what is wrong with a page whatever the tasks are at; `at_work`: one has mmap_lock or a page table lock."""
    if page.refcount < page.mappings + page.cached + len(page.queued):
        yield REFERENCE_MISSING
    if page.mappings and not at_work and page.count > page.locked + page.queued.count(MUNLOCK_ENTRY):
        yield COUNT_TOO_HIGH
    if page.refcount and page.mlocked and not page.mappings and not page.queued and not at_work:
        yield MLOCKED_UNMAPPED


def _at_the_end(page: Facts) -> Iterator[str]:
    """Yield what is wrong with a page when all tasks are done, or worth telling."""
    if not page.refcount:
        return
    if page.queued:
        yield REFERENCE_LEFT if page.locked else IN_VECTOR
    elif not page.flags & PG_lru:
        yield OFF_LRU
    if (page.mlocked or page.unevictable) and not page.locked:
        yield STRANDED_MLOCKED if page.mlocked else STRANDED
    if page.locked and not page.mlocked:
        yield UNDERCOUNT


def judge(situation: Situation, view: View) -> Sequence[str]:
    """Return the names of the invariants that are broken in a state, and of what is worth telling of it, sorted."""
    pages = [facts_of(situation, pfn) for pfn in situation.pages]
    at_work = any(lock.kind in ("mmap_lock", "ptl") for held in view.held for lock in held)
    found = {name for page in pages for name in _always(page, at_work)}
    lru_locked = any(lock.kind == "lru_lock" for held in view.held for lock in held)
    if not lru_locked and int(situation.mm.machine.counters[NR_MLOCK]) != sum(page.nr_pages for page in pages if page.mlocked):
        found.add(NR_MLOCK_WRONG)
    if view.last:
        found |= {name for page in pages for name in _at_the_end(page)} if view.done else {DEADLOCK}
    return sorted(found)


LEGEND: Final = (
    "Page: V in a VM_LOCKED VMA, I that has VM_IO; P mapped, L on an LRU, U unevictable, M mlocked; then mlock_count;"
    " v in a vector, - freed."
)


def shown(situation: Situation) -> str:
    """Return the state of the pages in letters, as LEGEND explains them."""
    flags = 0
    for vma, _ in situation.entries:
        flags |= int(situation.mm.state.vmas[vma]["vm_flags"])
    words = ["".join(letter for letter, bit in (("V", VM_LOCKED), ("I", VM_IO)) if flags & bit)]
    for pfn in situation.pages:
        page = facts_of(situation, pfn)
        bits = (("P", page.mappings), ("L", page.flags & PG_lru), ("U", page.unevictable), ("M", page.mlocked))
        letters = "".join(letter for letter, bit in bits if bit) + (str(page.count) if page.unevictable else "")
        words.append(letters + "v" * len(page.queued) if page.refcount else "-")
    return " ".join(filter(None, words))


def outcome(situation: Situation) -> str:
    """Say in a few words what has become of the pages."""
    return "; ".join(_became(facts_of(situation, pfn)) for pfn in situation.pages)


def _became(page: Facts) -> str:
    if not page.refcount:
        return "freed"
    words = []
    if page.mlocked:
        words.append(f"mlocked, count {page.count}" if page.unevictable else "mlocked, evictable")
    elif page.unevictable:
        words.append(f"unevictable, not mlocked, count {page.count}")
    else:
        words.append("evictable")
    if page.locked and not page.mlocked:
        words.append("in a VM_LOCKED VMA")
    if not page.mappings:
        words.append("not mapped")
    if page.queued:
        words.append("in a vector")
    return ", ".join(words)
