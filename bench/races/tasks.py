"""What runs: calls and kernel threads, as paths over the model's steps, with the locks that their callers take."""

from __future__ import annotations

from bench.races.machines import BASE, number_of, vma_of
from mmmodel import Mm
from mmmodel import state as st
from mmmodel.constants import PAGE_SIZE, VM_LOCKED, VM_LOCKED_CLEAR_MASK, VM_MIXEDMAP
from mmmodel.kernels import V6_1
from mmmodel.pages import get_page
from mmmodel.steps import (
    Lock,
    Path,
    Step,
    drop,
    entry_of,
    isolate_lru_page,
    lru_add_drain,
    put_one_page,
    putback_lru_page,
    take,
)
from mmmodel.steps_5_10 import mlock_present_page, munlock_vma_pages_range
from mmmodel.steps_6_1 import mlock_vma_pages_range
from mmmodel.steps_huge import remove_migration_pmd, split_huge_pmd
from mmmodel.steps_rmap import page_add_rmap
from mmmodel.steps_unmap import reclaim_page, remove_migration_pte


def change_locks(mm: Mm, *locks: bool, length: int = PAGE_SIZE, first: int = 0) -> Path:
    """mlock (True) or munlock of pages, one call after the other, each from mlock_fixup() on; `first`: page."""
    if mm.machine.ctl[st.KERNEL] < V6_1:
        for lock in locks:
            yield from _mlock_5_10(mm) if lock else _munlock_5_10(mm)
        return
    mmap_lock, start = Lock("mmap_lock", number_of(mm)), BASE + first * PAGE_SIZE
    for lock in locks:
        vma = vma_of(mm)
        yield take("mmap_write_lock", mmap_lock)
        newflags = int(mm.state.vmas[vma]["vm_flags"]) & VM_LOCKED_CLEAR_MASK | (VM_LOCKED if lock else 0)
        yield from mlock_vma_pages_range(mm.state, number_of(mm), vma, start, start + length, newflags)
        yield drop("mmap_write_unlock", mmap_lock)


def _munlock_5_10(mm: Mm) -> Path:
    """munlock of the page in 5.10."""
    mmap_lock = Lock("mmap_lock", number_of(mm))
    yield take("mmap_write_lock", mmap_lock)
    yield from munlock_vma_pages_range(mm.state, number_of(mm), vma_of(mm), BASE, BASE + PAGE_SIZE)
    yield drop("mmap_write_unlock", mmap_lock)


def _mlock_5_10(mm: Mm) -> Path:
    """mlock of the page in 5.10: the flag, and then, mmap_lock for reading, what populate finds there."""
    mmap_lock, vma = Lock("mmap_lock", number_of(mm)), vma_of(mm)
    yield take("mmap_write_lock", mmap_lock)
    yield Step("store vm_flags", needs=(mmap_lock,))
    mm.state.vmas[vma]["vm_flags"] |= VM_LOCKED
    yield drop("mmap_write_unlock", mmap_lock)
    reading = Lock("mmap_lock", number_of(mm), shared=True)
    yield take("mmap_read_lock", reading)
    yield from mlock_present_page(mm.state, vma, BASE)
    yield drop("mmap_read_unlock", reading)
    yield from lru_add_drain(mm.state)


def page_lock(pfn: int) -> Lock:
    """Return the lock of a page, which a migration has from beginning to end."""
    return Lock("page", pfn)


def migration_end(mm: Mm, pfn: int, page: int = 0, *, on_lru: bool = True) -> Path:
    """remove_migration_ptes() of one mapping, and the end of a migration, which puts the page on its LRU if it is on none.

    Has the page lock.
    """
    rmap = Lock("rmap", int(mm.state.pages[pfn]["mapping"]), shared=True)
    yield take("lock reverse map", rmap)
    yield from remove_migration_pte(mm.state, vma_of(mm), BASE + page * PAGE_SIZE)
    yield drop("unlock reverse map", rmap)
    yield Step("unlock page", needs=(page_lock(pfn),), drops=(page_lock(pfn),))
    if on_lru:
        yield from put_one_page(mm.state, pfn)
    else:
        yield from putback_lru_page(mm.state, pfn)
        yield from lru_add_drain(mm.state)


def huge_migration_end(mm: Mm, pfn: int) -> Path:
    """The same of a huge page, whose mapping's reference the migration had.  Has the page lock."""
    rmap = Lock("rmap", int(mm.state.pages[pfn]["mapping"]), shared=True)
    yield take("lock reverse map", rmap)
    yield from remove_migration_pmd(mm.state, vma_of(mm), BASE)
    yield drop("unlock reverse map", rmap)
    yield Step("unlock page", needs=(page_lock(pfn),), drops=(page_lock(pfn),))
    yield from put_one_page(mm.state, pfn)


def split(mm: Mm, pfn: int) -> Path:
    """Somebody who wants to split a huge page has its PMD split first, as split_huge_page() does."""
    lock, anon_vma = Lock("page", pfn), Lock("rmap", int(mm.state.pages[pfn]["mapping"]))
    yield Step("lock page, anon_vma", takes=(lock, anon_vma))
    yield from split_huge_pmd(mm.state, vma_of(mm), BASE)
    yield Step("unlock page, anon_vma", needs=(lock, anon_vma), drops=(lock, anon_vma))


def reclaim(mm: Mm, pfn: int, page: int = 0) -> Path:
    """Reclaim of a page, and the drain that comes after it sooner or later."""
    yield from reclaim_page(mm.state, vma_of(mm), BASE + page * PAGE_SIZE, pfn)
    yield from lru_add_drain(mm.state)


def compaction(mm: Mm, pfn: int) -> Path:
    """Somebody takes the page off its LRU, evictable or not, and puts it back, as a migration that fails does."""
    isolated = yield from isolate_lru_page(mm.state, pfn)
    if isolated:
        yield from putback_lru_page(mm.state, pfn)
        yield from lru_add_drain(mm.state)


def driver_mmap(mm: Mm, pfn: int, entry: int) -> Path:
    """A driver's ->mmap() under MCL_FUTURE maps its page before mmap_region() has seen that the VMA cannot be locked."""
    mmap_lock, vma = Lock("mmap_lock", number_of(mm)), vma_of(mm)
    yield take("mmap_write_lock", mmap_lock)
    yield Step("store vm_flags, VM_MIXEDMAP", needs=(mmap_lock,))
    mm.state.vmas[vma]["vm_flags"] |= VM_LOCKED | VM_MIXEDMAP
    ptl, slot = entry_of(mm.state, vma, BASE)
    yield take("lock page table", ptl)
    yield Step("get_page", needs=(ptl,))
    get_page(mm.state.pages, pfn)
    yield from page_add_rmap(mm.state, pfn, vma)
    yield Step("map page", needs=(ptl,))
    mm.state.entries[slot] = entry
    yield drop("unlock page table", ptl)
    yield Step("clear VM_LOCKED", needs=(mmap_lock,))
    mm.state.vmas[vma]["vm_flags"] &= ~VM_LOCKED
    yield drop("mmap_write_unlock", mmap_lock)
    yield from lru_add_drain(mm.state)
