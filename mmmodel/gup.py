"""Populating: __mm_populate(), populate_vma_page_range() and __get_user_pages() without pages to return.

Models mm/gup.c, 5.10 to 6.12.  5.10 locks pages here (FOLL_MLOCK), later ones in their walk and their rmap hooks.
"""

from __future__ import annotations

from mmmodel.constants import (
    _PAGE_DIRTY,
    _PAGE_RW,
    HPAGE_PMD_NR,
    PAGE_SHIFT,
    VM_ACCESS_FLAGS,
    VM_HUGETLB,
    VM_IO,
    VM_LOCKED,
    VM_LOCKONFAULT,
    VM_PFNMAP,
    VM_SHARED,
    VM_WRITE,
    PG_dirty,
    PG_double_map,
)
from mmmodel.counters import FOLLOW_PAGE, PAGE_LOCK, PAGES_LOOKED_UP, PTE_LOCK
from mmmodel.counting import count
from mmmodel.errno_codes import EFAULT, NEED_ROOM
from mmmodel.fault import handle_mm_fault
from mmmodel.jit import kernel, unit
from mmmodel.kernels import V6_1, V6_12
from mmmodel.lookup import FIRST_SLOT, count_lookup, lookup
from mmmodel.lru import mark_page_accessed
from mmmodel.mlock_batch import lru_add_drain
from mmmodel.pages import arena_low, is_zero_pfn, page_trans_compound
from mmmodel.pgtable import pte_pfn, pte_present
from mmmodel.rmap import mlock_vma_page_5_10
from mmmodel.state import CURSOR, KERNEL, State
from mmmodel.vma import find_vma

NOT_THERE = -1  # of follow_page_mask(): no page, or not with the access that is wanted


@kernel
def _mlock_followed(s: State, pfn: int, huge: bool) -> None:
    """FOLL_MLOCK of 5.10 on a page that was found: not PTE-mapped huge pages, not huge pages mapped twice, not zero pages."""
    if is_zero_pfn(s.pages, pfn):
        return
    if huge:
        if s.pages[pfn]["compound"] != 1 or s.pages[pfn]["flags"] & PG_double_map != 0:
            return
    elif page_trans_compound(s.pages, pfn):
        return
    count(s.counters, PAGE_LOCK, 1)
    if not huge:
        lru_add_drain(s)
    mlock_vma_page_5_10(s, pfn)


@kernel
def follow_page_mask(s: State, mm: int, address: int, write: bool, mlock: bool) -> int:
    """Look for the page that populate wants at ``address``: its page mask (0 or 511), or NOT_THERE.

    ``mlock``: 5.10's FOLL_MLOCK in a VM_LOCKED VMA.

    Models follow_page_mask(), simplified: FOLL_TOUCH, FOLL_WRITE and FOLL_MLOCK only; no huge PUDs, DAX or NUMA hints.
    """
    five_level = s.mms[mm]["levels"] == 5
    found = lookup(s.entries, s.mms[mm]["pgd"], five_level, address)
    count_lookup(s.counters, five_level, found)
    count(s.counters, FOLLOW_PAGE, 1)
    count(s.counters, PAGES_LOOKED_UP, 1)
    if 0 < found < FIRST_SLOT:
        return NOT_THERE
    count(s.counters, PTE_LOCK, 1)
    entry = s.entries[found] if found > 0 else s.entries[-found]
    if not pte_present(entry) or (write and entry & _PAGE_RW == 0):
        return NOT_THERE
    pfn = pte_pfn(entry)
    if not is_zero_pfn(s.pages, pfn):
        mark_page_accessed(s, pfn)
        if write and found > 0 and entry & _PAGE_DIRTY == 0 and not page_trans_compound(s.pages, pfn):
            s.pages[pfn]["flags"] |= PG_dirty
    if mlock:
        _mlock_followed(s, pfn, found < 0)
    return HPAGE_PMD_NR - 1 if found < 0 else 0


@kernel
def __get_user_pages(s: State, mm: int, position: int, start: int, end: int) -> int:
    """Fault in [start, end) of one VMA: 0, -errno at the first page that fails, or -NEED_ROOM.

    State.ctl[CURSOR] is left at the address where it stopped.

    Models __get_user_pages(), simplified: pages are faulted in, not returned.
    """
    vm_flags = s.vmas[s.order[position]]["vm_flags"]
    five_ten = s.ctl[KERNEL] < V6_1
    write = vm_flags & (VM_WRITE | VM_SHARED) == VM_WRITE
    mlock = five_ten and vm_flags & VM_LOCKED != 0
    fault_in = vm_flags & VM_LOCKONFAULT == 0  # 5.10: FOLL_POPULATE
    s.ctl[CURSOR] = start
    if vm_flags & VM_ACCESS_FLAGS == 0:  # no FOLL_FORCE: check_vma_flags() refuses PROT_NONE at once
        return -EFAULT
    while start < end:
        s.ctl[CURSOR] = start
        if fault_in and arena_low(s):
            return -NEED_ROOM
        page_mask = follow_page_mask(s, mm, start, write, mlock)
        if page_mask == NOT_THERE:
            if fault_in:
                error = handle_mm_fault(s, mm, position, start, write)
                if error != 0:
                    return error
                continue
            page_mask = 0
        start += (1 + (~(start >> PAGE_SHIFT) & page_mask)) << PAGE_SHIFT
    s.ctl[CURSOR] = end
    return 0


@unit
def populate_vma_page_range(s: State, mm: int, position: int, start: int, end: int) -> int:
    """Models populate_vma_page_range(): as __get_user_pages(), with 6.1's early return for ONFAULT and drain at the end.

    6.12 refuses PROT_NONE here, so that it drains nothing.
    """
    if s.ctl[KERNEL] < V6_1:
        return __get_user_pages(s, mm, position, start, end)
    vm_flags = s.vmas[s.order[position]]["vm_flags"]
    if vm_flags & VM_LOCKONFAULT != 0:
        return 0
    if s.ctl[KERNEL] >= V6_12 and vm_flags & VM_ACCESS_FLAGS == 0:
        return -EFAULT
    error = __get_user_pages(s, mm, position, start, end)
    if error != -NEED_ROOM:
        lru_add_drain(s)
    return error


@unit
def mm_populate(s: State, mm: int, start: int, end: int, ignore_errors: bool) -> int:
    """Models __mm_populate(): VMA by VMA over [start, end), holes and VM_IO | VM_PFNMAP left out.

    0, -errno of the first failure unless errors are ignored, or -NEED_ROOM with State.ctl[CURSOR] where to go on.
    """
    while start < end:
        position = find_vma(s, mm, start)
        if position == s.mms[mm]["map_count"]:
            return 0
        record = s.vmas[s.order[position]]
        if record["vm_start"] >= end:
            return 0
        start = max(start, record["vm_start"])
        stop = min(end, record["vm_end"])
        if record["vm_flags"] & (VM_IO | VM_PFNMAP | VM_HUGETLB) == 0:  # huge TLB pages are not modelled
            error = populate_vma_page_range(s, mm, position, start, stop)
            if error == -NEED_ROOM or (error != 0 and not ignore_errors):
                return error
        start = stop
    return 0
