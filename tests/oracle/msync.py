"""msync: mm/msync.c, without the writing."""

from __future__ import annotations

from .constants import (
    EBUSY,
    EINVAL,
    ENOMEM,
    MS_ASYNC,
    MS_INVALIDATE,
    MS_SYNC,
    PAGE_SHIFT,
    PAGE_SIZE,
    VM_LOCKED,
    failure,
    page_align,
)
from .mmstruct import MmStruct


def msync(mm: MmStruct, addr: int, length: int, flags: int) -> None:
    """msync(): a locked VMA is not invalidated; a hole fails in the end, or at once where there is nothing else to do."""
    both = MS_ASYNC | MS_SYNC
    if flags & ~(both | MS_INVALIDATE) or flags & both == both or addr % PAGE_SIZE:
        raise failure(EINVAL)
    nbytes = page_align(length)
    if addr + nbytes >= 2**64:
        raise failure(ENOMEM)
    at, end = addr >> PAGE_SHIFT, (addr + nbytes) >> PAGE_SHIFT
    holes = False
    while at < end:
        vma = mm.find_vma(at)
        if vma is None or vma.start >= end:
            raise failure(ENOMEM)
        if vma.start > at:
            holes = True
            if flags == MS_ASYNC:
                raise failure(ENOMEM)
        if flags & MS_INVALIDATE and vma.vm_flags & VM_LOCKED:
            raise failure(EBUSY)
        at = vma.end
    if holes:
        raise failure(ENOMEM)
