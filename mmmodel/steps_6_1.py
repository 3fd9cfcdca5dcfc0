"""The steps of 6.1: a page joins the batch, and the walk over what a PMD entry points to.  See :mod:`mmmodel.steps`."""

from __future__ import annotations

from typing import Final, NamedTuple

from mmmodel.constants import VM_IO, VM_LOCKED
from mmmodel.mlock_batch import LRU_PAGE, MUNLOCK_ENTRY, NEW_PAGE, batch_append, set_page_mlocked, test_set_page_mlocked
from mmmodel.page_walk import HUGE, begin_pte_range, is_walked, page_of_pte, set_vm_flags, walk_to_pmd
from mmmodel.pages import is_zero_pfn
from mmmodel.pgtable import pte_offset, pte_pfn
from mmmodel.state import CPU, MLOCK_PVEC, State
from mmmodel.steps import Lock, Path, Step, lru_add_drain, mlock_pagevec, one_pmd


def _batch_add(s: State, pfn: int, tag: int) -> Path:
    yield Step("add to batch")
    cpu = int(s.ctl[CPU])
    if batch_append(s.pages, s.pvecs[cpu, MLOCK_PVEC], pfn, tag):
        yield from mlock_pagevec(s, cpu)


def mlock_folio(s: State, pfn: int) -> Path:
    """6.1: a page is locked."""
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
    yield from _batch_add(s, pfn, MUNLOCK_ENTRY)


def mlock_pte_range(s: State, pmd: int, address: int, end: int, lock: bool) -> Path:
    """What is below one PMD entry, under its page table lock."""
    ptl = Lock("ptl", pmd)
    change = mlock_folio if lock else munlock_page
    yield Step("lock page table", takes=(ptl,))
    read = begin_pte_range(s, pmd, address, end)
    if read == HUGE:
        pfn = pte_pfn(s.entries[pmd])
        if not is_zero_pfn(s.pages, pfn):
            yield from change(s, pfn)
    else:
        first = pte_offset(s, pmd, address) if read else 0
        for slot in range(first, first + read):
            pfn = page_of_pte(s.entries, s.pages, slot)
            if pfn:
                yield from change(s, pfn)
    yield Step("unlock page table", needs=(ptl,), drops=(ptl,))


class Guards(NamedTuple):
    """What protects the walk of mlock_vma_pages_range(); one that is False is left out, to see what it is there for."""

    vm_io: bool = True  # VM_IO is set while pages are locked, so that others do not count what the walk will
    one_store: bool = True  # VM_IO and VM_LOCKED appear together, not one after the other
    flags_first: bool = True  # VM_LOCKED is changed before the walk, not after it
    drains: bool = True  # the batch is processed before and after the walk


KERNEL_GUARDS: Final = Guards()


def _store_flags(s: State, vma: int, newflags: int, guards: Guards) -> Path:
    """The first store of flags, before the walk."""
    guard = VM_IO if newflags & VM_LOCKED and guards.vm_io else 0
    if not guards.flags_first:
        return
    if guard and not guards.one_store:
        yield Step("store vm_flags")
        set_vm_flags(s, vma, newflags)
    yield Step("store vm_flags and VM_IO" if guard else "store vm_flags")
    set_vm_flags(s, vma, newflags | guard)


def mlock_vma_pages_range(
    s: State, mm: int, vma: int, start: int, end: int, newflags: int, guards: Guards = KERNEL_GUARDS
) -> Path:
    """6.1: a VMA gets its flags, and its pages in one PMD's range are walked.  Needs mmap_lock for writing.

    ValueError: [start, end) is not below one PMD entry.
    """
    one_pmd(start, end)
    yield from _store_flags(s, vma, newflags, guards)
    if guards.drains:
        yield from lru_add_drain(s)
    if is_walked(s, vma):
        pmd = walk_to_pmd(s, mm, start)
        if pmd:
            yield from mlock_pte_range(s, pmd, start, end, newflags & VM_LOCKED != 0)
    if guards.drains:
        yield from lru_add_drain(s)
    yield Step("store vm_flags")
    set_vm_flags(s, vma, newflags)
