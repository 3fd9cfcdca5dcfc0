"""munlock as Linux 5.10 does it: every page of the range looked up from the top of the page tables.

Models munlock_vma_pages_range() of mm/mlock.c, v5.10, with the same logic: follow_page(FOLL_GET | FOLL_DUMP) page by page;
where that finds an order-0 page, up to 14 neighbours of the same page table join it in a pagevec and are munlocked in three
phases.  ``hole-skip`` is this loop with the change proposed in February 2021 and never merged: no_page_table() reports the size
of what is missing, and the loop steps over it.
"""

from __future__ import annotations

from mmmodel.arraytypes import Records, Words
from mmmodel.constants import (
    _PAGE_SPECIAL,
    PAGE_SHIFT,
    PAGE_SIZE,
    PAGEVEC_SIZE,
    PFN_INDEX,
    PMD_SIZE,
    VM_LOCKED_CLEAR_MASK,
    PG_head,
    PG_lru,
    PG_tail,
)
from mmmodel.counters import (
    COND_RESCHED,
    FOLLOW_PAGE,
    ISOLATED,
    LRU_LOCK,
    NR_MLOCK,
    PAGE_LOCK,
    PAGES_LOOKED_UP,
    PAGEVECS,
    PGMUNLOCKED,
    PGRESCUED,
    PTE_COMPOUND,
    PTE_LOCK,
    PTE_READ,
    PTE_SPECIAL,
    PUTBACK,
)
from mmmodel.counting import count
from mmmodel.idea_code import call_munlock
from mmmodel.jit import kernel, primitive, step, unit
from mmmodel.kernels import HOLE_SKIP, IDEA
from mmmodel.lookup import (
    FIRST_SLOT,
    NONE_AT_P4D,
    NONE_AT_PGD,
    NONE_AT_PMD,
    NONE_AT_PUD,
    count_lookup,
    count_lookups,
    hole_size_shift,
    lookup,
)
from mmmodel.lru import (
    del_page_from_lru_list,
    lru_add_fn,
    page_evictable,
    page_free,
    put_page,
    put_page_testzero,
    test_clear_page_unevictable,
)
from mmmodel.mlock_batch import lru_add_drain
from mmmodel.munlock_page import __munlock_isolated_page, __munlock_isolation_failed, munlock_vma_page
from mmmodel.pages import (
    get_page,
    is_zero_pfn,
    page_trans_compound,
    page_zone_id,
    test_clear_page_mlocked,
)
from mmmodel.pgtable import entry_index, pte_pfn, pte_present
from mmmodel.state import ALGORITHM, IDEA_CODE, KERNEL, State


@primitive
def usable_pte(entry: int) -> bool:
    """Whether follow_page(FOLL_DUMP) gives a page for this entry: present (PROT_NONE too) and not special (the zero page)."""
    return pte_present(entry) and entry & _PAGE_SPECIAL == 0


@step
def __munlock_pagevec_fill(s: State, slot: int, start: int, end: int, pvec: Words) -> int:
    """Add the pages behind the first one, which is in ``pvec`` already; returns the address to go on at.

    ``pvec``: its length in front.  Stops at the end of the page table, at an entry without a usable page, at a
    page of another zone or part of a huge page, and when full.

    Models __munlock_pagevec_fill(), v5.10.
    """
    entries, pages = s.entries, s.pages
    zone = page_zone_id(pages, pvec[1])
    length = 1
    end = min(end, (start & -PMD_SIZE) + PMD_SIZE)
    start += PAGE_SIZE
    read = 0
    while start < end and length < PAGEVEC_SIZE:
        slot += 1
        read += 1
        entry = entries[slot]
        if not usable_pte(entry):
            break
        pfn = pte_pfn(entry)
        if page_zone_id(pages, pfn) != zone or page_trans_compound(pages, pfn):
            break
        pages[pfn]["refcount"] += 1
        length += 1
        pvec[length] = pfn
        start += PAGE_SIZE
    pvec[0] = length
    count(s.counters, PTE_LOCK, 1)
    count(s.counters, PTE_READ, read)
    count(s.counters, PAGES_LOOKED_UP, pvec[0] - 1)
    return start


@step
def isolate_from_lru(pages: Records, counters: Words, version: int, pfn: int) -> bool:
    """Take a page off its list if it is on one; the caller has a reference.  Needs the LRU lock.

    Models __munlock_isolate_lru_page(), v5.10.
    """
    if pages[pfn]["flags"] & PG_lru == 0:
        return False
    pages[pfn]["flags"] &= ~PG_lru
    del_page_from_lru_list(pages, counters, version, pfn)
    return True


