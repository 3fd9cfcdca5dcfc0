"""Machines just before a race: address spaces with the page, or the pages, that it is about."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from bench.races.guards import ALL_SPECIAL, BATCHES, BITS
from bench.races.interleaving import Situation, Task
from bench.races.invariants import judge
from mmmodel import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, MLOCK_ONFAULT, PROT_READ, PROT_WRITE, Mm, steps
from mmmodel import state as st
from mmmodel.constants import PAGE_SIZE, PMD_SIZE
from mmmodel.filemap import cache_slot
from mmmodel.kernels import LINUX_6_1, V6_1, Kernel, implementations
from mmmodel.lru import isolate_locked, put_page
from mmmodel.migrate import is_migration_entry, make_migration_entry
from mmmodel.pages import get_page
from mmmodel.pgtable import any_pmd_slot, pte_offset, pte_pfn
from mmmodel.rmap import remove_mapping
from mmmodel.steps_unmap import try_to_migrate_one

BASE: Final = 1 << 32  # where the first page is mapped
RW: Final = PROT_READ | PROT_WRITE
PATCH_07: Final = Kernel(
    "patch 07",
    V6_1,
    "as 6.1 without batches, and without what patches 08 to 14 add",
    LINUX_6_1.memlock_limit,
    LINUX_6_1.batch_size,
)


def machine(kernel: Kernel, without: Collection[str], thp: str = "never") -> Mm:
    """Return an empty address space under a kernel, whose paths leave something out.

    Patch 07 is the implementation of 6.1 with more left out: they differ in the steps alone.
    """
    if kernel == PATCH_07:
        without = (*without, BATCHES, ALL_SPECIAL)
    impl = next(one.name for one in implementations() if one.kernel.version == kernel.version)
    mm = Mm(impl, nr_cpus=3, thp=thp)
    for guard in without:
        mm.machine.ctl[st.LEFT_OUT] |= BITS[guard]
    return mm


# ---- where things are ----


def vma_of(mm: Mm) -> int:
    """Return the VMA at BASE, which is the first."""
    return int(mm.state.array("order")[0])


def number_of(mm: Mm) -> int:
    """Return the address space's index in the machine."""
    return int(mm.state.vmas[vma_of(mm)]["vm_mm"])


def pmd_of(mm: Mm) -> int:
    """Return the slot of the PMD entry of BASE."""
    return int(any_pmd_slot(mm.state, number_of(mm), BASE))


def slot_of(mm: Mm, page: int = 0) -> int:
    """Return the slot of the entry of a page, by number."""
    return int(pte_offset(mm.state, pmd_of(mm), BASE + page * PAGE_SIZE))


def pfn_of(mm: Mm, page: int = 0) -> int:
    """Return the frame of a page, by number."""
    return int(pte_pfn(mm.state.entries[slot_of(mm, page)]))


def situation(mm: Mm, tasks: Collection[Task], *others: Mm, file: int = 0, pages: int = 1) -> Situation:
    """Return the situation in which the pages at BASE matter, in one or more address spaces that map the same."""
    pfns = tuple(int(pte_pfn(mm.state.entries[slot])) for slot in (slot_of(mm, page) for page in range(pages)))
    return of_pages(mm, tasks, pfns, *others, file=file)


def of_pages(mm: Mm, tasks: Collection[Task], pfns: tuple[int, ...], *others: Mm, file: int = 0) -> Situation:
    """Return the situation in which frames matter that are mapped, or will be, one after the other from BASE on."""
    entries = tuple((vma_of(one), slot_of(one, page)) for one in (mm, *others) for page in range(len(pfns)))
    cached = tuple(int(cache_slot(mm.state, file, page)) for page in range(len(pfns))) if file else ()
    return Situation(mm, tuple(tasks), pfns, entries, cached, judge)


def of_huge_page(mm: Mm, tasks: Collection[Task], pfn: int, *others: Mm) -> Situation:
    """Return the situation in which a huge page at BASE matters."""
    entries = tuple((vma_of(one), pmd_of(one)) for one in (mm, *others))
    return Situation(mm, tuple(tasks), (pfn,), entries, (), judge, huge=True)


# ---- pages ----


