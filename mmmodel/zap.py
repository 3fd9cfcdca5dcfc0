"""Taking pages out of page tables: zap_page_range() and what munmap, exit, madvise and truncate make of it.

Models mm/memory.c and mm/huge_memory.c, 5.10 to 6.12.  Pages are released one by one rather than in mmu_gather batches; the
drain of the per-CPU vectors that such a batch does (free_pages_and_swap_cache()) comes once, in tlb_finish_mmu().
"""

from __future__ import annotations

from mmmodel.constants import PAGE_SHIFT, PAGE_SIZE, PMD_SIZE
from mmmodel.counters import TABLES_FREED, ZAP_READ, ZAP_SPECIAL, ZAPPED
from mmmodel.counting import count
from mmmodel.filemap import CACHE_END, truncate_inode_pages
from mmmodel.folio import folio_pte_batch
from mmmodel.jit import kernel, step, unit
from mmmodel.kernels import V6_12
from mmmodel.lru import put_page
from mmmodel.mlock_batch import lru_add_drain
from mmmodel.pages import is_zero_pfn, page_trans_compound
from mmmodel.pgtable import (
    count_unmap_read,
    free_table,
    next_pmd,
    pmd_huge,
    pmd_present,
    pte_none,
    pte_offset,
    pte_pfn,
    pte_present,
    withdraw_table,
)
from mmmodel.rmap import folio_remove_rmap_ptes, page_remove_rmap
from mmmodel.split import split_huge_pmd
from mmmodel.state import KERNEL, State
from mmmodel.swap import free_swap_and_cache, free_swap_cache


@kernel
def zap_huge_pmd(s: State, mm: int, pmd: int, vm_flags: int) -> None:
    """Unmap a huge page; the deposited table goes too.  Models zap_huge_pmd()."""
    pfn = pte_pfn(s.entries[pmd])
    s.entries[pmd] = 0
    free_table(s, mm, withdraw_table(s, mm))
    count(s.counters, TABLES_FREED, 1)
    if not is_zero_pfn(s.pages, pfn):
        page_remove_rmap(s, pfn, vm_flags, True)
        put_page(s, pfn)


@unit
def zap_present_folio_ptes(s: State, slot: int, end: int, vm_flags: int) -> int:
    """6.12: clear the entries from ``slot`` on, below ``end``, that map one large folio, page after page: how many.

    Models zap_present_folio_ptes().
    """
    pfn = pte_pfn(s.entries[slot])
    nr_pages = folio_pte_batch(s.entries, s.pages, slot, end)
    for i in range(nr_pages):
        s.entries[slot + i] = 0
    folio_remove_rmap_ptes(s, pfn, nr_pages, vm_flags)
    for i in range(nr_pages):
        put_page(s, pfn + i)
    return nr_pages


@kernel
def zap_pte_range(s: State, pmd: int, address: int, end: int, vm_flags: int) -> None:
    """Clear the entries of [address, end) under one PMD entry; the table stays.  Models zap_pte_range()."""
    by_folio = s.ctl[KERNEL] >= V6_12
    first = pte_offset(s, pmd, address)
    last, zapped, special = first + (end - address) // PAGE_SIZE, 0, 0
    for slot in range(first, last):
        entry = s.entries[slot]
        if pte_none(entry):
            continue
        if by_folio and pte_present(entry) and page_trans_compound(s.pages, pte_pfn(entry)):
            zapped += zap_present_folio_ptes(s, slot, last, vm_flags)  # those as well that the loop comes to next
            continue
        s.entries[slot] = 0
        if not pte_present(entry):
            free_swap_and_cache(s, entry)
            continue
        if is_zero_pfn(s.pages, pte_pfn(entry)):
            special += 1
            continue
        pfn = pte_pfn(entry)
        zapped += 1
        page_remove_rmap(s, pfn, vm_flags, False)
        free_swap_cache(s, pfn)
        put_page(s, pfn)
    count(s.counters, ZAP_READ, last - first)
    count(s.counters, ZAPPED, zapped)
    count(s.counters, ZAP_SPECIAL, special)