@step
def count_isolated(counters: Words, nr_mlocked: int, nr_isolated: int) -> None:
    """Account for phase 1 when it is over, and for its LRU lock."""
    counters[NR_MLOCK] -= nr_mlocked
    count(counters, LRU_LOCK, 1)
    count(counters, ISOLATED, nr_isolated)


@primitive
def _munlock_pagevec_isolate(s: State, pvec: Words) -> bool:
    """Phase 1, under one LRU lock: clear PG_mlocked and take the pages off their lists.

    Slots of pages that need nothing more become 0, and true tells that there are such: they are put back at once.
    """
    pages, counters, version = s.pages, s.counters, s.ctl[KERNEL]
    nr_mlocked, nr_isolated = 0, 0
    for i in range(1, pvec[0] + 1):
        pfn = pvec[i] & PFN_INDEX
        if test_clear_page_mlocked(pages, pfn):
            nr_mlocked += 1
            if isolate_from_lru(pages, counters, version, pfn):
                nr_isolated += 1
                continue
            __munlock_isolation_failed(s, pfn)
        pvec[i] = -pfn
    count_isolated(counters, nr_mlocked, nr_isolated)
    return nr_isolated < pvec[0]


@kernel
def _munlock_pagevec_release(s: State, pvec: Words) -> None:
    """Drop the pages that phase 1 sorted out.  Models pagevec_release(): this CPU's vectors are drained first."""
    lru_add_drain(s)
    for i in range(1, pvec[0] + 1):
        if pvec[i] < 0:
            put_page(s, -pvec[i])


@step
def is_putback_fast(pages: Records, pfn: int) -> bool:
    """Whether nobody else can have the page locked, so that the reverse map need not be asked.  Needs the page lock.

    Models __putback_lru_fast_prepare(), v5.10.
    """
    return pages[pfn]["mapcount"] <= 1 and page_evictable(pages, pfn)


@step
def count_putback(counters: Words, nr_locked: int, nr_fast: int, nr_rescued: int) -> None:
    """Account for phase 2, and for the LRU lock of phase 3 if there is one."""
    count(counters, PAGE_LOCK, nr_locked)
    if nr_fast != 0:
        counters[PGMUNLOCKED] += nr_fast
        counters[PGRESCUED] += nr_rescued
        count(counters, LRU_LOCK, 1)
        count(counters, PUTBACK, nr_fast)


@primitive
def _munlock_pagevec_putback(s: State, pvec: Words) -> None:
    """Phases 2 and 3: pages mapped once go straight to an evictable list, the others through the reverse-map walk."""
    pages, counters, version = s.pages, s.counters, s.ctl[KERNEL]
    nr_fast, nr_rescued, nr_locked = 0, 0, 0
    for i in range(1, pvec[0] + 1):
        if pvec[i] < 0:
            continue
        pfn = pvec[i] & PFN_INDEX
        nr_locked += 1
        if is_putback_fast(pages, pfn):
            nr_fast += 1
            nr_rescued += 1 if test_clear_page_unevictable(pages, pfn) else 0
            pvec[nr_fast] = pfn
        else:
            get_page(pages, pfn)  # __munlock_isolated_page() drops one
            __munlock_isolated_page(s, pfn)
            put_page(s, pfn)
    count_putback(counters, nr_locked, nr_fast, nr_rescued)
    for i in range(1, nr_fast + 1):
        lru_add_fn(pages, counters, version, pvec[i] & PFN_INDEX)
    for i in range(1, nr_fast + 1):
        pfn = pvec[i] & PFN_INDEX
        if put_page_testzero(pages, pfn):
            page_free(s, pfn)


@step
def count_pagevec(counters: Words) -> None:
    """Book one vector that is munlocked."""
    count(counters, PAGEVECS, 1)


@primitive
def __munlock_pagevec(s: State, pvec: Words) -> None:
    """Munlock the pages of a vector, which holds a reference to each, and drop the references.

    Models __munlock_pagevec(), v5.10.
    """
    count_pagevec(s.counters)
    if _munlock_pagevec_isolate(s, pvec):
        _munlock_pagevec_release(s, pvec)
    _munlock_pagevec_putback(s, pvec)


@step
def count_page_lock(counters: Words) -> None:
    """Book one round trip of the page lock."""
    count(counters, PAGE_LOCK, 1)


@step
def count_compound(counters: Words) -> None:
    """Book one entry of a part of a huge page, which is passed by."""
    count(counters, PTE_COMPOUND, 1)


