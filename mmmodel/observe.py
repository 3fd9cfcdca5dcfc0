"""What /proc would show: smaps, pagemap with kpageflags, and the state that all implementations must agree on."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from mmmodel.arraytypes import Rows
from mmmodel.constants import (
    _PAGE_PRESENT,
    _PAGE_PROTNONE,
    HPAGE_PMD_NR,
    PAGE_SHIFT,
    PAGE_SIZE,
    PMD_SIZE,
    VM_EXEC,
    VM_LOCKED,
    VM_MAYSHARE,
    VM_READ,
    VM_WRITE,
    PG_head,
    PG_mlocked,
    PG_tail,
    PG_unevictable,
)
from mmmodel.jit import exported, kernel
from mmmodel.kernels import V6_1, V6_12
from mmmodel.pages import compound_head, is_zero_pfn, page_mapcount
from mmmodel.pgtable import next_pmd, pmd_huge, pmd_present, pte_offset, pte_pfn, pte_present
from mmmodel.state import KERNEL, State

PSS_SHIFT: Final = 12
P: Final = 1  # present
M: Final = 2  # PG_mlocked
U: Final = 4  # PG_unevictable
Z: Final = 8  # the zero page
T: Final = 16  # part of a huge page
LETTERS: Final = "PMUZT"
RUN_COLUMNS: Final = 3  # address, pages, state bits


class VmaInfo(NamedTuple):
    """One VMA as /proc/PID/smaps shows it."""

    start: int  # address, bytes
    end: int  # address, bytes, exclusive
    perms: str  # as in maps: "rw-p"
    locked: bool  # VM_LOCKED: VmFlags has "lo"
    vm_flags: int  # VM_*
    rss_kb: int  # resident pages but zero pages, kB
    locked_kb: int  # proportional share of these if locked, kB rounded down


class PageRun(NamedTuple):
    """Consecutive present pages in the same state."""

    first: int  # pages from the start of the window
    pages: int
    state: str  # letters of LETTERS


class ObservableState(NamedTuple):
    """What a process can see of its locks, compared with ``==``: all implementations must leave the same."""

    vmas: tuple[VmaInfo, ...]
    locked_vm: int  # pages
    pages: tuple[PageRun, ...]  # from address 0 on; of a huge page all have M and U if its head has, whatever the kernel shows


@kernel
def _page_state(s: State, pfn: int, by_folio: bool) -> int:
    """State bits of a mapped page as kpageflags has them; ``by_folio``: PG_mlocked and PG_unevictable are its head's."""
    flags = s.pages[pfn]["flags"]
    bits = P
    if flags & (PG_head | PG_tail) != 0:
        bits |= T
    if by_folio:
        flags = s.pages[compound_head(s.pages, pfn)]["flags"]
    if flags & PG_mlocked != 0:
        bits |= M
    if flags & PG_unevictable != 0:
        bits |= U
    return bits | Z if is_zero_pfn(s.pages, pfn) else bits


@kernel
def _append(runs: Rows, length: int, address: int, pages: int, bits: int) -> int:
    """Add pages to the list of runs, joined to the last one where that fits: the new length (rows beyond the end are lost)."""
    if 0 < length <= len(runs):
        last = runs[length - 1]
        if last[2] == bits and last[0] + (last[1] << PAGE_SHIFT) == address:
            last[1] += pages
            return length
    if length < len(runs):
        runs[length, 0] = address
        runs[length, 1] = pages
        runs[length, 2] = bits
    return length + 1


@kernel
def _append_huge(s: State, runs: Rows, length: int, pmd: int, address: int, end: int, by_folio: bool) -> int:
    """Add the pages of a huge PMD in [address, end)."""
    pfn = pte_pfn(s.entries[pmd])
    if is_zero_pfn(s.pages, pfn):
        return _append(runs, length, address, (end - address) >> PAGE_SHIFT, P | Z | T)
    for page in range(address, end, PAGE_SIZE):
        tail = (page & (PMD_SIZE - 1)) >> PAGE_SHIFT
        length = _append(runs, length, page, 1, _page_state(s, pfn + tail, by_folio))
    return length


@exported
def pagemap_runs(s: State, mm: int, address: int, end: int, runs: Rows, by_folio: bool) -> int:
    """Fill ``runs`` ((n, 3) int64: address, pages, state bits) with what is present in [address, end).

    ``by_folio``: PG_mlocked and PG_unevictable of a huge page are shown of all its pages, as 6.12 does, not of its head alone.
    Returns the rows needed, which may be more than there are: call again with enough.

    Models pagemap_pmd_range() and stable_page_flags(), simplified: the bits that LETTERS has.
    """
    length = 0
    while address < end:
        address, pmd = next_pmd(s, mm, address, end)
        if pmd == 0:
            break
        following = min((address & -PMD_SIZE) + PMD_SIZE, end)
        if pmd_huge(s.entries[pmd]):
            length = _append_huge(s, runs, length, pmd, address, following, by_folio)
        elif pmd_present(s.entries[pmd]):
            slot = pte_offset(s, pmd, address)
            for page in range(address, following, PAGE_SIZE):
                entry = s.entries[slot]
                slot += 1
                if pte_present(entry):
                    length = _append(runs, length, page, 1, _page_state(s, pte_pfn(entry), by_folio))
        address = following
    return length


