"""The races: for each a machine just before it, the tasks, and the guards that can be left out of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from bench.races.interleaving import Situation, Task
from bench.races.invariants import judge
from mmmodel import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, MLOCK_ONFAULT, PROT_READ, PROT_WRITE, Mm
from mmmodel.constants import PAGE_SIZE, VM_LOCKED, VM_LOCKED_CLEAR_MASK
from mmmodel.filemap import cache_slot
from mmmodel.kernels import LINUX_5_10, LINUX_6_1, Kernel, implementations
from mmmodel.migrate import is_migration_entry
from mmmodel.pages import get_page
from mmmodel.pgtable import pmd_slot, pte_offset, pte_pfn
from mmmodel.steps import Lock, Path, Step, isolate_lru_page, lru_add_drain, put_one_page, putback_lru_page
from mmmodel.steps_5_10 import munlock_vma_pages_range
from mmmodel.steps_6_1 import Guards, mlock_vma_pages_range
from mmmodel.steps_unmap import punch_hole, reclaim_page, remove_migration_pte, try_to_migrate_one

BASE: Final = 1 << 32  # where the page is mapped
RW: Final = PROT_READ | PROT_WRITE

VM_IO_GUARD: Final = "vm-io"
ONE_STORE: Final = "one-store"
FLAGS_FIRST: Final = "flags-first"
DRAINS: Final = "drains"
MIGRATION_DRAIN: Final = "migration-drain"
GUARDS: Final = {
    VM_IO_GUARD: "VM_IO is set while mlock walks, so that others do not count what the walk will",
    ONE_STORE: "VM_LOCKED and VM_IO appear in one store",
    FLAGS_FIRST: "VM_LOCKED is changed before the walk, not after it",
    DRAINS: "mlock and munlock process this CPU's batch before and after the walk",
    MIGRATION_DRAIN: "migration processes this CPU's batch before it drops the page table lock",
}


@dataclass(frozen=True)
class Race:
    """Paths that run at the same time."""

    name: str
    summary: str  # one line
    kernel: Kernel
    guards: tuple[str, ...]  # that can be left out
    build: Callable[[Kernel, Collection[str]], Situation]  # without these guards


# ---- machines ----


def _machine(kernel: Kernel, nr_cpus: int = 3) -> Mm:
    """Return an empty address space under a kernel."""
    impl = next(one.name for one in implementations() if one.kernel == kernel)
    return Mm(impl, nr_cpus=nr_cpus)


def _anonymous(kernel: Kernel) -> Mm:
    """Return an address space with one anonymous page at BASE, on its LRU."""
    mm = _machine(kernel)
    mm.mmap(BASE, PAGE_SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
    mm.touch(BASE, access="write")
    mm.lru_add_drain_all()
    return mm


def _vma(mm: Mm) -> int:
    """Return the VMA at BASE, which is the first."""
    return int(mm.state.array("order")[0])


def _number(mm: Mm) -> int:
    """Return the address space's index in the machine."""
    return int(mm.state.vmas[_vma(mm)]["vm_mm"])


def _slot(mm: Mm) -> int:
    """Return the slot of the entry of BASE."""
    return int(pte_offset(mm.state, pmd_slot(mm.state, _number(mm), BASE), BASE))


def _pfn(mm: Mm) -> int:
    """Return the page at BASE."""
    return int(pte_pfn(mm.state.entries[_slot(mm)]))


def _situation(mm: Mm, pfn: int, tasks: Collection[Task], *others: Mm, file: int = 0) -> Situation:
    """Return the situation in which one page at BASE matters, in one or more address spaces."""
    entries = tuple((_vma(one), _slot(one)) for one in (mm, *others))
    cached = (int(cache_slot(mm.state, file, 0)),) if file else ()
    return Situation(mm, tuple(tasks), (pfn,), entries, cached, judge)


# ---- tasks ----


def _guards(without: Collection[str]) -> Guards:
    return Guards(
        vm_io=VM_IO_GUARD not in without,
        one_store=ONE_STORE not in without,
        flags_first=FLAGS_FIRST not in without,
        drains=DRAINS not in without,
    )


def _change_locks(mm: Mm, without: Collection[str], *locks: bool) -> Path:
    """mlock (True) or munlock of the page, one call after the other, each from mlock_fixup() on."""
    mmap_lock = Lock("mmap_lock", _number(mm))
    for lock in locks:
        vma = _vma(mm)
        yield Step("mmap_write_lock", takes=(mmap_lock,))
        newflags = int(mm.state.vmas[vma]["vm_flags"]) & VM_LOCKED_CLEAR_MASK | (VM_LOCKED if lock else 0)
        yield from mlock_vma_pages_range(mm.state, _number(mm), vma, BASE, BASE + PAGE_SIZE, newflags, _guards(without))
        yield Step("mmap_write_unlock", needs=(mmap_lock,), drops=(mmap_lock,))


