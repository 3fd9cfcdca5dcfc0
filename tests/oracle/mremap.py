"""mremap: mm/mremap.c, and copy_vma() of mm/mmap.c."""

from __future__ import annotations

from .constants import (
    EAGAIN,
    EFAULT,
    EINVAL,
    ENOMEM,
    HPAGE_PMD_NR,
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    PAGE_SHIFT,
    PAGE_SIZE,
    VM_ACCOUNT,
    VM_DONTEXPAND,
    VM_LOCK_BITS,
    VM_LOCKED,
    VM_PFNMAP,
    VM_SHARED,
    failure,
    page_align,
)
from .gup import mm_populate
from .mmap import do_munmap, get_unmapped_area
from .mmstruct import MmStruct
from .pagetable import alloc_upper_tables, split_huge_pmd
from .vma import Vma, split_vma, vma_merge, vma_merge_new_range

NR_PAGE_NUMBERS = 1 << 52  # of 64-bit addresses


def mremap(mm: MmStruct, addr: int, old_len: int, new_len: int, flags: int, new_addr: int) -> int:
    """mremap(2). Returns the new address in bytes; the grown part of a locked VMA is populated, errors ignored."""
    if flags & ~(MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_DONTUNMAP) or addr % PAGE_SIZE:
        raise failure(EINVAL)
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) and not flags & MREMAP_MAYMOVE:
        raise failure(EINVAL)
    if flags & MREMAP_DONTUNMAP and old_len != new_len:
        raise failure(EINVAL)
    old_pages, new_pages = page_align(old_len) >> PAGE_SHIFT, page_align(new_len) >> PAGE_SHIFT
    if not new_pages:
        raise failure(EINVAL)
    start = addr >> PAGE_SHIFT
    if mm.series and mm.vma_lookup(start) is None:  # 5.10 does not look before it shrinks
        raise failure(EFAULT)
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP):
        moved = mremap_to(mm, start, old_pages, new_addr, new_pages, flags)
    elif old_pages >= new_pages:
        if old_pages > new_pages:
            unmap_checked(mm, start + new_pages, old_pages - new_pages)
        return addr
    else:
        moved = grow(mm, start, old_pages, new_pages, flags)
    if new_pages > old_pages and mm.vma_at(moved).vm_flags & VM_LOCKED:
        mm_populate(mm, moved + old_pages, moved + new_pages)
    return moved << PAGE_SHIFT


def unmap_checked(mm: MmStruct, start: int, nr_pages: int) -> None:
    """do_munmap() as mremap() calls it: with the range check of munmap(); the start is a sum that may have wrapped."""
    start %= NR_PAGE_NUMBERS
    if start + nr_pages > mm.machine.task_pages:
        raise failure(EINVAL)
    do_munmap(mm, start, start + nr_pages)


def grow(mm: MmStruct, start: int, old_pages: int, new_pages: int, flags: int) -> int:
    """The growing part of mremap(2): in place if there is room behind the VMA, else by a move."""
    vma = vma_to_resize(mm, start, old_pages, new_pages, flags)
    delta = new_pages - old_pages
    end = vma.end + delta
    if start + old_pages == vma.end and end <= mm.machine.task_pages and not any(mm.overlapping(vma.end, end)):
        if vma.vm_flags & VM_ACCOUNT:
            mm.machine.enough_memory(delta)
        if not mm.series:
            vma.end = end
        else:  # may join the next VMA too
            added = vma.vm_flags, vma.anon_vma, vma.file, vma.pgoff_of(vma.end)
            merged = vma_merge_new_range(mm, vma.end, end, *added) if mm.folios else vma_merge(mm, vma, vma.end, end, *added)
            if merged is None:
                raise failure(ENOMEM)
            vma = merged
        mm.total_vm += delta
        if vma.vm_flags & VM_LOCKED:
            mm.add_locked_vm(delta)
        return start
    if not flags & MREMAP_MAYMOVE:
        raise failure(ENOMEM)
    target = get_unmapped_area(mm, None, new_pages, fixed=False, plain=vma.file is None) >> PAGE_SHIFT
    return move_vma(mm, vma, start, old_pages, new_pages, target, flags)


