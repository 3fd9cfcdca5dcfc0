"""madvise: mm/madvise.c, and the holes that MADV_REMOVE punches."""

from __future__ import annotations

from collections.abc import Callable

from . import constants as c
from .constants import EACCES, EAGAIN, EINVAL, ENOMEM, HPAGE_PMD_NR, PAGE_SHIFT, PAGE_SIZE, failure, page_align
from .files import punch_hole
from .folio import Folio
from .mmstruct import MmStruct
from .pagetable import Pte, zap_page_range
from .swap import free_swap_and_cache, try_to_free_swap
from .vma import Vma, change_flags_of_range


def merge_candidate(vma: Vma, flags: int) -> int:
    """ksm_madvise(MADV_MERGEABLE): areas that KSM has no use for are left as they are, without an error."""
    unfit = c.VM_SHARED | c.VM_MAYSHARE | c.VM_SPECIAL | c.VM_HUGETLB | c.VM_DROPPABLE
    return flags if flags & unfit else flags | c.VM_MERGEABLE


def no_fork_of_devices(vma: Vma, flags: int) -> int:
    """MADV_DOFORK."""
    if flags & c.VM_IO:
        raise failure(EINVAL)
    return flags & ~c.VM_DONTCOPY


def private_anonymous_only(vma: Vma, flags: int) -> int:
    """MADV_WIPEONFORK."""
    if vma.file is not None or flags & c.VM_SHARED:
        raise failure(EINVAL)
    return flags | c.VM_WIPEONFORK


def not_special(vma: Vma, flags: int) -> int:
    """MADV_DODUMP."""
    if (flags & c.VM_SPECIAL and not flags & c.VM_HUGETLB) or flags & c.VM_DROPPABLE:
        raise failure(EINVAL)
    return flags & ~c.VM_DONTDUMP


def keep_on_fork(vma: Vma, flags: int) -> int:
    """MADV_KEEPONFORK."""
    if flags & c.VM_DROPPABLE:
        raise failure(EINVAL)
    return flags & ~c.VM_WIPEONFORK


def huge(vma: Vma, flags: int) -> int:
    """MADV_HUGEPAGE."""
    if flags & (c.VM_SPECIAL | c.VM_HUGETLB):
        raise failure(EINVAL)
    return flags & ~c.VM_NOHUGEPAGE | c.VM_HUGEPAGE


FLAG_ADVICE: dict[int, Callable[[Vma, int], int]] = {
    c.MADV_NORMAL: lambda vma, flags: flags & ~(c.VM_RAND_READ | c.VM_SEQ_READ),
    c.MADV_RANDOM: lambda vma, flags: flags & ~c.VM_SEQ_READ | c.VM_RAND_READ,
    c.MADV_SEQUENTIAL: lambda vma, flags: flags & ~c.VM_RAND_READ | c.VM_SEQ_READ,
    c.MADV_DONTFORK: lambda vma, flags: flags | c.VM_DONTCOPY,
    c.MADV_DOFORK: no_fork_of_devices,
    c.MADV_MERGEABLE: merge_candidate,
    c.MADV_UNMERGEABLE: lambda vma, flags: flags & ~c.VM_MERGEABLE,
    c.MADV_HUGEPAGE: huge,
    c.MADV_NOHUGEPAGE: lambda vma, flags: flags & ~c.VM_HUGEPAGE | c.VM_NOHUGEPAGE,
    c.MADV_DONTDUMP: lambda vma, flags: flags | c.VM_DONTDUMP,
    c.MADV_DODUMP: not_special,
    c.MADV_WIPEONFORK: private_anonymous_only,
    c.MADV_KEEPONFORK: keep_on_fork,
}
"""Advice that is a flag of the VMA: the new flags from the old, or a failure."""


