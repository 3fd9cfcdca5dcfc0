"""The mlock family down to one VMA: checks, apply_vma_lock_flags(), mlock_fixup().

Models mm/mlock.c; what differs between 5.10 and later kernels is the tail of :func:`mlock_fixup`.  Populating comes after these
calls, under mmap_lock for reading, and is left to the caller (:mod:`mmmodel.gup`).
"""

from __future__ import annotations

from mmmodel.constants import (
    MCL_CURRENT,
    MCL_FUTURE,
    MCL_ONFAULT,
    PAGE_NUMBERS,
    PAGE_SHIFT,
    PAGE_SIZE,
    VM_DROPPABLE,
    VM_HUGETLB,
    VM_LOCKED,
    VM_LOCKED_CLEAR_MASK,
    VM_LOCKONFAULT,
    VM_SPECIAL,
)
from mmmodel.counters import COND_RESCHED, VMAS_CHANGED
from mmmodel.counting import count
from mmmodel.errno_codes import EINVAL, ENOMEM, EPERM
from mmmodel.jit import kernel, unit
from mmmodel.kernels import V6_1, V6_12
from mmmodel.page_walk import mlock_range
from mmmodel.pagenumber import page_address, page_number
from mmmodel.per_page import munlock_range
from mmmodel.state import KERNEL, State
from mmmodel.vma import find_vma, vma_modify_flags


@kernel
def can_do_mlock(s: State, mm: int) -> bool:
    """Models can_do_mlock()."""
    return s.mms[mm]["rlimit_memlock"] != 0 or s.mms[mm]["cap_ipc_lock"] != 0


@kernel
def over_limit(locked: int, limit: int) -> bool:
    """Whether locked pages are too many; locked_vm is unsigned, so what mlock_fixup() made negative is a lot."""
    return locked < 0 or locked > limit


@kernel
def c_int(number: int) -> int:
    """``number`` as the C ``int`` that mlock_fixup() of 5.10 and 6.1 counts pages in: 2^31 pages (8 TiB) become negative."""
    return ((number + (1 << 31)) & ((1 << 32) - 1)) - (1 << 31)


@kernel
def vma_supports_mlock(vm_flags: int) -> bool:
    """Whether a VMA of these flags can be locked at all.

    Models vma_supports_mlock(), v6.12, simplified: no DAX, no gate VMA.
    """
    return vm_flags & (VM_SPECIAL | VM_HUGETLB | VM_DROPPABLE) == 0


@kernel
def _change_pages(s: State, mm: int, vma: int, start: int, end: int, oldflags: int, newflags: int) -> None:
    """Bring the pages of [start, end) in line with the new flags: the part in which the kernels differ.

    5.10: only unlocking touches pages here.  6.1: locking and unlocking walk; from locked to locked neither does.
    """
    if newflags & VM_LOCKED != 0 and (s.ctl[KERNEL] < V6_1 or oldflags & VM_LOCKED != 0):
        s.vmas[vma]["vm_flags"] = newflags
    elif s.ctl[KERNEL] >= V6_1:
        mlock_range(s, mm, vma, start, end, newflags)
    else:
        munlock_range(s, mm, vma, start, end)


@kernel
def mlock_fixup(s: State, mm: int, position: int, prev: int, start: int, end: int, newflags: int) -> tuple[int, int]:
    """Give [start, end) of the VMA at ``position`` the flags ``newflags``: (error, position of the VMA that now ends there).

    Models mlock_fixup().  ``prev``: position of the VMA before, or ``position`` where start lies inside, or -1.  Everything is
    decided from ``oldflags``, read once, as the review of the page-walk series asked.
    """
    oldflags = s.vmas[s.order[position]]["vm_flags"]
    if newflags == oldflags or not vma_supports_mlock(oldflags):
        return 0, position
    error, position = vma_modify_flags(s, mm, position, prev, start, end, newflags)
    if error != 0:
        return error, position
    nr_pages = (end - start) >> PAGE_SHIFT
    if newflags & VM_LOCKED == 0:
        nr_pages = -nr_pages
    elif oldflags & VM_LOCKED != 0:
        nr_pages = 0
    s.mms[mm]["locked_vm"] += nr_pages if s.ctl[KERNEL] >= V6_12 else c_int(nr_pages)
    count(s.counters, VMAS_CHANGED, 1)
    _change_pages(s, mm, s.order[position], start, end, oldflags, newflags)
    return 0, position


