"""The steps of 6.1: a page joins the batch, and the walk over what a PMD entry points to.  See :mod:`mmmodel.steps`."""

from __future__ import annotations

from mmmodel.constants import _PAGE_PRESENT, HPAGE_PMD_NR, VM_IO, VM_LOCKED, PG_head, PG_tail
from mmmodel.kernels import V6_12
from mmmodel.mlock_batch import LRU_PAGE, MUNLOCK_ENTRY, NEW_PAGE, batch_append, set_page_mlocked, test_set_page_mlocked
from mmmodel.page_walk import (
    COMPOUND,
    HUGE,
    SPECIAL,
    begin_pte_range,
    count_left_alone,
    is_walked,
    page_of_pte,
    set_vm_flags,
    walk_to_pmd,
)
from mmmodel.pages import is_zero_pfn
from mmmodel.pgtable import pte_offset, pte_pfn
from mmmodel.state import CPU, KERNEL, MLOCK_PVEC, State
from mmmodel.steps import (
    BATCHES,
    DRAINS,
    FLAGS_FIRST,
    ONE_STORE,
    VM_IO_GUARD,
    Lock,
    Path,
    Step,
    drop,
    left_out,
    lru_add_drain,
    mlock_pagevec,
    one_pmd,
    take,
)
from mmmodel.steps_patch_07 import mlock_page, munlock_at_once


def _batch_add(s: State, pfn: int, tag: int) -> Path:
    yield Step("add to batch")
    cpu = int(s.ctl[CPU])
    if batch_append(s.pages, s.pvecs[cpu, MLOCK_PVEC], pfn, tag):
        yield from mlock_pagevec(s, cpu)


def mlock_folio(s: State, pfn: int) -> Path:
    """6.1: a page is locked."""
    if left_out(s, BATCHES):
        yield from mlock_page(s, pfn)
        return
    yield Step("TestSetPageMlocked")
    test_set_page_mlocked(s.pages, s.counters, pfn)
    yield from _batch_add(s, pfn, LRU_PAGE)


def mlock_new_page(s: State, pfn: int) -> Path:
    """6.1: a new page is locked."""
    yield Step("SetPageMlocked")
    set_page_mlocked(s.pages, s.counters, pfn)
    yield from _batch_add(s, pfn, NEW_PAGE)


def munlock_page(s: State, pfn: int) -> Path:
    """6.1: a page is unlocked, when the batch is processed."""
    if left_out(s, BATCHES):
        yield from munlock_at_once(s, pfn)
        return
    yield from _batch_add(s, pfn, MUNLOCK_ENTRY)


def _pages_from(s: State, slot: int, end: int, lock: bool) -> tuple[int, int]:
    """The page to change by an entry, 0 or less as :func:`page_of_pte` has it for none, and the entries that it stands for.

    6.12 changes a huge page that entries map, too: one that is to be locked only if all of it is mapped here.
    """
    pfn = int(page_of_pte(s.entries, s.pages, slot))
    entry = int(s.entries[slot])
    if pfn > 0 or not entry & _PAGE_PRESENT or s.ctl[KERNEL] < V6_12:
        return pfn, 1
    part = int(pte_pfn(entry))
    head = int(s.pages[part]["compound"]) if int(s.pages[part]["flags"]) & PG_tail else part
    if not int(s.pages[head]["flags"]) & PG_head:
        return pfn, 1
    nr = 1
    while slot + nr < end and int(s.entries[slot + nr]) & _PAGE_PRESENT and int(pte_pfn(s.entries[slot + nr])) == part + nr:
        nr += 1
    return (0 if lock and nr < HPAGE_PMD_NR else head), nr


def mlock_pte_range(s: State, pmd: int, address: int, end: int, lock: bool) -> Path:
    """What is below one PMD entry, under its page table lock."""
    ptl = Lock("ptl", pmd)
    change = mlock_folio if lock else munlock_page
    yield take("lock page table", ptl)
    read = begin_pte_range(s, pmd, address, end)
    if read == HUGE:
        pfn = pte_pfn(s.entries[pmd])
        if not is_zero_pfn(s.pages, pfn):
            yield from change(s, pfn)
    else:
        slot = int(pte_offset(s, pmd, address)) if read else 0
        end_slot = slot + read
        while slot < end_slot:
            pfn, nr = _pages_from(s, slot, end_slot, lock)
            if pfn > 0:
                yield from change(s, pfn)
            else:
                count_left_alone(s.counters, int(pfn == SPECIAL), int(pfn == COMPOUND))
            slot += nr
    yield drop("unlock page table", ptl)


def _store_flags(s: State, vma: int, newflags: int) -> Path:
    """The first store of flags, before the walk."""
    guard = VM_IO if newflags & VM_LOCKED and not left_out(s, VM_IO_GUARD) else 0
    if left_out(s, FLAGS_FIRST):
        return
    if guard and left_out(s, ONE_STORE):
        yield Step("store vm_flags")
        set_vm_flags(s, vma, newflags)
    yield Step("store vm_flags and VM_IO" if guard else "store vm_flags")
    set_vm_flags(s, vma, newflags | guard)


def mlock_vma_pages_range(s: State, mm: int, vma: int, start: int, end: int, newflags: int) -> Path:
    """6.1: a VMA gets its flags, and its pages in one PMD's range are walked.  Needs mmap_lock for writing.

    ValueError: [start, end) is not below one PMD entry.
    """
    one_pmd(start, end)
    yield from _store_flags(s, vma, newflags)
    if not left_out(s, DRAINS):
        yield from lru_add_drain(s)
    if is_walked(s, vma):
        pmd = walk_to_pmd(s, mm, start)
        if pmd:
            yield from mlock_pte_range(s, pmd, start, end, newflags & VM_LOCKED != 0)
    if not left_out(s, DRAINS):
        yield from lru_add_drain(s)
    yield Step("store vm_flags")
    set_vm_flags(s, vma, newflags)