@unit
def unmap_page_range(s: State, mm: int, vma: int, start: int, end: int) -> None:
    """Unmap what is mapped in [start, end) of a VMA.  Models unmap_page_range()."""
    vm_flags = s.vmas[vma]["vm_flags"]
    count_unmap_read(s, mm, start, end)
    while start < end:
        start, pmd = next_pmd(s, mm, start, end)
        if pmd == 0:
            break
        following = min((start & -PMD_SIZE) + PMD_SIZE, end)
        if pmd_huge(s.entries[pmd]):
            if following - start == PMD_SIZE:
                zap_huge_pmd(s, mm, pmd, vm_flags)
                start = following
                continue
            split_huge_pmd(s, mm, pmd, vm_flags)
        if pmd_present(s.entries[pmd]):
            zap_pte_range(s, pmd, start, following, vm_flags)
        start = following


@kernel
def tlb_finish_mmu(s: State) -> None:
    """Drain this CPU's vectors, as free_pages_and_swap_cache() does.

    Models tlb_finish_mmu(), simplified: pages were released before, and drained once, not once a batch.  Where no page was
    gathered the kernel drains nothing, and there is nothing: vectors were drained before, and only unmapped pages come in.
    """
    lru_add_drain(s)


@kernel
def zap_page_range(s: State, mm: int, vma: int, start: int, end: int) -> None:
    """Models zap_page_range() and zap_page_range_single(): MADV_DONTNEED, truncation."""
    lru_add_drain(s)
    unmap_page_range(s, mm, vma, start, end)
    tlb_finish_mmu(s)


@unit
def do_truncate(s: State, file: int, nr_pages: int) -> None:
    """Change a file's size in pages; beyond it pages are unmapped everywhere, private copies too, and dropped.

    Models shmem_setattr(), simplified: whole pages.  If it shrinks: unmap_mapping_range() under i_mmap_rwsem, VMA by VMA, then
    shmem_truncate_range().
    """
    shrinks = nr_pages < s.files[file]["nr_pages"]
    s.files[file]["nr_pages"] = nr_pages
    if not shrinks:
        return
    vma = s.files[file]["i_mmap"]
    while vma != 0:
        record = s.vmas[vma]
        start = record["vm_start"] + (max(nr_pages - record["vm_pgoff"], 0) << PAGE_SHIFT)
        if start < record["vm_end"]:
            zap_page_range(s, record["vm_mm"], vma, start, record["vm_end"])
        vma = record["i_mmap_next"]
    truncate_inode_pages(s, file, nr_pages, CACHE_END >> PAGE_SHIFT)


@step
def clear_file_entry(s: State, slot: int) -> int:
    """Clear an entry if it maps a page of the page cache: its pfn, or 0.  Needs the page table lock."""
    entry = s.entries[slot]
    if not pte_present(entry) or s.pages[pte_pfn(entry)]["mapping"] & 1 != 0:
        return 0
    s.entries[slot] = 0
    return pte_pfn(entry)


@kernel
def _unmap_file_pages(s: State, mm: int, vma: int, start: int, end: int) -> None:
    """Unmap the pages of the page cache in [start, end) of a VMA of a file; private copies and swap entries stay.

    Models unmap_page_range() with zap_details, without even_cows.
    """
    vm_flags = s.vmas[vma]["vm_flags"]
    while start < end:
        start, pmd = next_pmd(s, mm, start, end)
        if pmd == 0:
            break
        following = min((start & -PMD_SIZE) + PMD_SIZE, end)
        if pmd_present(s.entries[pmd]):
            first = pte_offset(s, pmd, start)
            for slot in range(first, first + ((following - start) >> PAGE_SHIFT)):
                pfn = clear_file_entry(s, slot)
                if pfn != 0:
                    page_remove_rmap(s, pfn, vm_flags, False)
                    put_page(s, pfn)
        start = following


@unit
def punch_hole(s: State, file: int, first: int, end: int) -> None:
    """Take the pages with offsets in [first, end) out of a file, locked or not; its size and private copies stay.

    Models shmem_fallocate() with FALLOC_FL_PUNCH_HOLE, simplified: whole pages.
    """
    vma = s.files[file]["i_mmap"]
    while vma != 0:
        record = s.vmas[vma]
        low = max(record["vm_start"] + ((first - record["vm_pgoff"]) << PAGE_SHIFT), record["vm_start"])
        high = min(record["vm_start"] + ((end - record["vm_pgoff"]) << PAGE_SHIFT), record["vm_end"])
        if low < high:
            lru_add_drain(s)
            _unmap_file_pages(s, record["vm_mm"], vma, low, high)
            tlb_finish_mmu(s)
        vma = record["i_mmap_next"]
    truncate_inode_pages(s, file, first, end)