@kernel
def apply_vma_lock_flags(s: State, mm: int, first: int, pages: int, flags: int) -> int:
    """Lock or unlock ``pages`` from page number ``first`` on, VMA by VMA: 0 or -errno; what came before a failure stays done.

    Models apply_vma_lock_flags().  ``flags``: VM_LOCKED and VM_LOCKONFAULT to set, 0 to unlock.
    """
    if first + pages > PAGE_NUMBERS:  # the end has wrapped: end < start
        return -EINVAL
    if pages == 0:
        return 0
    start, end = page_address(first), page_address(first + pages)
    position = find_vma(s, mm, start)
    if position == s.mms[mm]["map_count"] or s.vmas[s.order[position]]["vm_start"] > start:
        return -ENOMEM
    prev = position if start > s.vmas[s.order[position]]["vm_start"] else position - 1
    while True:
        record = s.vmas[s.order[position]]
        newflags = (record["vm_flags"] & VM_LOCKED_CLEAR_MASK) | flags
        stop = min(record["vm_end"], end)
        error, prev = mlock_fixup(s, mm, position, prev, start, stop, newflags)
        if error != 0:
            return error
        start = max(stop, s.vmas[s.order[prev]]["vm_end"])
        if start >= end:
            return 0
        position = prev + 1
        if position == s.mms[mm]["map_count"] or s.vmas[s.order[position]]["vm_start"] != start:
            return -ENOMEM


@kernel
def count_mm_mlocked_page_nr(s: State, mm: int, first: int, number: int) -> int:
    """Pages of ``number`` from page ``first`` on that lie in VM_LOCKED VMAs already.  Models count_mm_mlocked_page_nr()."""
    start, end = page_address(first), page_address(first + number)
    position = find_vma(s, mm, start)
    pages = 0
    while position < s.mms[mm]["map_count"]:
        record = s.vmas[s.order[position]]
        if record["vm_start"] >= end:
            break
        if record["vm_flags"] & VM_LOCKED != 0:
            pages += (min(end, record["vm_end"]) - max(start, record["vm_start"])) >> PAGE_SHIFT
        position += 1
    return pages


@kernel
def aligned_range(start: int, length: int) -> tuple[int, int]:
    """Number of the first page, and how many pages there are, as mlock() and munlock() round their arguments.

    ``start``, ``length``: C ``unsigned long`` seen as signed; sizes near 2^64 wrap to 0 or 1 page as they do there.
    """
    offsets = (start & (PAGE_SIZE - 1)) + (length & (PAGE_SIZE - 1))
    return page_number(start), (page_number(length) + ((offsets + PAGE_SIZE - 1) >> PAGE_SHIFT)) & PAGE_NUMBERS


@unit
def do_mlock(s: State, mm: int, start: int, length: int, flags: int) -> int:
    """Models do_mlock() up to populating: 0 or -errno.  ``flags``: VM_LOCKED, with VM_LOCKONFAULT for MLOCK_ONFAULT."""
    if not can_do_mlock(s, mm):
        return -EPERM
    first, pages = aligned_range(start, length)
    limit = s.mms[mm]["rlimit_memlock"] >> PAGE_SHIFT
    locked = pages + s.mms[mm]["locked_vm"]
    if s.mms[mm]["cap_ipc_lock"] == 0 and over_limit(locked, limit):
        locked -= count_mm_mlocked_page_nr(s, mm, first, pages)
        if over_limit(locked, limit):
            return -ENOMEM
    return apply_vma_lock_flags(s, mm, first, pages, flags)


@unit
def do_munlock(s: State, mm: int, start: int, length: int) -> int:
    """Models the munlock() system call: 0 or -errno; needs no privilege."""
    first, pages = aligned_range(start, length)
    return apply_vma_lock_flags(s, mm, first, pages, 0)


@unit
def apply_mlockall_flags(s: State, mm: int, flags: int) -> None:
    """Models apply_mlockall_flags(); ``flags``: MCL_*, 0 for munlockall().  Errors of single VMAs are ignored."""
    to_add = VM_LOCKED
    if flags & MCL_ONFAULT != 0:
        to_add |= VM_LOCKONFAULT
    s.mms[mm]["def_flags"] &= VM_LOCKED_CLEAR_MASK
    if flags & MCL_FUTURE != 0:
        s.mms[mm]["def_flags"] |= to_add
    if flags & MCL_CURRENT == 0:
        if flags & MCL_FUTURE != 0:
            return
        to_add = 0
    position, prev = 0, -1
    while position < s.mms[mm]["map_count"]:
        record = s.vmas[s.order[position]]
        newflags = (record["vm_flags"] & VM_LOCKED_CLEAR_MASK) | to_add
        _, prev = mlock_fixup(s, mm, position, prev, record["vm_start"], record["vm_end"], newflags)
        count(s.counters, COND_RESCHED, 1)
        position = prev + 1


@kernel
def do_mlockall(s: State, mm: int, flags: int) -> int:
    """Models the mlockall() system call up to populating: 0 or -errno."""
    if flags == 0 or flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0 or flags == MCL_ONFAULT:
        return -EINVAL
    if not can_do_mlock(s, mm):
        return -EPERM
    limit = s.mms[mm]["rlimit_memlock"] >> PAGE_SHIFT
    if flags & MCL_CURRENT != 0 and s.mms[mm]["total_vm"] > limit and s.mms[mm]["cap_ipc_lock"] == 0:
        return -ENOMEM
    apply_mlockall_flags(s, mm, flags)
    return 0
