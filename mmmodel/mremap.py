"""mremap.

Models mm/mremap.c, 5.10 to 6.12; whole PMD tables are never moved (move_normal_pud() of 6.1 and 6.12), nor addresses taken back
to the start of a page table (try_realign_addr() of 6.12), which none of the answers here shows but the tables that a later
munmap() is counted to read.
"""

from __future__ import annotations

from mmmodel.constants import (
    MAP_FIXED,
    MAP_SHARED,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    PAGE_NUMBERS,
    PAGE_SHIFT,
    PAGE_SIZE,
    PMD_SIZE,
    VM_ACCOUNT,
    VM_DONTEXPAND,
    VM_HUGETLB,
    VM_LOCKED,
    VM_LOCKED_CLEAR_MASK,
    VM_MAYSHARE,
    VM_PFNMAP,
    VM_SHARED,
)
from mmmodel.errno_codes import EFAULT, EINVAL, ENOMEM
from mmmodel.jit import kernel, unit
from mmmodel.kernels import V6_1, V6_12
from mmmodel.mmap import (
    do_munmap,
    get_unmapped_area,
    insert_vma,
    mlock_future_check,
    vm_enough_memory,
)
from mmmodel.pagenumber import page_address, page_count, page_number
from mmmodel.pgtable import alloc_pmd, alloc_pte, next_pmd, pmd_huge, pmd_present, pte_none, pte_offset
from mmmodel.rmap import anon_vma_clone, unlink_anon_vmas
from mmmodel.split import split_huge_pmd
from mmmodel.state import KERNEL, MAX_MAP_COUNT, State
from mmmodel.vma import find_vma, find_vma_intersection, split_vma, vma_merge_new_range, vma_pages


@kernel
def _move_ptes(s: State, pmd: int, new_pmd: int, old: int, end: int, new: int) -> None:
    """Move the entries of [old, end), which lie in one page table, into another.  Models move_ptes()."""
    source, target = pte_offset(s, pmd, old), pte_offset(s, new_pmd, new)
    for i in range((end - old) >> PAGE_SHIFT):
        if not pte_none(s.entries[source + i]):
            s.entries[target + i] = s.entries[source + i]
            s.entries[source + i] = 0


@unit
def move_page_tables(s: State, mm: int, vm_flags: int, old: int, new: int, length: int) -> None:
    """Move the entries of [old, old + length) to ``new``.  Pages keep their flags and counts: nothing is unmapped.

    Extents end where a page table ends on either side; one of 2 MiB moves as a huge PMD or as a whole page table if there is
    none at the new place, so that the old one is free for a huge page.

    Models move_page_tables().
    """
    end = old + length
    while old < end:
        address, pmd = next_pmd(s, mm, old, end)
        if pmd == 0:
            return
        new += address - old
        old = address
        extent = min((old & -PMD_SIZE) + PMD_SIZE, end) - old
        extent = min(extent, (new & -PMD_SIZE) + PMD_SIZE - new)
        new_pmd = alloc_pmd(s, mm, new)
        if extent == PMD_SIZE and pte_none(s.entries[new_pmd]):
            s.entries[new_pmd] = s.entries[pmd]
            s.entries[pmd] = 0
        else:
            if pmd_huge(s.entries[pmd]):
                split_huge_pmd(s, mm, pmd, vm_flags)
            if pmd_present(s.entries[pmd]):
                alloc_pte(s, mm, new_pmd, new)
                _move_ptes(s, pmd, new_pmd, old, old + extent, new)
        old += extent
        new += extent


