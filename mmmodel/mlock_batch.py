"""mlock_count and the per-CPU batch of 6.1 and 6.12: what happens to one page, and to a batch of them at a time.

Models the upper half of mm/mlock.c, v6.1 (same logic): __mlock_page(), __mlock_new_page(), __munlock_page(), mlock_pagevec(),
mlock_folio(), mlock_new_page(), munlock_page().  6.12 says folio for page in these names, and does the same with 31 at a time,
where 6.1 takes 15; a large folio does not wait in either.  Each step on a page is a function of its own, cut where the kernel
takes or drops a lock, so that schedules can be explored over them.

mlock_count lives in ``lru_prev`` and is valid only while PG_lru and PG_unevictable are set; elsewhere it reads as 0.
"""

from __future__ import annotations

from mmmodel.arraytypes import Records, Words
from mmmodel.constants import PFN_INDEX, PG_active, PG_head, PG_lru, PG_mlocked, PG_unevictable
from mmmodel.counters import (
    LRU_LOCK,
    MLOCK_BATCHES,
    NR_INACTIVE_ANON,
    NR_MLOCK,
    NR_UNEVICTABLE,
    PGCULLED,
    PGMLOCKED,
    PGMUNLOCKED,
    PGRESCUED,
    PGSTRANDED,
)
from mmmodel.counting import count
from mmmodel.jit import kernel, primitive, step, unit
from mmmodel.kernels import V6_1
from mmmodel.lru import (
    add_page_to_lru_list,
    list_add,
    list_del,
    page_evictable,
    page_free,
    page_lru,
    page_unevictable,
    pagevec_lru_add,
    put_page_testzero,
    set_page_lru,
    test_clear_page_lru,
)
from mmmodel.pages import test_clear_page_mlocked, thp_nr_pages
from mmmodel.state import BATCH_SIZE, CPU, KERNEL, MLOCK_PVEC, State

MUNLOCK_ENTRY = 0  # tags of an entry, in the low bits of the page's address in the kernel
LRU_PAGE = 1
NEW_PAGE = 2


@step
def rescue_page(pages: Records, counters: Words, pfn: int, also: int) -> None:
    """Move an isolated page that has become evictable off the unevictable LRU, which is no list.  Needs the LRU lock.

    ``also``: PG_lru where nobody can look in between, to store the flags once (6 % of dense munlock), or 0.
    """
    flags = (pages[pfn]["flags"] | also) & ~PG_unevictable
    if pages[pfn]["flags"] & PG_unevictable == 0:
        pages[pfn]["flags"] = flags
        return
    nr_pages = thp_nr_pages(pages, pfn)
    lru = page_lru(flags)
    pages[pfn]["flags"] = flags
    list_add(pages, pfn, flags, lru)
    counters[NR_UNEVICTABLE] -= nr_pages
    counters[NR_INACTIVE_ANON + lru] += nr_pages
    counters[PGRESCUED] += nr_pages


@step
def count_or_cull_page(pages: Records, counters: Words, pfn: int) -> None:
    """Count one more lock on an isolated page; the first takes it off its evictable list.  Needs the LRU lock.

    PG_mlocked is read again: it may be gone since :func:`page_evictable` looked, and then nothing is counted.
    """
    page = pages[pfn]
    flags = page["flags"]
    mlocked = 1 if flags & PG_mlocked != 0 else 0
    if flags & PG_unevictable != 0:
        page["lru_prev"] += mlocked
        return
    nr_pages = thp_nr_pages(pages, pfn)
    lru = page_lru(flags)
    page["flags"] = (flags & ~PG_active) | PG_unevictable
    list_del(pages, pfn)
    page["lru_prev"] = mlocked
    counters[NR_INACTIVE_ANON + lru] -= nr_pages
    counters[NR_UNEVICTABLE] += nr_pages
    counters[PGCULLED] += nr_pages


@primitive
def __mlock_page(pages: Records, counters: Words, pfn: int) -> None:
    """Count one more lock on a page that was on an LRU.  Models __mlock_page(), v6.1."""
    if not test_clear_page_lru(pages, pfn):
        return
    if page_evictable(pages, pfn):  # PG_mlocked is gone again: another CPU was faster
        rescue_page(pages, counters, pfn, 0)
    else:
        count_or_cull_page(pages, counters, pfn)
    set_page_lru(pages, pfn)


