"""Reverse mapping: from a page to the VMAs that may map it, and what mapping and unmapping a page does to its mlock state.

Models mm/rmap.c: anon_vma chains with the same logic (lists in place of interval trees, so a walk looks at every VMA of the
list; counted as model_rmap_vmas), and page_add_*_rmap()/page_remove_rmap() with their mlock hooks of 5.10, 6.1 and 6.12.
"""

from __future__ import annotations

from mmmodel.arraytypes import Records, Words
from mmmodel.constants import (
    PAGE_SHIFT,
    VM_LOCKED,
    VM_SPECIAL,
    PG_anon_exclusive,
    PG_double_map,
    PG_mlocked,
    PG_unevictable,
)
from mmmodel.counters import NR_MLOCK, PGCLEARED, PGMLOCKED, PGSTRANDED
from mmmodel.jit import kernel, step, unit
from mmmodel.kernels import V6_1, V6_12
from mmmodel.lru import isolate_lru_page, lru_cache_add, putback_lru_page
from mmmodel.mlock_batch import mlock_folio, mlock_new_page, munlock_page, test_set_page_mlocked
from mmmodel.pages import compound_head, page_trans_compound, test_clear_page_mlocked, thp_nr_pages
from mmmodel.state import (
    ANON_VMAS_FREE,
    ANON_VMAS_NFREE,
    ANON_VMAS_TOP,
    AVCS_FREE,
    AVCS_NFREE,
    AVCS_TOP,
    KERNEL,
    MAX_CHAIN,
    State,
)

# ---- anon_vma chains ----


@unit
def anon_vma_chain_link(s: State, vma: int, anon_vma: int) -> None:
    """Link a VMA to an anon_vma.  Models anon_vma_chain_link(); the newest link is first in both lists."""
    avc = s.ctl[AVCS_FREE]
    if avc != 0:
        s.ctl[AVCS_FREE] = s.avcs[avc]["next_same_anon_vma"]
        s.ctl[AVCS_NFREE] -= 1
    else:
        avc = s.ctl[AVCS_TOP]
        s.ctl[AVCS_TOP] = avc + 1
    link = s.avcs[avc]
    first = s.anon_vmas[anon_vma]["avc_head"]
    link["vma"] = vma
    link["anon_vma"] = anon_vma
    link["next_same_vma"] = s.vmas[vma]["avc_head"]
    link["next_same_anon_vma"] = first
    link["prev_same_anon_vma"] = 0
    if first != 0:
        s.avcs[first]["prev_same_anon_vma"] = avc
    s.anon_vmas[anon_vma]["avc_head"] = avc
    s.vmas[vma]["avc_head"] = avc
    s.vmas[vma]["avc_count"] += 1
    s.ctl[MAX_CHAIN] = max(s.ctl[MAX_CHAIN], s.vmas[vma]["avc_count"])


@unit
def alloc_anon_vma(s: State, parent: int) -> int:
    """A new anon_vma below ``parent`` (0: a root, which counts itself as a child, as the kernel does).

    Models anon_vma_alloc().
    """
    anon_vma = s.ctl[ANON_VMAS_FREE]
    if anon_vma != 0:
        s.ctl[ANON_VMAS_FREE] = s.anon_vmas[anon_vma]["link"]
        s.ctl[ANON_VMAS_NFREE] -= 1
    else:
        anon_vma = s.ctl[ANON_VMAS_TOP]
        s.ctl[ANON_VMAS_TOP] = anon_vma + 1
    new = s.anon_vmas[anon_vma]
    new["parent"] = parent if parent != 0 else anon_vma
    new["root"] = s.anon_vmas[parent]["root"] if parent != 0 else anon_vma
    new["num_children"] = 0
    new["num_active_vmas"] = 0
    new["avc_head"] = 0
    new["link"] = 0
    s.anon_vmas[new["parent"]]["num_children"] += 1
    return anon_vma


@unit
def unlink_anon_vmas(s: State, vma: int) -> None:
    """Drop a VMA's chain, and the anon_vmas that nobody else is linked to.  Models unlink_anon_vmas()."""
    if s.vmas[vma]["anon_vma"] != 0:
        s.anon_vmas[s.vmas[vma]["anon_vma"]]["num_active_vmas"] -= 1
        s.vmas[vma]["anon_vma"] = 0
    avc = s.vmas[vma]["avc_head"]
    while avc != 0:
        link = s.avcs[avc]
        anon_vma, following = link["anon_vma"], link["next_same_vma"]
        previous, after = link["prev_same_anon_vma"], link["next_same_anon_vma"]
        if previous != 0:
            s.avcs[previous]["next_same_anon_vma"] = after
        else:
            s.anon_vmas[anon_vma]["avc_head"] = after
        if after != 0:
            s.avcs[after]["prev_same_anon_vma"] = previous
        link["vma"] = 0
        link["anon_vma"] = 0
        link["next_same_vma"] = 0
        link["prev_same_anon_vma"] = 0
        link["next_same_anon_vma"] = s.ctl[AVCS_FREE]
        s.ctl[AVCS_FREE] = avc
        s.ctl[AVCS_NFREE] += 1
        if s.anon_vmas[anon_vma]["avc_head"] == 0:
            _free_anon_vma(s, anon_vma)
        avc = following
    s.vmas[vma]["avc_head"] = 0
    s.vmas[vma]["avc_count"] = 0


