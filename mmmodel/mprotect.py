"""mprotect.  Models mm/mprotect.c, 5.10 to 6.12."""

from __future__ import annotations

from mmmodel.constants import (
    _PAGE_DIRTY,
    _PAGE_PSE,
    _PAGE_RW,
    PAGE_NUMBERS,
    PAGE_SHIFT,
    PAGE_SIZE,
    PMD_SIZE,
    PROT_SEM,
    VM_ACCESS_FLAGS,
    VM_ACCOUNT,
    VM_HUGETLB,
    VM_LOCKED,
    VM_NORESERVE,
    VM_SHARED,
    VM_WRITE,
    PG_anon_exclusive,
)
from mmmodel.errno_codes import EACCES, EINVAL, ENOMEM, NEED_ROOM
from mmmodel.gup import populate_vma_page_range
from mmmodel.jit import kernel, unit
from mmmodel.kernels import V6_1, V6_12
from mmmodel.mmap import vm_enough_memory
from mmmodel.pagenumber import page_address, page_count, page_number
from mmmodel.pgtable import next_pmd, pmd_huge, pmd_present, pte_modify, pte_offset, pte_pfn, pte_present, vm_page_prot
from mmmodel.split import split_huge_pmd
from mmmodel.state import KERNEL, State
from mmmodel.vma import find_vma, vma_modify_flags


@kernel
def _can_change_writable(s: State, entry: int) -> bool:
    """Whether a page of a writable private VMA becomes writable at once, without a fault: it belongs to this mm alone.

    6.1 asks that the entry is dirty, too.  Models can_change_pte_writable() and, of 6.12, can_change_pmd_writable().
    """
    if s.ctl[KERNEL] < V6_12 and entry & _PAGE_DIRTY == 0:
        return False
    return s.pages[pte_pfn(entry)]["flags"] & PG_anon_exclusive != 0


@kernel
def _change_pte_range(s: State, pmd: int, address: int, end: int, prot: int, try_writable: bool) -> None:
    """Give the present entries of [address, end) under one PMD entry the new protection."""
    first = pte_offset(s, pmd, address)
    for slot in range(first, first + (end - address) // PAGE_SIZE):
        entry = s.entries[slot]
        if pte_present(entry):
            entry = pte_modify(entry, prot)
            if try_writable and _can_change_writable(s, entry):
                entry |= _PAGE_RW
            s.entries[slot] = entry


@unit
def change_protection(s: State, mm: int, vma: int, start: int, end: int) -> None:
    """Bring the entries of [start, end) in line with the VMA's flags.

    Models change_protection(), simplified: present entries only; no NUMA hints, no userfaultfd.
    """
    vm_flags = s.vmas[vma]["vm_flags"]
    prot = vm_page_prot(vm_flags)
    try_writable = s.ctl[KERNEL] >= V6_1 and vm_flags & (VM_SHARED | VM_WRITE) == VM_WRITE
    while start < end:
        start, pmd = next_pmd(s, mm, start, end)
        if pmd == 0:
            return
        following = min((start & -PMD_SIZE) + PMD_SIZE, end)
        if pmd_huge(s.entries[pmd]):
            if following - start == PMD_SIZE:
                s.entries[pmd] = pte_modify(s.entries[pmd], prot | _PAGE_PSE)
                if try_writable and s.ctl[KERNEL] >= V6_12 and _can_change_writable(s, s.entries[pmd]):
                    s.entries[pmd] |= _PAGE_RW
                start = following
                continue
            split_huge_pmd(s, mm, pmd, vm_flags)
        if pmd_present(s.entries[pmd]):
            _change_pte_range(s, pmd, start, following, prot, try_writable)
        start = following


@kernel
def _never_faulted_anonymous(s: State, vma: int) -> bool:
    """Whether a VMA is anonymous and has no anon_vma yet."""
    return s.vmas[vma]["vm_file"] == 0 and s.vmas[vma]["anon_vma"] == 0


@kernel
def mprotect_fixup(s: State, mm: int, position: int, prev: int, start: int, end: int, newflags: int) -> tuple[int, int]:
    """Models mprotect_fixup(): (error, position of the VMA that now ends there).

    A private mapping that becomes writable is charged and keeps VM_ACCOUNT for good, which later keeps it from merging with
    neighbours that never were; 6.12 takes it back if the mapping becomes read-only before its first fault.  A locked one is
    populated with write faults at once.
    """
    oldflags = s.vmas[s.order[position]]["vm_flags"]
    if newflags == oldflags:
        return 0, position
    if newflags & VM_WRITE != 0 and oldflags & (VM_ACCOUNT | VM_WRITE | VM_HUGETLB | VM_SHARED | VM_NORESERVE) == 0:
        if not vm_enough_memory(s, (end - start) >> PAGE_SHIFT):
            return -ENOMEM, position
        newflags |= VM_ACCOUNT
    elif s.ctl[KERNEL] >= V6_12 and newflags & VM_WRITE == 0 and _never_faulted_anonymous(s, s.order[position]):
        newflags &= ~VM_ACCOUNT
    error, position = vma_modify_flags(s, mm, position, prev, start, end, newflags)
    if error != 0:
        return error, position
    vma = s.order[position]
    s.vmas[vma]["vm_flags"] = newflags
    change_protection(s, mm, vma, start, end)
    if oldflags & (VM_WRITE | VM_SHARED | VM_LOCKED) == VM_LOCKED and newflags & VM_WRITE != 0:
        error = populate_vma_page_range(s, mm, position, start, end)  # errors are ignored
        if error == -NEED_ROOM:  # a defect: room for all of it was made before the call
            return error, position
    return 0, position


@unit
def do_mprotect(s: State, mm: int, start: int, length: int, prot: int) -> int:
    """0 or -errno; VMAs before a hole stay changed.

    Models do_mprotect_pkey(), simplified: no PROT_GROWSDOWN or PROT_GROWSUP, personality or protection keys.
    """
    if start & (PAGE_SIZE - 1) != 0:
        return -EINVAL
    if length == 0:
        return 0
    first, pages = page_number(start), page_count(length)
    if pages == 0 or first + pages > PAGE_NUMBERS:
        return -ENOMEM
    if prot & ~(VM_ACCESS_FLAGS | PROT_SEM) != 0:  # arch_validate_prot()
        return -EINVAL
    start, end = page_address(first), page_address(first + pages)
    position = find_vma(s, mm, start)
    if position == s.mms[mm]["map_count"] or s.vmas[s.order[position]]["vm_start"] > start:
        return -ENOMEM
    prev = position if start > s.vmas[s.order[position]]["vm_start"] else position - 1
    while True:
        record = s.vmas[s.order[position]]
        newflags = (prot & VM_ACCESS_FLAGS) | (record["vm_flags"] & ~VM_ACCESS_FLAGS)
        if newflags & ~(newflags >> 4) & VM_ACCESS_FLAGS != 0:
            return -EACCES
        stop = min(record["vm_end"], end)
        error, prev = mprotect_fixup(s, mm, position, prev, start, stop, newflags)
        if error != 0:
            return error
        start = max(stop, s.vmas[s.order[prev]]["vm_end"])
        if start >= end:
            return 0
        position = prev + 1
        if position == s.mms[mm]["map_count"] or s.vmas[s.order[position]]["vm_start"] != start:
            return -ENOMEM
