"""How many pages a request could bring in, to refuse what this computer cannot hold before anything is done."""

from __future__ import annotations

from mmmodel.constants import (
    PAGE_SHIFT,
    PMD_SIZE,
    VM_ACCESS_FLAGS,
    VM_HUGETLB,
    VM_IO,
    VM_PFNMAP,
)
from mmmodel.jit import exported, kernel
from mmmodel.pgtable import next_pmd, pmd_huge, pmd_present, pte_none, pte_offset
from mmmodel.state import State
from mmmodel.vma import find_vma


@kernel
def _mapped_pages(s: State, mm: int, start: int, end: int) -> int:
    """Pages of [start, end) with an entry of any kind."""
    mapped = 0
    while start < end:
        start, pmd = next_pmd(s, mm, start, end)
        if pmd == 0 or start >= end:
            break
        following = min((start & -PMD_SIZE) + PMD_SIZE, end)
        pages = (following - start) >> PAGE_SHIFT
        if pmd_huge(s.entries[pmd]):
            mapped += pages
        elif pmd_present(s.entries[pmd]):
            slot = pte_offset(s, pmd, start)
            for entry in s.entries[slot : slot + pages]:
                if not pte_none(entry):
                    mapped += 1
        start = following
    return mapped


@exported
def pages_to_populate(s: State, mm: int, start: int, end: int, exact: bool) -> int:
    """Upper bound of the pages that faulting in all accessible VMAs of [start, end) would add.

    ``exact``: take off what is mapped already, which costs a walk over the tables that are there; zero pages count as mapped,
    so a write fault on them is not foreseen.
    """
    position = find_vma(s, mm, start)
    pages = 0
    while position < s.mms[mm]["map_count"]:
        record = s.vmas[s.order[position]]
        if record["vm_start"] >= end:
            break
        usable = record["vm_flags"] & (VM_IO | VM_PFNMAP | VM_HUGETLB) == 0
        if usable and record["vm_flags"] & VM_ACCESS_FLAGS != 0:
            low, high = max(start, record["vm_start"]), min(end, record["vm_end"])
            pages += (high - low) >> PAGE_SHIFT
            if exact:
                pages -= _mapped_pages(s, mm, low, high)
        position += 1
    return pages
