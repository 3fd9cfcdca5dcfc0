"""msync: for memory locking, the call that refuses to invalidate what is locked.  Models mm/msync.c, 5.10 and 6.1."""

from __future__ import annotations

from mmmodel.constants import MS_ASYNC, MS_INVALIDATE, MS_SYNC, PAGE_NUMBERS, PAGE_SIZE, VM_LOCKED
from mmmodel.errno_codes import EBUSY, EINVAL, ENOMEM
from mmmodel.jit import kernel
from mmmodel.pagenumber import page_address, page_count, page_number
from mmmodel.state import State
from mmmodel.vma import find_vma


@kernel
def do_msync(s: State, mm: int, start: int, length: int, flags: int) -> int:
    """0 or -errno; a hole is passed over and reported at the end, except to MS_ASYNC alone.

    Models msync(), simplified: nothing is written back.
    """
    if flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) != 0 or start & (PAGE_SIZE - 1) != 0:
        return -EINVAL
    if flags & (MS_ASYNC | MS_SYNC) == MS_ASYNC | MS_SYNC:
        return -EINVAL
    first, pages = page_number(start), page_count(length)
    if first + pages > PAGE_NUMBERS:  # the end has wrapped: end < start
        return -ENOMEM
    start, end = page_address(first), page_address(first + pages)
    unmapped_error = 0
    position = find_vma(s, mm, start)
    while pages != 0:
        if position == s.mms[mm]["map_count"]:
            return -ENOMEM
        record = s.vmas[s.order[position]]
        if start < record["vm_start"]:
            if flags == MS_ASYNC or record["vm_start"] >= end:
                return -ENOMEM
            unmapped_error = -ENOMEM
        if flags & MS_INVALIDATE != 0 and record["vm_flags"] & VM_LOCKED != 0:
            return -EBUSY
        start = record["vm_end"]
        if start >= end:
            break
        position += 1
    return unmapped_error
