"""fork: a second address space on the same machine.

Models dup_mmap() of kernel/fork.c and copy_page_range() of mm/memory.c, 5.10 and 6.1.  The child's VMAs are not locked, and its
mappings of locked pages count nothing.
"""

from __future__ import annotations

from mmmodel.constants import (
    _PAGE_RW,
    PAGE_SIZE,
    PMD_SIZE,
    VM_ACCOUNT,
    VM_DONTCOPY,
    VM_HUGETLB,
    VM_LOCKED_CLEAR_MASK,
    VM_MAYWRITE,
    VM_MIXEDMAP,
    VM_PFNMAP,
    VM_SHARED,
    VM_WIPEONFORK,
    PG_anon_exclusive,
)
from mmmodel.errno_codes import ENOMEM
from mmmodel.jit import kernel, unit
from mmmodel.mmap import vm_enough_memory
from mmmodel.pages import get_page, is_zero_pfn
from mmmodel.pgtable import (
    alloc_pmd,
    alloc_pte,
    alloc_table,
    deposit_table,
    next_pmd,
    pmd_huge,
    pmd_present,
    pte_none,
    pte_offset,
    pte_pfn,
    pte_present,
)
from mmmodel.rmap import anon_vma_fork
from mmmodel.state import State
from mmmodel.swap import swap_duplicate
from mmmodel.vma import alloc_vma, vma_link, vma_pages


@kernel
def _share_page(s: State, entry: int, huge: bool) -> None:
    """A child maps the page of a present entry too.  Models page_dup_rmap(): no mlock hook."""
    pfn = pte_pfn(entry)
    if is_zero_pfn(s.pages, pfn):
        return
    get_page(s.pages, pfn)
    s.pages[pfn]["flags"] &= ~PG_anon_exclusive
    if huge:
        s.pages[pfn]["compound"] += 1
    else:
        s.pages[pfn]["mapcount"] += 1


@kernel
def _copy_huge_pmd(s: State, child: int, pmd: int, address: int) -> None:
    """Models copy_huge_pmd(): shared read-only, with a table deposited for the child."""
    s.entries[pmd] &= ~_PAGE_RW
    _share_page(s, s.entries[pmd], True)
    deposit_table(s, child, alloc_table(s, child))
    slot = alloc_pmd(s, child, address)
    s.entries[slot] = s.entries[pmd]


@unit
def copy_page_range(s: State, mm: int, child: int, start: int, end: int, cow: bool) -> None:
    """Copy the entries of [start, end); private ones become read-only in both.

    Models copy_page_range(), simplified: upper tables without a page table below are not copied.
    """
    while start < end:
        start, pmd = next_pmd(s, mm, start, end)
        if pmd == 0:
            return
        following = min((start & -PMD_SIZE) + PMD_SIZE, end)
        if pmd_huge(s.entries[pmd]):
            _copy_huge_pmd(s, child, pmd, start)
        elif pmd_present(s.entries[pmd]):
            alloc_pte(s, child, alloc_pmd(s, child, start), start)  # also for an empty table
            for address in range(start, following, PAGE_SIZE):
                source = pte_offset(s, pmd, address)
                if pte_none(s.entries[source]):
                    continue
                if pte_present(s.entries[source]):
                    if cow:
                        s.entries[source] &= ~_PAGE_RW
                    _share_page(s, s.entries[source], False)
                else:
                    s.entries[source] = swap_duplicate(s, s.entries[source])
                slot = alloc_pte(s, child, alloc_pmd(s, child, address), address)
                s.entries[slot] = s.entries[source]
        start = following


@kernel
def dup_mmap(s: State, mm: int, other: State, child: int) -> int:
    """Fill the empty address space ``child``, which sees the machine as ``other``, from ``mm``: 0 or -ENOMEM.

    Models dup_mmap().
    """
    for position in range(s.mms[mm]["map_count"]):
        vma = s.order[position]
        parent = s.vmas[vma]
        vm_flags = parent["vm_flags"]
        if vm_flags & VM_DONTCOPY != 0:
            continue
        if vm_flags & VM_ACCOUNT != 0 and not vm_enough_memory(s, vma_pages(s, vma)):
            return -ENOMEM
        new = alloc_vma(s)
        record = s.vmas[new]
        record["vm_start"] = parent["vm_start"]
        record["vm_end"] = parent["vm_end"]
        record["vm_flags"] = vm_flags & VM_LOCKED_CLEAR_MASK
        record["vm_pgoff"] = parent["vm_pgoff"]
        record["vm_file"] = parent["vm_file"]
        wiped = vm_flags & VM_WIPEONFORK != 0
        if not wiped:
            anon_vma_fork(s, new, vma)
        vma_link(other, child, s.mms[child]["map_count"], new)
        s.mms[child]["total_vm"] += vma_pages(s, vma)
        if wiped:
            continue
        if parent["anon_vma"] != 0 or vm_flags & (VM_HUGETLB | VM_PFNMAP | VM_MIXEDMAP) != 0:
            cow = vm_flags & (VM_SHARED | VM_MAYWRITE) == VM_MAYWRITE
            copy_page_range(s, mm, child, parent["vm_start"], parent["vm_end"], cow)
    return 0