def _munlock_5_10(mm: Mm) -> Path:
    """munlock of the page in 5.10."""
    mmap_lock = Lock("mmap_lock", _number(mm))
    yield Step("mmap_write_lock", takes=(mmap_lock,))
    yield from munlock_vma_pages_range(mm.state, _number(mm), _vma(mm), BASE, BASE + PAGE_SIZE)
    yield Step("mmap_write_unlock", needs=(mmap_lock,), drops=(mmap_lock,))


def _migration_end(mm: Mm, pfn: int, without: Collection[str]) -> Path:
    """remove_migration_ptes() of one mapping, and the end of a migration."""
    page, rmap = Lock("page", pfn), Lock("rmap", int(mm.state.pages[pfn]["mapping"]))
    yield Step("lock page, reverse map", takes=(page, rmap))
    yield from remove_migration_pte(mm.state, _vma(mm), BASE, drain=MIGRATION_DRAIN not in without)
    yield Step("unlock page, reverse map", needs=(page, rmap), drops=(page, rmap))
    yield from put_one_page(mm.state, pfn)


def _reclaim(mm: Mm, pfn: int) -> Path:
    """Reclaim of the page, and the drain that comes after it sooner or later."""
    yield from reclaim_page(mm.state, _vma(mm), BASE, pfn)
    yield from lru_add_drain(mm.state)


def _compaction(mm: Mm, pfn: int) -> Path:
    """Somebody takes the page off its LRU, evictable or not, and puts it back, as a migration that fails does."""
    isolated = yield from isolate_lru_page(mm.state, pfn)
    if isolated:
        yield from putback_lru_page(mm.state, pfn)
        yield from lru_add_drain(mm.state)


# ---- races ----


def _munlock_vs_truncate(kernel: Kernel, without: Collection[str], pinned: bool = False) -> Situation:
    mm = _machine(kernel)
    file = mm.create_file(PAGE_SIZE)
    mm.mmap(BASE, PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, file=file)
    mm.touch(BASE)
    mm.lru_add_drain_all()
    mm.mlock(BASE, PAGE_SIZE)
    mm.lru_add_drain_all()
    pfn = _pfn(mm)
    tasks = [
        Task("munlock", 0, lambda: _change_locks(mm, without, False)),
        Task("truncate", 1, lambda: punch_hole(mm.state, file.number, 0)),
    ]
    if pinned:
        get_page(mm.state.pages, pfn)
        tasks.append(Task("unpin", 2, lambda: put_one_page(mm.state, pfn)))
    return _situation(mm, pfn, tasks, file=file.number)


def _in_migration(kernel: Kernel) -> tuple[Mm, int]:
    """Return an address space whose page is on its LRU and about to be mapped again by the one that has migrated it."""
    mm = _anonymous(kernel)
    pfn = _pfn(mm)
    get_page(mm.state.pages, pfn)  # of the one who migrates
    for _step in try_to_migrate_one(mm.state, _vma(mm), BASE):
        pass
    if not is_migration_entry(mm.state.entries[_slot(mm)]):
        raise AssertionError("the page is not in migration")
    return mm, pfn


def _mlock_vs_migration(kernel: Kernel, without: Collection[str]) -> Situation:
    mm, pfn = _in_migration(kernel)
    tasks = (
        Task("mlock, munlock", 0, lambda: _change_locks(mm, without, True, False)),
        Task("migration", 1, lambda: _migration_end(mm, pfn, without)),
    )
    return _situation(mm, pfn, tasks)


def _mlock_alone_vs_migration(kernel: Kernel, without: Collection[str]) -> Situation:
    mm, pfn = _in_migration(kernel)
    tasks = (
        Task("mlock", 0, lambda: _change_locks(mm, without, True)),
        Task("migration", 1, lambda: _migration_end(mm, pfn, without)),
    )
    return _situation(mm, pfn, tasks)


def _undercount_repaired(kernel: Kernel, without: Collection[str]) -> Situation:
    mm, pfn = _in_migration(kernel)
    tasks = (
        Task("mlock", 0, lambda: _change_locks(mm, without, True)),
        Task("migration", 1, lambda: _migration_end(mm, pfn, without)),
        Task("reclaim", 1, lambda: _reclaim(mm, pfn), after=(0, 1)),
    )
    return _situation(mm, pfn, tasks)


