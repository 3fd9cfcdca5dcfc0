"""Large folios that page table entries map, as kernels since 6.7 see them: a run of entries is one step.

Models folio_pte_batch() of mm/internal.h, and folio_mlock_step() and allow_mlock_munlock() of mm/mlock.c, v6.12.
"""

from __future__ import annotations

from typing import Final

from mmmodel.arraytypes import Records, Words
from mmmodel.constants import _PAGE_ACCESSED, _PAGE_DIRTY, _PAGE_RW, _PAGE_SPECIAL, PTE_PFN_MASK
from mmmodel.jit import step
from mmmodel.pages import compound_head, page_trans_compound, thp_nr_pages
from mmmodel.pgtable import pte_pfn, pte_present

SPECIAL: Final = -1  # of mapped_page(): the zero page
_COMPARED: Final = ~(PTE_PFN_MASK | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY)  # bits in which the entries of a batch agree


@step
def folio_pte_batch(entries: Words, pages: Records, slot: int, end: int) -> int:
    """Entries from ``slot`` on, below ``end``, that map one page after another of the same large folio.

    Models folio_pte_batch(), simplified: dirty entries are like clean ones, as all callers of it ask.
    """
    first = entries[slot]
    pfn = pte_pfn(first)
    head = compound_head(pages, pfn)
    end = min(end, slot + head + thp_nr_pages(pages, head) - pfn)
    following = slot + 1
    while following < end and (entries[following] ^ first) & _COMPARED == 0:
        pfn += 1
        if pte_pfn(entries[following]) != pfn:
            break
        following += 1
    return following - slot


@step
def folio_mlock_step(entries: Words, pages: Records, slot: int, end: int) -> int:
    """Entries from ``slot`` on that are one step, since they map the same folio.  Models folio_mlock_step()."""
    return folio_pte_batch(entries, pages, slot, end) if page_trans_compound(pages, pte_pfn(entries[slot])) else 1


@step
def mapped_page(entries: Words, slot: int) -> int:
    """Page that an entry maps, small or part of a large folio; 0 if there is none, SPECIAL if it is the zero page.

    Models vm_normal_page() and vm_normal_folio(), simplified: special entries map zero pages only.
    """
    entry = entries[slot]
    if not pte_present(entry):
        return 0
    return SPECIAL if entry & _PAGE_SPECIAL != 0 else pte_pfn(entry)


@step
def is_mapped_whole(pages: Records, pfn: int, slot: int, nr_entries: int, first: int, end: int) -> bool:
    """Whether ``nr_entries`` from ``slot`` on, which map ``pfn`` and so on, are a whole folio within the slots [first, end).

    Where it starts is where its head would be mapped: a folio that reaches beyond the range is not locked, though all of it
    that the range maps may be there.  Models allow_mlock_munlock() with VM_LOCKED, and folio_within_range().
    """
    head = compound_head(pages, pfn)
    nr_pages = thp_nr_pages(pages, head)
    start = slot - (pfn - head)
    return first <= start and start + nr_pages <= end and nr_entries == nr_pages
