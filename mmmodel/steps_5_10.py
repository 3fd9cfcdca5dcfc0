"""The steps of 5.10: one page loses its lock, a vector of them, and a VMA.  See :mod:`mmmodel.steps`."""

from __future__ import annotations

from collections.abc import Generator

from mmmodel.constants import _PAGE_PRESENT, HPAGE_PMD_NR, PAGE_SHIFT, PAGE_SIZE, PMD_SIZE, PG_head, PG_lru, PG_tail
from mmmodel.kernels import HOLE_SKIP
from mmmodel.lookup import lookup
from mmmodel.lru import count_lru_lock, isolate_locked, test_clear_page_unevictable
from mmmodel.migrate import is_migration_entry, migrating_pfn
from mmmodel.mlock_batch import test_set_page_mlocked
from mmmodel.munlock_page import (
    __munlock_isolation_failed,
    clear_mlocked_whole,
    count_munlocked,
    count_rmap_lock,
    is_locked_by_vma,
)
from mmmodel.pages import get_page, is_zero_pfn, page_mapcount, test_clear_page_mlocked
from mmmodel.per_page import (
    __munlock_pagevec_fill,
    clear_vm_locked,
    count_compound,
    count_followed,
    count_isolated,
    count_page_lock,
    count_pagevec,
    count_putback,
    is_putback_fast,
    isolate_from_lru,
    step_over_holes,
)
from mmmodel.pgtable import any_pmd_slot, pte_pfn
from mmmodel.rmap import clear_mlocked_of_unmapped, count_if_stranded
from mmmodel.state import ALGORITHM, KERNEL, State
from mmmodel.steps import (
    Lock,
    Path,
    Step,
    drop,
    entry_of,
    isolate_lru_page,
    lru_add_drain,
    lru_add_fn,
    lru_lock,
    one_pmd,
    put_one_page,
    putback_lru_page,
    relock_lru,
    take,
    unlock_lru,
)

# ---- 5.10: one page ----


def mlock_vma_page_5_10(s: State, pfn: int) -> Path:
    """5.10: a page is locked.  Needs the page lock."""
    yield Step("TestSetPageMlocked")
    if not test_set_page_mlocked(s.pages, s.counters, pfn):
        isolated = yield from isolate_lru_page(s, pfn)
        if isolated:
            yield from putback_lru_page(s, pfn)


def clear_page_mlock(s: State, pfn: int) -> Path:
    """5.10: the last mapping of a page is gone."""
    yield Step("TestClearPageMlocked")
    if not clear_mlocked_of_unmapped(s.pages, s.counters, pfn):
        return
    isolated = yield from isolate_lru_page(s, pfn)
    if isolated:
        yield from putback_lru_page(s, pfn)
    else:
        count_if_stranded(s.pages, s.counters, pfn)


def vmas_of(s: State, mapping: int) -> tuple[int, ...]:
    """VMAs that may map a page, in the order of the walk."""
    vmas: list[int] = []
    if mapping & 1:
        avc = int(s.anon_vmas[mapping >> 1]["avc_head"])
        while avc:
            vmas.append(int(s.avcs[avc]["vma"]))
            avc = int(s.avcs[avc]["next_same_anon_vma"])
    elif mapping:
        vma = int(s.files[mapping >> 1]["i_mmap"])
        while vma:
            vmas.append(vma)
            vma = int(s.vmas[vma]["i_mmap_next"])
    return tuple(vmas)


def try_to_munlock(s: State, pfn: int) -> Path:
    """5.10: other VMAs are asked whether they lock the page.  Needs the page lock."""
    rmap = Lock("rmap", int(s.pages[pfn]["mapping"]), shared=True)
    yield take("lock reverse map", rmap)
    count_rmap_lock(s.counters)
    for vma in vmas_of(s, rmap.number):
        yield Step("look at VMA", needs=(rmap,))
        if is_locked_by_vma(s, pfn, vma):
            if not int(s.pages[pfn]["flags"]) & (PG_head | PG_tail):
                yield from mlock_vma_page_5_10(s, pfn)
            break
    yield drop("unlock reverse map", rmap)