def madvise(mm: MmStruct, addr: int, length: int, advice: int) -> None:
    """madvise(): goes on over holes, to fail with ENOMEM in the end, but stops at a VMA that refuses."""
    known = {*FLAG_ADVICE, c.MADV_DONTNEED, c.MADV_FREE, c.MADV_REMOVE, c.MADV_WILLNEED}
    if mm.series:
        known.add(c.MADV_DONTNEED_LOCKED)
    if advice not in known or addr % PAGE_SIZE:
        raise failure(EINVAL)
    if (length and not page_align(length)) or addr + page_align(length) >= 2**64:
        raise failure(EINVAL)
    start, end = addr >> PAGE_SHIFT, addr + page_align(length) >> PAGE_SHIFT
    hole = False
    while start < end:
        vma = mm.find_vma(start)
        if vma is None or vma.start >= end:
            raise failure(ENOMEM)
        hole = hole or vma.start > start
        start = max(start, vma.start)
        stop = min(vma.end, end)
        vma = madvise_vma(mm, vma, start, stop, advice)
        start = max(stop, vma.end)
    if hole:
        raise failure(ENOMEM)


def madvise_vma(mm: MmStruct, vma: Vma, start: int, end: int, advice: int) -> Vma:
    """madvise_vma(); returns the VMA that the range is part of now."""
    if advice in FLAG_ADVICE:
        return set_flags(mm, vma, start, end, FLAG_ADVICE[advice](vma, vma.vm_flags))
    if advice == c.MADV_REMOVE:
        remove(mm, vma, start, end)
    elif advice == c.MADV_WILLNEED:  # reading ahead into the swap cache changes no answer
        mm.lru.drain()
    else:
        forbidden = c.VM_HUGETLB | c.VM_PFNMAP | (0 if advice == c.MADV_DONTNEED_LOCKED else c.VM_LOCKED)
        if vma.vm_flags & forbidden:
            raise failure(EINVAL)
        if advice == c.MADV_FREE:
            free(mm, vma, start, end)
        else:
            zap_page_range(mm, vma, start, end)
    return vma


def set_flags(mm: MmStruct, vma: Vma, start: int, end: int, newflags: int) -> Vma:
    """madvise_behavior(): split or merge, and set them."""
    if newflags == vma.vm_flags:
        return vma
    prev = vma if start > vma.start else mm.vma_before(vma.start)
    try:
        vma, _ = change_flags_of_range(mm, vma, prev, start, end, newflags)
    except OSError:  # at the limit of VMAs, which since 5.17 counts as a resource that may come back
        raise failure(EAGAIN if mm.series else ENOMEM) from None
    vma.vm_flags = newflags
    return vma


def free(mm: MmStruct, vma: Vma, start: int, end: int) -> None:
    """madvise_free_single_vma(): the pages stay mapped but count as clean. Huge pages: whole ones only."""
    if vma.file is not None:
        raise failure(EINVAL)
    mm.lru.drain()
    for vpn in mm.in_swap(start, end):
        free_swap_and_cache(mm, vpn)
    for first in mm.huge_pmds(start, end):
        whole = start <= first and first + HPAGE_PMD_NR <= end
        assert whole or mm.pmds[first >> 9].folio is None, "the model says that it does not model this"
    for vpn in mm.populated(start, end):
        folio = mm.ptes[vpn].folio
        if folio is not None:
            assert not folio.is_large, "the model says that it does not model this"
            free_page(mm, mm.ptes[vpn], folio)


def free_page(mm: MmStruct, pte: Pte, folio: Folio) -> None:
    """madvise_free_pte_range() for one page, and mark_page_lazyfree(): of shared pages only those never in swap."""
    if folio.slot is not None or folio.dirty:
        if folio.mapcount() != 1 or (folio.slot is not None and not try_to_free_swap(mm.lru, folio)):
            return
        folio.dirty = False
    pte.dirty = False
    if folio.on_lru and not folio.unevictable:
        folio.swapbacked = False


def remove(mm: MmStruct, vma: Vma, start: int, end: int) -> None:
    """madvise_remove(): the mapping is writable, or could be made so."""
    if vma.vm_flags & c.VM_LOCKED or vma.file is None:
        raise failure(EINVAL)
    if not vma.vm_flags & c.VM_SHARED or not vma.vm_flags & c.VM_MAYWRITE:
        raise failure(EACCES)
    punch_hole(mm.lru, vma.file, vma.pgoff_of(start), vma.pgoff_of(end))
