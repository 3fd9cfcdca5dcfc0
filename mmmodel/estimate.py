"""How many frames a request could take, to refuse what this computer cannot hold before anything is done."""

from __future__ import annotations

from mmmodel.constants import (
    _PAGE_RW,
    MAX_FOLIO_ORDER,
    PAGE_SHIFT,
    PMD_SIZE,
    VM_ACCESS_FLAGS,
    VM_HUGETLB,
    VM_IO,
    VM_LOCKED,
    VM_LOCKED_CLEAR_MASK,
    VM_LOCKONFAULT,
    VM_PFNMAP,
    VM_SHARED,
    VM_SPECIAL,
    VM_WRITE,
)
from mmmodel.jit import exported, kernel
from mmmodel.pgtable import next_pmd, pmd_huge, pmd_present, pte_none, pte_offset
from mmmodel.state import ANON_ORDERS, State
from mmmodel.vma import find_vma

KEEP = -1  # in place of lock flags: those that each VMA has
BECOMES_WRITABLE = -2  # locked VMAs that mprotect() makes writable


@kernel
def _usable(entry: int, write: bool) -> bool:
    """Whether an access through this entry needs no fault; a write to a zero page or shared page takes a frame."""
    return not pte_none(entry) and (not write or entry & _PAGE_RW != 0)


@kernel
def _usable_pages(s: State, mm: int, start: int, end: int, write: bool) -> int:
    """Pages of [start, end) that can be accessed as they are."""
    usable = 0
    while start < end:
        start, pmd = next_pmd(s, mm, start, end)
        if pmd == 0:
            break
        following = min((start & -PMD_SIZE) + PMD_SIZE, end)
        pages = (following - start) >> PAGE_SHIFT
        if pmd_huge(s.entries[pmd]):
            usable += pages if _usable(s.entries[pmd], write) else 0
        elif pmd_present(s.entries[pmd]):
            slot = pte_offset(s, pmd, start)
            for entry in s.entries[slot : slot + pages]:
                usable += 1 if _usable(entry, write) else 0
        start = following
    return usable


@kernel
def _is_populated(vm_flags: int, lock_flags: int) -> bool:
    """Whether populate goes into a VMA, once it has these lock flags (or KEEP, BECOMES_WRITABLE)."""
    if lock_flags == BECOMES_WRITABLE:
        if vm_flags & (VM_LOCKED | VM_WRITE | VM_SHARED) != VM_LOCKED:
            return False
    elif vm_flags & VM_ACCESS_FLAGS == 0:
        return False
    elif lock_flags != KEEP and vm_flags & VM_SPECIAL == 0:
        vm_flags = (vm_flags & VM_LOCKED_CLEAR_MASK) | lock_flags
    return vm_flags & (VM_IO | VM_PFNMAP | VM_HUGETLB | VM_LOCKONFAULT) == 0


@exported
def pages_to_populate(s: State, mm: int, start: int, end: int, lock_flags: int) -> int:
    """Upper bound of the frames that populating [start, end) would take.

    ``lock_flags``: VM_LOCKED and VM_LOCKONFAULT as the call is about to set them, KEEP, or BECOMES_WRITABLE.  A page of a
    private file mapping that is written to takes two: the file's and the copy.  Large folios may reach beyond both ends.

    Visits: what page tables there are in the range, not its span.
    """
    position = find_vma(s, mm, start)
    frames = 0
    while position < s.mms[mm]["map_count"]:
        record = s.vmas[s.order[position]]
        if record["vm_start"] >= end:
            break
        vm_flags = record["vm_flags"]
        if _is_populated(vm_flags, lock_flags):
            write = lock_flags == BECOMES_WRITABLE or vm_flags & (VM_WRITE | VM_SHARED) == VM_WRITE
            low, high = max(start, record["vm_start"]), min(end, record["vm_end"])
            missing = ((high - low) >> PAGE_SHIFT) - _usable_pages(s, mm, low, high, write)
            frames += 2 * missing if write and record["vm_file"] != 0 else missing
            if s.ctl[ANON_ORDERS] != 0 and missing != 0:
                frames += 2 << MAX_FOLIO_ORDER
        position += 1
    return frames