def vma_to_resize(mm: MmStruct, start: int, old_pages: int, new_pages: int, flags: int) -> Vma:
    """vma_to_resize(): the checks. 5.10 compares the lock limit in bytes, and DONTUNMAP wants private anonymous memory."""
    vma = mm.vma_lookup(start)
    if vma is None:
        raise failure(EFAULT)
    if not old_pages and not vma.vm_flags & VM_SHARED:
        raise failure(EINVAL)
    refuses_dontunmap = vma.vm_flags & (VM_DONTEXPAND | VM_PFNMAP) if mm.series else vma.file is not None
    if flags & MREMAP_DONTUNMAP and refuses_dontunmap:
        raise failure(EINVAL)
    if old_pages > vma.end - start:
        raise failure(EFAULT)
    if new_pages == old_pages:
        return vma
    if vma.vm_flags & (VM_DONTEXPAND | VM_PFNMAP):
        raise failure(EFAULT)
    if vma.vm_flags & VM_LOCKED and not mm.cap_ipc_lock:
        locked = mm.locked_vm + new_pages - old_pages
        if locked > mm.memlock_limit if mm.series else locked << PAGE_SHIFT > mm.rlimit_memlock:
            raise failure(EAGAIN)
    if not mm.series and vma.vm_flags & VM_ACCOUNT:
        mm.machine.enough_memory(new_pages - old_pages)
    return vma


def mremap_to(mm: MmStruct, start: int, old_pages: int, new_addr: int, new_pages: int, flags: int) -> int:
    """mremap_to(): MREMAP_FIXED, which unmaps the target first whatever follows, and MREMAP_DONTUNMAP."""
    task_pages = mm.machine.task_pages
    if new_addr % PAGE_SIZE or new_pages > task_pages or new_addr >> PAGE_SHIFT > task_pages - new_pages:
        raise failure(EINVAL)
    target = new_addr >> PAGE_SHIFT
    if (start + old_pages) % NR_PAGE_NUMBERS > target and target + new_pages > start:
        raise failure(EINVAL)
    if len(mm.vmas) + 2 >= mm.machine.max_map_count - 3:
        raise failure(ENOMEM)
    if flags & MREMAP_FIXED:
        unmap_checked(mm, target, new_pages)
    if old_pages > new_pages:
        unmap_checked(mm, start + new_pages, old_pages - new_pages)
        old_pages = new_pages
    vma = vma_to_resize(mm, start, old_pages, new_pages, flags)
    fixed = bool(flags & MREMAP_FIXED)
    target = get_unmapped_area(mm, new_addr, new_pages, fixed=fixed, plain=vma.file is None) >> PAGE_SHIFT
    return move_vma(mm, vma, start, old_pages, new_pages, target, flags)


def move_vma(mm: MmStruct, vma: Vma, start: int, old_pages: int, new_pages: int, target: int, flags: int) -> int:
    """move_vma(): returns the target.

    The new VMA is locked like the old one. MREMAP_DONTUNMAP takes the lock bits from the old VMA: from all of it in
    5.10, which thereby forgets to give back the locked_vm of what was not moved; 6.1 splits it before.
    """
    if len(mm.vmas) >= mm.machine.max_map_count - 3:
        raise failure(ENOMEM)
    dont_unmap, vm_flags, end = bool(flags & MREMAP_DONTUNMAP), vma.vm_flags, start + old_pages
    if mm.series and dont_unmap and vm_flags & VM_LOCKED:
        if vma.start != start:
            split_vma(mm, vma, start, new_below=True)
        if vma.end != end:
            split_vma(mm, vma, end, new_below=False)
    if mm.series and vm_flags & VM_ACCOUNT:
        mm.machine.enough_memory(new_pages - (0 if dont_unmap else old_pages))
    new, vma = copy_vma(mm, vma, target, new_pages, vma.pgoff_of(start), keep_source=dont_unmap)
    move_page_tables(mm, vma, start, target, old_pages)
    excess, split = 0, False
    if vm_flags & VM_ACCOUNT and not (dont_unmap and mm.series):
        vma.vm_flags &= ~VM_ACCOUNT
        excess = vma.nr_pages - old_pages
        split = start > vma.start and end < vma.end
    mm.total_vm += new_pages
    if dont_unmap:
        vma.vm_flags = vma.vm_flags & ~VM_LOCK_BITS | vm_flags & VM_ACCOUNT
        split = split and new is not vma
        if mm.series and (vma.start, vma.end) == (start, end):
            vma.unlink_anon_vmas()
            vma.pgoff = vma.start if vma.file is None else vma.pgoff
    else:
        do_munmap(mm, start, end)
        if vm_flags & VM_LOCKED:
            mm.add_locked_vm(new_pages)
    if excess and old_pages:
        vma.vm_flags |= VM_ACCOUNT
        following = mm.find_vma(vma.end)
        if split and following is not None:
            following.vm_flags |= VM_ACCOUNT
    return target


