"""Swap: slots, and the swap cache in which those who mapped a page find it again.

Models mm/swapfile.c and mm/swap_state.c, 5.10 and 6.1, of a swap device that takes time, simplified: no read-ahead, and pages
are written at once.  A frame stands for a slot: its references are the entries that name it, and one of the swap cache, whose
page is its ``index``.  A page in the swap cache has its slot in ``compound`` (page_private()), and a reference more.
"""

from __future__ import annotations

from mmmodel.constants import SWP_EXCLUSIVE, SWP_SWAPFILE, PG_dirty, PG_swap_slot, PG_swapbacked, PG_swapcache
from mmmodel.jit import kernel, unit
from mmmodel.lru import lru_cache_add, put_page
from mmmodel.pages import alloc_page, free_frames
from mmmodel.pgtable import swp_offset, swp_type
from mmmodel.state import State


@kernel
def swap_count(s: State, slot: int) -> int:
    """Entries that name a slot.  Models swap_count()."""
    return s.pages[slot]["refcount"] - (1 if s.pages[slot]["index"] != 0 else 0)


@kernel
def swap_duplicate(s: State, entry: int) -> int:
    """A child gets a swap-format entry too: the entry, which stands for neither alone any more.  Models swap_duplicate()."""
    if swp_type(entry) != SWP_SWAPFILE:
        return entry
    s.pages[swp_offset(entry)]["refcount"] += 1
    return entry & ~SWP_EXCLUSIVE


@unit
def try_to_free_swap(s: State, pfn: int) -> int:
    """Take an order-0 page out of the swap cache if no entry names its slot: whether it was.  Then it is dirty.

    Models try_to_free_swap() and folio_free_swap().
    """
    if s.pages[pfn]["flags"] & PG_swapcache == 0 or swap_count(s, s.pages[pfn]["compound"]) != 0:
        return 0
    free_frames(s, s.pages[pfn]["compound"])
    s.pages[pfn]["flags"] = s.pages[pfn]["flags"] & ~PG_swapcache | PG_dirty
    s.pages[pfn]["compound"] = 0
    put_page(s, pfn)
    return 1


@unit
def free_swap_cache(s: State, pfn: int) -> None:
    """A page was unmapped: nobody needs it in the swap cache if that was its last mapping.  Models free_swap_cache()."""
    if s.pages[pfn]["flags"] & PG_swapcache != 0 and s.pages[pfn]["mapcount"] == 0:
        try_to_free_swap(s, pfn)


@unit
def free_swap_and_cache(s: State, entry: int) -> None:
    """A swap-format entry is gone.  Models free_swap_and_cache()."""
    if swp_type(entry) != SWP_SWAPFILE:
        return
    slot = swp_offset(entry)
    pfn = s.pages[slot]["index"]
    s.pages[slot]["refcount"] -= 1
    if pfn != 0:
        free_swap_cache(s, pfn)
    elif s.pages[slot]["refcount"] == 0:
        free_frames(s, slot)


@unit
def swapin(s: State, slot: int) -> int:
    """The page of a slot, read into the swap cache if it is not there.

    Models swapin_readahead(), simplified: this page only.
    """
    pfn = s.pages[slot]["index"]
    if pfn != 0:
        return pfn
    pfn = alloc_page(s, PG_swapbacked | PG_swapcache)  # its one reference is the cache's
    s.pages[pfn]["compound"] = slot
    s.pages[slot]["index"] = pfn
    s.pages[slot]["refcount"] += 1
    lru_cache_add(s, pfn)
    return pfn


@unit
def page_to_slot(s: State, pfn: int) -> int:
    """The last mapping of a page is about to become an entry of the slot returned; the page is freed.

    Models add_to_swap(), try_to_unmap() and __remove_mapping(), simplified: at once.
    """
    slot = s.pages[pfn]["compound"]
    if s.pages[pfn]["flags"] & PG_swapcache != 0:
        s.pages[slot]["index"] = 0  # its reference goes over to the entry
        s.pages[pfn]["flags"] &= ~PG_swapcache
        s.pages[pfn]["compound"] = 0
        put_page(s, pfn)
        put_page(s, pfn)
        return slot
    put_page(s, pfn)
    return alloc_page(s, PG_swap_slot)
