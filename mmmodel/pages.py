"""struct page: frames, compound pages, references that do not free.

Models include/linux/mm.h and mm/page_alloc.c.  The allocator is simplified: single frames and blocks of 512, no buddy merging,
no zones but ZONE_NORMAL of the node that the machine is set to.  Blocks of orders between are kept for folios of the same size.
"""

from __future__ import annotations

import numpy as np

from mmmodel.arraytypes import Records
from mmmodel.constants import (
    HPAGE_PMD_NR,
    HPAGE_PMD_ORDER,
    MAX_FOLIO_ORDER,
    MAX_NR_ZONES,
    NODE_SHIFT,
    ORDER_MASK,
    ORDER_SHIFT,
    PFN_INDEX,
    ZONE_NORMAL,
    ZONE_SHIFT,
    PG_head,
    PG_mlocked,
    PG_tail,
    PG_zero,
)
from mmmodel.jit import kernel, primitive, step, unit
from mmmodel.state import (
    ANON_ORDERS,
    ANON_VMAS_NFREE,
    ANON_VMAS_TOP,
    AVCS_NFREE,
    AVCS_TOP,
    FOLIO_FREE,
    FOLIO_NFREE,
    HUGE_FREE,
    HUGE_NFREE,
    HUGE_ZERO_PFN,
    NODE,
    PAGES_FREE,
    PAGES_NFREE,
    PAGES_TOP,
    TABLES_NFREE,
    TABLES_TOP,
    THP,
    State,
)

FRAMES_PER_FAULT = 2  # a file's page and the private copy of it; a huge page instead
TABLES_PER_FAULT = 9  # four levels of page tables, a deposit, and four of a page cache


@kernel
def arena_low(s: State) -> bool:
    """Whether one more page fault could run out of frames, tables or anon_vmas: Python must grow the arrays first."""
    tables = (len(s.entries) >> 9) - s.ctl[TABLES_TOP] + s.ctl[TABLES_NFREE]
    never_used = len(s.pages) - s.ctl[PAGES_TOP]
    if s.ctl[THP] != 0 and s.ctl[HUGE_NFREE] == 0 and never_used < HPAGE_PMD_NR:
        return True
    if s.ctl[ANON_ORDERS] != 0 and never_used < 1 << MAX_FOLIO_ORDER:
        return True
    if tables < TABLES_PER_FAULT or never_used + s.ctl[PAGES_NFREE] + s.ctl[HUGE_NFREE] * HPAGE_PMD_NR < FRAMES_PER_FAULT:
        return True
    anon_vmas = len(s.anon_vmas) - s.ctl[ANON_VMAS_TOP] + s.ctl[ANON_VMAS_NFREE]
    return anon_vmas == 0 or len(s.avcs) - s.ctl[AVCS_TOP] + s.ctl[AVCS_NFREE] == 0


@step
def compound_head(pages: Records, pfn: int) -> int:
    """Models compound_head(): the frame that holds references and flags."""
    return pages[pfn]["compound"] & PFN_INDEX if pages[pfn]["flags"] & PG_tail != 0 else pfn


@primitive
def compound_order(pages: Records, pfn: int) -> int:
    """Models compound_order() of a head or order-0 page: log2 of its pages."""
    return (pages[pfn]["flags"] >> ORDER_SHIFT) & ORDER_MASK


@step
def thp_nr_pages(pages: Records, pfn: int) -> int:
    """Models thp_nr_pages() and folio_nr_pages() of a head or order-0 page, in pages."""
    nr_pages: int = np.int64(1) << compound_order(pages, pfn)  # type: ignore[assignment]  # widened
    return nr_pages


@primitive
def page_trans_compound(pages: Records, pfn: int) -> bool:
    """Models PageTransCompound() and folio_test_large(): part of a large folio, however it is mapped."""
    return pages[pfn]["flags"] & (PG_head | PG_tail) != 0


@primitive
def page_zone_id(pages: Records, pfn: int) -> int:
    """Models page_zone_id(): node and zone of a page as one number."""
    return pages[pfn]["flags"] >> ZONE_SHIFT


@primitive
def page_node(pages: Records, pfn: int) -> int:
    """NUMA node of a page."""
    return pages[pfn]["flags"] >> NODE_SHIFT


@step
def is_zero_pfn(pages: Records, pfn: int) -> bool:
    """Models is_zero_pfn() and is_huge_zero_page()."""
    return pages[pfn]["flags"] & PG_zero != 0


@step
def page_mapcount(pages: Records, pfn: int) -> int:
    """Models page_mapcount(): mappings of this page by page table entries and of its whole huge page by PMDs."""
    head = compound_head(pages, pfn)
    mapcount: int = np.int64(pages[pfn]["mapcount"])  # type: ignore[assignment]  # widened: without JIT numpy would go on in 32 bits
    return mapcount + pages[head]["compound"] if pages[head]["flags"] & PG_head != 0 else mapcount