@unit
def copy_vma(s: State, mm: int, vma: int, address: int, length: int, pgoff: int, keep_source: bool) -> int:
    """A VMA for the new place, merged with its neighbours where possible: its slot.  Models copy_vma().

    A never faulted anonymous VMA takes the offset of its new place, and may then merge with the very VMA it is copied from, but
    not if that is to stay: then 6.1 merges with neither neighbour, 6.12 with the other one.
    """
    record = s.vmas[vma]
    vm_flags, file, anon_vma = record["vm_flags"], record["vm_file"], record["anon_vma"]
    fresh = file == 0 and anon_vma == 0
    if fresh:
        pgoff = address >> PAGE_SHIFT
    adjacent = address == record["vm_end"] or record["vm_start"] == address + length
    apart = vma if fresh and keep_source else 0
    if not (apart != 0 and adjacent and V6_1 <= s.ctl[KERNEL] < V6_12):
        merged = vma_merge_new_range(s, mm, address, address + length, vm_flags, anon_vma, file, pgoff, apart)
        if merged >= 0:
            return s.order[merged]
    new = insert_vma(s, mm, address, address + length, vm_flags, file, pgoff)
    s.vmas[new]["anon_vma"] = anon_vma
    anon_vma_clone(s, new, vma)
    return new


@kernel
def _split_before_dontunmap(s: State, mm: int, old: int, length: int) -> int:
    """6.1 splits off the moved part of a locked VMA first; 5.10 does not, and forgets to account (see _leave_behind)."""
    position = find_vma(s, mm, old)
    if s.vmas[s.order[position]]["vm_start"] != old:
        error = split_vma(s, mm, position, old)
        if error != 0:
            return error
        position += 1
    if s.vmas[s.order[position]]["vm_end"] != old + length:
        return split_vma(s, mm, position, old + length)
    return 0


@kernel
def _leave_behind(s: State, mm: int, vma: int, new_vma: int, old: int, length: int) -> None:
    """MREMAP_DONTUNMAP: the old VMA stays, unlocked and empty.

    5.10 clears VM_LOCKED on all of it though only a part may have moved: the rest stays in locked_vm for good.  It also
    believes that taking out the middle has split the VMA, and gives VM_ACCOUNT to the next one, whatever that is.
    """
    record = s.vmas[vma]
    if s.ctl[KERNEL] < V6_1 and record["vm_flags"] & VM_ACCOUNT != 0 and new_vma != vma:
        following = find_vma(s, mm, record["vm_end"])
        if record["vm_start"] < old and old + length < record["vm_end"] and following < s.mms[mm]["map_count"]:
            s.vmas[s.order[following]]["vm_flags"] |= VM_ACCOUNT
    if record["vm_flags"] & VM_LOCKED != 0:
        s.mms[record["vm_mm"]]["locked_vm_leak"] += vma_pages(s, vma) - (length >> PAGE_SHIFT)
    record["vm_flags"] &= VM_LOCKED_CLEAR_MASK
    if s.ctl[KERNEL] >= V6_1 and record["vm_start"] == old and record["vm_end"] == old + length:
        unlink_anon_vmas(s, vma)
        if record["vm_file"] == 0:
            record["vm_pgoff"] = record["vm_start"] >> PAGE_SHIFT


@unit
def move_vma(s: State, mm: int, old: int, old_length: int, new: int, new_length: int, flags: int) -> int:
    """Move a mapping: the new address, or -errno.  Models move_vma()."""
    if s.mms[mm]["map_count"] >= s.ctl[MAX_MAP_COUNT] - 3:
        return -ENOMEM
    vma = s.order[find_vma(s, mm, old)]
    vm_flags = s.vmas[vma]["vm_flags"]
    keep = flags & MREMAP_DONTUNMAP != 0
    if keep and vm_flags & VM_LOCKED != 0 and s.ctl[KERNEL] >= V6_1:
        error = _split_before_dontunmap(s, mm, old, old_length)
        if error != 0:
            return error
        vma = s.order[find_vma(s, mm, old)]
    to_account = new_length if keep else new_length - old_length
    if s.ctl[KERNEL] >= V6_1 and vm_flags & VM_ACCOUNT != 0 and not vm_enough_memory(s, to_account >> PAGE_SHIFT):
        return -ENOMEM
    pgoff = s.vmas[vma]["vm_pgoff"] + ((old - s.vmas[vma]["vm_start"]) >> PAGE_SHIFT)
    new_vma = copy_vma(s, mm, vma, new, new_length, pgoff, keep)
    vma = s.order[find_vma(s, mm, old)]  # may have been merged into the new one
    move_page_tables(s, mm, vm_flags, old, new, old_length)
    s.mms[mm]["total_vm"] += new_length >> PAGE_SHIFT
    if keep:
        _leave_behind(s, mm, vma, new_vma, old, old_length)
        return new
    if old_length != 0:
        do_munmap(s, mm, old, old_length)
    if vm_flags & VM_LOCKED != 0:
        s.mms[mm]["locked_vm"] += new_length >> PAGE_SHIFT
    return new


