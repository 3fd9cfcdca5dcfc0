"""LRU lists, the per-CPU vector of pages on their way to them, and the end of a page.

Models mm/swap.c, include/linux/mm_inline.h and isolate_lru_page()/putback_lru_page() of mm/vmscan.c.  In 5.10 unevictable pages
are on a list like the others; in 6.1 they are on none, and the place of ``lru.prev`` holds mlock_count.
"""

from __future__ import annotations

from mmmodel.arraytypes import Records, Words
from mmmodel.constants import (
    LRU_UNEVICTABLE,
    NODE_SHIFT,
    NR_LRU_LISTS,
    PFN_INDEX,
    PG_active,
    PG_head,
    PG_lru,
    PG_mlocked,
    PG_referenced,
    PG_swapbacked,
    PG_unevictable,
)
from mmmodel.counters import (
    ISOLATED,
    LRU_LOCK,
    NR_INACTIVE_ANON,
    NR_MLOCK,
    NR_UNEVICTABLE,
    PGCLEARED,
    PGCULLED,
    PGRESCUED,
    PUTBACK,
)
from mmmodel.counting import count
from mmmodel.jit import kernel, primitive, step, unit
from mmmodel.kernels import V6_1
from mmmodel.pages import compound_head, free_frames, thp_nr_pages
from mmmodel.state import BATCH_SIZE, CPU, KERNEL, LRU_ADD_PVEC, State


@step
def page_evictable(pages: Records, pfn: int) -> bool:
    """Models page_evictable(), simplified: no mapping is AS_UNEVICTABLE."""
    return pages[pfn]["flags"] & PG_mlocked == 0


@primitive
def page_lru(flags: int) -> int:
    """Models page_lru(): the list that a page with these flags belongs on."""
    if flags & PG_unevictable != 0:
        return LRU_UNEVICTABLE
    base = 0 if flags & PG_swapbacked != 0 else 2
    return base + 1 if flags & PG_active != 0 else base


@step
def count_lru_lock(counters: Words) -> None:
    """Book one round trip of the LRU lock."""
    count(counters, LRU_LOCK, 1)


@primitive
def _mod_lru_size(counters: Words, lru: int, nr_pages: int) -> None:
    counters[NR_UNEVICTABLE if lru == LRU_UNEVICTABLE else NR_INACTIVE_ANON + lru] += nr_pages


@primitive
def list_add(pages: Records, pfn: int, flags: int, lru: int) -> None:
    """Link a page with these flags in behind the head of its node's list ``lru``.  Needs the LRU lock.  Models list_add()."""
    head = ((flags >> NODE_SHIFT) * NR_LRU_LISTS + lru) & PFN_INDEX
    first = pages[head]["lru_next"] & PFN_INDEX
    pages[pfn]["lru_next"] = first
    pages[pfn]["lru_prev"] = head
    pages[first]["lru_prev"] = pfn
    pages[head]["lru_next"] = pfn


@primitive
def add_page_to_lru_list(pages: Records, counters: Words, version: int, pfn: int) -> None:
    """Models add_page_to_lru_list(): to the head of its list.  Needs the LRU lock."""
    flags = pages[pfn]["flags"]
    lru = page_lru(flags)
    nr_pages = thp_nr_pages(pages, pfn)
    if lru != LRU_UNEVICTABLE or version < V6_1:  # there it is on no list: lru_prev is mlock_count now
        list_add(pages, pfn, flags, lru)
    _mod_lru_size(counters, lru, nr_pages)


@primitive
def list_del(pages: Records, pfn: int) -> None:
    """Unlink a page from its list.  Needs the LRU lock.  Models list_del()."""
    page = pages[pfn]
    previous, following = page["lru_prev"] & PFN_INDEX, page["lru_next"] & PFN_INDEX
    page["lru_next"] = 0
    page["lru_prev"] = 0
    pages[previous]["lru_next"] = following
    pages[following]["lru_prev"] = previous


