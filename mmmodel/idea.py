"""What an idea may call: the model's compiled functions that a walk is made of (docs/own-implementation.md).

Everything here is compiled into the function that calls it.  ``s`` is the :class:`~mmmodel.state.State` of the machine,
addresses are in bytes.  Who books which counters is told there.
"""

from __future__ import annotations

from mmmodel.arraytypes import Words
from mmmodel.constants import (
    _PAGE_SPECIAL,
    PAGE_SHIFT,
    PAGE_SIZE,
    PMD_SHIFT,
    PMD_SIZE,
    PTE_SHIFT,
    PUD_SHIFT,
    PUD_SIZE,
    VM_IO,
    VM_LOCKED,
)
from mmmodel.counters import (
    COND_RESCHED,
    FOLLOW_PAGE,
    MLOCK_PTE_RANGE,
    P4D_READ,
    PAGES_LOOKED_UP,
    PGD_READ,
    PMD_READ,
    PTE_LOCK,
    PTE_READ,
    PTE_SPECIAL,
    PUD_READ,
    TABLES_ENTERED,
)
from mmmodel.counting import count
from mmmodel.jit import kernel
from mmmodel.lookup import FIRST_SLOT, count_lookup, count_lookups, hole_size_shift, lookup
from mmmodel.mlock_batch import lru_add_drain, mlock_folio, munlock_page
from mmmodel.page_walk import HUGE, begin_pte_range, is_walked, mlock_pte_range, set_vm_flags, walk_page_range, walk_to_pmd
from mmmodel.pages import is_zero_pfn, page_trans_compound
from mmmodel.per_page import clear_vm_locked, munlock_found, usable_pte
from mmmodel.pgtable import entry_index, entry_table, pmd_huge, pte_none, pte_offset, pte_pfn, pte_present
from mmmodel.state import State

compiled = kernel  # a decorator, for a second function of the file that the first one calls


@kernel
def cond_resched(s: State) -> None:
    """Offer the processor: nothing but a count here."""
    count(s.counters, COND_RESCHED, 1)


@kernel
def follow_page(s: State, mm: int, address: int) -> int:
    """Look a page up from the top of the page tables: its pfn, or, negative, the shift of the size of what is missing.

    ``-PAGE_SHIFT``: no page that mlock cares for at this entry; ``-PMD_SHIFT``: no page table; and so on upwards.

    Models follow_page(FOLL_GET | FOLL_DUMP), v5.10, with what the proposal of 2021 adds: no_page_table() tells the size.
    """
    five_level = s.mms[mm]["levels"] == 5
    found = lookup(s.entries, s.mms[mm]["pgd"], five_level, address)
    count_lookup(s.counters, five_level, found)
    count(s.counters, FOLLOW_PAGE, 1)
    count(s.counters, PAGES_LOOKED_UP, 1)
    if found >= FIRST_SLOT:
        count(s.counters, PTE_LOCK, 1)
        entry = s.entries[found]
        if usable_pte(entry):
            return pte_pfn(entry)
        count(s.counters, PTE_SPECIAL, 1 if pte_present(entry) else 0)
        return -PAGE_SHIFT
    if found > 0:
        return -hole_size_shift(found)
    count(s.counters, PTE_LOCK, 1)
    pfn = pte_pfn(s.entries[-found])
    return -PAGE_SHIFT if is_zero_pfn(s.pages, pfn) else pfn + entry_index(address, PAGE_SHIFT)


@kernel
def munlock_pages(s: State, mm: int, pfn: int, start: int, end: int) -> int:
    """Munlock the page that was found at ``start``, and its neighbours up to ``end`` that go with it: where to go on.

    A huge page as a whole; else up to 15 pages of one page table.  Models the rest of munlock_vma_pages_range()'s loop, v5.10.
    """
    slot = lookup(s.entries, s.mms[mm]["pgd"], s.mms[mm]["levels"] == 5, start)  # known to the kernel, hence not counted
    return munlock_found(s, pfn, max(slot, 0), start, end, s.munlock_pvecs[mm])


__all__ = [
    "COND_RESCHED",
    "FIRST_SLOT",
    "FOLLOW_PAGE",
    "HUGE",
    "MLOCK_PTE_RANGE",
    "P4D_READ",
    "PAGES_LOOKED_UP",
    "PAGE_SHIFT",
    "PAGE_SIZE",
    "PGD_READ",
    "PMD_READ",
    "PMD_SHIFT",
    "PMD_SIZE",
    "PTE_LOCK",
    "PTE_READ",
    "PTE_SHIFT",
    "PTE_SPECIAL",
    "PUD_READ",
    "PUD_SHIFT",
    "PUD_SIZE",
    "TABLES_ENTERED",
    "VM_IO",
    "VM_LOCKED",
    "_PAGE_SPECIAL",
    "State",
    "Words",
    "begin_pte_range",
    "clear_vm_locked",
    "compiled",
    "cond_resched",
    "count",
    "count_lookups",
    "entry_index",
    "entry_table",
    "follow_page",
    "hole_size_shift",
    "is_walked",
    "is_zero_pfn",
    "lookup",
    "lru_add_drain",
    "mlock_folio",
    "mlock_pte_range",
    "munlock_page",
    "munlock_pages",
    "page_trans_compound",
    "pmd_huge",
    "pte_none",
    "pte_offset",
    "pte_pfn",
    "pte_present",
    "set_vm_flags",
    "usable_pte",
    "walk_page_range",
    "walk_to_pmd",
]
