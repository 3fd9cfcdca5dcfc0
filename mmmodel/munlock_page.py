"""One page loses its lock in 5.10: isolation, the reverse-map walk, and back to an LRU.

Models mm/mlock.c, v5.10: munlock_vma_page(), __munlock_isolated_page(), __munlock_isolation_failed(), and try_to_munlock() of
mm/rmap.c with the same logic.  PG_mlocked is one bit for all VMAs, so who clears it must ask whether another VMA still locks.
"""

from __future__ import annotations

from mmmodel.arraytypes import Records, Words
from mmmodel.constants import PAGE_SHIFT, VM_LOCKED, PG_head, PG_lru, PG_mlocked, PG_unevictable
from mmmodel.counters import NR_MLOCK, PGMUNLOCKED, PGSTRANDED, RMAP_LOCK, RMAP_VMAS
from mmmodel.counting import count
from mmmodel.jit import kernel, step, unit
from mmmodel.lru import count_lru_lock, isolate_locked, putback_lru_page
from mmmodel.pages import page_mapcount, page_trans_compound, test_clear_page_mlocked, thp_nr_pages
from mmmodel.pgtable import find_pmd, find_pte, pmd_huge, pte_pfn, pte_present
from mmmodel.rmap import mlock_vma_page_5_10
from mmmodel.state import State


@kernel
def page_mapped_in_vma(s: State, pfn: int, vma: int) -> bool:
    """Whether ``vma`` maps the page where its offset says.

    Models page_vma_mapped_walk(), simplified: one page, no migration.
    """
    record = s.vmas[vma]
    address = record["vm_start"] + ((s.pages[pfn]["index"] - record["vm_pgoff"]) << PAGE_SHIFT)
    if address < record["vm_start"] or address >= record["vm_end"]:
        return False
    mm = record["vm_mm"]
    if s.pages[pfn]["flags"] & PG_head != 0:
        pmd = find_pmd(s, mm, address)
        if pmd != 0 and pmd_huge(s.entries[pmd]):
            return pte_pfn(s.entries[pmd]) == pfn
    slot = find_pte(s, mm, address)
    return slot != 0 and pte_present(s.entries[slot]) and pte_pfn(s.entries[slot]) == pfn


@step
def is_locked_by_vma(s: State, pfn: int, vma: int) -> bool:
    """Whether ``vma`` is locked and maps the page.  Needs the lock of the reverse map; takes the page table lock."""
    count(s.counters, RMAP_VMAS, 1)
    return s.vmas[vma]["vm_flags"] & VM_LOCKED != 0 and page_mapped_in_vma(s, pfn, vma)


@kernel
def _relock_if_vma_locks(s: State, pfn: int, vma: int) -> bool:
    """Set PG_mlocked again if ``vma`` is locked and maps the page; true ends the walk.

    Models try_to_unmap_one(), simplified: TTU_MUNLOCK only.
    """
    if not is_locked_by_vma(s, pfn, vma):
        return False
    if not page_trans_compound(s.pages, pfn):
        mlock_vma_page_5_10(s, pfn)
    return True


@step
def count_rmap_lock(counters: Words) -> None:
    """Book one round trip of the lock of the reverse map."""
    count(counters, RMAP_LOCK, 1)


@kernel
def try_to_munlock(s: State, pfn: int) -> None:
    """Ask the other VMAs of a page whether one of them locks it.  Needs the page lock; the page is off its LRU.

    Models try_to_munlock(), v5.10, simplified: VMAs are visited in the order of their links, not of an interval tree.
    """
    count_rmap_lock(s.counters)
    mapping = s.pages[pfn]["mapping"]
    if mapping & 1 != 0:
        avc = s.anon_vmas[mapping >> 1]["avc_head"]
        while avc != 0:
            if _relock_if_vma_locks(s, pfn, s.avcs[avc]["vma"]):
                return
            avc = s.avcs[avc]["next_same_anon_vma"]
    elif mapping != 0:
        vma = s.files[mapping >> 1]["i_mmap"]
        while vma != 0:
            if _relock_if_vma_locks(s, pfn, vma):
                return
            vma = s.vmas[vma]["i_mmap_next"]


@step
def count_munlocked(pages: Records, counters: Words, pfn: int) -> None:
    """Account for a page that no VMA has locked again."""
    if pages[pfn]["flags"] & PG_mlocked == 0:
        counters[PGMUNLOCKED] += thp_nr_pages(pages, pfn)


@unit
def __munlock_isolated_page(s: State, pfn: int) -> None:
    """Finish the munlock of an isolated page.  Needs the page lock.  Models __munlock_isolated_page(), v5.10."""
    if page_mapcount(s.pages, pfn) > 1:
        try_to_munlock(s, pfn)
    count_munlocked(s.pages, s.counters, pfn)
    putback_lru_page(s, pfn)


@step
def __munlock_isolation_failed(s: State, pfn: int) -> None:
    """PG_mlocked was cleared on a page that somebody else has taken off its LRU.

    Models __munlock_isolation_failed(), v5.10.
    """
    stranded = s.pages[pfn]["flags"] & PG_unevictable != 0
    s.counters[PGSTRANDED if stranded else PGMUNLOCKED] += thp_nr_pages(s.pages, pfn)


@step
def clear_mlocked_whole(pages: Records, counters: Words, pfn: int) -> bool:
    """Clear PG_mlocked of a page, huge pages whole, and take it out of nr_mlock: whether it was set.  Needs the LRU lock."""
    mlocked = test_clear_page_mlocked(pages, pfn)
    if mlocked:
        counters[NR_MLOCK] -= thp_nr_pages(pages, pfn)
    return mlocked


@unit
def munlock_vma_page(s: State, pfn: int) -> int:
    """Munlock one page, huge pages whole; returns the page mask, pages beyond this one.  Needs the page lock.

    Models munlock_vma_page() in mm/mlock.c, v5.10.
    """
    nr_pages = thp_nr_pages(s.pages, pfn)
    count_lru_lock(s.counters)
    if not clear_mlocked_whole(s.pages, s.counters, pfn):
        return 0
    if s.pages[pfn]["flags"] & PG_lru != 0:
        isolate_locked(s, pfn)
        __munlock_isolated_page(s, pfn)
    else:
        __munlock_isolation_failed(s, pfn)
    return nr_pages - 1