@kernel
def munlock_found(s: State, pfn: int, slot: int, start: int, end: int, pvec: Words) -> int:
    """Munlock what follow_page() found at ``start``; returns the address to go on at.  ``slot``: 0 for a huge PMD."""
    flags = s.pages[pfn]["flags"]
    if flags & PG_tail != 0:
        count_compound(s.counters)
        return start + PAGE_SIZE
    if flags & PG_head != 0:
        count_page_lock(s.counters)
        return start + ((1 + munlock_vma_page(s, pfn)) << PAGE_SHIFT)
    get_page(s.pages, pfn)
    pvec[0] = 1
    pvec[1] = pfn
    start = __munlock_pagevec_fill(s, slot, start, end, pvec)
    __munlock_pagevec(s, pvec)
    return start


@kernel
def _step_over_holes(s: State, top: int, five_level: bool, start: int, end: int, skip: bool) -> int:
    """Look up page after page until one is there: its address, or ``end``.

    This is the loop of the report: one full look-up for each 4 KiB.  ``skip``: step by the size of what is missing.
    """
    entries, counters = s.entries, s.counters
    at_pgd, at_p4d, at_pud, at_pmd, at_pte, special, calls = 0, 0, 0, 0, 0, 0, 0
    while start < end:
        found = lookup(entries, top, five_level, start)
        if found >= FIRST_SLOT:
            if usable_pte(entries[found]):
                break
            at_pte += 1
            special += 1 if pte_present(entries[found]) else 0
        elif found == NONE_AT_PMD:
            at_pmd += 1
        elif found == NONE_AT_PUD:
            at_pud += 1
        elif found == NONE_AT_P4D:
            at_p4d += 1
        elif found == NONE_AT_PGD:
            at_pgd += 1
        else:  # a huge PMD
            break
        calls += 1
        if skip and found < FIRST_SLOT:
            size = 1 << hole_size_shift(found)
            start = min((start & -size) + size, end)
        else:
            start += PAGE_SIZE
    count_lookups(counters, five_level, at_pgd, at_p4d, at_pud, at_pmd, at_pte)
    count(counters, PTE_LOCK, at_pte)
    count(counters, PTE_SPECIAL, special)
    count(counters, FOLLOW_PAGE, calls)
    count(counters, PAGES_LOOKED_UP, calls)
    count(counters, COND_RESCHED, calls)
    return start


@step
def step_over_holes(s: State, top: int, five_level: bool, start: int, end: int, skip: bool) -> int:
    """The loop of the report as a step, for Python: inlined by force it takes 1.6 times as long."""
    return _step_over_holes(s, top, five_level, start, end, skip)


@step
def clear_vm_locked(s: State, vma: int) -> None:
    """Store a VMA's flags without those of locking: seen at once by who holds another lock than mmap_lock."""
    s.vmas[vma]["vm_flags"] &= VM_LOCKED_CLEAR_MASK


@step
def count_followed(s: State, five_level: bool, found: int) -> None:
    """Book the look-up that found something."""
    count_lookup(s.counters, five_level, found)
    count(s.counters, FOLLOW_PAGE, 1)
    count(s.counters, PAGES_LOOKED_UP, 1)
    count(s.counters, PTE_LOCK, 1)
    count(s.counters, COND_RESCHED, 1)


@unit
def munlock_vma_pages_range(s: State, mm: int, vma: int, start: int, end: int) -> None:
    """Munlock the pages of [start, end) of a VMA.  Needs mmap_lock for writing.

    Visits: every page of the range, present or not (hole-skip: every page that is there and every missing table).

    Models munlock_vma_pages_range(), v5.10.
    """
    clear_vm_locked(s, vma)
    top = s.mms[mm]["pgd"]
    five_level = s.mms[mm]["levels"] == 5
    skip = s.ctl[ALGORITHM] == HOLE_SKIP
    pvec = s.munlock_pvecs[mm]
    while True:
        start = _step_over_holes(s, top, five_level, start, end, skip)
        if start >= end:
            return
        found = lookup(s.entries, top, five_level, start)  # what the loop above stopped at: the same look-up, booked here
        count_followed(s, five_level, found)
        if found > 0:
            start = munlock_found(s, pte_pfn(s.entries[found]), found, start, end, pvec)
            continue
        pfn = pte_pfn(s.entries[-found])
        if is_zero_pfn(s.pages, pfn):  # FOLL_DUMP refuses the huge zero page: no page, and no size
            start += PAGE_SIZE
        else:
            start = munlock_found(s, pfn + entry_index(start, PAGE_SHIFT), 0, start, end, pvec)


@kernel
def munlock_range(s: State, mm: int, vma: int, start: int, end: int) -> None:
    """Munlock a range by the machine's algorithm; here, since a call more where the loop is makes that 1.5 times as long."""
    if s.ctl[ALGORITHM] == IDEA:
        call_munlock(s.ctl[IDEA_CODE], s, mm, vma, start, end)
    else:
        munlock_vma_pages_range(s, mm, vma, start, end)
