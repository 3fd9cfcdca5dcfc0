"""Putting pages where a captured process has them, as if faulted long ago, and out to swap.

No kernel function: what these leave behind is a state that the kernel's own calls could have made.
"""

from __future__ import annotations

from typing import Final

from mmmodel.constants import (
    _PAGE_DIRTY,
    _PAGE_SPECIAL,
    HPAGE_PMD_NR,
    PAGE_SHIFT,
    PAGE_SIZE,
    PMD_SIZE,
    PTRS_PER_TABLE,
    SWP_EXCLUSIVE,
    SWP_SWAPFILE,
    VM_DROPPABLE,
    VM_HUGETLB,
    VM_IO,
    VM_LOCKED,
    VM_PFNMAP,
    PG_anon_exclusive,
    PG_dirty,
    PG_lru,
    PG_mlocked,
    PG_swapbacked,
    PG_swapcache,
    PG_unevictable,
)
from mmmodel.errno_codes import EEXIST, EFAULT, EINVAL, NEED_ROOM
from mmmodel.fault import do_anonymous_page, do_huge_pmd_anonymous_page, handle_mm_fault, map_file_page, map_new_anon
from mmmodel.filemap import filemap_fault
from mmmodel.jit import kernel, step, unit
from mmmodel.kernels import V6_1
from mmmodel.lru import add_page_to_lru_list, del_page_from_lru_list, lru_cache_add, put_page
from mmmodel.mlock_batch import lru_add_drain
from mmmodel.pages import alloc_huge_page, arena_low, is_zero_pfn, page_trans_compound
from mmmodel.pgtable import (
    alloc_pmd,
    alloc_pte,
    find_pte,
    mk_pte,
    pmd_huge,
    pte_none,
    pte_pfn,
    pte_present,
    swap_entry,
    vm_page_prot,
)
from mmmodel.rmap import mlock_vma_page, mlock_vma_page_5_10, page_remove_rmap
from mmmodel.state import CURSOR, KERNEL, PAGES_TOP, TABLES_NFREE, TABLES_TOP, State
from mmmodel.swap import page_to_slot, try_to_free_swap
from mmmodel.vma import anon_vma_prepare, find_vma

KINDS: Final = ("anon", "zero", "thp", "thp-pte", "file")  # indexed by the numbers below
ANON: Final = 0
ZERO: Final = 1
THP: Final = 2
THP_PTE: Final = 3
FILE: Final = 4


@kernel
def _low(s: State) -> bool:
    """Whether the next page, huge or not, might not find room."""
    tables = len(s.entries) // PTRS_PER_TABLE - s.ctl[TABLES_TOP] + s.ctl[TABLES_NFREE]
    return arena_low(s) or tables < 16 or len(s.pages) - s.ctl[PAGES_TOP] <= HPAGE_PMD_NR


@kernel
def _install_thp_pte(s: State, mm: int, position: int, address: int, end: int) -> int:
    """Map part of a huge page by page table entries, up to the next 2 MiB boundary: the address reached, or -EEXIST."""
    anon_vma_prepare(s, mm, position)
    vma = s.order[position]
    record = s.vmas[vma]
    head = alloc_huge_page(s, PG_swapbacked)
    base = address & -PMD_SIZE
    end = min(end, base + PMD_SIZE)
    s.pages[head]["mapping"] = (record["anon_vma"] << 1) | 1
    s.pages[head]["index"] = record["vm_pgoff"] + ((base - record["vm_start"]) >> PAGE_SHIFT)
    s.pages[head]["refcount"] = (end - address) >> PAGE_SHIFT
    prot = vm_page_prot(record["vm_flags"])
    pmd = alloc_pmd(s, mm, address)
    for page in range(address, end, PAGE_SIZE):
        pfn = head + ((page - base) >> PAGE_SHIFT)
        s.pages[pfn]["mapcount"] = 1
        slot = alloc_pte(s, mm, pmd, page)
        s.entries[slot] = mk_pte(pfn, prot)
    lru_cache_add(s, head)
    return end