@step
def add_new_page(pages: Records, counters: Words, pfn: int, mlocked: bool) -> None:
    """Link a new page in, ``mlocked`` as :func:`page_evictable` said, counted once if it still is.  Needs the LRU lock."""
    if mlocked:
        pages[pfn]["flags"] |= PG_unevictable
        counters[PGCULLED] += thp_nr_pages(pages, pfn)
    add_page_to_lru_list(pages, counters, V6_1, pfn)
    if mlocked:
        pages[pfn]["lru_prev"] = 1 if pages[pfn]["flags"] & PG_mlocked != 0 else 0


@primitive
def __mlock_new_page(pages: Records, counters: Words, pfn: int) -> None:
    """Put a new page on its LRU, counted once if it is still mlocked.  Needs the LRU lock.

    Models __mlock_new_page(), v6.1.
    """
    add_new_page(pages, counters, pfn, not page_evictable(pages, pfn))
    set_page_lru(pages, pfn)


@step
def count_munlock(pages: Records, pfn: int) -> bool:
    """Count one lock less on an isolated page; whether others are left.  Needs the LRU lock."""
    page = pages[pfn]
    if page["flags"] & PG_unevictable == 0:
        return False
    if page["lru_prev"] > 0:
        page["lru_prev"] -= 1
    return page["lru_prev"] > 0


@step
def account_munlocked(counters: Words, nr_pages: int, stranded: bool) -> None:
    """Account for PG_mlocked that was cleared; ``stranded``: of an unevictable page that somebody else has isolated."""
    counters[NR_MLOCK] -= nr_pages
    counters[PGSTRANDED if stranded else PGMUNLOCKED] += nr_pages


@primitive
def __munlock_page(pages: Records, counters: Words, pfn: int) -> None:
    """Count one lock less; at none, clear PG_mlocked and rescue the page.

    Models __munlock_page(), v6.1.
    """
    nr_pages = thp_nr_pages(pages, pfn)
    isolated = test_clear_page_lru(pages, pfn)
    if isolated and count_munlock(pages, pfn):
        set_page_lru(pages, pfn)
        return
    mlocked = test_clear_page_mlocked(pages, pfn)
    stranded = not isolated and page_unevictable(pages, pfn)
    if isolated:
        if page_evictable(pages, pfn):  # asked only now, since another CPU may have set PG_mlocked again
            rescue_page(pages, counters, pfn, PG_lru)
        else:
            set_page_lru(pages, pfn)
    if mlocked:
        account_munlocked(counters, nr_pages, stranded)


@primitive
def _batch_needs_lru_lock(pages: Records, pvec: Words) -> int:
    """Return 1 if a page of the batch is on an LRU, or will be put on one: then the kernel takes the lock, and keeps it.

    Looked up before the batch is processed, at nearly no cost: mostly the first page decides.
    """
    for i in range(1, pvec[0] + 1):
        if pvec[i] & 3 == NEW_PAGE or pages[(pvec[i] & PFN_INDEX) >> 2]["flags"] & PG_lru != 0:
            return 1
    return 0


@step
def count_batch(counters: Words) -> None:
    """Book one batch that is processed."""
    count(counters, MLOCK_BATCHES, 1)


@unit
def mlock_pagevec(s: State, cpu: int) -> None:
    """Process a CPU's batch in order, under one LRU lock, then drop its references.  Models mlock_pagevec(), v6.1."""
    pvec = s.pvecs[cpu, MLOCK_PVEC]
    pages, counters = s.pages, s.counters
    length = pvec[0]
    count_batch(counters)
    count(counters, LRU_LOCK, _batch_needs_lru_lock(pages, pvec))
    for i in range(1, length + 1):
        pfn, tag = (pvec[i] & PFN_INDEX) >> 2, pvec[i] & 3
        if tag == LRU_PAGE:
            __mlock_page(pages, counters, pfn)
        elif tag == NEW_PAGE:
            __mlock_new_page(pages, counters, pfn)
        else:
            __munlock_page(pages, counters, pfn)
    pvec[0] = 0
    for i in range(1, length + 1):
        pfn = (pvec[i] & PFN_INDEX) >> 2
        if put_page_testzero(pages, pfn):
            page_free(s, pfn)


