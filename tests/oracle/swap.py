"""Swap: slots, the swap cache, and reclaim of a range (mm/swapfile.c, mm/swap_state.c, mm/vmscan.c, mm/rmap.c)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .constants import VM_DROPPABLE, VM_LOCKED
from .folio import Folio, Slot
from .lru import Lru, Lru510

if TYPE_CHECKING:
    from .mmstruct import MmStruct
    from .vma import Vma


@dataclass
class SwapPte:
    """A pte whose page is in swap."""

    slot: Slot
    exclusive: bool  # 6.1: the page was this process's alone


def add_to_swap_cache(folio: Folio, slot: Slot) -> None:
    """The swap cache takes a reference."""
    assert slot.cache is None
    folio.slot, slot.cache = slot, folio
    folio.refcount += 1


def delete_from_swap_cache(lru: Lru, folio: Folio) -> None:
    """The page has no copy in swap any more, so it counts as dirty."""
    assert folio.slot is not None
    folio.slot.cache, folio.slot = None, None
    folio.dirty = True
    lru.put(folio)


def try_to_free_swap(lru: Lru, folio: Folio) -> bool:
    """try_to_free_swap(), folio_free_swap(): out of the swap cache, unless some pte still needs the slot."""
    if folio.slot is None or folio.slot.count:
        return False
    delete_from_swap_cache(lru, folio)
    return True


def free_swap_cache(lru: Lru, folio: Folio) -> None:
    """free_swap_cache(): a page that nothing maps gives up its swap."""
    if not folio.mappings():
        try_to_free_swap(lru, folio)


def free_swap_and_cache(mm: MmStruct, vpn: int) -> None:
    """Clear a pte in swap; with the last one goes an unmapped page of the swap cache."""
    slot = mm.swapped.pop(vpn).slot
    slot.count -= 1
    if slot.cache is not None:
        free_swap_cache(mm.lru, slot.cache)


def swap_in(mm: MmStruct, slot: Slot) -> Folio:
    """lookup_swap_cache() or read_swap_cache_async(): the page, with a reference for the caller."""
    folio = slot.cache
    if folio is not None:
        folio.refcount += 1
        return folio
    folio = Folio(anon=True)
    add_to_swap_cache(folio, slot)
    mm.lru.lru_cache_add(folio)
    return folio


def swap_out(mm: MmStruct, start: int, end: int) -> int:
    """Reclaim what is anonymous, small, evictable and mapped once in [start, end): how many pages went."""
    mm.lru.drain()
    gone = sum(reclaim(mm, vpn) for vpn in mm.populated(start, end))
    mm.lru.drain()
    return gone


def reclaim(mm: MmStruct, vpn: int) -> bool:
    """shrink_page_list() for one page: True if it is gone."""
    pte = mm.ptes[vpn]
    folio = pte.folio
    if folio is None or not folio.anon or folio.is_large or not folio.on_lru or folio.unevictable:
        return False
    if isinstance(mm.lru, Lru510) and any(owner.vma_at(at).vm_flags & VM_LOCKED for owner, at in folio.mappings()):
        mm.lru.mlock_vma_page(folio)  # by try_to_unmap(), which meets VM_LOCKED
        try_to_free_swap(mm.lru, folio)
        return False
    if folio.mapcount() != 1:
        return False
    if mm.folios and mm.vma_at(vpn).vm_flags & VM_LOCKED:  # folio_referenced() restores the lock that swapping in had missed
        mm.lru.rmap_added(folio, mm.vma_at(vpn))
        try_to_free_swap(mm.lru, folio)
        return False
    if folio.swapbacked:
        unmap_to_swap(mm, mm.vma_at(vpn), vpn)
        return True
    if (pte.dirty or folio.dirty) and not mm.vma_at(vpn).vm_flags & VM_DROPPABLE:  # written to after MADV_FREE
        folio.dirty = folio.swapbacked = True
        return False
    unmap(mm, mm.vma_at(vpn), vpn)
    return True


def unmap(mm: MmStruct, vma: Vma, vpn: int) -> None:
    """Take a page from its pte."""
    pte = mm.ptes.pop(vpn)
    folio = pte.folio
    assert folio is not None
    folio.unmap_pte(mm, vpn, pte.subpage)
    mm.lru.rmap_removed(folio, vma, compound=False)
    mm.lru.put(folio)


def unmap_to_swap(mm: MmStruct, vma: Vma, vpn: int) -> None:
    """add_to_swap(), try_to_unmap() and __remove_mapping(): written at once, so the page goes."""
    folio = mm.ptes[vpn].folio
    assert folio is not None
    slot = folio.slot
    if slot is None:
        slot = Slot()
        add_to_swap_cache(folio, slot)
    slot.count += 1
    mm.swapped[vpn] = SwapPte(slot, mm.series and 0 in folio.exclusive)
    unmap(mm, vma, vpn)
    slot.cache, folio.slot = None, None
    mm.lru.put(folio)