def _mlock_vs_reclaim(kernel: Kernel, without: Collection[str]) -> Situation:
    mm = _anonymous(kernel)
    pfn = _pfn(mm)
    tasks = (
        Task("mlock, munlock", 0, lambda: _change_locks(mm, without, True, False)),
        Task("reclaim", 1, lambda: _reclaim(mm, pfn)),
    )
    return _situation(mm, pfn, tasks)


def _munlock_vs_lru_add(kernel: Kernel, without: Collection[str], then: str = "") -> Situation:
    mm = _machine(kernel)
    mm.mmap(BASE, PAGE_SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
    mm.mlock2(BASE, PAGE_SIZE, MLOCK_ONFAULT)
    mm.cpu = 1
    mm.touch(BASE, access="write")  # on its way to an LRU, in a vector of CPU 1
    pfn = _pfn(mm)
    tasks = [
        Task("munlock", 0, lambda: _munlock_5_10(mm) if kernel == LINUX_5_10 else _change_locks(mm, without, False)),
        Task("lru_add_drain", 1, lambda: lru_add_drain(mm.state)),
    ]
    if then == "compaction":
        tasks.append(Task("compaction", 0, lambda: _compaction(mm, pfn), after=(0, 1)))
    elif then == "mlock":
        tasks.append(Task("mlock, munlock", 0, lambda: _change_locks(mm, without, True, False), after=(0, 1)))
    return _situation(mm, pfn, tasks)


def _two_lockers(kernel: Kernel, without: Collection[str], *locks: bool) -> Situation:
    mm = _machine(kernel)
    mm.mmap(BASE, PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, file=mm.create_file(PAGE_SIZE))
    other = mm.fork()
    for one in (mm, other):
        one.touch(BASE)
    mm.lru_add_drain_all()
    mm.mlock(BASE, PAGE_SIZE)
    tasks = (
        Task("munlock", 0, lambda: _change_locks(mm, without, False)),
        Task("mlock" if len(locks) == 1 else "mlock, munlock", 1, lambda: _change_locks(other, without, *locks)),
    )
    return _situation(mm, _pfn(mm), tasks, other)


_MLOCK: Final = (VM_IO_GUARD, ONE_STORE, FLAGS_FIRST, DRAINS)
RACES: Final = {
    race.name: race
    for race in (
        Race(
            "munlock-vs-truncate",
            "munlock clears VM_LOCKED while a hole is punched under it",
            LINUX_6_1,
            (FLAGS_FIRST, DRAINS),
            _munlock_vs_truncate,
        ),
        Race(
            "munlock-vs-truncate-pinned",
            "the same, and somebody holds the page for a while",
            LINUX_6_1,
            (),
            partial(_munlock_vs_truncate, pinned=True),
        ),
        Race(
            "mlock-vs-migration",
            "mlock, then munlock, while migration maps the page again",
            LINUX_6_1,
            _MLOCK,
            _mlock_vs_migration,
        ),
        Race(
            "mlock-vs-migration-held",
            "mlock alone, while migration maps the page again",
            LINUX_6_1,
            (VM_IO_GUARD, MIGRATION_DRAIN),
            _mlock_alone_vs_migration,
        ),
        Race(
            "mlock-vs-migration-reclaim",
            "the same, and reclaim meets the page afterwards",
            LINUX_6_1,
            (),
            _undercount_repaired,
        ),
        Race("mlock-vs-reclaim", "mlock, then munlock, while reclaim is at the page", LINUX_6_1, _MLOCK, _mlock_vs_reclaim),
        Race(
            "munlock-vs-lru-add",
            "munlock of a page that another CPU is putting on its LRU",
            LINUX_6_1,
            (),
            _munlock_vs_lru_add,
        ),
        Race(
            "munlock-vs-lru-add-compaction",
            "the same, and the page is taken off its LRU and put back afterwards",
            LINUX_6_1,
            (),
            partial(_munlock_vs_lru_add, then="compaction"),
        ),
        Race(
            "munlock-vs-lru-add-mlock",
            "the same, and the page is locked and unlocked once more afterwards",
            LINUX_6_1,
            (),
            partial(_munlock_vs_lru_add, then="mlock"),
        ),
        Race(
            "munlock-vs-lru-add-5.10",
            "the same in 5.10, which munlocks under the LRU lock",
            LINUX_5_10,
            (),
            _munlock_vs_lru_add,
        ),
        Race(
            "two-lockers",
            "one process unlocks a page while another locks and unlocks it, on two CPUs",
            LINUX_6_1,
            (DRAINS,),
            lambda kernel, without: _two_lockers(kernel, without, True, False),
        ),
        Race(
            "two-lockers-held",
            "one process unlocks a page while another locks it, on two CPUs",
            LINUX_6_1,
            (DRAINS,),
            lambda kernel, without: _two_lockers(kernel, without, True),
        ),
    )
}