@step
def batch_append(pages: Records, pvec: Words, size: int, pfn: int, tag: int) -> bool:
    """Put a page, with a reference, into a CPU's batch: whether that must be processed now, at ``size`` or for a huge page."""
    pages[pfn]["refcount"] += 1
    length = pvec[0] + 1
    pvec[0] = length
    pvec[length] = (pfn << 2) | tag
    return length == size or pages[pfn]["flags"] & PG_head != 0


@primitive
def _batch_add(s: State, pages: Records, pvec: Words, size: int, pfn: int, tag: int) -> None:
    if batch_append(pages, pvec, size, pfn, tag):
        mlock_pagevec(s, s.ctl[CPU])


@step
def set_page_mlocked(pages: Records, counters: Words, pfn: int) -> None:
    """Set PG_mlocked and account for it at once, whatever becomes of the batch."""
    nr_pages = thp_nr_pages(pages, pfn)
    pages[pfn]["flags"] |= PG_mlocked
    counters[NR_MLOCK] += nr_pages
    counters[PGMLOCKED] += nr_pages


@step
def test_set_page_mlocked(pages: Records, counters: Words, pfn: int) -> bool:
    """Whether PG_mlocked is set already; set and account for it if not.  Models TestSetPageMlocked()."""
    if pages[pfn]["flags"] & PG_mlocked != 0:
        return True
    set_page_mlocked(pages, counters, pfn)
    return False


@primitive
def batch_mlock_folio(s: State, pages: Records, pvec: Words, size: int, pfn: int) -> None:
    """:func:`mlock_folio` for a loop that has ``s.pages``, this CPU's batch and how much it holds at hand."""
    test_set_page_mlocked(pages, s.counters, pfn)
    _batch_add(s, pages, pvec, size, pfn, LRU_PAGE)


@primitive
def batch_munlock_page(s: State, pages: Records, pvec: Words, size: int, pfn: int) -> None:
    """:func:`munlock_page` for a loop, likewise."""
    _batch_add(s, pages, pvec, size, pfn, MUNLOCK_ENTRY)


@kernel
def mlock_folio(s: State, pfn: int) -> None:
    """Models mlock_folio(): a page that is on an LRU, or off it for a while."""
    batch_mlock_folio(s, s.pages, s.pvecs[s.ctl[CPU], MLOCK_PVEC], s.ctl[BATCH_SIZE], pfn)


@kernel
def mlock_new_page(s: State, pfn: int) -> None:
    """Models mlock_new_page(): a page not yet on any LRU."""
    set_page_mlocked(s.pages, s.counters, pfn)
    _batch_add(s, s.pages, s.pvecs[s.ctl[CPU], MLOCK_PVEC], s.ctl[BATCH_SIZE], pfn, NEW_PAGE)


@kernel
def munlock_page(s: State, pfn: int) -> None:
    """Models munlock_page(): flag and counters change only when the batch is processed."""
    batch_munlock_page(s, s.pages, s.pvecs[s.ctl[CPU], MLOCK_PVEC], s.ctl[BATCH_SIZE], pfn)


@kernel
def mlock_page_drain(s: State, cpu: int) -> None:
    """Models mlock_page_drain_local()."""
    if s.pvecs[cpu, MLOCK_PVEC, 0] != 0:
        mlock_pagevec(s, cpu)


@unit
def lru_add_drain_cpu(s: State, cpu: int) -> None:
    """Models lru_add_drain_cpu() and, in 6.1, the mlock batch's drain behind it, simplified: there are no other vectors."""
    pagevec_lru_add(s, cpu)
    if s.ctl[KERNEL] >= V6_1:
        mlock_page_drain(s, cpu)


@kernel
def lru_add_drain(s: State) -> None:
    """Models lru_add_drain(): the batches of this CPU."""
    lru_add_drain_cpu(s, s.ctl[CPU])
