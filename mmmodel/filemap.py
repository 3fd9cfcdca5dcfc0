"""Files and shared memory: the page cache.

Models mm/filemap.c and mm/shmem.c, simplified: a page that is not in the cache is there at once when asked for (no readahead,
no I/O), pages are order 0, and the cache is a tree of the same 512-entry tables that page tables use, keyed by page offset.
"""

from __future__ import annotations

from mmmodel.constants import (
    _PAGE_PRESENT,
    P4D_SHIFT,
    PAGE_SHIFT,
    PMD_SHIFT,
    PTE_SHIFT,
    PTRS_PER_TABLE,
    PTRS_SHIFT,
    PUD_SHIFT,
    PG_swapbacked,
)
from mmmodel.errno_codes import EFAULT
from mmmodel.jit import kernel, step, unit
from mmmodel.lru import lru_cache_add, put_page
from mmmodel.pages import alloc_page
from mmmodel.pgtable import alloc_below, alloc_table, descend, entry_index, entry_table, free_table, pte_none, pte_pfn
from mmmodel.state import FILES_FREE, FILES_NFREE, FILES_TOP, State

CACHE_END = 1 << (P4D_SHIFT + PTRS_SHIFT)  # keys, page offsets as addresses, of a page cache
CACHE_MM = 0  # the unused address space number 0 is charged with the tables of page caches


@kernel
def alloc_file(s: State, nr_pages: int, shmem: int) -> int:
    """A file of ``nr_pages`` with an empty cache and no references."""
    file = s.ctl[FILES_FREE]
    if file != 0:
        s.ctl[FILES_FREE] = s.files[file]["link"]
        s.ctl[FILES_NFREE] -= 1
    else:
        file = s.ctl[FILES_TOP]
        s.ctl[FILES_TOP] = file + 1
    record = s.files[file]
    record["nr_pages"] = nr_pages
    record["cached"] = 0
    record["cache_root"] = alloc_table(s, CACHE_MM)
    record["i_mmap"] = 0
    record["refs"] = 0
    record["shmem"] = shmem
    record["link"] = 0
    return file


@step
def cache_slot(s: State, file: int, pgoff: int) -> int:
    """Slot of the entry of the page cache for ``pgoff``, or 0 if there is no page."""
    key = pgoff << PAGE_SHIFT
    table = descend(s.entries, s.files[file]["cache_root"], key, P4D_SHIFT)
    table = descend(s.entries, table, key, PUD_SHIFT)
    table = descend(s.entries, table, key, PMD_SHIFT)
    if table == 0:
        return 0
    slot = (table << PTRS_SHIFT) | entry_index(key, PTE_SHIFT)
    return 0 if pte_none(s.entries[slot]) else slot


@kernel
def find_get_page(s: State, file: int, pgoff: int) -> int:
    """pfn of a cached page, or 0; no reference is taken.  Models find_get_page(), simplified: no reference is taken."""
    slot = cache_slot(s, file, pgoff)
    return 0 if slot == 0 else pte_pfn(s.entries[slot])


@unit
def filemap_fault(s: State, file: int, pgoff: int) -> int:
    """pfn of the page at ``pgoff``, read in if need be; -EFAULT beyond the end of the file (the kernel: SIGBUS).

    Models filemap_fault() and shmem_fault(), simplified: the page is there at once, no read-ahead.
    """
    if pgoff >= s.files[file]["nr_pages"]:
        return -EFAULT
    pfn = find_get_page(s, file, pgoff)
    if pfn != 0:
        return pfn
    pfn = alloc_page(s, PG_swapbacked if s.files[file]["shmem"] != 0 else 0)  # its one reference is the cache's
    s.pages[pfn]["mapping"] = file << 1
    s.pages[pfn]["index"] = pgoff
    key = pgoff << PAGE_SHIFT
    table = s.files[file]["cache_root"]
    table = alloc_below(s, CACHE_MM, (table << PTRS_SHIFT) | entry_index(key, P4D_SHIFT))
    table = alloc_below(s, CACHE_MM, (table << PTRS_SHIFT) | entry_index(key, PUD_SHIFT))
    table = alloc_below(s, CACHE_MM, (table << PTRS_SHIFT) | entry_index(key, PMD_SHIFT))
    s.entries[(table << PTRS_SHIFT) | entry_index(key, PTE_SHIFT)] = (pfn << PTE_SHIFT) | _PAGE_PRESENT
    s.files[file]["cached"] += 1
    lru_cache_add(s, pfn)
    return pfn


@step
def delete_from_page_cache(s: State, file: int, slot: int) -> int:
    """Take a page out of the cache, by the slot of its entry: its pfn.  The cache's reference is the caller's now."""
    pfn = pte_pfn(s.entries[slot])
    s.entries[slot] = 0
    s.files[file]["cached"] -= 1
    s.pages[pfn]["mapping"] = 0
    return pfn


@kernel
def _truncate_table(s: State, file: int, table: int, base: int, first: int, end: int) -> None:
    """Drop the pages of one lowest table, which covers keys from ``base`` on, whose keys are in [first, end)."""
    for i in range(PTRS_PER_TABLE):
        slot = (table << PTRS_SHIFT) | i
        if first <= base + (i << PTE_SHIFT) < end and not pte_none(s.entries[slot]):
            put_page(s, delete_from_page_cache(s, file, slot))


@unit
def _walk_cache(s: State, file: int, first: int, end: int, free_tables: bool) -> None:
    """Drop the cached pages whose keys are in [first, end), and with ``free_tables`` all tables but the root."""
    root = s.files[file]["cache_root"]
    for i in range(PTRS_PER_TABLE):
        p4d = s.entries[(root << PTRS_SHIFT) | i]
        if pte_none(p4d):
            continue
        for j in range(PTRS_PER_TABLE):
            pud = s.entries[(entry_table(p4d) << PTRS_SHIFT) | j]
            if pte_none(pud):
                continue
            for k in range(PTRS_PER_TABLE):
                pmd = s.entries[(entry_table(pud) << PTRS_SHIFT) | k]
                if not pte_none(pmd):
                    base = (i << P4D_SHIFT) + (j << PUD_SHIFT) + (k << PMD_SHIFT)
                    _truncate_table(s, file, entry_table(pmd), base, first, end)
                    if free_tables:
                        free_table(s, CACHE_MM, entry_table(pmd))
            if free_tables:
                free_table(s, CACHE_MM, entry_table(pud))
        if free_tables:
            free_table(s, CACHE_MM, entry_table(p4d))


@kernel
def truncate_inode_pages(s: State, file: int, first: int, end: int) -> None:
    """Drop the cached pages with offsets in [first, end).  The caller has unmapped them.

    Models truncate_inode_pages_range() and shmem_truncate_range(), simplified: whole pages.
    """
    _walk_cache(s, file, first << PAGE_SHIFT, end << PAGE_SHIFT, False)


@kernel
def release_file(s: State, file: int) -> None:
    """The last reference to a file is gone: its pages and tables go.  Models shmem_evict_inode()."""
    _walk_cache(s, file, 0, CACHE_END, True)
    free_table(s, CACHE_MM, s.files[file]["cache_root"])
    s.files[file]["cache_root"] = 0
    s.files[file]["nr_pages"] = 0
    s.files[file]["link"] = s.ctl[FILES_FREE]
    s.ctl[FILES_FREE] = file
    s.ctl[FILES_NFREE] += 1


@unit
def put_file(s: State, file: int) -> None:
    """Release a file that nothing refers to any more."""
    if file != 0 and s.files[file]["refs"] == 0:
        release_file(s, file)