@kernel
def vma_to_resize(s: State, mm: int, address: int, old_length: int, new_length: int, flags: int) -> int:
    """Whether the mapping at ``address`` may change its size: 0 or -errno.  Models vma_to_resize()."""
    position = find_vma(s, mm, address)
    if position == s.mms[mm]["map_count"] or s.vmas[s.order[position]]["vm_start"] > address:
        return -EFAULT
    record = s.vmas[s.order[position]]
    vm_flags = record["vm_flags"]
    if old_length == 0 and vm_flags & (VM_SHARED | VM_MAYSHARE) == 0:
        return -EINVAL
    if flags & MREMAP_DONTUNMAP != 0:
        if s.ctl[KERNEL] >= V6_1 and vm_flags & (VM_DONTEXPAND | VM_PFNMAP) != 0:
            return -EINVAL
        if s.ctl[KERNEL] < V6_1 and record["vm_file"] != 0:  # before 5.13: private anonymous memory only
            return -EINVAL
    if old_length > record["vm_end"] - address:
        return -EFAULT
    if new_length == old_length:
        return 0
    if vm_flags & (VM_DONTEXPAND | VM_PFNMAP) != 0:
        return -EFAULT
    error = mlock_future_check(s, mm, vm_flags, new_length - old_length)  # 5.10 compares bytes: the same
    if error != 0 or s.ctl[KERNEL] >= V6_1 or vm_flags & VM_ACCOUNT == 0:
        return error
    return 0 if vm_enough_memory(s, (new_length - old_length) >> PAGE_SHIFT) else -ENOMEM


@kernel
def _mremap_map_flags(s: State, mm: int, address: int) -> int:
    """MAP_SHARED if the VMA at ``address`` is shared, as the search for another place wants to know."""
    return MAP_SHARED if s.vmas[s.order[find_vma(s, mm, address)]]["vm_flags"] & VM_MAYSHARE != 0 else 0


@unit
def _mremap_to(s: State, mm: int, old: int, old_length: int, new: int, new_length: int, flags: int) -> int:
    """Move to a given place (or, for DONTUNMAP alone, to any).  Models mremap_to()."""
    task_size = s.mms[mm]["task_size"]
    if new & (PAGE_SIZE - 1) != 0 or new_length > task_size or new < 0 or new > task_size - new_length:
        return -EINVAL
    old_end = (page_number(old) + (old_length >> PAGE_SHIFT)) & PAGE_NUMBERS  # may have wrapped
    if old_end > page_number(new) and page_number(new + new_length) > page_number(old):
        return -EINVAL
    if s.mms[mm]["map_count"] + 2 >= s.ctl[MAX_MAP_COUNT] - 3:
        return -ENOMEM
    if flags & MREMAP_FIXED != 0:
        error = do_munmap(s, mm, new, new_length)
        if error != 0:
            return error
    if old_length > new_length:
        error = do_munmap(s, mm, old + new_length, old_length - new_length)
        if error != 0:
            return error
        old_length = new_length
    error = vma_to_resize(s, mm, old, old_length, new_length, flags)
    if error != 0:
        return error
    map_flags = _mremap_map_flags(s, mm, old) | (MAP_FIXED if flags & MREMAP_FIXED != 0 else 0)
    found = get_unmapped_area(s, mm, new, new_length, map_flags, s.vmas[s.order[find_vma(s, mm, old)]]["vm_file"])
    if found < 0:
        return found
    return move_vma(s, mm, old, old_length, found, new_length, flags)


