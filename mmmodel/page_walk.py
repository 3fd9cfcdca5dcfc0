"""mlock and munlock as Linux 6.1 does them: one walk over the page tables that exist.

Models mlock_vma_pages_range() and mlock_pte_range() of mm/mlock.c and walk_page_range() of mm/pagewalk.c, v6.1.  Same logic;
the kernel's walker calls back, this one is written out for the one callback that it serves.  A level is a function, as there;
what is none is stepped over with one read.
"""

from __future__ import annotations

from mmmodel.constants import (
    _PAGE_SPECIAL,
    P4D_SHIFT,
    P4D_SIZE,
    PAGE_SIZE,
    PGD_SHIFT_LA57,
    PMD_SHIFT,
    PMD_SIZE,
    PTRS_SHIFT,
    PUD_SHIFT,
    PUD_SIZE,
    VM_HUGETLB,
    VM_IO,
    VM_LOCKED,
    VM_PFNMAP,
)
from mmmodel.counters import (
    COND_RESCHED,
    MLOCK_PTE_RANGE,
    P4D_READ,
    PAGES_LOOKED_UP,
    PGD_READ,
    PMD_READ,
    PTE_LOCK,
    PTE_READ,
    PUD_READ,
    TABLES_ENTERED,
)
from mmmodel.counting import count
from mmmodel.jit import kernel, unit
from mmmodel.mlock_batch import batch_mlock_folio, batch_munlock_page, lru_add_drain, mlock_folio, munlock_page
from mmmodel.pages import is_zero_pfn, page_trans_compound
from mmmodel.pgtable import entry_index, entry_table, is_swap_pmd, pmd_huge, pte_none, pte_offset, pte_pfn, pte_present
from mmmodel.state import CPU, MLOCK_PVEC, State


@kernel
def mlock_pte_range(s: State, pmd: int, address: int, end: int, lock: bool) -> None:
    """Lock or unlock the pages of one PMD entry that is not none, within [address, end).  Models mlock_pte_range(), v6.1."""
    counters = s.counters
    count(counters, MLOCK_PTE_RANGE, 1)
    count(counters, PTE_LOCK, 1)
    count(counters, COND_RESCHED, 1)
    entry = s.entries[pmd]
    if is_swap_pmd(entry):
        return
    if pmd_huge(entry):
        count(counters, PAGES_LOOKED_UP, 1)
        pfn = pte_pfn(entry)
        if not is_zero_pfn(s.pages, pfn):
            if lock:
                mlock_folio(s, pfn)
            else:
                munlock_page(s, pfn)
        return
    read = (end - address) // PAGE_SIZE
    count(counters, TABLES_ENTERED, 1)
    count(counters, PTE_READ, read)
    count(counters, PAGES_LOOKED_UP, read)
    entries, pages, pvec = s.entries, s.pages, s.pvecs[s.ctl[CPU], MLOCK_PVEC]
    first = pte_offset(s, pmd, address)
    for slot in range(first, first + read):
        entry = entries[slot]
        if not pte_present(entry) or entry & _PAGE_SPECIAL != 0:
            continue
        pfn = pte_pfn(entry)
        if page_trans_compound(pages, pfn):
            continue
        if lock:
            batch_mlock_folio(s, pages, pvec, pfn)
        else:
            batch_munlock_page(s, pages, pvec, pfn)


@kernel
def walk_pmd_range(s: State, table: int, address: int, end: int, lock: bool) -> None:
    """Entries of one PMD table.  A huge PMD is handed on, not split, since there is no pte_entry callback.

    Models walk_pmd_range(), v6.1.
    """
    read = 0
    while address < end:
        following = min((address & -PMD_SIZE) + PMD_SIZE, end)
        slot = (table << PTRS_SHIFT) | entry_index(address, PMD_SHIFT)
        read += 1
        if not pte_none(s.entries[slot]):
            mlock_pte_range(s, slot, address, following, lock)
        address = following
    count(s.counters, PMD_READ, read)


@kernel
def walk_pud_range(s: State, table: int, address: int, end: int, lock: bool) -> None:
    """Entries of one PUD table.  Models walk_pud_range(), v6.1, simplified: no huge PUDs."""
    read = 0
    while address < end:
        following = min((address & -PUD_SIZE) + PUD_SIZE, end)
        entry = s.entries[(table << PTRS_SHIFT) | entry_index(address, PUD_SHIFT)]
        read += 1
        if not pte_none(entry):
            count(s.counters, TABLES_ENTERED, 1)
            walk_pmd_range(s, entry_table(entry), address, following, lock)
        address = following
    count(s.counters, PUD_READ, read)


@kernel
def walk_p4d_range(s: State, table: int, address: int, end: int, lock: bool, counter: int) -> None:
    """Entries that cover 512 GiB each, the top table's with four levels; ``counter``: PGD_READ or P4D_READ.

    Models walk_p4d_range() and walk_pgd_range(), v6.1.
    """
    read = 0
    while address < end:
        following = min((address & -P4D_SIZE) + P4D_SIZE, end)
        entry = s.entries[(table << PTRS_SHIFT) | entry_index(address, P4D_SHIFT)]
        read += 1
        if not pte_none(entry):
            count(s.counters, TABLES_ENTERED, 1)
            walk_pud_range(s, entry_table(entry), address, following, lock)
        address = following
    count(s.counters, counter, read)


@kernel
def walk_page_range(s: State, mm: int, address: int, end: int, lock: bool) -> None:
    """Models walk_page_range() and walk_page_test(), simplified: a range inside one VMA, tested by the caller."""
    top = s.mms[mm]["pgd"]
    if s.mms[mm]["levels"] == 4:
        walk_p4d_range(s, top, address, end, lock, PGD_READ)
        return
    size = 1 << PGD_SHIFT_LA57
    while address < end:
        following = min((address & -size) + size, end)
        entry = s.entries[(top << PTRS_SHIFT) | entry_index(address, PGD_SHIFT_LA57)]
        count(s.counters, PGD_READ, 1)
        if not pte_none(entry):
            count(s.counters, TABLES_ENTERED, 1)
            walk_p4d_range(s, entry_table(entry), address, following, lock, P4D_READ)
        address = following


@unit
def mlock_vma_pages_range(s: State, mm: int, vma: int, start: int, end: int, newflags: int) -> None:
    """Give a VMA its new flags, then lock or unlock the pages that are there.  Needs mmap_lock for writing.

    While pages are being locked the VMA also carries VM_IO, set in the same store as VM_LOCKED: a racing rmap walk (migration,
    reclaim) then declines to mlock a page that this walk is about to count.

    Visits: one entry per missing table or page below the tables that exist; the span of what is missing costs nothing.

    Models mlock_vma_pages_range(), v6.1.
    """
    lock = newflags & VM_LOCKED != 0
    s.vmas[vma]["vm_flags"] = newflags | VM_IO if lock else newflags
    lru_add_drain(s)
    if newflags & (VM_PFNMAP | VM_HUGETLB) == 0:
        walk_page_range(s, mm, start, end, lock)
    lru_add_drain(s)
    s.vmas[vma]["vm_flags"] = newflags
