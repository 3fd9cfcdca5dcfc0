"""The steps of mapping and unmapping a page, with their mlock hooks of 5.10, 6.1 and 6.12.  See :mod:`mmmodel.steps`."""

from __future__ import annotations

from mmmodel.constants import VM_IO, VM_SPECIAL, PG_mlocked
from mmmodel.kernels import V6_1, V6_12
from mmmodel.pages import compound_head
from mmmodel.rmap import add_mapping, is_counted_when_mapped, is_counted_when_unmapped, remove_mapping
from mmmodel.state import KERNEL, State
from mmmodel.steps import ALL_SPECIAL, Path, Step, left_out
from mmmodel.steps_5_10 import clear_page_mlock
from mmmodel.steps_6_1 import mlock_folio, munlock_page

# ---- mapping and unmapping ----


def page_add_rmap(s: State, pfn: int, vma: int) -> Path:
    """One more entry of a VMA maps a page.  6.1 reads the VMA's flags now, and locks.  Needs the page table lock."""
    yield Step("mapcount")
    add_mapping(s.pages, pfn)
    if s.ctl[KERNEL] < V6_1:
        return
    yield Step("look at vm_flags")
    if counts_when_mapped(s, pfn, vma):
        yield from mlock_folio(s, pfn)


def counts_when_mapped(s: State, pfn: int, vma: int, compound: bool = False) -> bool:
    """Whether a VMA, by its flags as they are now, locks a page that it begins to map, or that reclaim finds there."""
    vm_flags = int(s.vmas[vma]["vm_flags"])
    if left_out(s, ALL_SPECIAL):
        vm_flags &= ~VM_SPECIAL | VM_IO
    return bool(is_counted_when_mapped(s.pages, pfn, vm_flags, compound))


def page_remove_rmap(s: State, pfn: int, vma: int) -> Path:
    """One entry of a VMA less maps a page, which may lose its lock with it.  Needs the page table lock."""
    yield Step("mapcount")
    last = remove_mapping(s, pfn, False)
    if s.ctl[KERNEL] >= V6_1:
        yield Step("look at vm_flags")
        if is_counted_when_unmapped(s.pages, pfn, s.vmas[vma]["vm_flags"], bool(s.ctl[KERNEL] >= V6_12)):
            yield from munlock_page(s, int(compound_head(s.pages, pfn)))
    elif last:
        yield Step("PageMlocked")
        if int(s.pages[pfn]["flags"]) & PG_mlocked:
            yield from clear_page_mlock(s, int(compound_head(s.pages, pfn)))