@kernel
def _free_anon_vma(s: State, anon_vma: int) -> None:
    """An anon_vma without VMAs: freed unless it has children, which then free it."""
    while s.anon_vmas[anon_vma]["avc_head"] == 0:
        own = 1 if s.anon_vmas[anon_vma]["parent"] == anon_vma else 0
        if s.anon_vmas[anon_vma]["num_children"] > own:
            return
        parent = s.anon_vmas[anon_vma]["parent"]
        s.anon_vmas[parent]["num_children"] -= 1
        s.anon_vmas[anon_vma]["root"] = 0
        s.anon_vmas[anon_vma]["link"] = s.ctl[ANON_VMAS_FREE]
        s.ctl[ANON_VMAS_FREE] = anon_vma
        s.ctl[ANON_VMAS_NFREE] += 1
        if own:
            return
        anon_vma = parent


@unit
def anon_vma_clone(s: State, dst: int, src: int) -> None:
    """Link ``dst`` to every anon_vma of ``src``; a forked VMA may take over one that has lost its owner.

    Models anon_vma_clone() as of 6.0 and 5.10.142 (2555283eb40d): reused if it has fewer than 2 children and no active VMA.
    """
    avc = s.vmas[src]["avc_head"]
    while avc != 0:
        anon_vma = s.avcs[avc]["anon_vma"]
        anon_vma_chain_link(s, dst, anon_vma)
        if s.vmas[dst]["anon_vma"] == 0 and s.vmas[src]["anon_vma"] != 0:
            owner = s.anon_vmas[anon_vma]
            reusable = owner["num_children"] < 2 and owner["num_active_vmas"] == 0
            if reusable:
                s.vmas[dst]["anon_vma"] = anon_vma
        avc = s.avcs[avc]["next_same_vma"]
    if s.vmas[dst]["anon_vma"] != 0:
        s.anon_vmas[s.vmas[dst]["anon_vma"]]["num_active_vmas"] += 1


@kernel
def anon_vma_fork(s: State, vma: int, parent_vma: int) -> None:
    """Chain of a child's VMA: the parent's, and an anon_vma of its own for the pages to come.  Models anon_vma_fork()."""
    s.vmas[vma]["anon_vma"] = 0
    if s.vmas[parent_vma]["anon_vma"] == 0:
        return
    anon_vma_clone(s, vma, parent_vma)
    if s.vmas[vma]["anon_vma"] != 0:
        return
    anon_vma = alloc_anon_vma(s, s.vmas[parent_vma]["anon_vma"])
    s.vmas[vma]["anon_vma"] = anon_vma
    s.anon_vmas[anon_vma]["num_active_vmas"] += 1
    anon_vma_chain_link(s, vma, anon_vma)


# ---- 5.10: PG_mlocked goes with the last mapping ----


@kernel
def mlock_vma_page_5_10(s: State, pfn: int) -> None:
    """Models mlock_vma_page() in mm/mlock.c, v5.10: set PG_mlocked and move the page.  Needs the page lock."""
    if not test_set_page_mlocked(s.pages, s.counters, pfn) and isolate_lru_page(s, pfn):
        putback_lru_page(s, pfn)


@step
def clear_mlocked_of_unmapped(pages: Records, counters: Words, pfn: int) -> bool:
    """Clear PG_mlocked of a page that nobody maps now, and account for it: whether it was set."""
    mlocked = test_clear_page_mlocked(pages, pfn)
    if mlocked:
        nr_pages = thp_nr_pages(pages, pfn)
        counters[NR_MLOCK] -= nr_pages
        counters[PGCLEARED] += nr_pages
    return mlocked


@step
def count_if_stranded(pages: Records, counters: Words, pfn: int) -> None:
    """Account for a page that was mlocked and could not be isolated, so that it may stay on the unevictable LRU."""
    if pages[pfn]["flags"] & PG_unevictable != 0:
        counters[PGSTRANDED] += thp_nr_pages(pages, pfn)


@unit
def clear_page_mlock(s: State, pfn: int) -> None:
    """Models clear_page_mlock() in mm/mlock.c, v5.10: the last mapping of an mlocked page is gone."""
    if not clear_mlocked_of_unmapped(s.pages, s.counters, pfn):
        return
    if isolate_lru_page(s, pfn):
        putback_lru_page(s, pfn)
    else:
        count_if_stranded(s.pages, s.counters, pfn)


# ---- since 6.1: every mapping counts ----


@step
def is_counted_when_mapped(pages: Records, pfn: int, vm_flags: int, compound: bool) -> bool:
    """Whether a VMA of these flags counts as a lock of the page that it begins to map.

    VM_SPECIAL declines, hence the VM_IO guard of mlock_vma_pages_range().
    """
    return vm_flags & (VM_LOCKED | VM_SPECIAL) == VM_LOCKED and (compound or not page_trans_compound(pages, pfn))