@step
def get_page(pages: Records, pfn: int) -> None:
    """Models get_page(): one more reference on the head."""
    pages[compound_head(pages, pfn)]["refcount"] += 1


@step
def test_clear_page_mlocked(pages: Records, pfn: int) -> bool:
    """Models TestClearPageMlocked()."""
    flags = pages[pfn]["flags"]
    pages[pfn]["flags"] = flags & ~PG_mlocked
    return flags & PG_mlocked != 0


@kernel
def _init_page(s: State, pfn: int, flags: int) -> None:
    page = s.pages[pfn]
    page["index"] = 0
    page["flags"] = flags | ((s.ctl[NODE] * MAX_NR_ZONES + ZONE_NORMAL) << ZONE_SHIFT)
    page["refcount"] = 0
    page["mapcount"] = 0
    page["lru_next"] = 0
    page["lru_prev"] = 0
    page["mapping"] = 0
    page["compound"] = 0


@kernel
def _break_huge_block(s: State) -> None:
    """Turn a free block of 512 frames into free single frames."""
    block = s.ctl[HUGE_FREE]
    s.ctl[HUGE_FREE] = s.pages[block]["lru_next"]
    s.ctl[HUGE_NFREE] -= 1
    for pfn in range(block + HPAGE_PMD_NR - 1, block - 1, -1):
        s.pages[pfn]["lru_next"] = s.ctl[PAGES_FREE]
        s.ctl[PAGES_FREE] = pfn
    s.ctl[PAGES_NFREE] += HPAGE_PMD_NR


@unit
def alloc_page(s: State, flags: int) -> int:
    """A frame with ``flags`` and one reference.  The caller has asked :func:`arena_low`.

    Models alloc_page(), simplified: never out of memory, no zones or watermarks.
    """
    if s.ctl[PAGES_FREE] == 0 and s.ctl[PAGES_TOP] == len(s.pages):
        _break_huge_block(s)
    pfn = s.ctl[PAGES_FREE]
    if pfn != 0:
        s.ctl[PAGES_FREE] = s.pages[pfn]["lru_next"]
        s.ctl[PAGES_NFREE] -= 1
    else:
        pfn = s.ctl[PAGES_TOP]
        s.ctl[PAGES_TOP] = pfn + 1
    _init_page(s, pfn, flags)
    s.pages[pfn]["refcount"] = 1
    return pfn


@kernel
def _free_list(order: int) -> tuple[int, int]:
    """Where the free blocks of an order are, and their number: indices in ``ctl``."""
    return (HUGE_FREE, HUGE_NFREE) if order == HPAGE_PMD_ORDER else (FOLIO_FREE + order, FOLIO_NFREE + order)


@unit
def alloc_large_folio(s: State, order: int, flags: int) -> int:
    """A compound page of 1 << ``order`` frames with one reference: pfn of its head.  The caller has asked :func:`arena_low`."""
    free, nfree = _free_list(order)
    nr_pages = 1 << order
    head = s.ctl[free]
    if head != 0:
        s.ctl[free] = s.pages[head]["lru_next"]
        s.ctl[nfree] -= 1
    else:
        head = s.ctl[PAGES_TOP]
        s.ctl[PAGES_TOP] = head + nr_pages
    _init_page(s, head, flags | PG_head | (order << ORDER_SHIFT))
    s.pages[head]["refcount"] = 1
    for pfn in range(head + 1, head + nr_pages):
        _init_page(s, pfn, PG_tail)
        s.pages[pfn]["compound"] = head
    return head


@kernel
def alloc_huge_page(s: State, flags: int) -> int:
    """A compound page of 512 frames with one reference: pfn of its head."""
    return alloc_large_folio(s, HPAGE_PMD_ORDER, flags)


@kernel
def huge_zero_page(s: State) -> int:
    """The huge zero page, allocated at first use.

    Models mm_get_huge_zero_page(), simplified: never freed, and one frame stands for it, since nobody looks at its tails.
    """
    if s.ctl[HUGE_ZERO_PFN] == 0:
        s.ctl[HUGE_ZERO_PFN] = alloc_page(s, PG_zero | PG_head | (HPAGE_PMD_ORDER << ORDER_SHIFT))
    return s.ctl[HUGE_ZERO_PFN]


@unit
def free_frames(s: State, pfn: int) -> None:
    """Give back a page without references, off every list: a single frame or a whole compound page."""
    if s.pages[pfn]["flags"] & PG_head != 0:
        order = compound_order(s.pages, pfn)
        free, nfree = _free_list(order)
        for frame in range(pfn, pfn + (1 << order)):
            _init_page(s, frame, 0)
        s.pages[pfn]["lru_next"] = s.ctl[free]
        s.ctl[free] = pfn
        s.ctl[nfree] += 1
    else:
        _init_page(s, pfn, 0)
        s.pages[pfn]["lru_next"] = s.ctl[PAGES_FREE]
        s.ctl[PAGES_FREE] = pfn
        s.ctl[PAGES_NFREE] += 1
