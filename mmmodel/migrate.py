"""Entries of pages in migration: what stands in a page table between unmapping the old page and mapping the new one.

Models parts of mm/migrate.c and include/linux/swapops.h, 5.10 and 6.1.  No call of the model migrates pages; the paths that do
are in :mod:`mmmodel.steps_unmap`.
"""

from __future__ import annotations

from mmmodel.constants import _PAGE_RW, MIGRATION_READ_BITS, MIGRATION_WRITE_BITS, SWP_MIGRATION_READ, SWP_MIGRATION_WRITE
from mmmodel.jit import step
from mmmodel.pgtable import mk_pte, pte_none, pte_pfn, pte_present, swap_entry, swp_offset, swp_type, vm_page_prot
from mmmodel.state import State


@step
def is_migration_entry(entry: int) -> bool:
    """Models is_migration_entry()."""
    return not pte_none(entry) and not pte_present(entry) and swp_type(entry) in (SWP_MIGRATION_READ, SWP_MIGRATION_WRITE)


@step
def migrating_pfn(entry: int) -> int:
    """The page of a migration entry."""
    return swp_offset(entry)


@step
def make_migration_entry(s: State, slot: int) -> None:
    """Put the entry of a page in migration in place of the one that maps it.  Needs the page table lock."""
    entry = s.entries[slot]
    s.entries[slot] = swap_entry(MIGRATION_WRITE_BITS if entry & _PAGE_RW != 0 else MIGRATION_READ_BITS, pte_pfn(entry))


@step
def clear_entry(s: State, slot: int) -> None:
    """Nothing is mapped here any more.  Needs the page table lock."""
    s.entries[slot] = 0


@step
def map_migrated_page(s: State, vma: int, slot: int) -> None:
    """Map the page that a migration entry names, for which the caller has got a reference.  Needs the page table lock.

    The new page has the number of the old one: copying changes nothing that the model knows.
    """
    entry = s.entries[slot]
    pfn = swp_offset(entry)
    writable = _PAGE_RW if swp_type(entry) == SWP_MIGRATION_WRITE else 0
    s.entries[slot] = mk_pte(pfn, vm_page_prot(s.vmas[vma]["vm_flags"])) | writable