@kernel
def _smaps_page(s: State, pfn: int) -> int:
    """Proportional share of a page that maps it once, in bytes << PSS_SHIFT; 0 for a zero page.

    Models smaps_account(), simplified: Rss and Pss only.
    """
    if is_zero_pfn(s.pages, pfn):
        return 0
    return (PAGE_SIZE << PSS_SHIFT) // max(page_mapcount(s.pages, pfn), 1)


@kernel
def _smaps_pmd(s: State, entry: int) -> int:
    """Proportional share of what a huge PMD maps, page by page, in bytes << PSS_SHIFT; 0 where smaps counts nothing.

    Models smaps_pmd_entry(): the huge zero page is left out, and in 6.1 PROT_NONE too, which follow_trans_huge_pmd() refuses to
    who does not ask with FOLL_FORCE (474098edac26, "mm/gup: replace FOLL_NUMA by gup_can_follow_protnone()", in v6.1).
    """
    pfn = pte_pfn(entry)
    if is_zero_pfn(s.pages, pfn) or (s.ctl[KERNEL] == V6_1 and entry & (_PAGE_PRESENT | _PAGE_PROTNONE) == _PAGE_PROTNONE):
        return 0
    if s.pages[pfn]["refcount"] == 1:
        return PMD_SIZE << PSS_SHIFT
    share = 0
    for page in range(pfn, pfn + HPAGE_PMD_NR):
        share += _smaps_page(s, page)
    return share


@exported
def smaps_rows(s: State, mm: int, rows: Rows) -> None:
    """Fill ``rows`` ((map_count, 5) int64): start, end, vm_flags, resident bytes, proportional bytes << PSS_SHIFT.

    Models smap_gather_stats(), simplified: Rss and Pss only.
    """
    for position in range(s.mms[mm]["map_count"]):
        vma = s.vmas[s.order[position]]
        address, end = vma["vm_start"], vma["vm_end"]
        rows[position, 0] = address
        rows[position, 1] = end
        rows[position, 2] = vma["vm_flags"]
        rss, pss = 0, 0
        while address < end:
            address, pmd = next_pmd(s, mm, address, end)
            if pmd == 0:
                break
            following = min((address & -PMD_SIZE) + PMD_SIZE, end)
            if pmd_huge(s.entries[pmd]):
                share = _smaps_pmd(s, s.entries[pmd])
                rss += PMD_SIZE if share != 0 else 0
                pss += share
            elif pmd_present(s.entries[pmd]):
                slot = pte_offset(s, pmd, address)
                for entry in s.entries[slot : slot + ((following - address) >> PAGE_SHIFT)]:
                    if pte_present(entry):
                        share = _smaps_page(s, pte_pfn(entry))
                        rss += PAGE_SIZE if share != 0 else 0
                        pss += share
            address = following
        rows[position, 3] = rss
        rows[position, 4] = pss


def perms_of(vm_flags: int) -> str:
    """Permissions as /proc/PID/maps prints them."""
    letters = ((VM_READ, "r"), (VM_WRITE, "w"), (VM_EXEC, "x"))
    return "".join(c if vm_flags & bit else "-" for bit, c in letters) + ("s" if vm_flags & VM_MAYSHARE else "p")


def state_letters(bits: int) -> str:
    """State bits as letters."""
    return "".join(letter for i, letter in enumerate(LETTERS) if bits >> i & 1)


def smaps(s: State, mm: int) -> list[VmaInfo]:
    """All VMAs of an address space, in address order."""
    rows = np.zeros((int(s.mms[mm]["map_count"]), 5), np.int64)
    smaps_rows(s, mm, rows)
    return [_vma_info(*row) for row in rows.tolist()]


def _vma_info(start: int, end: int, vm_flags: int, rss: int, pss: int) -> VmaInfo:
    locked = bool(vm_flags & VM_LOCKED)
    return VmaInfo(start, end, perms_of(vm_flags), locked, vm_flags, rss >> 10, pss >> 10 + PSS_SHIFT if locked else 0)


def pagemap_array(s: State, mm: int, start: int, end: int, by_folio: bool) -> npt.NDArray[Any]:
    """Present pages of [start, end) as (n, 3) int64 rows: address, pages, state bits; ``by_folio``: as :func:`pagemap_runs`."""
    runs = np.zeros((64, RUN_COLUMNS), np.int64)
    while (needed := pagemap_runs(s, mm, start, end, runs, by_folio)) > len(runs):
        runs = np.zeros((needed, RUN_COLUMNS), np.int64)
    return runs[:needed]


def pagemap(s: State, mm: int, start: int, end: int) -> list[PageRun]:
    """Present pages of [start, end) as runs, as this kernel shows them."""
    return _page_runs(s, mm, start, end, bool(s.ctl[KERNEL] >= V6_12))


def _page_runs(s: State, mm: int, start: int, end: int, by_folio: bool) -> list[PageRun]:
    rows = pagemap_array(s, mm, start, end, by_folio).tolist()
    return [PageRun((address - start) >> PAGE_SHIFT, pages, state_letters(bits)) for address, pages, bits in rows]


def observable_state(s: State, mm: int) -> ObservableState:
    """Everything a process can see of its locks."""
    record = s.mms[mm]
    runs = _page_runs(s, mm, 0, int(record["task_size"]), True)
    return ObservableState(tuple(smaps(s, mm)), int(record["locked_vm"]), tuple(runs))