def __munlock_isolated_page(s: State, pfn: int) -> Path:
    """5.10: the rest of the munlock of an isolated page.  Needs the page lock."""
    yield Step("page_mapcount")
    if page_mapcount(s.pages, pfn) > 1:
        yield from try_to_munlock(s, pfn)
    yield Step("PageMlocked")
    count_munlocked(s.pages, s.counters, pfn)
    yield from putback_lru_page(s, pfn)


def munlock_vma_page_5_10(s: State, pfn: int) -> Generator[Step, bool, int]:
    """5.10: one page is unlocked, huge pages whole: the pages done with.  Needs the page lock."""
    lru = lru_lock(s, pfn)
    yield take("lock LRU", lru)
    count_lru_lock(s.counters)
    yield Step("TestClearPageMlocked", needs=(lru,))
    mlocked = clear_mlocked_whole(s.pages, s.counters, pfn)
    yield Step("isolate", needs=(lru,), drops=(lru,))
    isolated = mlocked and int(s.pages[pfn]["flags"]) & PG_lru != 0
    if isolated:
        isolate_locked(s, pfn)
    if isolated:
        yield from __munlock_isolated_page(s, pfn)
    elif mlocked:
        __munlock_isolation_failed(s, pfn)
    return HPAGE_PMD_NR if mlocked and int(s.pages[pfn]["flags"]) & PG_head else 1


def mlock_present_page(s: State, vma: int, address: int) -> Path:
    """5.10: populate locks the page at an address (FOLL_MLOCK), if nobody has the page lock.  Needs mmap_lock.

    Waits for a page in migration.  Simplified: a page that is gone is not faulted in.  ValueError: there is no page table.
    """
    ptl, slot = entry_of(s, vma, address)
    while True:
        yield take("lock page table", ptl)
        entry = int(s.entries[slot])
        if not is_migration_entry(entry):
            break
        page = Lock("page", int(migrating_pfn(entry)))
        yield drop("unlock page table", ptl)
        yield Step("wait for page lock", takes=(page,), drops=(page,))
    if entry & _PAGE_PRESENT:
        yield from mlock_followed(s, int(pte_pfn(entry)))
    yield drop("unlock page table", ptl)


def mlock_followed(s: State, pfn: int) -> Path:
    """5.10: a page that populate has found is locked, unless somebody has the page lock."""
    page = Lock("page", pfn)
    got = yield Step("trylock page", tries=page)
    if not got:
        return
    count_page_lock(s.counters)
    yield from lru_add_drain(s)
    yield from mlock_vma_page_5_10(s, pfn)
    yield Step("unlock page", needs=(page,), drops=(page,))


# ---- 5.10: a vector ----


def __munlock_pagevec(s: State, mm: int) -> Path:
    """5.10: the pages of the task's vector are unlocked in three phases."""
    pvec = s.munlock_pvecs[mm]
    pfns = tuple(int(pfn) for pfn in pvec[1 : int(pvec[0]) + 1])
    count_pagevec(s.counters)
    isolated = yield from _isolate_all(s, mm, pfns)
    if len(isolated) < len(pfns):
        yield from lru_add_drain(s)
        for pfn in pfns:
            if pfn not in isolated:
                yield from put_one_page(s, pfn)
    fast: tuple[int, ...] = ()
    nr_rescued = 0
    for pfn in isolated:
        lock = Lock("page", pfn)
        yield Step("lock page", takes=(lock,))
        if is_putback_fast(s.pages, pfn):
            nr_rescued += test_clear_page_unevictable(s.pages, pfn)
            fast = (*fast, pfn)
            pvec[len(fast)] = pfn
        else:
            get_page(s.pages, pfn)
            yield from __munlock_isolated_page(s, pfn)
        yield Step("unlock page", needs=(lock,), drops=(lock,))
        if pfn not in fast:
            yield from put_one_page(s, pfn)
    count_putback(s.counters, len(isolated), len(fast), nr_rescued)
    held: Lock | None = None
    for pfn in fast:
        held = yield from relock_lru(s, pfn, held)
        if held is not None:
            yield from lru_add_fn(s, pfn, held)
    yield from unlock_lru(held)
    for pfn in fast:
        yield from put_one_page(s, pfn)