def anonymous(kernel: Kernel, without: Collection[str], pages: int = 1) -> Mm:
    """Return an address space with anonymous pages at BASE, on their LRU."""
    mm = machine(kernel, without)
    mm.mmap(BASE, pages * PAGE_SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
    mm.touch(BASE, pages * PAGE_SIZE, access="write")
    mm.lru_add_drain_all()
    return mm


def of_file(kernel: Kernel, without: Collection[str], *, locked: bool) -> tuple[Mm, int]:
    """Return an address space with a page of a file at BASE, on its LRU, and the file's number."""
    mm = machine(kernel, without)
    file = mm.create_file(PAGE_SIZE)
    mm.mmap(BASE, PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, file=file)
    mm.touch(BASE)
    mm.lru_add_drain_all()
    if locked:
        mm.mlock(BASE, PAGE_SIZE)
        mm.lru_add_drain_all()
    return mm, file.number


def shared_by_two(kernel: Kernel, without: Collection[str]) -> tuple[Mm, Mm, int]:
    """Return two address spaces that map a page of a file, which the first has locked, and the file's number."""
    mm, file = of_file(kernel, without, locked=False)
    other = mm.fork()
    other.touch(BASE)
    mm.lru_add_drain_all()
    mm.mlock(BASE, PAGE_SIZE)
    return mm, other, file


def not_mapped_yet(kernel: Kernel, without: Collection[str]) -> tuple[Mm, int, int, int]:
    """Return an address space with an empty entry at BASE, a page that is on its LRU, the entry for it, and its file."""
    mm, file = of_file(kernel, without, locked=False)
    pfn, slot = pfn_of(mm), slot_of(mm)
    entry = int(mm.state.entries[slot])
    mm.state.entries[slot] = 0
    remove_mapping(mm.state, pfn, False)
    put_page(mm.state, pfn)
    return mm, pfn, entry, file


def in_migration(mm: Mm, page: int = 0, *, on_lru: bool = True) -> int:
    """Replace the entry of a page by a migration entry: its frame, which is on its LRU or on its way there."""
    pfn = pfn_of(mm, page)
    get_page(mm.state.pages, pfn)  # of the one who migrates
    for _step in try_to_migrate_one(mm.state, vma_of(mm), BASE + page * PAGE_SIZE):
        pass
    if not is_migration_entry(mm.state.entries[slot_of(mm, page)]):
        raise AssertionError("the page is not in migration")
    if not on_lru:
        isolate_locked(mm.state, pfn)
        put_page(mm.state, pfn)  # one reference is enough
    return pfn


def on_its_way(kernel: Kernel, without: Collection[str], order: str) -> Mm:
    """Return an address space with locked new pages: "w" is on its way to an LRU, in a vector of CPU 1, "l" is on one."""
    mm = machine(kernel, without)
    mm.mmap(BASE, len(order) * PAGE_SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
    mm.mlock2(BASE, len(order) * PAGE_SIZE, MLOCK_ONFAULT)
    for page in sorted(range(len(order)), key=lambda page: order[page] == "w"):
        mm.cpu = 1 if order[page] == "w" else 0
        mm.touch(BASE + page * PAGE_SIZE, access="write")
        if order[page] == "l":
            mm.lru_add_drain_all()
    if mm.machine.ctl[st.LEFT_OUT] & steps.BATCHES:  # they were in the vector for all new pages then
        vectors = mm.machine.arrays["pvecs"][1]
        length = int(vectors[st.MLOCK_PVEC][0])
        vectors[st.LRU_ADD_PVEC][: length + 1] = [length, *(vectors[st.MLOCK_PVEC][1 : length + 1] >> 2)]
        vectors[st.MLOCK_PVEC] = 0
    return mm


# ---- huge pages ----


def huge(kernel: Kernel, without: Collection[str], *, locked: bool) -> Mm:
    """Return an address space with a huge page at BASE, on its LRU."""
    mm = machine(kernel, without, thp="always")
    mm.mmap(BASE, PMD_SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
    mm.touch(BASE, access="write")
    mm.lru_add_drain_all()
    if locked:
        mm.mlock(BASE, PMD_SIZE)
        mm.lru_add_drain_all()
    return mm


def huge_pfn(mm: Mm) -> int:
    """Return the head of the huge page at BASE."""
    return int(pte_pfn(mm.state.entries[pmd_of(mm)]))


def huge_in_migration(mm: Mm) -> int:
    """Replace the PMD entry of the huge page by a migration entry: the page's head, which is on its LRU."""
    pfn = huge_pfn(mm)
    make_migration_entry(mm.state, pmd_of(mm))
    remove_mapping(mm.state, pfn, True)
    return pfn  # the reference of the mapping is the migration's now
