"""mlock_count and the per-CPU batch of 6.1: what happens to one page, and to fifteen at a time.

Models the upper half of mm/mlock.c, v6.1 (same logic): __mlock_page(), __mlock_new_page(), __munlock_page(), mlock_pagevec(),
mlock_folio(), mlock_new_page(), munlock_page().  Each step on a page is a function of its own, cut where the kernel takes or
drops a lock, so that schedules can be explored over them.

mlock_count lives in ``lru_prev`` and is valid only while PG_lru and PG_unevictable are set; elsewhere it reads as 0.
"""

from __future__ import annotations

from mmmodel.constants import PAGE_WALK, PAGEVEC_SIZE, PG_active, PG_head, PG_lru, PG_mlocked, PG_unevictable
from mmmodel.counters import (
    LRU_LOCK,
    MLOCK_BATCHES,
    NR_MLOCK,
    PGCULLED,
    PGMLOCKED,
    PGMUNLOCKED,
    PGRESCUED,
    PGSTRANDED,
)
from mmmodel.jit import kernel, unit
from mmmodel.lru import add_page_to_lru_list, count, del_page_from_lru_list, page_evictable, pagevec_lru_add, put_page
from mmmodel.pages import test_clear_page_mlocked, thp_nr_pages
from mmmodel.state import CPU, IMPL, MLOCK_PVEC, Records, State, Words

MUNLOCK_ENTRY = 0  # tags of an entry, in the low bits of the page's address in the kernel
LRU_PAGE = 1
NEW_PAGE = 2


@kernel
def test_clear_page_lru(pages: Records, pfn: int) -> bool:
    """Models TestClearPageLRU(): whoever gets true has isolated the page."""
    flags = pages[pfn]["flags"]
    pages[pfn]["flags"] = flags & ~PG_lru
    return flags & PG_lru != 0


@kernel
def _move_to_evictable(pages: Records, counters: Words, pfn: int) -> None:
    """Rescue an isolated page from the unevictable LRU.  Needs the LRU lock."""
    del_page_from_lru_list(pages, counters, PAGE_WALK, pfn)
    pages[pfn]["flags"] &= ~PG_unevictable
    add_page_to_lru_list(pages, counters, PAGE_WALK, pfn)
    counters[PGRESCUED] += thp_nr_pages(pages, pfn)


@kernel
def __mlock_page(pages: Records, counters: Words, pfn: int) -> bool:
    """Count one more lock on a page that was on an LRU.  True if the LRU lock was needed."""
    if not test_clear_page_lru(pages, pfn):
        return False
    if page_evictable(pages, pfn):  # PG_mlocked is gone again: another CPU was faster
        if pages[pfn]["flags"] & PG_unevictable != 0:
            _move_to_evictable(pages, counters, pfn)
    elif pages[pfn]["flags"] & PG_unevictable != 0:
        if pages[pfn]["flags"] & PG_mlocked != 0:
            pages[pfn]["lru_prev"] += 1
    else:
        del_page_from_lru_list(pages, counters, PAGE_WALK, pfn)
        pages[pfn]["flags"] = (pages[pfn]["flags"] & ~PG_active) | PG_unevictable
        add_page_to_lru_list(pages, counters, PAGE_WALK, pfn)
        pages[pfn]["lru_prev"] = 1 if pages[pfn]["flags"] & PG_mlocked != 0 else 0
        counters[PGCULLED] += thp_nr_pages(pages, pfn)
    pages[pfn]["flags"] |= PG_lru
    return True


@kernel
def __mlock_new_page(pages: Records, counters: Words, pfn: int) -> bool:
    """Put a new page on its LRU, counted once if it is still mlocked.  Needs the LRU lock: true."""
    mlocked = not page_evictable(pages, pfn)
    if mlocked:
        pages[pfn]["flags"] |= PG_unevictable
        counters[PGCULLED] += thp_nr_pages(pages, pfn)
    add_page_to_lru_list(pages, counters, PAGE_WALK, pfn)
    if mlocked:
        pages[pfn]["lru_prev"] = 1
    pages[pfn]["flags"] |= PG_lru
    return True


