"""Every counter of the model: index, name, unit; the one place to add another.

Counters are exact integers in one ``int64`` array per machine.  Those with a kernel name are what ``/proc/vmstat`` would show
and can be compared with it; ``model_`` ones exist only here.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Counter(NamedTuple):
    """One counter."""

    name: str  # the kernel's vmstat name, or model_*
    unit: str  # what one means
    help: str  # when it moves


COUNTERS: Final = (
    Counter("nr_mlock", "pages", "pages with PG_mlocked"),
    Counter("nr_unevictable", "pages", "pages on the unevictable LRU"),
    Counter("nr_inactive_anon", "pages", "pages on that LRU list"),
    Counter("nr_active_anon", "pages", "pages on that LRU list"),
    Counter("nr_inactive_file", "pages", "pages on that LRU list"),
    Counter("nr_active_file", "pages", "pages on that LRU list"),
    Counter("unevictable_pgs_culled", "pages", "moved to the unevictable LRU"),
    Counter("unevictable_pgs_scanned", "pages", "looked at by check_move_unevictable_pages()"),
    Counter("unevictable_pgs_rescued", "pages", "moved back from the unevictable LRU"),
    Counter("unevictable_pgs_mlocked", "pages", "PG_mlocked set"),
    Counter("unevictable_pgs_munlocked", "pages", "PG_mlocked cleared by munlock"),
    Counter("unevictable_pgs_cleared", "pages", "PG_mlocked cleared otherwise (5.10: last unmap, pmd split; 6.1: free)"),
    Counter("unevictable_pgs_stranded", "pages", "PG_mlocked cleared while off the LRU with PG_unevictable set"),
    Counter("model_pages_looked_up", "pages", "addresses at which munlock or mlock looked for a page"),
    Counter("model_follow_page", "calls", "follow_page_mask(): munlock and populate"),
    Counter("model_mlock_pte_range", "calls", "mlock_pte_range()"),
    Counter("model_pgd_read", "entries", "top-level entries read by follow_page_mask() and walk_page_range()"),
    Counter("model_p4d_read", "entries", "P4D entries read (5-level page tables only)"),
    Counter("model_pud_read", "entries", "PUD entries read"),
    Counter("model_pmd_read", "entries", "PMD entries read"),
    Counter("model_pte_read", "entries", "page table entries read"),
    Counter("model_tables_entered", "tables", "tables below the top one entered by those"),
    Counter("model_pte_lock", "round trips", "page table lock (pte or pmd)"),
    Counter("model_lru_lock", "round trips", "LRU lock (5.10: pgdat, 6.1: lruvec)"),
    Counter("model_page_lock", "round trips", "page lock"),
    Counter("model_rmap_lock", "round trips", "anon_vma or i_mmap_rwsem, for a reverse-map walk"),
    Counter("model_rmap_vmas", "VMAs", "VMAs looked at by reverse-map walks"),
    Counter("model_pagevecs", "batches", "pagevecs of up to 15 pages unlocked by __munlock_pagevec()"),
    Counter("model_mlock_batches", "batches", "per-CPU batches of up to 15 pages processed by mlock_pagevec()"),
    Counter("model_isolated", "pages", "pages taken off their LRU list"),
    Counter("model_putback", "pages", "pages put on an LRU list"),
    Counter("model_cond_resched", "calls", "cond_resched() in the munlock loop or page walk"),
    Counter("model_faults", "faults", "page faults handled"),
    Counter("model_pmd_splits", "splits", "huge PMDs split into page table entries"),
    Counter("model_pte_special", "entries", "of entries read: those of the zero page, which munlock and mlock leave alone"),
    Counter("model_pte_compound", "entries", "of entries read: those of a part of a huge page, which they leave alone"),
    Counter("model_pte_folio", "entries", "of entries read: those of a part of a huge page, locked or unlocked with it (6.12)"),
    Counter("model_vmas_changed", "VMAs", "VMAs that got or lost VM_LOCKED: mlock_fixup() with flags to change"),
    Counter("model_vma_splits", "splits", "VMAs cut in two"),
    Counter("model_vma_merges", "merges", "VMAs, or parts, that joined a neighbour when their flags changed"),
    Counter("model_vmas_freed", "VMAs", "VMAs that ended: unmapped, or merged into another"),
    Counter("model_zap_read", "entries", "page table entries read by zap_pte_range()"),
    Counter("model_zapped", "pages", "pages whose entries zap_pte_range() cleared, zero pages left out"),
    Counter("model_zap_special", "entries", "entries of the zero page that zap_pte_range() cleared"),
    Counter("model_unmap_pmd_read", "entries", "PMD entries read by zap_pmd_range(), and again by free_pmd_range()"),
    Counter("model_unmap_upper_read", "entries", "entries above the PMD read by unmap_page_range() and free_pgd_range()"),
    Counter("model_tables_freed", "tables", "tables below the top one freed"),
)

NAMES: Final = tuple(counter.name for counter in COUNTERS)
NR_COUNTERS: Final = len(COUNTERS)
VMSTAT_NAMES: Final = ("nr_mlock", "nr_unevictable", *(n for n in NAMES if n.startswith("unevictable_pgs_")))

# Indices as module constants: numba freezes them into the compiled code.
NR_MLOCK: Final = NAMES.index("nr_mlock")
NR_UNEVICTABLE: Final = NAMES.index("nr_unevictable")
NR_INACTIVE_ANON: Final = NAMES.index("nr_inactive_anon")  # + lru for the four evictable lists
PGCULLED: Final = NAMES.index("unevictable_pgs_culled")
PGSCANNED: Final = NAMES.index("unevictable_pgs_scanned")
PGRESCUED: Final = NAMES.index("unevictable_pgs_rescued")
PGMLOCKED: Final = NAMES.index("unevictable_pgs_mlocked")
PGMUNLOCKED: Final = NAMES.index("unevictable_pgs_munlocked")
PGCLEARED: Final = NAMES.index("unevictable_pgs_cleared")
PGSTRANDED: Final = NAMES.index("unevictable_pgs_stranded")
PAGES_LOOKED_UP: Final = NAMES.index("model_pages_looked_up")
FOLLOW_PAGE: Final = NAMES.index("model_follow_page")
MLOCK_PTE_RANGE: Final = NAMES.index("model_mlock_pte_range")
PGD_READ: Final = NAMES.index("model_pgd_read")
P4D_READ: Final = NAMES.index("model_p4d_read")
PUD_READ: Final = NAMES.index("model_pud_read")
PMD_READ: Final = NAMES.index("model_pmd_read")
PTE_READ: Final = NAMES.index("model_pte_read")
TABLES_ENTERED: Final = NAMES.index("model_tables_entered")
PTE_LOCK: Final = NAMES.index("model_pte_lock")
LRU_LOCK: Final = NAMES.index("model_lru_lock")
PAGE_LOCK: Final = NAMES.index("model_page_lock")
RMAP_LOCK: Final = NAMES.index("model_rmap_lock")
RMAP_VMAS: Final = NAMES.index("model_rmap_vmas")
PAGEVECS: Final = NAMES.index("model_pagevecs")
MLOCK_BATCHES: Final = NAMES.index("model_mlock_batches")
ISOLATED: Final = NAMES.index("model_isolated")
PUTBACK: Final = NAMES.index("model_putback")
COND_RESCHED: Final = NAMES.index("model_cond_resched")
FAULTS: Final = NAMES.index("model_faults")
PMD_SPLITS: Final = NAMES.index("model_pmd_splits")
PTE_SPECIAL: Final = NAMES.index("model_pte_special")
PTE_COMPOUND: Final = NAMES.index("model_pte_compound")
PTE_FOLIO: Final = NAMES.index("model_pte_folio")
VMAS_CHANGED: Final = NAMES.index("model_vmas_changed")
VMA_SPLITS: Final = NAMES.index("model_vma_splits")
VMA_MERGES: Final = NAMES.index("model_vma_merges")
VMAS_FREED: Final = NAMES.index("model_vmas_freed")
ZAP_READ: Final = NAMES.index("model_zap_read")
ZAPPED: Final = NAMES.index("model_zapped")
ZAP_SPECIAL: Final = NAMES.index("model_zap_special")
UNMAP_PMD_READ: Final = NAMES.index("model_unmap_pmd_read")
UNMAP_UPPER_READ: Final = NAMES.index("model_unmap_upper_read")
TABLES_FREED: Final = NAMES.index("model_tables_freed")