@unit
def _expand_in_place(s: State, mm: int, position: int, end: int) -> int:
    """Grow the VMA at ``position`` up to ``end``: 0 or -ENOMEM.  6.1 lets the extension merge with the next VMA as well."""
    vma = s.order[position]
    record = s.vmas[vma]
    pages = (end - record["vm_end"]) >> PAGE_SHIFT
    if record["vm_flags"] & VM_ACCOUNT != 0 and not vm_enough_memory(s, pages):
        return -ENOMEM
    vm_flags = record["vm_flags"]
    if s.ctl[KERNEL] >= V6_1:
        pgoff = record["vm_pgoff"] + vma_pages(s, vma)
        start = record["vm_end"]
        if vma_merge_new_range(s, mm, start, end, vm_flags, record["anon_vma"], record["vm_file"], pgoff, 0) < 0:
            return -ENOMEM
    else:
        record["vm_end"] = end
    s.mms[mm]["total_vm"] += pages
    if vm_flags & VM_LOCKED != 0:
        s.mms[mm]["locked_vm"] += pages
    return 0


@unit
def do_mremap(s: State, mm: int, old: int, old_length: int, new_length: int, flags: int, new: int) -> int:
    """The address, or -errno.  Models mremap(), simplified: no huge TLB pages."""
    if flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP) != 0:
        return -EINVAL
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) != 0 and flags & MREMAP_MAYMOVE == 0:
        return -EINVAL
    if flags & MREMAP_DONTUNMAP != 0 and old_length != new_length:
        return -EINVAL
    if old & (PAGE_SIZE - 1) != 0:
        return -EINVAL
    old_pages, new_pages = page_count(old_length), page_count(new_length)
    if new_pages == 0:
        return -EINVAL
    old_length, new_length = page_address(old_pages), page_address(new_pages)
    old = page_address(page_number(old))
    position = find_vma(s, mm, old)
    mapped = position < s.mms[mm]["map_count"] and s.vmas[s.order[position]]["vm_start"] <= old
    if s.ctl[KERNEL] >= V6_1 and not mapped:  # 5.10 does not look before it shrinks or unmaps the target
        return -EFAULT
    if mapped and s.vmas[s.order[position]]["vm_flags"] & VM_HUGETLB != 0:  # not modelled: as if it were not aligned
        return -EINVAL
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) != 0:
        return _mremap_to(s, mm, old, old_length, new, new_length, flags)
    if old_pages >= new_pages:
        if old_pages != new_pages:
            tail = page_address((page_number(old) + new_pages) & PAGE_NUMBERS)
            error = do_munmap(s, mm, tail, page_address(old_pages - new_pages))
            if error != 0:
                return error
        return old
    error = vma_to_resize(s, mm, old, old_length, new_length, flags)
    if error != 0:
        return error
    end = old + new_length
    to_the_end = old + old_length == s.vmas[s.order[position]]["vm_end"] and end <= s.mms[mm]["task_size"]
    if to_the_end and not find_vma_intersection(s, mm, old + old_length, end):
        error = _expand_in_place(s, mm, position, end)
        return error if error != 0 else old
    if flags & MREMAP_MAYMOVE == 0:
        return -ENOMEM
    new = get_unmapped_area(s, mm, 0, new_length, _mremap_map_flags(s, mm, old), s.vmas[s.order[position]]["vm_file"])
    return move_vma(s, mm, old, old_length, new, new_length, flags) if new >= 0 else new
