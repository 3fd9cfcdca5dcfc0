"""The steps of 6.1 and 6.12: a page joins the batch, the walk over what a PMD entry points to.  See :mod:`mmmodel.steps`."""

from __future__ import annotations

from mmmodel.constants import VM_IO, VM_LOCKED
from mmmodel.folio import SPECIAL, folio_mlock_step, is_mapped_whole, mapped_page
from mmmodel.kernels import V6_12
from mmmodel.mlock_batch import LRU_PAGE, MUNLOCK_ENTRY, NEW_PAGE, batch_append, set_page_mlocked, test_set_page_mlocked
from mmmodel.page_walk import (
    COMPOUND,
    HUGE,
    begin_pte_range,
    count_kinds,
    is_walked,
    page_of_pte,
    set_vm_flags,
    walk_to_pmd,
)
from mmmodel.pages import compound_head, is_zero_pfn
from mmmodel.pgtable import pte_offset, pte_pfn
from mmmodel.state import BATCH_SIZE, CPU, KERNEL, MLOCK_PVEC, State
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
    if batch_append(s.pages, s.pvecs[cpu, MLOCK_PVEC], int(s.ctl[BATCH_SIZE]), pfn, tag):
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


def mlock_folios(s: State, first: int, end: int, lock: bool) -> Path:
    """6.12: the entries in the slots [first, end), folio by folio.  Needs the page table lock."""
    slot = first
    while slot < end:
        pfn = int(mapped_page(s.entries, slot))
        nr_entries = int(folio_mlock_step(s.entries, s.pages, slot, end)) if pfn > 0 else 1
        if pfn <= 0:
            count_kinds(s.counters, int(pfn == SPECIAL), 0, 0)
        elif lock and not is_mapped_whole(s.pages, pfn, slot, nr_entries, first, end):
            count_kinds(s.counters, 0, nr_entries, 0)
        else:
            count_kinds(s.counters, 0, 0, nr_entries if page_of_pte(s.entries, s.pages, slot) == COMPOUND else 0)
            yield from (mlock_folio if lock else munlock_page)(s, int(compound_head(s.pages, pfn)))
        slot += nr_entries


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
    elif read and s.ctl[KERNEL] >= V6_12:
        first = int(pte_offset(s, pmd, address))
        yield from mlock_folios(s, first, first + read, lock)
    else:
        first = int(pte_offset(s, pmd, address)) if read else 0
        for slot in range(first, first + read):
            pfn = int(page_of_pte(s.entries, s.pages, slot))
            if pfn > 0:
                yield from change(s, pfn)
            else:
                count_kinds(s.counters, int(pfn == SPECIAL), int(pfn == COMPOUND), 0)
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
