"""The steps of those who take pages from under a VMA without mmap_lock: hole punching, migration, reclaim.

They look at vm_flags under the page table lock alone, while mlock or munlock may be changing them.  See :mod:`mmmodel.steps`.
Each path is for one page of order 0.
"""

from __future__ import annotations

from collections.abc import Generator

from mmmodel.constants import _PAGE_PRESENT, PAGE_SHIFT, VM_LOCKED, PG_lru, PG_unevictable
from mmmodel.filemap import cache_slot, delete_from_page_cache
from mmmodel.install import give_up_swap, unmap_to_swap
from mmmodel.kernels import V6_1
from mmmodel.lru import count_lru_lock, isolate_locked, page_evictable
from mmmodel.migrate import clear_entry, is_migration_entry, make_migration_entry, map_migrated_page, migrating_pfn
from mmmodel.pages import get_page
from mmmodel.pgtable import pmd_slot, pte_pfn
from mmmodel.state import CPU, KERNEL, State
from mmmodel.steps import (
    MIGRATION_DRAIN,
    Lock,
    Path,
    Step,
    drop,
    entry_of,
    left_out,
    lru_add_drain,
    lru_lock,
    mlock_pagevec,
    put_one_page,
    putback_lru_page,
    take,
)
from mmmodel.steps_5_10 import mlock_vma_page_5_10, vmas_of
from mmmodel.steps_6_1 import mlock_folio
from mmmodel.steps_rmap import counts_when_mapped, page_add_rmap, page_remove_rmap
from mmmodel.zap import clear_file_entry

# ---- hole punching ----


def _unmap_file_page(s: State, vma: int, address: int) -> Path:
    """One VMA of a file loses one page.  Needs i_mmap_rwsem."""
    yield from lru_add_drain(s)
    if not pmd_slot(s, int(s.vmas[vma]["vm_mm"]), address):
        return
    ptl, slot = entry_of(s, vma, address)
    yield take("lock page table", ptl)
    yield Step("clear entry", needs=(ptl,))
    if is_migration_entry(s.entries[slot]):
        clear_entry(s, slot)
    pfn = clear_file_entry(s, slot)
    if pfn:
        yield from page_remove_rmap(s, pfn, vma)
    yield drop("unlock page table", ptl)
    if pfn:
        yield from lru_add_drain(s)
        yield from put_one_page(s, pfn)


def punch_hole(s: State, file: int, pgoff: int) -> Path:
    """A page of a file is unmapped everywhere and leaves the page cache; truncation does the same."""
    i_mmap = Lock("rmap", file << 1, shared=s.ctl[KERNEL] >= V6_1)
    yield take("lock i_mmap", i_mmap)
    for vma in vmas_of(s, file << 1):
        start, end, first = (int(s.vmas[vma][field]) for field in ("vm_start", "vm_end", "vm_pgoff"))
        address = start + ((pgoff - first) << PAGE_SHIFT)
        if start <= address < end:
            yield from _unmap_file_page(s, vma, address)
    yield Step("unlock i_mmap", needs=(i_mmap,), drops=(i_mmap,))
    slot = cache_slot(s, file, pgoff)
    if slot:
        page = Lock("page", int(pte_pfn(s.entries[slot])))
        yield Step("lock page", takes=(page,))
        delete_from_page_cache(s, file, slot)
        yield Step("unlock page", needs=(page,), drops=(page,))
        yield from put_one_page(s, page.number)


# ---- migration ----


def try_to_migrate_one(s: State, vma: int, address: int) -> Path:
    """A mapped page is replaced by a migration entry.  Needs the page lock, and a reference that is not the mapping's."""
    ptl, slot = entry_of(s, vma, address)
    yield take("lock page table", ptl)
    pfn = int(pte_pfn(s.entries[slot]))
    yield Step("migration entry", needs=(ptl,))
    make_migration_entry(s, slot)
    yield from page_remove_rmap(s, pfn, vma)
    yield from _drain_if_locked(s, vma, ptl)
    yield from put_one_page(s, pfn)
    yield drop("unlock page table", ptl)


