"""mm/mlock.c: the locking of ranges, and the two ways of munlocking pages."""

from __future__ import annotations

from bisect import bisect_left

from .constants import (
    EAGAIN,
    EFAULT,
    EINVAL,
    ENOMEM,
    EPERM,
    HPAGE_PMD_NR,
    MCL_CURRENT,
    MCL_FUTURE,
    MCL_ONFAULT,
    PAGE_SHIFT,
    PAGE_SIZE,
    PAGEVEC_SIZE,
    VM_DROPPABLE,
    VM_HUGETLB,
    VM_LOCK_BITS,
    VM_LOCKED,
    VM_LOCKONFAULT,
    VM_SPECIAL,
    failure,
    page_align,
)
from .folio import Folio
from .gup import mm_populate
from .lru import Lru61, Lru510
from .mmstruct import MmStruct
from .pagetable import pte_batch
from .vma import Vma, change_flags_of_range


def c_int(number: int) -> int:
    """What is left of a number in a C int: mlock_fixup() counts pages in one, in 6.12 in a long."""
    return (number + 2**31) % 2**32 - 2**31


def page_range(start: int, length: int) -> tuple[int, int]:
    """Round as mlock() and munlock() do, in unsigned long arithmetic: (first page, pages)."""
    length = page_align((length + start % PAGE_SIZE) % 2**64)
    return start >> PAGE_SHIFT, length >> PAGE_SHIFT


def do_mlock(mm: MmStruct, start: int, length: int, flags: int) -> None:
    """do_mlock(): permission, rlimit, the VMAs, and then the pages; what was done before a failure stays."""
    if not mm.can_do_mlock:
        raise failure(EPERM)
    first, nr_pages = page_range(start, length)
    locked = nr_pages + mm.locked_vm
    if locked > mm.memlock_limit and not mm.cap_ipc_lock:
        locked -= count_mlocked(mm, first, nr_pages)
        if locked > mm.memlock_limit:
            raise failure(ENOMEM)
    apply_vma_lock_flags(mm, first, nr_pages, flags)
    error = mm_populate(mm, first, first + nr_pages, ignore_errors=False)
    if error:
        raise failure({EFAULT: ENOMEM, ENOMEM: EAGAIN}.get(error, error))


def count_mlocked(mm: MmStruct, first: int, nr_pages: int) -> int:
    """count_mm_mlocked_page_nr(): pages of the range that are in VM_LOCKED VMAs already."""
    end = first + nr_pages
    return sum(min(end, vma.end) - max(first, vma.start) for vma in mm.overlapping(first, end) if vma.vm_flags & VM_LOCKED)


def munlock(mm: MmStruct, start: int, length: int) -> None:
    """munlock(): neither permission nor limit."""
    apply_vma_lock_flags(mm, *page_range(start, length), 0)


def apply_vma_lock_flags(mm: MmStruct, start: int, nr_pages: int, flags: int) -> None:
    """apply_vma_lock_flags(): VMA by VMA up to the first hole."""
    end = start + nr_pages
    if end >= 1 << (64 - PAGE_SHIFT):  # end < start
        raise failure(EINVAL)
    if end == start:
        return
    vma = mm.vma_lookup(start)
    if vma is None:
        raise failure(ENOMEM)
    prev = vma if start > vma.start else mm.vma_before(vma.start)
    while True:
        newflags = vma.vm_flags & ~VM_LOCK_BITS | flags
        stop = min(vma.end, end)
        prev = mlock_fixup(mm, vma, prev, start, stop, newflags)
        start = max(stop, prev.end)
        if start >= end:
            return
        vma = mm.vma_lookup(start)
        if vma is None:
            raise failure(ENOMEM)


def mlock_fixup(mm: MmStruct, vma: Vma, prev: Vma | None, start: int, end: int, newflags: int) -> Vma:
    """mlock_fixup(): lock or unlock [start, end) of one VMA. Returns the VMA that the range is part of now."""
    oldflags = vma.vm_flags
    if newflags == oldflags or oldflags & (VM_SPECIAL | VM_HUGETLB | VM_DROPPABLE):
        return vma
    vma, _ = change_flags_of_range(mm, vma, prev, start, end, newflags)
    counted = int if mm.folios else c_int
    nr_pages = counted(end - start)
    if not newflags & VM_LOCKED:
        nr_pages = counted(-nr_pages)
    elif oldflags & VM_LOCKED:
        nr_pages = 0
    mm.add_locked_vm(nr_pages)
    if mm.series:
        already = oldflags & newflags & VM_LOCKED
        vma.vm_flags = newflags
        if not already:
            mlock_vma_pages_range(mm, vma, start, end)
    elif newflags & VM_LOCKED:
        vma.vm_flags = newflags
    else:
        munlock_vma_pages_range(mm, vma, start, end)
    return vma


