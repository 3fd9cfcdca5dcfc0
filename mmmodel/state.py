"""The state of a modelled machine: plain numpy arrays, so that it can be copied, compared and restored.

All arrays are indexed by number: a pfn, a VMA slot, a table.  Number 0 is never a valid object and stands for NULL.  Growth
happens between calls (:mod:`mmmodel.machine`), never inside compiled code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mmmodel.arraytypes import Records, Rows, Words
from mmmodel.constants import FOLIO_BATCH_SIZE, HPAGE_PMD_ORDER, MAX_NUMNODES, NR_LRU_LISTS, PAGEVEC_SIZE, PG_reserved, PG_zero

# struct page.  Packed: 36 bytes.
PAGE_DTYPE: Final = np.dtype(
    [
        ("index", "i8"),  # page offset in the mapping (anonymous: address >> 12 at first touch)
        ("flags", "i4"),  # PG_*, and node and zone from bit ZONE_SHIFT
        ("refcount", "i4"),  # references; tails: 0, the head has them
        ("mapcount", "i4"),  # page table entries that map this page (the kernel's _mapcount + 1)
        ("lru_next", "i4"),  # pfn; also links free pages
        ("lru_prev", "i4"),  # pfn; 5.18+: mlock_count while PG_lru and PG_unevictable, as the kernel overlays them
        ("mapping", "i4"),  # 0, anon_vma << 1 | 1, or file << 1
        ("compound", "i4"),  # tail: pfn of the head; head: huge PMDs that map it (compound_mapcount + 1)
    ]
)
# struct vm_area_struct.
VMA_DTYPE: Final = np.dtype(
    [
        ("vm_start", "i8"),  # address, bytes
        ("vm_end", "i8"),  # address, bytes, exclusive
        ("vm_flags", "i8"),  # VM_*
        ("vm_pgoff", "i8"),  # pages; anonymous private: vm_start >> 12 when mapped
        ("vm_mm", "i4"),  # index in mms
        ("vm_file", "i4"),  # index in files; shared anonymous memory has one
        ("anon_vma", "i4"),  # index in anon_vmas
        ("avc_head", "i4"),  # anon_vma_chain: first index in avcs
        ("avc_count", "i4"),  # its length
        ("i_mmap_next", "i4"),  # other VMAs of the same file
        ("i_mmap_prev", "i4"),
        ("link", "i4"),  # next free slot
    ]
)
# struct anon_vma_chain: one VMA linked to one anon_vma.
AVC_DTYPE: Final = np.dtype(
    [
        ("vma", "i4"),
        ("anon_vma", "i4"),
        ("next_same_vma", "i4"),
        ("next_same_anon_vma", "i4"),  # also links free slots
        ("prev_same_anon_vma", "i4"),
        ("pad", "i4"),
    ]
)
ANON_VMA_DTYPE: Final = np.dtype(
    [
        ("root", "i4"),
        ("parent", "i4"),
        ("num_children", "i4"),  # 5.10 calls it degree; a root counts itself
        ("num_active_vmas", "i4"),  # VMAs whose anon_vma this is
        ("avc_head", "i4"),
        ("link", "i4"),
    ]
)
# struct address_space and its inode.
FILE_DTYPE: Final = np.dtype(
    [
        ("nr_pages", "i8"),  # size of the file in pages, rounded up
        ("cached", "i8"),  # pages in the page cache
        ("cache_root", "i4"),  # table: the page cache, keyed by offset as page tables are by address
        ("i_mmap", "i4"),  # first VMA that maps the file
        ("refs", "i4"),  # VMAs, and one for an open File; at 0 the pages go
        ("shmem", "i4"),  # 1: swap-backed (shared anonymous memory)
        ("link", "i4"),
        ("pad", "i4"),
    ]
)
# struct mm_struct.
MM_DTYPE: Final = np.dtype(
    [
        ("pgd", "i8"),  # table
        ("levels", "i8"),  # 4 or 5
        ("task_size", "i8"),  # bytes
        ("mmap_base", "i8"),  # bytes
        ("def_flags", "i8"),  # VM_LOCKED, VM_LOCKONFAULT
        ("locked_vm", "i8"),  # pages
        ("total_vm", "i8"),  # pages
        ("map_count", "i8"),  # VMAs
        ("rlimit_memlock", "i8"),  # bytes
        ("cap_ipc_lock", "i8"),  # 0 or 1
        ("deposit", "i8"),  # first of the deposited tables (one per huge PMD), linked through their entry 0
        ("nr_tables", "i8"),  # page tables, the top one and deposits included
        ("locked_vm_leak", "i8"),  # pages of locked_vm that no VM_LOCKED VMA stands for: 5.10 loses account (kernel bugs)
    ]
)

# Indices in ``ctl``: allocators (TOP: first never used; FREE: first of the free list; NFREE: its length) and machine settings.
PAGES_TOP: Final = 0
PAGES_FREE: Final = 1
PAGES_NFREE: Final = 2
HUGE_FREE: Final = 3  # free blocks of 512 pages
HUGE_NFREE: Final = 4  # blocks
TABLES_TOP: Final = 5
TABLES_FREE: Final = 6
TABLES_NFREE: Final = 7
VMAS_TOP: Final = 8
VMAS_FREE: Final = 9
VMAS_NFREE: Final = 10
AVCS_TOP: Final = 11
AVCS_FREE: Final = 12
AVCS_NFREE: Final = 13
ANON_VMAS_TOP: Final = 14
ANON_VMAS_FREE: Final = 15
ANON_VMAS_NFREE: Final = 16
FILES_TOP: Final = 17
FILES_FREE: Final = 18
FILES_NFREE: Final = 19
MMS_TOP: Final = 20
ALGORITHM: Final = 21  # PER_PAGE, HOLE_SKIP, PAGE_WALK, FOLIO_WALK, DUMP_WALK, IDEA
CPU: Final = 22  # that runs the calls
NODE: Final = 23  # that new pages come from
THP: Final = 24  # index in THP_MODES
MAX_MAP_COUNT: Final = 25
RAM_PAGES: Final = 26  # for the overcommit heuristic; 0: never refuse
HUGE_ZERO_PFN: Final = 27  # 0 until first used
CURSOR: Final = 28  # address at which a populate or touch stopped for lack of arena room
MAX_CHAIN: Final = 29  # longest anon_vma_chain so far: bounds what a split may need
KERNEL: Final = 30  # V5_10, V6_1, V6_12: ordered
BATCH_SIZE: Final = 31  # pages of a full per-CPU vector
LEFT_OUT: Final = 32  # bits of what the steps of a path leave out (mmmodel.steps): no call looks at it
IDEA_CODE: Final = 33  # of IDEA alone: where its function is (mmmodel.idea_code)
ANON_ORDERS: Final = 34  # bits of the orders below a huge page's that anonymous faults may use: 6.12
FOLIO_FREE: Final = 35  # by order, to HPAGE_PMD_ORDER - 1: free blocks of so many pages
FOLIO_NFREE: Final = FOLIO_FREE + HPAGE_PMD_ORDER  # blocks
NR_CTL: Final = FOLIO_NFREE + HPAGE_PMD_ORDER

# The first frames hold the LRU list heads, a node's five lists in a row, so that list surgery needs no special case.
NR_LRU_HEADS: Final = MAX_NUMNODES * NR_LRU_LISTS
ZERO_PFN: Final = NR_LRU_HEADS
FIRST_PFN: Final = NR_LRU_HEADS + 1
ZERO_PAGE_FLAGS: Final = PG_reserved | PG_zero

# A per-CPU vector: entry 0 is its length.
LRU_ADD_PVEC: Final = 0
MLOCK_PVEC: Final = 1
NR_PVECS: Final = 2
PVEC_ROW: Final = FOLIO_BATCH_SIZE + 1
MUNLOCK_ROW: Final = PAGEVEC_SIZE + 1


# The arrays of a machine: field -> (dtype, dimensions).
ARRAYS: Final = {
    "entries": (np.dtype(np.int64), 1),  # (tables * 512,): entry i of table t is entries[t << 9 | i]
    "pages": (PAGE_DTYPE, 1),  # (frames,), indexed by pfn
    "vmas": (VMA_DTYPE, 1),  # (slots,)
    "avcs": (AVC_DTYPE, 1),  # (slots,)
    "anon_vmas": (ANON_VMA_DTYPE, 1),  # (slots,)
    "files": (FILE_DTYPE, 1),  # (slots,)
    "mms": (MM_DTYPE, 1),  # (slots,)
    "pvecs": (np.dtype(np.int32), 3),  # (cpus, 2, 32): LRU_ADD_PVEC of pfns, MLOCK_PVEC of pfn << 2 | tag
    "munlock_pvecs": (np.dtype(np.int32), 2),  # (mms, 16): 5.10's, on the stack of the task there
    "ctl": (np.dtype(np.int64), 1),  # (NR_CTL,)
    "counters": (np.dtype(np.int64), 1),  # (NR_COUNTERS,)
    "order": (np.dtype(np.int32), 1),  # (room,): VMA slots in address order; the one array that is an address space's own
}
FIELDS: Final = tuple(ARRAYS)
HEADER_ROW: Final = 4  # words per array in State.header: address, and up to three dimensions


class State:
    """One machine as one address space sees it: a record of arrays, all shared by the machine's address spaces but ``order``.

    Compiled code gets the address of ``header``, where the arrays are described, instead of twelve arrays by value
    (:mod:`mmmodel.statetype`), and reads the same attributes.
    """

    __slots__ = (*FIELDS, "address", "header")

    entries: Words
    pages: Records
    vmas: Records
    avcs: Records
    anon_vmas: Records
    files: Records
    mms: Records
    pvecs: Words
    munlock_pvecs: Rows
    ctl: Words
    counters: Words
    order: Words
    header: npt.NDArray[np.int64]  # (fields, 4)
    address: int  # of header

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self.header = np.zeros((len(FIELDS), HEADER_ROW), np.int64)
        self.address = self.header.ctypes.data
        for field in FIELDS:
            self.set(field, arrays[field])

    def set(self, field: str, array: npt.NDArray[Any]) -> None:
        """Put another array in the place of one; compiled code sees it from the next call on."""
        dtype, dimensions = ARRAYS[field]
        if array.dtype != dtype or array.ndim != dimensions or not array.flags.c_contiguous:
            raise TypeError(f"{field}: a contiguous array of {dimensions} dimensions and {dtype} is needed")
        setattr(self, field, array)
        row = self.header[FIELDS.index(field)]
        row[0] = array.ctypes.data
        row[1 : 1 + dimensions] = array.shape

    def array(self, field: str) -> npt.NDArray[Any]:
        """An array as numpy knows it, for Python to look at."""
        array: npt.NDArray[Any] = getattr(self, field)
        return array