@kernel
def _is_empty(s: State, mm: int, address: int, end: int) -> bool:
    """Whether nothing is mapped in [address, end)."""
    while address < end:
        pmd = alloc_pmd(s, mm, address)
        if pmd_huge(s.entries[pmd]):
            return False
        slot = find_pte(s, mm, address)
        if slot != 0 and not pte_none(s.entries[slot]):
            return False
        address += PAGE_SIZE
    return True


@kernel
def _install_file_page(s: State, mm: int, vma: int, pmd: int, address: int) -> int:
    """Map the page of the page cache that belongs at ``address``, and none around it: the next address, or -errno."""
    record = s.vmas[vma]
    pgoff = record["vm_pgoff"] + ((address - record["vm_start"]) >> PAGE_SHIFT)
    if pgoff >= s.files[record["vm_file"]]["nr_pages"]:
        return -EFAULT
    slot = alloc_pte(s, mm, pmd, address)
    if not pte_none(s.entries[slot]):
        return -EEXIST
    map_file_page(s, vma, slot, filemap_fault(s, record["vm_file"], pgoff), False)
    return address + PAGE_SIZE


@kernel
def _install_one(s: State, mm: int, position: int, address: int, end: int, kind: int) -> int:
    """Install what is at ``address``: the address to go on at, or -errno."""
    vma = s.order[position]
    anonymous = s.vmas[vma]["vm_file"] == 0
    if kind == ANON and not anonymous:
        error = handle_mm_fault(s, mm, position, address, True)
        return error if error != 0 else address + PAGE_SIZE
    pmd = alloc_pmd(s, mm, address)
    if kind == FILE:
        return _install_file_page(s, mm, vma, pmd, address)
    if kind == THP:
        if not pte_none(s.entries[pmd]):
            return -EEXIST
        do_huge_pmd_anonymous_page(s, mm, position, pmd, address, True)
        return address + PMD_SIZE
    if kind == THP_PTE:
        stop = min(end, (address & -PMD_SIZE) + PMD_SIZE)
        return _install_thp_pte(s, mm, position, address, end) if _is_empty(s, mm, address, stop) else -EEXIST
    if pmd_huge(s.entries[pmd]):
        return -EEXIST
    slot = alloc_pte(s, mm, pmd, address)
    if not pte_none(s.entries[slot]):
        return -EEXIST
    if kind == ANON:  # one page, whatever folios a fault would bring
        anon_vma_prepare(s, mm, position)
        map_new_anon(s, vma, address, slot)
    else:
        do_anonymous_page(s, mm, position, slot, address, False)
    return address + PAGE_SIZE


@unit
def install_pages(s: State, mm: int, address: int, end: int, kind: int) -> int:
    """Make [address, end) resident as ``kind``, whatever the protection: 0, -errno, or -NEED_ROOM with State.ctl[CURSOR].

    -EFAULT: no VMA; -EINVAL: a kind that the VMA cannot have, or a huge page that is not aligned; -EEXIST: mapped already.
    """
    while address < end:
        position = find_vma(s, mm, address)
        if position == s.mms[mm]["map_count"] or s.vmas[s.order[position]]["vm_start"] > address:
            return -EFAULT
        record = s.vmas[s.order[position]]
        anonymous = record["vm_file"] == 0
        if anonymous != (kind != FILE) and kind != ANON:
            return -EINVAL
        if record["vm_flags"] & (VM_IO | VM_PFNMAP | VM_HUGETLB) != 0:  # no pages of ours
            return -EINVAL
        stop = min(end, record["vm_end"])
        if kind == THP and ((address | stop) & (PMD_SIZE - 1)) != 0:
            return -EINVAL
        if _low(s):
            s.ctl[CURSOR] = address
            return -NEED_ROOM
        address = _install_one(s, mm, position, address, stop, kind)
        if address < 0:
            return address
    lru_add_drain(s)
    return 0