def mlock_vma_pages_range(mm: MmStruct, vma: Vma, start: int, end: int) -> None:
    """6.1 mlock_vma_pages_range(), mlock_pte_range(): both directions by a walk, between two drains."""
    lru = mm.lru
    assert isinstance(lru, Lru61)
    lru.drain()
    if mm.folios:
        mlock_folios(mm, lru, start, end, lock=bool(vma.vm_flags & VM_LOCKED))
        lru.drain()
        return
    for vpn in mm.entries(start, end):
        pte = mm.ptes.get(vpn)
        folio = mm.pmds[vpn >> 9].folio if pte is None else pte.folio
        if folio is None or (pte is not None and folio.is_large):
            continue
        if vma.vm_flags & VM_LOCKED:
            lru.mlock_folio(folio)
        else:
            lru.munlock_page(folio)
    lru.drain()


def mlock_folios(mm: MmStruct, lru: Lru61, start: int, end: int, *, lock: bool) -> None:
    """6.12 mlock_pte_range(): a large folio mapped by ptes is locked if all of it is mapped in order, within one page table
    and the range; and unlocked once for each run of its ptes.
    """
    change = lru.mlock_folio if lock else lru.munlock_page
    done = start
    for vpn in mm.entries(start, end):
        if vpn < done:
            continue
        pte = mm.ptes.get(vpn)
        if pte is None:
            huge = mm.pmds[vpn >> 9].folio
            if huge is not None:
                change(huge)
            continue
        run = pte_batch(mm, vpn, end)
        done = vpn + run
        if pte.folio is not None and not (lock and pte.folio.is_large and run < pte.folio.nr):
            mm.machine.counted["pte_folio"] += run if pte.folio.is_large else 0
            change(pte.folio)


def munlock_vma_pages_range(mm: MmStruct, vma: Vma, start: int, end: int) -> None:
    """5.10 munlock_vma_pages_range(). Where nothing is mapped it steps page by page: here to the next entry."""
    lru = mm.lru
    assert isinstance(lru, Lru510)
    vma.vm_flags &= ~VM_LOCK_BITS
    entries = mm.entries(start, end)
    vpn = start
    while (at := bisect_left(entries, vpn)) < len(entries) or vpn >> 9 in mm.pmds:
        if vpn >= end:
            break
        if vpn >> 9 not in mm.pmds:
            vpn = entries[at]
        folio, is_head = page_at(mm, vpn)
        if folio is None or (folio.is_large and not is_head):
            vpn += 1
        elif folio.is_large:
            folio.refcount += 1
            vpn += 1 + lru.munlock_vma_page(folio)
            lru.put(folio)
        else:
            pagevec = munlock_pagevec_fill(mm, vpn, end)
            vpn += len(pagevec)
            lru.munlock_pagevec(pagevec)


def page_at(mm: MmStruct, vpn: int) -> tuple[Folio | None, bool]:
    """follow_page() of munlock: the folio (None for a zero page) and whether the page is its head."""
    pmd = mm.pmds.get(vpn >> 9)
    if pmd is not None:
        return pmd.folio, vpn % HPAGE_PMD_NR == 0
    pte = mm.ptes[vpn]
    return pte.folio, pte.subpage == 0


def munlock_pagevec_fill(mm: MmStruct, first: int, end: int) -> list[Folio]:
    """__munlock_pagevec_fill(): adjacent order-0 pages within one page table, at most 15, each pinned."""
    pagevec: list[Folio] = []
    end = min(end, (first | (HPAGE_PMD_NR - 1)) + 1, first + PAGEVEC_SIZE)
    for vpn in range(first, end):
        pte = mm.ptes.get(vpn)
        if pte is None or pte.folio is None or pte.folio.is_large:
            break
        pte.folio.refcount += 1
        pagevec.append(pte.folio)
    return pagevec


def mlockall(mm: MmStruct, flags: int) -> None:
    """mlockall(): the limit is compared with total_vm, and only for MCL_CURRENT."""
    if not flags or flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) or flags == MCL_ONFAULT:
        raise failure(EINVAL)
    if not mm.can_do_mlock:
        raise failure(EPERM)
    if flags & MCL_CURRENT and mm.total_vm > mm.memlock_limit and not mm.cap_ipc_lock:
        raise failure(ENOMEM)
    apply_mlockall_flags(mm, flags)
    if flags & MCL_CURRENT:
        mm_populate(mm, 0, mm.machine.task_pages)


def apply_mlockall_flags(mm: MmStruct, flags: int) -> None:
    """apply_mlockall_flags(): MCL_FUTURE alone leaves the present VMAs as they are; errors are ignored."""
    on_fault = VM_LOCKONFAULT if flags & MCL_ONFAULT else 0
    mm.def_flags &= ~VM_LOCK_BITS
    if flags & MCL_FUTURE:
        mm.def_flags |= VM_LOCKED | on_fault
        if not flags & MCL_CURRENT:
            return
    to_add = VM_LOCKED | on_fault if flags & MCL_CURRENT else 0
    prev: Vma | None = None
    while (vma := mm.find_vma(prev.end if prev is not None else 0)) is not None:
        prev = mlock_fixup(mm, vma, prev, vma.start, vma.end, vma.vm_flags & ~VM_LOCK_BITS | to_add)