@primitive
def del_page_from_lru_list(pages: Records, counters: Words, version: int, pfn: int) -> None:
    """Models del_page_from_lru_list(): the flags still name the list.  Needs the LRU lock."""
    lru = page_lru(pages[pfn]["flags"])
    nr_pages = thp_nr_pages(pages, pfn)
    if lru != LRU_UNEVICTABLE or version < V6_1:
        list_del(pages, pfn)
    else:
        pages[pfn]["lru_prev"] = 0  # mlock_count
    _mod_lru_size(counters, lru, -nr_pages)


@unit
def page_free(s: State, pfn: int) -> None:
    """The last reference is gone: off the LRU, and back to the allocator.

    Models __page_cache_release() and, for 6.1.192, the final clearance of PG_mlocked in free_pages_prepare().
    """
    if s.pages[pfn]["flags"] & PG_lru != 0:
        count(s.counters, LRU_LOCK, 1)
        del_page_from_lru_list(s.pages, s.counters, s.ctl[KERNEL], pfn)
    if s.pages[pfn]["flags"] & PG_mlocked != 0:
        nr_pages = thp_nr_pages(s.pages, pfn)
        s.counters[NR_MLOCK] -= nr_pages
        s.counters[PGCLEARED] += nr_pages
    free_frames(s, pfn)


@step
def put_page_testzero(pages: Records, head: int) -> bool:
    """Models put_page_testzero(): one reference less on a head or order-0 page; true if it was the last."""
    pages[head]["refcount"] -= 1
    return pages[head]["refcount"] == 0


@step
def free_page(s: State, head: int) -> None:
    """What whoever has dropped the last reference does.  Needs the LRU lock if the page is on an LRU."""
    page_free(s, head)


@step
def put_page(s: State, pfn: int) -> None:
    """Models put_page(): one reference less on the head."""
    head = compound_head(s.pages, pfn)
    if put_page_testzero(s.pages, head):
        page_free(s, head)


@step
def test_clear_page_lru(pages: Records, pfn: int) -> bool:
    """Models TestClearPageLRU(): whoever gets true has isolated the page."""
    flags = pages[pfn]["flags"]
    pages[pfn]["flags"] = flags & ~PG_lru
    return flags & PG_lru != 0


@step
def set_page_lru(pages: Records, pfn: int) -> None:
    """Models SetPageLRU(): the page can be isolated again."""
    pages[pfn]["flags"] |= PG_lru


@step
def page_unevictable(pages: Records, pfn: int) -> bool:
    """Models PageUnevictable()."""
    return pages[pfn]["flags"] & PG_unevictable != 0


@step
def test_clear_page_unevictable(pages: Records, pfn: int) -> bool:
    """Models TestClearPageUnevictable()."""
    flags = pages[pfn]["flags"]
    pages[pfn]["flags"] = flags & ~PG_unevictable
    return flags & PG_unevictable != 0


@step
def lru_add_list(pages: Records, counters: Words, version: int, pfn: int, evictable: bool, was_unevictable: bool) -> None:
    """Link a page in where :func:`page_evictable` said that it belongs.  Needs the LRU lock."""
    if not evictable:
        page = pages[pfn]
        page["flags"] = (page["flags"] & ~PG_active) | PG_unevictable
        page["lru_prev"] = 0
    add_page_to_lru_list(pages, counters, version, pfn)
    if evictable == was_unevictable:  # it changes sides
        counters[PGRESCUED if evictable else PGCULLED] += thp_nr_pages(pages, pfn)


