"""mmap, munmap and mprotect: mm/mmap.c, mm/mprotect.c."""

from __future__ import annotations

from .constants import (
    EACCES,
    EAGAIN,
    EEXIST,
    EINVAL,
    ENOMEM,
    EPERM,
    HPAGE_PMD_NR,
    MAP_DROPPABLE,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_HUGETLB,
    MAP_LOCKED,
    MAP_NONBLOCK,
    MAP_NORESERVE,
    MAP_POPULATE,
    MAP_PRIVATE,
    MAP_SHARED,
    MAP_TYPE,
    PAGE_SHIFT,
    PAGE_SIZE,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
    VM_ACCESS_FLAGS,
    VM_ACCOUNT,
    VM_DONTDUMP,
    VM_DROPPABLE,
    VM_HUGETLB,
    VM_LOCK_BITS,
    VM_LOCKED,
    VM_MAYEXEC,
    VM_MAYREAD,
    VM_MAYSHARE,
    VM_MAYWRITE,
    VM_NORESERVE,
    VM_SHARED,
    VM_SPECIAL,
    VM_WIPEONFORK,
    VM_WRITE,
    failure,
    page_align,
)
from .folio import File, Folio
from .gup import mm_populate, populate_vma_page_range
from .mlock import munlock_vma_pages_range
from .mmstruct import MMAP_WINDOW, MmStruct
from .pagetable import change_protection, finish_mmu, free_pgtables, zap_range
from .vma import Vma, change_flags_of_range, split_vma_unchecked, vma_expand_for_mmap, vma_merge, vma_merge_new_range

MMAP_MIN_PAGE = 16  # vm.mmap_min_addr


