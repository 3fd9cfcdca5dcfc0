"""Populating: mm/gup.c, as mlock(), mlockall(), mmap(), mremap() and mprotect() use it."""

from __future__ import annotations

from .constants import EFAULT, HPAGE_PMD_NR, VM_IO, VM_LOCKED, VM_LOCKONFAULT, VM_PFNMAP, VM_READ, VM_SHARED, VM_WRITE
from .fault import SigbusError, handle_mm_fault
from .lru import Lru510
from .mmstruct import MmStruct
from .vma import Vma


def mm_populate(mm: MmStruct, start: int, end: int, *, ignore_errors: bool = True) -> int:
    """__mm_populate(): 0 or an errno, at which it stops unless errors are ignored."""
    at = start
    while at < end:
        vma = mm.find_vma(at)
        if vma is None or vma.start >= end:
            break
        stop = min(end, vma.end)
        if vma.vm_flags & (VM_IO | VM_PFNMAP):
            at = stop
            continue
        at = max(at, vma.start)
        done = populate_vma_page_range(mm, vma, at, stop)
        if done >= 0:
            at += done
        elif ignore_errors:
            at = stop
        else:
            return -done
    return 0


def populate_vma_page_range(mm: MmStruct, vma: Vma, start: int, end: int) -> int:
    """populate_vma_page_range(): pages done, or a negative errno if it was none.

    A VM_LOCKONFAULT VMA: 6.1 leaves it alone, whatever its protection. 5.10 mlocks what is present and can be
    followed, and fails like any other on PROT_NONE.
    """
    on_fault = bool(vma.vm_flags & VM_LOCKONFAULT)
    if on_fault and mm.series:
        return end - start
    if mm.folios and not vma.is_accessible:  # before anything is drained
        return -EFAULT
    write = vma.vm_flags & (VM_WRITE | VM_SHARED) == VM_WRITE
    done = get_user_pages(mm, vma, start, end, write=write, fault_in=not on_fault)
    if mm.series:
        mm.lru.drain()
    return done


def get_user_pages(mm: MmStruct, vma: Vma, start: int, end: int, *, write: bool, fault_in: bool) -> int:
    """__get_user_pages() without pages to return, FOLL_FORCE unless PROT_NONE; 5.10 with FOLL_MLOCK.

    Without fault_in (5.10: FOLL_MLOCK but not FOLL_POPULATE) what is absent is stepped over.
    """
    if start == end:
        return 0
    if vma.vm_flags & (VM_IO | VM_PFNMAP) or not (write or vma.vm_flags & VM_READ or vma.is_accessible):
        return -EFAULT
    if not fault_in:
        for vpn in mm.entries(start, end):
            follow_page(mm, vma, vpn, write=write)
        return end - start
    vpn = start
    while vpn < end:
        nr_pages = follow_page(mm, vma, vpn, write=write)
        if not nr_pages:
            try:
                handle_mm_fault(mm, vma, vpn, write=write)
            except SigbusError:
                return vpn - start or -EFAULT
            continue
        vpn += nr_pages
    return end - start


def follow_page(mm: MmStruct, vma: Vma, vpn: int, *, write: bool) -> int:
    """follow_page_mask(): how many pages further the next one to look at is, or 0 if a fault is needed.

    5.10's FOLL_MLOCK: order-0 pages (not the zero page) are mlocked, after a drain each; a huge page only if this
    is the one PMD that maps it and it is not PageDoubleMap.
    """
    pmd = mm.pmds.get(vpn >> 9)
    if pmd is not None:
        if write and not pmd.write:
            return 0
        folio = pmd.folio
        mlockable = folio is not None and len(folio.pmd_maps) == 1 and not folio.double_map
        if folio is not None and mlockable and isinstance(mm.lru, Lru510) and vma.vm_flags & VM_LOCKED:
            mm.lru.mlock_vma_page(folio)
        return HPAGE_PMD_NR - vpn % HPAGE_PMD_NR
    pte = mm.ptes.get(vpn)
    if pte is None or (write and not pte.write):
        return 0
    folio = pte.folio
    if folio is not None and write and not pte.dirty:
        folio.dirty = True  # FOLL_TOUCH
    if folio is not None and isinstance(mm.lru, Lru510) and vma.vm_flags & VM_LOCKED and not folio.is_large:
        mm.lru.drain()
        mm.lru.mlock_vma_page(folio)
    return 1