@primitive
def lru_add_fn(pages: Records, counters: Words, version: int, pfn: int) -> None:
    """Put a page that is on no list on the one that its state asks for.  Needs the LRU lock.

    Models __pagevec_lru_add_fn() (5.10, which sets PG_lru before it asks where the page belongs) and lru_add_fn() with what
    follows it (6.1, which also resets mlock_count).
    """
    was_unevictable = test_clear_page_unevictable(pages, pfn)
    if version < V6_1:
        set_page_lru(pages, pfn)
    evictable = page_evictable(pages, pfn)
    lru_add_list(pages, counters, version, pfn, evictable, was_unevictable)
    if version >= V6_1:
        set_page_lru(pages, pfn)


@unit
def pagevec_lru_add(s: State, cpu: int) -> None:
    """Move the pages of a CPU's vector to their lists.  Models __pagevec_lru_add(); the lock is taken once."""
    pvec = s.pvecs[cpu, LRU_ADD_PVEC]
    if pvec[0] == 0:
        return
    count_lru_add(s.counters, pvec)
    pages, counters, version = s.pages, s.counters, s.ctl[KERNEL]
    for i in range(1, pvec[0] + 1):
        lru_add_fn(pages, counters, version, pvec[i] & PFN_INDEX)
    length = pvec[0]
    pvec[0] = 0
    for i in range(1, length + 1):
        if put_page_testzero(pages, pvec[i] & PFN_INDEX):
            page_free(s, pvec[i])


@step
def count_lru_add(counters: Words, pvec: Words) -> None:
    """Book the lock that moves a vector's pages to their lists, and the pages."""
    count(counters, LRU_LOCK, 1)
    count(counters, PUTBACK, pvec[0])


@step
def lru_add_append(s: State, pfn: int) -> bool:
    """Put a page, with a reference, into this CPU's vector: whether that must be emptied now, being full or for a huge page."""
    pvec = s.pvecs[s.ctl[CPU], LRU_ADD_PVEC]
    s.pages[pfn]["refcount"] += 1
    pvec[0] += 1
    pvec[pvec[0]] = pfn
    return pvec[0] == s.ctl[BATCH_SIZE] or s.pages[pfn]["flags"] & PG_head != 0


@unit
def lru_cache_add(s: State, pfn: int) -> None:
    """Models lru_cache_add() / folio_add_lru(): to this CPU's vector, emptied when full and for a huge page."""
    if lru_add_append(s, pfn):
        pagevec_lru_add(s, s.ctl[CPU])


@step
def isolate_locked(s: State, pfn: int) -> None:
    """Take a page off its list with a reference; PG_unevictable stays.  Needs the LRU lock and PG_lru."""
    count(s.counters, ISOLATED, 1)
    s.pages[pfn]["refcount"] += 1
    del_page_from_lru_list(s.pages, s.counters, s.ctl[KERNEL], pfn)
    s.pages[pfn]["flags"] &= ~PG_lru


@kernel
def isolate_lru_page(s: State, pfn: int) -> bool:
    """Models isolate_lru_page(), true where that gives 0: the page was on a list and now is not."""
    if s.pages[pfn]["flags"] & PG_lru == 0:
        return False
    count_lru_lock(s.counters)
    isolate_locked(s, pfn)
    return True


@kernel
def putback_lru_page(s: State, pfn: int) -> None:
    """Models putback_lru_page(): to the vector, and the isolation's reference dropped."""
    lru_cache_add(s, pfn)
    put_page(s, pfn)


@kernel
def mark_page_accessed(s: State, pfn: int) -> None:
    """Models mark_page_accessed(), simplified: activation is at once, not through a per-CPU vector."""
    head = compound_head(s.pages, pfn)
    flags = s.pages[head]["flags"]
    if flags & PG_referenced == 0:
        s.pages[head]["flags"] |= PG_referenced
    elif flags & (PG_active | PG_unevictable) == 0 and flags & PG_lru != 0:
        del_page_from_lru_list(s.pages, s.counters, s.ctl[KERNEL], head)
        s.pages[head]["flags"] = (flags & ~PG_referenced) | PG_active
        add_page_to_lru_list(s.pages, s.counters, s.ctl[KERNEL], head)