def get_unmapped_area(mm: MmStruct, addr: int | None, nr_pages: int, *, fixed: bool, plain: bool) -> int:
    """get_unmapped_area(), in bytes: the address itself if fixed, or a hint that is free; else the highest hole.

    `plain`: private anonymous memory, for which 6.12 looks for a hole that huge pages fit in.
    """
    task_pages = mm.machine.task_pages
    if nr_pages > task_pages:
        raise failure(ENOMEM)
    if fixed:
        addr = addr or 0
        if addr > 2**64 - PAGE_SIZE:  # its last 4095 addresses are what errors look like, and are taken for them
            raise failure(2**64 - addr)
        if addr > task_pages - nr_pages << PAGE_SHIFT:
            raise failure(ENOMEM)
        if addr % PAGE_SIZE:
            raise failure(EINVAL)
        return addr
    if addr:
        hint = max(addr >> PAGE_SHIFT, MMAP_MIN_PAGE) if addr >= PAGE_SIZE else 0
        across_window = hint <= MMAP_WINDOW < hint + nr_pages
        free = hint + nr_pages <= task_pages and not any(mm.overlapping(hint, hint + nr_pages))
        if hint and free and not across_window:
            return hint << PAGE_SHIFT
    if mm.folios and plain and not (addr or 0) >> PAGE_SHIFT and nr_pages % HPAGE_PMD_NR == 0:
        try:
            padded = find_hole(mm, nr_pages + HPAGE_PMD_NR, 0)
        except OSError:
            padded = 0
        if padded:  # up to the next multiple, a whole huge page up if it is one
            return (padded // HPAGE_PMD_NR + 1) * HPAGE_PMD_NR << PAGE_SHIFT
    asks_for_above = addr is not None and addr & -PAGE_SIZE > MMAP_WINDOW << PAGE_SHIFT
    return find_hole(mm, nr_pages, mm.machine.task_pages - MMAP_WINDOW if asks_for_above else 0) << PAGE_SHIFT


def find_hole(mm: MmStruct, nr_pages: int, above: int) -> int:
    """arch_get_unmapped_area_topdown(): the highest hole below mmap_base, or else the lowest above a third of it.

    `above`: pages behind the window that count too, since the hint lies there (5 levels only).
    """
    top = mm.machine.mmap_base + above
    for vma in reversed(mm.vmas):
        if top - vma.end >= nr_pages:
            break
        top = min(top, vma.start)
    if top - nr_pages >= MMAP_MIN_PAGE:
        return top - nr_pages
    bottom = -(-MMAP_WINDOW // 3)
    for vma in mm.vmas:
        if vma.start - bottom >= nr_pages:
            break
        bottom = max(bottom, vma.end)
    if bottom + nr_pages > MMAP_WINDOW + above:
        raise failure(ENOMEM)
    return bottom


def do_mmap(mm: MmStruct, addr: int | None, length: int, prot: int, flags: int, file: File | None, offset: int) -> int:
    """do_mmap() and the populating after it, whose errors nobody sees. Returns the address."""
    if offset % PAGE_SIZE:
        raise failure(EINVAL)
    if not length:
        raise failure(EINVAL)
    nr_pages = page_align(length) >> PAGE_SHIFT
    if not nr_pages or len(mm.vmas) > mm.machine.max_map_count:
        raise failure(ENOMEM)
    fixed, plain = bool(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)), file is None and flags & MAP_TYPE != MAP_SHARED
    addr = get_unmapped_area(mm, addr, nr_pages, fixed=fixed, plain=plain)
    start = addr >> PAGE_SHIFT
    if flags & MAP_FIXED_NOREPLACE and any(mm.overlapping(start, start + nr_pages)):
        raise failure(EEXIST)
    if flags & MAP_LOCKED and not mm.can_do_mlock:
        raise failure(EPERM)
    vm_flags = vm_flags_of(mm, prot, flags)
    if vm_flags & VM_LOCKED and not mm.may_lock(nr_pages):
        raise failure(EAGAIN)
    droppable = flags & MAP_TYPE == MAP_DROPPABLE and mm.folios and file is None and not flags & (MAP_LOCKED | MAP_HUGETLB)
    if flags & MAP_TYPE not in (MAP_SHARED, MAP_PRIVATE) and not droppable:
        raise failure(EINVAL)
    if droppable:
        vm_flags |= VM_DROPPABLE | VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP
    pgoff = offset >> PAGE_SHIFT
    if file is None:
        pgoff = 0 if vm_flags & VM_SHARED else start
    mmap_region(mm, start, start + nr_pages, vm_flags, file, pgoff)
    if vm_flags & VM_LOCKED or flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE:
        mm_populate(mm, start, start + nr_pages)
    return addr


def vm_flags_of(mm: MmStruct, prot: int, flags: int) -> int:
    """The vm_flags that an mmap() call asks for, mlockall()'s def_flags among them."""
    vm_flags = prot & VM_ACCESS_FLAGS | mm.def_flags | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC
    if flags & MAP_LOCKED:
        vm_flags |= VM_LOCKED
    if flags & MAP_TYPE == MAP_SHARED:
        vm_flags |= VM_SHARED | VM_MAYSHARE
    if flags & MAP_NORESERVE:
        vm_flags |= VM_NORESERVE
    return vm_flags


def mmap_region(mm: MmStruct, start: int, end: int, vm_flags: int, file: File | None, pgoff: int) -> None:
    """mmap_region(): unmap what is there, charge, extend a neighbour or make a VMA.

    6.12 charges first, less what was charged for the VMAs that go; where that fails they stay, though perhaps split.
    """
    nr_pages = end - start
    try:
        gone = gather_vmas(mm, start, end)
    except OSError:
        raise failure(ENOMEM) from None
    if not mm.folios:
        complete_munmap(mm, gone, start, end)
    if vm_flags & (VM_NORESERVE | VM_SHARED | VM_WRITE) == VM_WRITE:  # accountable_mapping()
        uncharged = sum(vma.nr_pages for vma in gone if vma.vm_flags & VM_ACCOUNT) if mm.folios else 0
        mm.machine.enough_memory(nr_pages - uncharged)
        vm_flags |= VM_ACCOUNT
    if mm.folios:
        complete_munmap(mm, gone, start, end)
        vma = vma_merge_new_range(mm, start, end, vm_flags, None, file, pgoff)
    elif mm.series:
        vma = vma_expand_for_mmap(mm, start, end, vm_flags, file, pgoff)
    else:
        vma = vma_merge(mm, mm.vma_before(start), start, end, vm_flags, None, file, pgoff)
    if vma is None:
        if vm_flags & VM_SHARED and file is None:  # shmem_zero_setup()
            if not vm_flags & VM_NORESERVE:
                mm.machine.enough_memory(nr_pages)
            file = File(nr_pages << PAGE_SHIFT, is_open=False)
        vma = Vma(start, end, vm_flags, pgoff, file)
        mm.insert(vma)
    mm.total_vm += nr_pages
    if vm_flags & VM_LOCKED:
        if vm_flags & (VM_SPECIAL | VM_HUGETLB | VM_DROPPABLE):
            vma.vm_flags &= ~VM_LOCK_BITS
        else:
            mm.add_locked_vm(nr_pages)


def munmap(mm: MmStruct, addr: int, length: int) -> None:
    """munmap(): a range without VMAs is no error."""
    limit = mm.machine.task_pages << PAGE_SHIFT
    if addr % PAGE_SIZE or addr > limit or length > limit - addr or not page_align(length):
        raise failure(EINVAL)
    do_munmap(mm, addr >> PAGE_SHIFT, addr + page_align(length) >> PAGE_SHIFT)


def do_munmap(mm: MmStruct, start: int, end: int) -> None:
    """do_munmap()."""
    if start != end:
        complete_munmap(mm, gather_vmas(mm, start, end), start, end)


def gather_vmas(mm: MmStruct, start: int, end: int) -> list[Vma]:
    """The first part of do_munmap(), vms_gather_munmap_vmas(): the VMAs of the range, cut where they reach beyond it."""
    first = mm.find_vma(start)
    if first is None or first.start >= end:
        return []
    if start > first.start:
        if end < first.end and len(mm.vmas) >= mm.machine.max_map_count:
            raise failure(ENOMEM)
        split_vma_unchecked(mm, first, start, new_below=False)
    last = mm.vma_lookup(end)
    if last is not None and last.start < end:
        split_vma_unchecked(mm, last, end, new_below=True)
    return list(mm.overlapping(start, end))


def complete_munmap(mm: MmStruct, vmas: list[Vma], start: int, end: int) -> None:
    """The rest of do_munmap(). Locked VMAs: 5.10 munlocks their pages first, unless locked_vm reads 0; later ones leave it
    to the rmap.
    """
    if not vmas:
        return
    if mm.series or mm.locked_vm:
        for vma in vmas:
            if vma.vm_flags & VM_LOCKED:
                mm.add_locked_vm(-vma.nr_pages)
                if not mm.series:
                    munlock_vma_pages_range(mm, vma, vma.start, vma.end)
    for vma in vmas:
        mm.remove(vma)
    unmap_region(mm, vmas, start, end)
    for vma in vmas:
        mm.total_vm -= vma.nr_pages
        vma.unlink_anon_vmas()
        release_file(mm, vma.file)


def unmap_region(mm: MmStruct, vmas: list[Vma], start: int, end: int) -> None:
    """unmap_region(): pages, then the page tables between the neighbours, for VMAs already off the list."""
    prev, following = mm.vma_before(start), mm.find_vma(start)
    mm.lru.drain()
    gather: list[Folio] = []
    for vma in vmas:
        gather += zap_range(mm, vma, vma.start, vma.end)
    spans = [(vma.start, vma.end) for vma in vmas]
    free_pgtables(mm, spans, prev.end if prev is not None else 0, following.start if following is not None else None)
    finish_mmu(mm, gather)


def release_file(mm: MmStruct, file: File | None) -> None:
    """fput(): with its last user a tmpfs file loses its page cache."""
    if file is not None and not file.is_open and not file.vmas:
        for folio in file.cache.values():
            folio.file = None
            mm.lru.put(folio)
        file.cache.clear()


def mprotect(mm: MmStruct, addr: int, length: int, prot: int) -> None:
    """mprotect(): VMA by VMA up to the first hole or failure."""
    if addr % PAGE_SIZE:
        raise failure(EINVAL)
    if not length:
        return
    if addr + page_align(length) >= 2**64 or not page_align(length):
        raise failure(ENOMEM)
    if prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | 8):
        raise failure(EINVAL)
    start, end = addr >> PAGE_SHIFT, addr + page_align(length) >> PAGE_SHIFT
    vma = mm.vma_lookup(start)
    if vma is None:
        raise failure(ENOMEM)
    prev = vma if start > vma.start else mm.vma_before(vma.start)
    while True:
        newflags = vma.vm_flags & ~VM_ACCESS_FLAGS | prot & VM_ACCESS_FLAGS
        if newflags & ~(newflags >> 4) & VM_ACCESS_FLAGS:
            raise failure(EACCES)
        stop = min(vma.end, end)
        prev = mprotect_fixup(mm, vma, prev, start, stop, newflags)
        start = max(stop, prev.end)
        if start >= end:
            return
        vma = mm.vma_lookup(start)
        if vma is None:
            raise failure(ENOMEM)


def mprotect_fixup(mm: MmStruct, vma: Vma, prev: Vma | None, start: int, end: int, newflags: int) -> Vma:
    """mprotect_fixup(): a private mapping that becomes writable is charged, once, and VM_ACCOUNT stays with it; in 6.12 not
    with anonymous memory that is made read-only again before anything was there.
    """
    oldflags = vma.vm_flags
    if newflags == oldflags:
        return vma
    if newflags & VM_WRITE and not oldflags & (VM_ACCOUNT | VM_WRITE | VM_HUGETLB | VM_SHARED | VM_NORESERVE):
        mm.machine.enough_memory(end - start)
        newflags |= VM_ACCOUNT
    if mm.folios and not newflags & VM_WRITE and vma.file is None and vma.anon_vma is None:
        newflags &= ~VM_ACCOUNT
    vma, _ = change_flags_of_range(mm, vma, prev, start, end, newflags)
    vma.vm_flags = newflags
    change_protection(mm, vma, start, end)
    if oldflags & (VM_WRITE | VM_SHARED | VM_LOCKED) == VM_LOCKED and newflags & VM_WRITE:
        populate_vma_page_range(mm, vma, start, end)
    return vma
