"""Each race as a situation: a machine just before it, and the tasks."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from bench.races import machines as at
from bench.races.guards import LRU_FIRST
from bench.races.interleaving import Situation, Task
from bench.races.tasks import (
    change_locks,
    compaction,
    driver_mmap,
    huge_migration_end,
    migration_end,
    page_lock,
    reclaim,
    split,
)
from mmmodel import Mm
from mmmodel.constants import PAGE_SIZE, PMD_SIZE
from mmmodel.kernels import Kernel
from mmmodel.pages import get_page
from mmmodel.steps import Path, lru_add_drain, put_one_page
from mmmodel.steps_unmap import punch_hole

LOCK, UNLOCK = True, False


def _locker(mm: Mm, cpu: int, *locks: bool, length: int = PAGE_SIZE, after: tuple[int, ...] = ()) -> Task:
    """Return a task that calls mlock (True) and munlock, named after them."""
    name = ", ".join("mlock" if lock else "munlock" for lock in locks)
    return Task(name, cpu, lambda: change_locks(mm, *locks, length=length), after)


def _migrator(mm: Mm, pfn: int, path: Callable[[Mm, int], Path]) -> Task:
    """Return the end of a migration, on CPU 1."""
    return Task("migration", 1, lambda: path(mm, pfn), has=(page_lock(pfn),))


def _drain(mm: Mm, cpu: int, after: tuple[int, ...]) -> Task:
    """Return what every CPU does sooner or later, so that nothing waits in its vectors in the end."""
    return Task("drain", cpu, lambda: lru_add_drain(mm.state), after)


# ---- two tasks, one page ----


def munlock_vs_truncate(kernel: Kernel, without: Collection[str], pinned: bool = False) -> Situation:
    """A page of a file; `pinned`: somebody else has a reference for a while."""
    mm, file = at.of_file(kernel, without, locked=True)
    pfn = at.pfn_of(mm)
    tasks = [_locker(mm, 0, UNLOCK), Task("truncate", 1, lambda: punch_hole(mm.state, file, 0))]
    if pinned:
        get_page(mm.state.pages, pfn)
        tasks.append(Task("unpin", 2, lambda: put_one_page(mm.state, pfn)))
    return at.situation(mm, tasks, file=file)


def mlock_vs_migration(kernel: Kernel, without: Collection[str], locks: tuple[bool, ...], repaired: bool = False) -> Situation:
    """An anonymous page that migration maps again; `repaired`: reclaim comes by afterwards."""
    mm, on_lru = at.anonymous(kernel, without), LRU_FIRST not in without
    pfn = at.in_migration(mm, on_lru=on_lru)
    tasks = [_locker(mm, 0, *locks), _migrator(mm, pfn, partial(migration_end, on_lru=on_lru))]
    if repaired:
        tasks.append(Task("reclaim", 1, lambda: reclaim(mm, pfn), after=(0, 1)))
    return at.of_pages(mm, tasks, (pfn,))


def mlock_vs_reclaim(kernel: Kernel, without: Collection[str]) -> Situation:
    """An anonymous page that reclaim has chosen."""
    mm = at.anonymous(kernel, without)
    pfn = at.pfn_of(mm)
    return at.situation(mm, (_locker(mm, 0, LOCK, UNLOCK), Task("reclaim", 1, lambda: reclaim(mm, pfn))))


def driver(kernel: Kernel, without: Collection[str]) -> Situation:
    """A page that a driver maps while its VMA is being made, and somebody who isolates it meanwhile."""
    mm, pfn, entry, file = at.not_mapped_yet(kernel, without)
    tasks = (Task("mmap", 0, lambda: driver_mmap(mm, pfn, entry)), Task("compaction", 1, lambda: compaction(mm, pfn)))
    return at.of_pages(mm, tasks, (pfn,), file=file)


def munlock_vs_lru_add(kernel: Kernel, without: Collection[str], then: str = "") -> Situation:
    """A locked new page in a vector of CPU 1; `then`: what happens to it afterwards."""
    mm = at.on_its_way(kernel, without, "w")
    pfn = at.pfn_of(mm)
    tasks = [_locker(mm, 0, UNLOCK), Task("lru_add_drain", 1, lambda: lru_add_drain(mm.state))]
    if then == "compaction":
        tasks.append(Task("compaction", 0, lambda: compaction(mm, pfn), after=(0, 1)))
    elif then == "mlock":
        tasks.append(_locker(mm, 0, LOCK, UNLOCK, after=(0, 1)))
    return at.situation(mm, tasks)


def two_lockers(kernel: Kernel, without: Collection[str], locks: tuple[bool, ...], isolated: bool = False) -> Situation:
    """A page of a file that two processes map; `isolated`: a third task takes it off its LRU for a moment."""
    mm, other, file = at.shared_by_two(kernel, without)
    pfn = at.pfn_of(mm)
    tasks = [_locker(mm, 0, UNLOCK), _locker(other, 1, *locks)]
    if isolated:
        tasks.append(Task("compaction", 2, lambda: compaction(mm, pfn)))
    return at.situation(mm, tasks, other, file=file)


# ---- three tasks ----


def mlock_vs_migration_vs_truncate(kernel: Kernel, without: Collection[str]) -> Situation:
    """A page of a file that migration maps again, while a hole is punched there."""
    mm, file = at.of_file(kernel, without, locked=False)
    pfn = at.in_migration(mm)
    tasks = (
        _locker(mm, 0, LOCK, UNLOCK),
        _migrator(mm, pfn, migration_end),
        Task("truncate", 2, lambda: punch_hole(mm.state, file, 0)),
        _drain(mm, 1, after=(0, 1, 2)),
    )
    return at.of_pages(mm, tasks, (pfn,), file=file)


def mlock_vs_migration_vs_reclaim(kernel: Kernel, without: Collection[str]) -> Situation:
    """An anonymous page that migration maps again and reclaim has chosen."""
    mm = at.anonymous(kernel, without)
    pfn = at.in_migration(mm)
    tasks = (
        _locker(mm, 0, LOCK, UNLOCK),
        _migrator(mm, pfn, migration_end),
        Task("reclaim", 2, lambda: reclaim(mm, pfn)),
        _drain(mm, 1, after=(0, 1, 2)),
    )
    return at.of_pages(mm, tasks, (pfn,))


# ---- two pages ----


def two_pages_vs_lru_add(kernel: Kernel, without: Collection[str], order: str) -> Situation:
    """Two locked pages, one on its LRU ("l") and one in a vector of CPU 1 ("w"), munlocked in this order."""
    mm = at.on_its_way(kernel, without, order)
    tasks = (_locker(mm, 0, UNLOCK, length=2 * PAGE_SIZE), Task("lru_add_drain", 1, lambda: lru_add_drain(mm.state)))
    return at.situation(mm, tasks, pages=2)


def two_pages_vs_migration_vs_reclaim(kernel: Kernel, without: Collection[str]) -> Situation:
    """Two anonymous pages: migration maps the first again, reclaim has chosen the second."""
    mm = at.anonymous(kernel, without, pages=2)
    second = at.pfn_of(mm, 1)
    first = at.in_migration(mm)
    tasks = (
        _locker(mm, 0, LOCK, UNLOCK, length=2 * PAGE_SIZE),
        _migrator(mm, first, migration_end),
        Task("reclaim", 2, lambda: reclaim(mm, second, 1)),
        _drain(mm, 1, after=(0, 1, 2)),
    )
    return at.of_pages(mm, tasks, (first, second))


# ---- a huge page ----


def huge_vs_split(kernel: Kernel, without: Collection[str], locks: tuple[bool, ...], locked: bool) -> Situation:
    """A huge page whose PMD somebody splits."""
    mm = at.huge(kernel, without, locked=locked)
    pfn = at.huge_pfn(mm)
    tasks = (_locker(mm, 0, *locks, length=PMD_SIZE), Task("split", 1, lambda: split(mm, pfn)))
    return at.of_huge_page(mm, tasks, pfn)


def huge_shared_vs_split(kernel: Kernel, without: Collection[str]) -> Situation:
    """A huge page that a process has locked and its child locks while the child's PMD is split."""
    mm = at.huge(kernel, without, locked=True)
    child = mm.fork()
    pfn = at.huge_pfn(mm)
    tasks = (_locker(child, 0, LOCK, length=PMD_SIZE), Task("split", 1, lambda: split(child, pfn)))
    return at.of_huge_page(mm, tasks, pfn, child)


def huge_vs_migration(kernel: Kernel, without: Collection[str], locks: tuple[bool, ...]) -> Situation:
    """A huge page that migration maps again."""
    mm = at.huge(kernel, without, locked=False)
    pfn = at.huge_in_migration(mm)
    tasks = (_locker(mm, 0, *locks, length=PMD_SIZE), _migrator(mm, pfn, huge_migration_end))
    return at.of_huge_page(mm, tasks, pfn)