@kernel
def __munlock_page(pages: Records, counters: Words, pfn: int) -> bool:
    """Count one lock less; at none, clear PG_mlocked and rescue the page.  True if the LRU lock was needed."""
    isolated = test_clear_page_lru(pages, pfn)
    unevictable = pages[pfn]["flags"] & PG_unevictable != 0
    if isolated and unevictable:
        if pages[pfn]["lru_prev"] > 0:
            pages[pfn]["lru_prev"] -= 1
        if pages[pfn]["lru_prev"] > 0:
            pages[pfn]["flags"] |= PG_lru
            return True
    if test_clear_page_mlocked(pages, pfn):
        nr_pages = thp_nr_pages(pages, pfn)
        counters[NR_MLOCK] -= nr_pages
        counters[PGMUNLOCKED if isolated or not unevictable else PGSTRANDED] += nr_pages
    if isolated:
        if unevictable and page_evictable(pages, pfn):
            _move_to_evictable(pages, counters, pfn)
        pages[pfn]["flags"] |= PG_lru
    return isolated


@unit
def mlock_pagevec(s: State, cpu: int) -> None:
    """Process a CPU's batch in order, under one LRU lock, then drop its references."""
    pvec = s.pvecs[cpu, MLOCK_PVEC]
    pages, counters = s.pages, s.counters
    length = pvec[0]
    locked = False
    for i in range(1, length + 1):
        pfn, tag = pvec[i] >> 2, pvec[i] & 3
        if tag == LRU_PAGE:
            locked |= __mlock_page(pages, counters, pfn)
        elif tag == NEW_PAGE:
            locked |= __mlock_new_page(pages, counters, pfn)
        else:
            locked |= __munlock_page(pages, counters, pfn)
    count(counters, MLOCK_BATCHES, 1)
    count(counters, LRU_LOCK, 1 if locked else 0)
    pvec[0] = 0
    for i in range(1, length + 1):
        put_page(s, pvec[i] >> 2)


@kernel
def _batch_add(s: State, pfn: int, tag: int) -> None:
    """Append a page, with a reference, to this CPU's batch; process it when full or when the page is huge."""
    pvec = s.pvecs[s.ctl[CPU], MLOCK_PVEC]
    s.pages[pfn]["refcount"] += 1
    pvec[0] += 1
    pvec[pvec[0]] = (pfn << 2) | tag
    if pvec[0] == PAGEVEC_SIZE or s.pages[pfn]["flags"] & PG_head != 0:
        mlock_pagevec(s, s.ctl[CPU])


@kernel
def _set_page_mlocked(pages: Records, counters: Words, pfn: int) -> None:
    """Set PG_mlocked and account for it at once, whatever becomes of the batch."""
    nr_pages = thp_nr_pages(pages, pfn)
    pages[pfn]["flags"] |= PG_mlocked
    counters[NR_MLOCK] += nr_pages
    counters[PGMLOCKED] += nr_pages


@kernel
def mlock_folio(s: State, pfn: int) -> None:
    """Models mlock_folio(): a page that is on an LRU, or off it for a while."""
    if s.pages[pfn]["flags"] & PG_mlocked == 0:
        _set_page_mlocked(s.pages, s.counters, pfn)
    _batch_add(s, pfn, LRU_PAGE)


@kernel
def mlock_new_page(s: State, pfn: int) -> None:
    """Models mlock_new_page(): a page not yet on any LRU."""
    _set_page_mlocked(s.pages, s.counters, pfn)
    _batch_add(s, pfn, NEW_PAGE)


@kernel
def munlock_page(s: State, pfn: int) -> None:
    """Models munlock_page(): flag and counters change only when the batch is processed."""
    _batch_add(s, pfn, MUNLOCK_ENTRY)


@kernel
def mlock_page_drain(s: State, cpu: int) -> None:
    """Models mlock_page_drain_local()."""
    if s.pvecs[cpu, MLOCK_PVEC, 0] != 0:
        mlock_pagevec(s, cpu)


@unit
def lru_add_drain_cpu(s: State, cpu: int) -> None:
    """Models lru_add_drain_cpu() and, in 6.1, the drain of the mlock batch that follows it."""
    pagevec_lru_add(s, cpu)
    if s.ctl[IMPL] == PAGE_WALK:
        mlock_page_drain(s, cpu)


@kernel
def lru_add_drain(s: State) -> None:
    """Models lru_add_drain(): the batches of this CPU."""
    lru_add_drain_cpu(s, s.ctl[CPU])