def copy_vma(mm: MmStruct, vma: Vma, target: int, nr_pages: int, pgoff: int, *, keep_source: bool) -> tuple[Vma, Vma]:
    """copy_vma(): the new VMA, perhaps a neighbour that grew, and the old one, which may be the same.

    Unfaulted anonymous memory gets the page offset of its new place, so that it can merge there.
    """
    may_merge = True
    if mm.folios:
        never_faulted = vma.file is None and vma.anon_vma is None
        pgoff = target if never_faulted else pgoff
        apart = vma if never_faulted and keep_source else None
        what = vma.vm_flags, vma.anon_vma, vma.file, pgoff
        old_start, grown = vma.start, vma_merge_new_range(mm, target, target + nr_pages, *what, apart)
        if grown is not None:
            return grown, grown if grown.start <= old_start < grown.end else vma
        may_merge = False
    elif vma.file is None and vma.anon_vma is None:
        pgoff = target
        may_merge = not (mm.series and keep_source and (target == vma.end or target + nr_pages == vma.start))
    if may_merge:
        old_start, prev = vma.start, mm.vma_before(target)
        merged = vma_merge(mm, prev, target, target + nr_pages, vma.vm_flags, vma.anon_vma, vma.file, pgoff)
        if merged is not None:
            return merged, merged if merged.start <= old_start < merged.end else vma
    new = Vma(target, target + nr_pages, vma.vm_flags, pgoff, vma.file)
    new.take_anon_vma(vma)
    mm.insert(new)
    return new, vma


def move_page_tables(mm: MmStruct, vma: Vma, start: int, target: int, nr_pages: int) -> None:
    """move_page_tables(): in extents within one page table on either side; whole tables and huge PMDs at once."""
    delta = target - start
    for nr in sorted(nr for nr in mm.tables | mm.pmds.keys() if start < (nr + 1) << 9 and nr << 9 < start + nr_pages):
        at, end = max(start, nr << 9), min(start + nr_pages, (nr + 1) << 9)
        while at < end:
            stop = min(end, ((at + delta) | (HPAGE_PMD_NR - 1)) + 1 - delta)
            move_extent(mm, vma, at, stop, delta)
            at = stop


def move_extent(mm: MmStruct, vma: Vma, start: int, end: int, delta: int) -> None:
    """move_huge_pmd(), move_normal_pmd() or move_ptes()."""
    nr, new_nr = start >> 9, start + delta >> 9
    whole = end - start == HPAGE_PMD_NR
    alloc_upper_tables(mm, start + delta)
    if nr in mm.pmds:
        if whole and new_nr not in mm.tables:
            pmd = mm.pmds[new_nr] = mm.pmds.pop(nr)
            if pmd.folio is not None:
                pmd.folio.unmap_pmd(mm, start)
                pmd.folio.map_pmd(mm, start + delta)
            return
        split_huge_pmd(mm, vma, nr)
    elif whole and new_nr not in mm.tables:
        mm.tables.remove(nr)
    mm.tables.add(new_nr)
    for vpn in mm.in_swap(start, end):
        mm.swapped[vpn + delta] = mm.swapped.pop(vpn)
    for vpn in mm.populated(start, end):
        pte = mm.ptes[vpn + delta] = mm.ptes.pop(vpn)
        if pte.folio is not None:
            pte.folio.unmap_pte(mm, vpn, pte.subpage)
            pte.folio.map_pte(mm, vpn + delta, pte.subpage)