@kernel
def _keep_lazyfree(s: State, pfn: int) -> None:
    """Reclaim has found a page of MADV_FREE dirty: it belongs to swap again.  Part of try_to_unmap_one()."""
    on_list = s.pages[pfn]["flags"] & PG_lru != 0
    if on_list:
        del_page_from_lru_list(s.pages, s.counters, s.ctl[KERNEL], pfn)
    s.pages[pfn]["flags"] |= PG_swapbacked | PG_dirty
    if on_list:
        add_page_to_lru_list(s.pages, s.counters, s.ctl[KERNEL], pfn)


@step
def give_up_swap(s: State, pfn: int) -> None:
    """A page that has turned out to be locked needs no place in swap."""
    try_to_free_swap(s, pfn)


@step
def unmap_to_swap(s: State, pfn: int, slot: int, vm_flags: int, held: int) -> bool:
    """Unmap a page that no VMA locks, unless others than its mapping and swap refer to it: whether it was unmapped.

    ``held``: references that the caller has.  Needs the page table lock.
    """
    page = s.pages[pfn]
    if page["refcount"] != (2 if page["flags"] & PG_swapcache != 0 else 1) + held:
        return False
    if page["flags"] & PG_swapbacked == 0:
        dirty = s.entries[slot] & _PAGE_DIRTY != 0 or page["flags"] & PG_dirty != 0
        if dirty and vm_flags & VM_DROPPABLE == 0:  # written to again
            _keep_lazyfree(s, pfn)
            return False
        s.entries[slot] = 0
        page_remove_rmap(s, pfn, vm_flags, False)
        put_page(s, pfn)
        return True
    exclusive = SWP_EXCLUSIVE if s.ctl[KERNEL] >= V6_1 and page["flags"] & PG_anon_exclusive != 0 else 0
    page_remove_rmap(s, pfn, vm_flags, False)
    s.entries[slot] = swap_entry(SWP_SWAPFILE | exclusive, int(page_to_slot(s, pfn)))
    return True


@kernel
def _reclaim(s: State, pfn: int, slot: int, vm_flags: int) -> bool:
    """Reclaim has chosen an evictable anonymous page of order 0: whether it has left, to swap or, after MADV_FREE, for good.

    What is mapped by a VM_LOCKED VMA without being mlocked is found in the rmap walk, and mlocked late.

    Models shrink_page_list() and try_to_unmap_one(), simplified: pages that are mapped once.
    """
    if vm_flags & VM_LOCKED == 0:
        return unmap_to_swap(s, pfn, slot, vm_flags, 0)
    if s.ctl[KERNEL] >= V6_1:
        mlock_vma_page(s, pfn, vm_flags, False)
    else:
        mlock_vma_page_5_10(s, pfn)
    give_up_swap(s, pfn)
    return False


@unit
def swap_out(s: State, mm: int, address: int, end: int) -> int:
    """Reclaim the order-0 anonymous pages of [address, end) that are mapped once: how many were replaced by swap entries.

    Those that MADV_FREE has left clean are dropped, and counted too.  Pages of VM_LOCKED VMAs stay.
    """
    swapped = 0
    lru_add_drain(s)
    while address < end:
        slot = find_pte(s, mm, address)
        position = find_vma(s, mm, address)
        if slot != 0 and position < s.mms[mm]["map_count"] and pte_present(s.entries[slot]):
            entry = s.entries[slot]
            pfn = pte_pfn(entry)
            evictable = entry & _PAGE_SPECIAL == 0 and not is_zero_pfn(s.pages, pfn) and not page_trans_compound(s.pages, pfn)
            if evictable and s.pages[pfn]["mapping"] & 1 != 0 and not is_unevictable(s, pfn):
                swapped += 1 if _reclaim(s, pfn, slot, s.vmas[s.order[position]]["vm_flags"]) else 0
        address += PAGE_SIZE
    lru_add_drain(s)
    return swapped


@kernel
def is_unevictable(s: State, pfn: int) -> bool:
    """Whether reclaim would pass over the page."""
    return s.pages[pfn]["flags"] & (PG_mlocked | PG_unevictable) != 0