def remove_migration_pte(s: State, vma: int, address: int) -> Path:
    """A migration entry is replaced by the page, which the VMA then locks if its flags say so.  Needs the page lock."""
    ptl, slot = entry_of(s, vma, address)
    yield take("lock page table", ptl)
    if not is_migration_entry(s.entries[slot]):
        yield drop("unlock page table", ptl)
        return
    pfn = int(migrating_pfn(s.entries[slot]))
    yield Step("get_page", needs=(ptl,))
    get_page(s.pages, pfn)
    if s.ctl[KERNEL] < V6_1:
        yield from _map_5_10(s, vma, slot, pfn)
    else:
        yield from page_add_rmap(s, pfn, vma)
        yield Step("map page", needs=(ptl,))
        map_migrated_page(s, vma, slot)
    if not left_out(s, MIGRATION_DRAIN):
        yield from _drain_if_locked(s, vma, ptl)
    yield drop("unlock page table", ptl)


def _map_5_10(s: State, vma: int, slot: int, pfn: int) -> Path:
    """5.10: the entry is there before the page is counted as mapped, and is locked last.  Needs the page table lock."""
    yield Step("map page")
    map_migrated_page(s, vma, slot)
    yield from page_add_rmap(s, pfn, vma)
    yield Step("look at vm_flags")
    if int(s.vmas[vma]["vm_flags"]) & VM_LOCKED:
        yield from mlock_vma_page_5_10(s, pfn)


def _drain_if_locked(s: State, vma: int, ptl: Lock) -> Path:
    """6.1: the batch holds a reference to what was put there just now, and migration must not leave one."""
    if s.ctl[KERNEL] < V6_1:
        return
    yield Step("look at vm_flags", needs=(ptl,))
    if int(s.vmas[vma]["vm_flags"]) & VM_LOCKED:
        yield from mlock_pagevec(s, int(s.ctl[CPU]))


# ---- reclaim ----


def try_to_unmap_one(s: State, vma: int, address: int, pfn: int, held: int = 0) -> Generator[Step, bool, bool]:
    """Reclaim asks a VMA for its only mapping of an anonymous page: whether that is gone.  A locked VMA keeps it, and locks it.

    Needs the page lock and anon_vma's.  ``held``: references of who asks.
    """
    ptl, slot = entry_of(s, vma, address)
    yield take("lock page table", ptl)
    if not maps(int(s.entries[slot]), pfn):
        yield drop("unlock page table", ptl)
        return False
    yield Step("look at vm_flags", needs=(ptl,))
    vm_flags = int(s.vmas[vma]["vm_flags"])
    unmapped = False
    if not vm_flags & VM_LOCKED:
        yield Step("unmap", needs=(ptl,))
        unmapped = bool(unmap_to_swap(s, pfn, slot, vm_flags, held))
    elif s.ctl[KERNEL] < V6_1:
        yield from mlock_vma_page_5_10(s, pfn)
    else:
        yield Step("look at vm_flags", needs=(ptl,))  # once more, by the hook
        if counts_when_mapped(s, pfn, vma):
            yield from mlock_folio(s, pfn)
    yield Step("unlock page table", needs=(ptl,), drops=(ptl,))
    if vm_flags & VM_LOCKED:
        give_up_swap(s, pfn)
    return unmapped


def maps(entry: int, pfn: int) -> bool:
    """Whether an entry maps a page now."""
    return entry & _PAGE_PRESENT != 0 and int(pte_pfn(entry)) == pfn


def reclaim_page(s: State, vma: int, address: int, pfn: int) -> Path:
    """Reclaim takes a page off an evictable list, and unmaps and frees it, or puts it back.  Needs nothing."""
    lru, page, anon_vma = lru_lock(s, pfn), Lock("page", pfn), Lock("rmap", int(s.pages[pfn]["mapping"]), shared=True)
    yield Step("isolate_lru_page", takes=(lru,), drops=(lru,))
    if not int(s.pages[pfn]["refcount"]) or int(s.pages[pfn]["flags"]) & (PG_lru | PG_unevictable) != PG_lru:
        return
    count_lru_lock(s.counters)
    isolate_locked(s, pfn)
    unmapped = False
    got = yield Step("trylock page", tries=page)
    if got:
        yield Step("page_evictable", needs=(page,))
        if page_evictable(s.pages, pfn):
            yield take("lock anon_vma", anon_vma, needs=(page,))
            unmapped = yield from try_to_unmap_one(s, vma, address, pfn, held=1)
            yield drop("unlock anon_vma", anon_vma)
        yield Step("unlock page", needs=(page,), drops=(page,))
    if unmapped:
        yield from put_one_page(s, pfn)
    else:
        yield from putback_lru_page(s, pfn)
