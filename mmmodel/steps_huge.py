"""The steps of those who change how a huge page is mapped without mmap_lock.  See :mod:`mmmodel.steps`."""

from __future__ import annotations

from mmmodel.constants import _PAGE_PSE
from mmmodel.kernels import V6_1, V6_12
from mmmodel.migrate import is_migration_entry, map_migrated_page, migrating_pfn
from mmmodel.pages import get_page
from mmmodel.pgtable import any_pmd_slot, pte_pfn
from mmmodel.rmap import is_counted_when_unmapped
from mmmodel.split import map_by_entries
from mmmodel.state import KERNEL, State
from mmmodel.steps import Lock, Path, Step, drop, take
from mmmodel.steps_5_10 import clear_page_mlock
from mmmodel.steps_6_1 import mlock_folio, munlock_page
from mmmodel.steps_rmap import counts_when_mapped


def split_huge_pmd(s: State, vma: int, address: int) -> Path:
    """Whoever splits a huge page has its PMD mapped by entries first.  Needs anon_vma's lock."""
    mm = int(s.vmas[vma]["vm_mm"])
    pmd = int(any_pmd_slot(s, mm, address))
    ptl = Lock("ptl", pmd)
    yield take("lock page table", ptl)
    if int(s.entries[pmd]) & _PAGE_PSE:
        pfn = int(pte_pfn(s.entries[pmd]))
        if s.ctl[KERNEL] < V6_1:
            yield from clear_page_mlock(s, pfn)
        yield Step("split PMD", needs=(ptl,))
        map_by_entries(s, mm, pmd)
        if s.ctl[KERNEL] >= V6_1:
            yield Step("look at vm_flags", needs=(ptl,))
            if is_counted_when_unmapped(s.pages, pfn, s.vmas[vma]["vm_flags"], True):
                yield from munlock_page(s, pfn)
    yield drop("unlock page table", ptl)


def remove_migration_pmd(s: State, vma: int, address: int) -> Path:
    """A migration entry of a huge page is replaced by the page, which 6.12 leaves to reclaim to lock.  Needs the page lock."""
    pmd = int(any_pmd_slot(s, int(s.vmas[vma]["vm_mm"]), address))
    ptl = Lock("ptl", pmd)
    yield take("lock page table", ptl)
    if is_migration_entry(s.entries[pmd]):
        pfn = int(migrating_pfn(s.entries[pmd]))
        yield Step("mapcount", needs=(ptl,))
        get_page(s.pages, pfn)
        s.pages[pfn]["compound"] += 1
        yield Step("look at vm_flags", needs=(ptl,))
        if s.ctl[KERNEL] < V6_12 and counts_when_mapped(s, pfn, vma, True):
            yield from mlock_folio(s, pfn)
        yield Step("map page", needs=(ptl,))
        map_migrated_page(s, vma, pmd)
        s.entries[pmd] |= _PAGE_PSE
    yield drop("unlock page table", ptl)
