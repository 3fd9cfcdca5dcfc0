"""The steps of one page as they stood after patch 07 of the series, before pages were batched.  See :mod:`mmmodel.steps`.

Models mlock_page() and munlock_page() of that commit: each acts at once, under the LRU lock, but for the flag that is set.
"""

from __future__ import annotations

from mmmodel.constants import PG_lru, PG_mlocked
from mmmodel.lru import count_lru_lock, page_evictable, page_unevictable, set_page_lru, test_clear_page_lru
from mmmodel.mlock_batch import account_munlocked, count_munlock, count_or_cull_page, rescue_page, test_set_page_mlocked
from mmmodel.pages import test_clear_page_mlocked, thp_nr_pages
from mmmodel.state import State
from mmmodel.steps import Path, Step, drop, lru_lock, take


def mlock_page(s: State, pfn: int) -> Path:
    """A page is locked; off its LRU it gets the flag alone."""
    yield Step("TestSetPageMlocked")
    test_set_page_mlocked(s.pages, s.counters, pfn)
    yield Step("TestClearPageLRU")
    if not test_clear_page_lru(s.pages, pfn):
        return
    lru = lru_lock(s, pfn)
    yield take("lock LRU", lru)
    count_lru_lock(s.counters)
    yield Step("mlock_count", needs=(lru,))
    count_or_cull_page(s.pages, s.counters, pfn)
    if not int(s.pages[pfn]["flags"]) & PG_mlocked:
        s.pages[pfn]["lru_prev"] += 1  # counted whatever has become of the flag
    yield Step("SetPageLRU", needs=(lru,))
    set_page_lru(s.pages, pfn)
    yield drop("unlock LRU", lru)


def munlock_at_once(s: State, pfn: int) -> Path:
    """A page is unlocked, all under the LRU lock; that it is off its LRU is looked at each time."""
    lru = lru_lock(s, pfn)
    yield take("lock LRU", lru)
    count_lru_lock(s.counters)
    yield Step("mlock_count", needs=(lru,))
    if not _on_lru(s, pfn) or not count_munlock(s.pages, pfn):
        yield Step("TestClearPageMlocked", needs=(lru,))
        if test_clear_page_mlocked(s.pages, pfn):
            stranded = not _on_lru(s, pfn) and page_unevictable(s.pages, pfn)
            account_munlocked(s.counters, thp_nr_pages(s.pages, pfn), stranded)
        yield Step("page_evictable", needs=(lru,))
        if _on_lru(s, pfn) and page_evictable(s.pages, pfn):
            yield Step("rescue", needs=(lru,))
            rescue_page(s.pages, s.counters, pfn, 0)
    yield drop("unlock LRU", lru)


def _on_lru(s: State, pfn: int) -> bool:
    return bool(int(s.pages[pfn]["flags"]) & PG_lru)