def _isolate_all(s: State, mm: int, pfns: tuple[int, ...]) -> Generator[Step, bool, tuple[int, ...]]:
    """Phase 1, under one LRU lock: the pages that lost PG_mlocked and were taken off their lists."""
    version = int(s.ctl[KERNEL])
    pvec = s.munlock_pvecs[mm]
    lru = lru_lock(s, pfns[0])
    nr_mlocked = 0
    isolated: tuple[int, ...] = ()
    yield take("lock LRU", lru)
    for i, pfn in enumerate(pfns, 1):
        yield Step("TestClearPageMlocked", needs=(lru,))
        if test_clear_page_mlocked(s.pages, pfn):
            nr_mlocked += 1
            yield Step("isolate", needs=(lru,))
            if isolate_from_lru(s.pages, s.counters, version, pfn):
                isolated = (*isolated, pfn)
                continue
            __munlock_isolation_failed(s, pfn)
        pvec[i] = -pfn
    yield Step("unlock LRU", needs=(lru,), drops=(lru,))
    count_isolated(s.counters, nr_mlocked, len(isolated))
    return isolated


def munlock_vma_pages_range(s: State, mm: int, vma: int, start: int, end: int) -> Path:
    """5.10: a VMA loses VM_LOCKED, and its pages in one PMD's range are unlocked.  Needs mmap_lock for writing.

    ValueError: [start, end) is not below one PMD entry.
    """
    one_pmd(start, end)
    yield Step("store vm_flags")
    clear_vm_locked(s, vma)
    top, five_level = int(s.mms[mm]["pgd"]), int(s.mms[mm]["levels"]) == 5
    skip = int(s.ctl[ALGORITHM]) == HOLE_SKIP
    while True:
        yield from _with_table(s, "follow_page", mm, start)
        start = step_over_holes(s, top, five_level, start, end, skip)
        if start >= end:
            return
        start = yield from _munlock_found(s, mm, lookup(s.entries, top, five_level, start), start, end)


def _with_table(s: State, name: str, mm: int, address: int) -> Path:
    """A step under the page table lock, if there is a page table.  mmap_lock keeps that there."""
    pmd = int(any_pmd_slot(s, mm, address))
    locks = (Lock("ptl", pmd),) if pmd and s.entries[pmd] else ()
    yield Step(name, takes=locks, drops=locks)


def _munlock_found(s: State, mm: int, found: int, start: int, end: int) -> Generator[Step, bool, int]:
    """What follow_page() found is unlocked: the address to go on at."""
    count_followed(s, int(s.mms[mm]["levels"]) == 5, found)
    pfn = pte_pfn(s.entries[abs(found)])
    if found < 0:
        if is_zero_pfn(s.pages, pfn):
            return start + PAGE_SIZE
        pfn += (start & (PMD_SIZE - 1)) >> PAGE_SHIFT
    flags = int(s.pages[pfn]["flags"])
    if flags & PG_tail:
        count_compound(s.counters)
        return start + PAGE_SIZE
    if flags & PG_head:
        lock = Lock("page", pfn)
        yield Step("lock page", takes=(lock,))
        count_page_lock(s.counters)
        nr_pages = yield from munlock_vma_page_5_10(s, pfn)
        yield Step("unlock page", needs=(lock,), drops=(lock,))
        return start + (nr_pages << PAGE_SHIFT)
    get_page(s.pages, pfn)
    pvec = s.munlock_pvecs[mm]
    pvec[0], pvec[1] = 1, pfn
    yield from _with_table(s, "fill vector", mm, start)
    start = __munlock_pagevec_fill(s, found, start, end, pvec)
    yield from __munlock_pagevec(s, mm)
    return start