@step
def is_counted_when_unmapped(pages: Records, pfn: int, vm_flags: int, compound: bool) -> bool:
    """Whether a VMA of these flags had its lock of the page counted, as far as its flags tell."""
    return vm_flags & VM_LOCKED != 0 and (compound or not page_trans_compound(pages, pfn))


@kernel
def mlock_vma_page(s: State, pfn: int, vm_flags: int, compound: bool) -> None:
    """Models mlock_vma_page() in mm/internal.h, v6.1: declines VM_SPECIAL, hence the VM_IO guard of mlock_vma_pages_range()."""
    if is_counted_when_mapped(s.pages, pfn, vm_flags, compound):
        mlock_folio(s, pfn)


@kernel
def munlock_vma_page(s: State, pfn: int, vm_flags: int, compound: bool) -> None:
    """Models munlock_vma_page() in mm/internal.h, v6.1, and munlock_vma_folio(), v6.12: that is for large folios, too."""
    if is_counted_when_unmapped(s.pages, pfn, vm_flags, compound or s.ctl[KERNEL] >= V6_12):
        munlock_page(s, compound_head(s.pages, pfn))


# ---- mapping and unmapping ----


@kernel
def page_add_new_anon_rmap(s: State, pfn: int, vma: int, address: int, compound: bool) -> None:
    """First mapping of a new anonymous page.  Models page_add_new_anon_rmap()."""
    page = s.pages[pfn]
    if compound:
        page["compound"] = 1
    else:
        page["mapcount"] = 1
    page["flags"] |= PG_anon_exclusive  # of the head: tails get it when the PMD is split
    page["mapping"] = (s.vmas[vma]["anon_vma"] << 1) | 1
    page["index"] = s.vmas[vma]["vm_pgoff"] + ((address - s.vmas[vma]["vm_start"]) >> PAGE_SHIFT)


@kernel
def lru_cache_add_inactive_or_unevictable(s: State, pfn: int, vm_flags: int) -> None:
    """A new anonymous page goes to the LRU, mlocked if its VMA is.  6.1 calls it folio_add_lru_vma().

    Models lru_cache_add_inactive_or_unevictable().
    """
    if vm_flags & (VM_LOCKED | VM_SPECIAL) != VM_LOCKED:
        lru_cache_add(s, pfn)
    elif s.ctl[KERNEL] >= V6_1:
        mlock_new_page(s, pfn)
    else:
        nr_pages = thp_nr_pages(s.pages, pfn)
        s.pages[pfn]["flags"] |= PG_mlocked
        s.counters[NR_MLOCK] += nr_pages
        s.counters[PGMLOCKED] += nr_pages
        lru_cache_add(s, pfn)


@step
def add_mapping(pages: Records, pfn: int) -> None:
    """One more entry maps the page."""
    pages[pfn]["mapcount"] += 1


@kernel
def page_add_rmap(s: State, pfn: int, vm_flags: int) -> None:
    """One more page table entry maps a page that is known already.  Models page_add_anon_rmap(), page_add_file_rmap()."""
    add_mapping(s.pages, pfn)
    if s.ctl[KERNEL] >= V6_1:
        mlock_vma_page(s, pfn, vm_flags, False)


@step
def remove_mapping(s: State, pfn: int, compound: bool) -> bool:
    """One entry, or PMD, less maps the page: whether it was the last."""
    if compound:
        remove_compound_mapping(s, pfn)
        return s.pages[pfn]["compound"] == 0
    s.pages[pfn]["mapcount"] -= 1
    return s.pages[pfn]["mapcount"] == 0


@kernel
def remove_compound_mapping(s: State, pfn: int) -> None:
    """One PMD less maps a huge page; with the last one PageDoubleMap goes.

    Models page_remove_anon_compound_rmap(), simplified: these two.
    """
    s.pages[pfn]["compound"] -= 1
    if s.pages[pfn]["compound"] == 0:
        s.pages[pfn]["flags"] &= ~PG_double_map


@kernel
def page_remove_rmap(s: State, pfn: int, vm_flags: int, compound: bool) -> None:
    """One mapping less.  5.10 clears PG_mlocked with the last one, 6.1 takes back what this VMA's lock counted.

    Models page_remove_rmap().
    """
    last = remove_mapping(s, pfn, compound)
    if s.ctl[KERNEL] >= V6_1:
        munlock_vma_page(s, pfn, vm_flags, compound)
    elif last and s.pages[pfn]["flags"] & PG_mlocked != 0:
        clear_page_mlock(s, compound_head(s.pages, pfn))


@kernel
def folio_remove_rmap_ptes(s: State, pfn: int, nr_pages: int, vm_flags: int) -> None:
    """6.12: consecutive entries that mapped pages of one large folio are gone, which is one lock less, not ``nr_pages``.

    Models folio_remove_rmap_ptes().
    """
    for page in range(pfn, pfn + nr_pages):
        remove_mapping(s, page, False)
    munlock_vma_page(s, pfn, vm_flags, False)
