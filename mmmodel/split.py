"""Huge PMDs taken apart: __split_huge_pmd() of mm/huge_memory.c, 5.10 to 6.12."""

from __future__ import annotations

from mmmodel.constants import (
    _PAGE_ACCESSED,
    _PAGE_NX,
    _PAGE_PRESENT,
    _PAGE_PROTNONE,
    _PAGE_RW,
    _PAGE_SPECIAL,
    _PAGE_USER,
    HPAGE_PMD_NR,
    PMD_SIZE,
    PTE_SHIFT,
    PTRS_PER_TABLE,
    PTRS_SHIFT,
    TABLE_BITS,
    PG_anon_exclusive,
    PG_double_map,
)
from mmmodel.counters import PMD_SPLITS
from mmmodel.counting import count
from mmmodel.jit import kernel, step, unit
from mmmodel.kernels import V6_1
from mmmodel.pages import is_zero_pfn
from mmmodel.pgtable import find_pmd, mk_pte, pmd_huge, pte_pfn, withdraw_table
from mmmodel.rmap import clear_page_mlock, munlock_vma_page, remove_compound_mapping
from mmmodel.state import KERNEL, ZERO_PFN, State

_KEPT = (
    _PAGE_PRESENT | _PAGE_PROTNONE | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | _PAGE_NX
)  # bits that the page table entries inherit: dirty goes to the page


@unit
def split_huge_pmd(s: State, mm: int, pmd: int, vm_flags: int) -> None:
    """Replace the huge PMD at slot ``pmd`` by a table of 512 entries that map the same pages.

    Models __split_huge_pmd(), simplified: no freezing, no PMD migration entries.  5.10 clears PG_mlocked (counted as
    cleared), later kernels take back this PMD's count if the VMA is locked (counted as munlocked).
    """
    pfn = pte_pfn(s.entries[pmd])
    zero = is_zero_pfn(s.pages, pfn)
    if not zero and s.ctl[KERNEL] < V6_1:
        clear_page_mlock(s, pfn)
    map_by_entries(s, mm, pmd)
    if not zero and s.ctl[KERNEL] >= V6_1:
        munlock_vma_page(s, pfn, vm_flags, True)


@step
def map_by_entries(s: State, mm: int, pmd: int) -> None:
    """Put a table of 512 entries in place of a huge PMD, without what that does to PG_mlocked.  Needs the page table lock."""
    count(s.counters, PMD_SPLITS, 1)
    entry = s.entries[pmd]
    pfn = pte_pfn(entry)
    zero = is_zero_pfn(s.pages, pfn)
    exclusive = s.pages[pfn]["flags"] & PG_anon_exclusive
    table = withdraw_table(s, mm)
    for i in range(PTRS_PER_TABLE):
        if zero:
            s.entries[(table << PTRS_SHIFT) | i] = mk_pte(ZERO_PFN, (entry & _KEPT & ~_PAGE_RW) | _PAGE_SPECIAL)
        else:
            s.entries[(table << PTRS_SHIFT) | i] = mk_pte(pfn + i, entry & _KEPT)
            s.pages[pfn + i]["mapcount"] += 1
            s.pages[pfn + i]["flags"] = (s.pages[pfn + i]["flags"] & ~PG_anon_exclusive) | exclusive
    s.entries[pmd] = (table << PTE_SHIFT) | TABLE_BITS
    if zero:
        return
    s.pages[pfn]["refcount"] += HPAGE_PMD_NR - 1
    s.pages[pfn]["flags"] |= PG_double_map
    remove_compound_mapping(s, pfn)


@kernel
def split_huge_pmd_address(s: State, mm: int, address: int, vm_flags: int) -> None:
    """Split the huge PMD, if one is there, that ``address`` lies inside of.  Models split_huge_pmd_address()."""
    if address & (PMD_SIZE - 1) == 0:
        return
    pmd = find_pmd(s, mm, address)
    if pmd != 0 and pmd_huge(s.entries[pmd]):
        split_huge_pmd(s, mm, pmd, vm_flags)
