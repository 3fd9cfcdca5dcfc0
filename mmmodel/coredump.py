"""A core dump: which pages are written, which are holes of the file, and what it takes to find that out.

dump_user_range() asks for every page of a VMA, one by one, from the top of the page tables, in 5.10 and all later kernels that
were looked at (7.3). DUMP_WALK steps over what a page table that is missing would stand for, and reads the entries of one that
exists in a row: a change that no kernel has, and the same file.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from mmmodel.arraytypes import Rows
from mmmodel.constants import PAGE_SHIFT, PAGE_SIZE, PMD_SIZE, VM_DONTDUMP, VM_IO
from mmmodel.counters import FOLLOW_PAGE, PAGES_LOOKED_UP, PTE_LOCK, PTE_READ
from mmmodel.counting import count
from mmmodel.jit import exported, kernel
from mmmodel.kernels import DUMP_WALK
from mmmodel.lookup import FIRST_SLOT, count_lookup, hole_size_shift, lookup
from mmmodel.pages import is_zero_pfn
from mmmodel.pgtable import pte_none, pte_pfn, pte_present
from mmmodel.state import ALGORITHM, State

_COLUMNS: Final = 2  # address, pages


class DumpRun(NamedTuple):
    """Consecutive pages that a core file has."""

    start: int  # address, bytes
    end: int  # address, bytes, exclusive


@kernel
def is_dumped(s: State, entry: int) -> bool:
    """Whether a page is written: it is there, or in swap, from where it is read; a zero page is a hole.

    Models get_dump_page(), simplified: what is in swap is not brought back, and of a huge page the first entry decides.
    """
    if pte_none(entry):
        return False
    return not pte_present(entry) or not is_zero_pfn(s.pages, pte_pfn(entry))


@kernel
def _dump_size(s: State, vma: int) -> int:
    """Bytes of a VMA that are dumped.

    Models vma_dump_size(), simplified: by the default coredump_filter, and of private anonymous memory alone: of what is
    shared or of a file a dump brings every page.
    """
    record = s.vmas[vma]
    if record["vm_flags"] & (VM_IO | VM_DONTDUMP) != 0 or record["vm_file"] != 0 or record["anon_vma"] == 0:
        return 0
    return record["vm_end"] - record["vm_start"]


@kernel
def _append_page(runs: Rows, length: int, address: int) -> int:
    """Add a page to the list of runs: the new length (rows beyond the end are lost)."""
    if 0 < length <= len(runs):
        last = runs[length - 1]
        if last[0] + (last[1] << PAGE_SHIFT) == address:
            last[1] += 1
            return length
    if length < len(runs):
        runs[length, 0] = address
        runs[length, 1] = 1
    return length + 1


@kernel
def dump_user_range(s: State, mm: int, start: int, end: int, runs: Rows, length: int) -> int:
    """Ask for each page of [start, end), or by DUMP_WALK for each page table: the new number of runs.

    Models dump_user_range(); DUMP_WALK is a change that no kernel has.
    """
    walk = s.ctl[ALGORITHM] == DUMP_WALK
    entries, top, five_level = s.entries, s.mms[mm]["pgd"], s.mms[mm]["levels"] == 5
    while start < end:
        found = lookup(entries, top, five_level, start)
        count_lookup(s.counters, five_level, found)
        count(s.counters, FOLLOW_PAGE, 1)
        count(s.counters, PAGES_LOOKED_UP, 1)
        if found < FIRST_SLOT and found > 0:
            size = 1 << hole_size_shift(found) if walk else PAGE_SIZE
            start = min((start & -size) + size, end)
            continue
        count(s.counters, PTE_LOCK, 1)
        following = min((start & -PMD_SIZE) + PMD_SIZE, end) if walk else start + PAGE_SIZE
        slot = found if found > 0 else -found
        read = 0
        while start < following:
            if is_dumped(s, entries[slot]):
                length = _append_page(runs, length, start)
            slot += 1 if found > 0 else 0
            read += 1
            start += PAGE_SIZE
        if found > 0:
            count(s.counters, PTE_READ, read - 1)  # the first is the look-up's
    return length


@exported
def coredump_runs(s: State, mm: int, runs: Rows) -> int:
    """Fill ``runs`` ((n, 2) int64: address, pages) with what the file has: the rows needed, which may be more than there are.

    Models elf_core_dump(), simplified: the memory alone, without notes and headers.
    """
    length = 0
    for position in range(s.mms[mm]["map_count"]):
        vma = s.order[position]
        start = s.vmas[vma]["vm_start"]
        length = dump_user_range(s, mm, start, start + _dump_size(s, vma), runs, length)
    return length


def coredump(s: State, mm: int, before: npt.NDArray[Any], counters: npt.NDArray[Any]) -> list[DumpRun]:
    """What the file has, in the order of addresses; ``counters`` go on from ``before``, once, however many rows there are."""
    rows = np.zeros((64, _COLUMNS), np.int64)
    while (needed := coredump_runs(s, mm, rows)) > len(rows):
        np.copyto(counters, before)
        rows = np.zeros((needed, _COLUMNS), np.int64)
    return [DumpRun(start, start + (pages << PAGE_SHIFT)) for start, pages in rows[:needed].tolist()]
