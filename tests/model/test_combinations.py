"""Two features in one program: what each does is held elsewhere, here what they do to each other. From the kernels' sources.

`of()`: as in test_facts_events.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mmmodel import Mm, kernels
from mmmodel.constants import MAP_HUGETLB
from oracle import constants as c
from support.facts import (
    BASE,
    NONE,
    PAGE,
    READ,
    RW,
    all_of,
    areas,
    changes,
    error_of,
    locked,
    map_anon,
    map_file,
    of,
    rss_pages,
    unlocked,
)

MakeMm = Callable[..., Any]
MOVE = c.MREMAP_MAYMOVE
DONTUNMAP = c.MREMAP_MAYMOVE | c.MREMAP_DONTUNMAP
THERE = BASE + 4096 * PAGE
HUGE = 512  # pages
OF_5_10 = [one.name for one in kernels.implementations() if one.kernel == kernels.LINUX_5_10]


def drained(mm: Any, *calls: Callable[[], object]) -> dict[str, int]:
    """What calls change, once nothing waits in a batch any more."""
    return changes(mm, *calls, mm.lru_add_drain_all)


def pages_of(mm: Any, nr_pages: int, at: int = BASE) -> list[tuple[int, int, str]]:
    return [tuple(run) for run in mm.pagemap(at, at + nr_pages * PAGE)]


# ---- fork ----


def test_a_child_inherits_neither_lock_nor_onfault(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 4)
    mm.mlock2(BASE, 4 * PAGE, c.MLOCK_ONFAULT)
    mm.mlockall(c.MCL_FUTURE | c.MCL_ONFAULT)
    child = mm.fork()
    (vma,) = child.smaps()
    assert vma.vm_flags & (c.VM_LOCKED | c.VM_LOCKONFAULT) == 0
    assert child.locked_vm == 0
    map_anon(child, 4, at=BASE + 4 * PAGE)
    assert areas(child) == [(0, 8, False)]  # equal flags: merged
    child.mlock(BASE, 8 * PAGE)
    assert rss_pages(child) == 8  # not on fault


@pytest.mark.parametrize("impl", OF_5_10)
@pytest.mark.parametrize("kind", ["file", "anonymous"])
def test_munlock_asks_other_vmas_until_one_is_locked(impl: str, kind: str) -> None:
    """Three processes lock four pages, one unlocks: its own VMA may be asked first, and the next one answers."""
    mm = Mm(impl)
    if kind == "file":
        map_file(mm, mm.create_file(4 * PAGE), 4)
    else:
        map_anon(mm, 4)
        mm.touch(BASE, 4 * PAGE, "write")
        mm.mprotect(BASE, 4 * PAGE, READ)
    processes = [mm, mm.fork(), mm.fork()]
    for one in processes:
        one.mlock(BASE, 4 * PAGE)
    mm.lru_add_drain_all()
    assert changes(mm, lambda: mm.munlock(BASE, 4 * PAGE)) == {"mlocked": 4, "unev": -4}  # they wait to be put back
    counters = mm.call_counters()
    assert counters["model_rmap_lock"] == 4
    assert counters["model_rmap_vmas"] in (4, 8)
    assert drained(mm) == {"unev": 4}


@pytest.mark.parametrize("impl", OF_5_10)
def test_munlock_asks_all_other_vmas_where_none_is_locked(impl: str) -> None:
    mm = Mm(impl)
    map_file(mm, mm.create_file(4 * PAGE), 4)
    processes = [mm, mm.fork(), mm.fork()]
    for one in processes:
        one.touch(BASE, 4 * PAGE, "read")
    mm.mlock(BASE, 4 * PAGE)
    mm.lru_add_drain_all()
    assert changes(mm, lambda: mm.munlock(BASE, 4 * PAGE)) == {"mlock": -4, "munlocked": 4, "unev": -4}
    assert mm.call_counters()["model_rmap_vmas"] == 12
    assert drained(mm) == {"rescued": 4}


# ---- mremap ----


def test_a_locked_area_that_grows_and_moves(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 4)
    map_anon(mm, 1, NONE, at=BASE + 4 * PAGE)
    mm.mlock(BASE, 4 * PAGE)
    mm.lru_add_drain_all()
    there = 0
    total = mm.total_vm

    def grow() -> None:
        nonlocal there
        there = mm.mremap(BASE, 4 * PAGE, 8 * PAGE, MOVE)
        mm.lru_add_drain_all()

    assert changes(mm, grow) == locked(4)
    assert pages_of(mm, 8, there) == [(0, 8, "PMU")]
    assert areas(mm)[0] == (4, 1, False)
    assert areas(mm, there)[-1] == (0, 8, True)
    assert (mm.locked_vm, mm.total_vm) == (8, total + 4)


def test_a_growing_area_that_is_locked_on_fault_stays_empty(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 4)
    map_anon(mm, 1, NONE, at=BASE + 4 * PAGE)
    mm.touch(BASE, PAGE, "write")
    mm.mlock2(BASE, 4 * PAGE, c.MLOCK_ONFAULT)
    there = mm.mremap(BASE, 4 * PAGE, 8 * PAGE, MOVE)
    assert (mm.locked_vm, rss_pages(mm)) == (8, 1)
    mm.touch(there + 7 * PAGE, PAGE, "write")
    mm.lru_add_drain_all()
    assert pages_of(mm, 8, there) == [(0, 1, "PMU"), (7, 1, "PMU")]


def test_a_locked_area_that_shrinks_and_moves(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 8)
    mm.mlock(BASE, 8 * PAGE)
    mm.lru_add_drain_all()
    mm.mremap(BASE, 8 * PAGE, 3 * PAGE, MOVE | c.MREMAP_FIXED, THERE)
    mm.lru_add_drain_all()
    assert (areas(mm, THERE), mm.locked_vm, mm.vmstat()["nr_mlock"]) == ([(0, 3, True)], 3, 3)


@pytest.mark.parametrize("part", ["head", "middle", "tail", "all"])
def test_dontunmap_of_a_part_of_a_locked_area(make_mm: MakeMm, impl: str, part: str) -> None:
    """6.1 takes only the moved part out of its lock, 5.10 all of the VMA. locked_vm stays in both."""
    mm = make_mm(impl)
    map_anon(mm, 8)
    mm.mlock(BASE, 8 * PAGE)
    first, pages = {"head": (0, 3), "middle": (2, 3), "tail": (5, 3), "all": (0, 8)}[part]
    mm.mremap(BASE + first * PAGE, pages * PAGE, pages * PAGE, DONTUNMAP, THERE)
    last = first + pages
    split = [(0, first, True), (first, pages, False), (last, 8 - last, True)]
    moved = ((THERE - BASE) // PAGE, pages, True)
    assert areas(mm) == [*of(impl, [(0, 8, False)], [one for one in split if one[1]]), moved]
    assert mm.locked_vm == 8
    assert pages_of(mm, 8) == [one for one in ((0, first, "PMU"), (last, 8 - last, "PMU")) if one[1]]
    assert pages_of(mm, pages, THERE) == [(0, pages, "PMU")]


def test_dontunmap_at_the_limit_of_vmas(make_mm: MakeMm, impl: str) -> None:
    """What is not locked is not split; what is locked splits first, in 6.1."""
    mm = make_mm(impl, max_map_count=7)
    map_anon(mm, 8)
    mm.mremap(BASE + 2 * PAGE, PAGE, PAGE, DONTUNMAP, THERE)
    assert areas(mm) == [(0, 8, False), (4096, 1, False)]


# ---- huge pages ----


def test_protection_there_and_back_on_a_locked_huge_page(make_mm: MakeMm, impl: str) -> None:
    """The split takes the page's lock, and nothing brings it back: neither kernel locks parts of huge pages.

    Becoming writable again populates. 6.1 finds the page exclusive and writable; 5.10 counts references, copies it, and
    locks the copy.
    """
    mm = make_mm(impl, thp="always")
    map_anon(mm, HUGE)
    mm.mlock(BASE, HUGE * PAGE)
    mm.lru_add_drain_all()
    assert mm.vmstat()["nr_mlock"] == HUGE

    def change(prot: int) -> None:
        mm.mprotect(BASE + 7 * PAGE, PAGE, prot)
        mm.lru_add_drain_all()

    gone = {"mlock": -HUGE, "unev": -HUGE, "rescued": HUGE}
    assert changes(mm, lambda: change(READ)) == gone | {of(impl, "cleared", "munlocked"): HUGE}
    assert areas(mm) == [(0, 7, True), (7, 1, True), (8, HUGE - 8, True)]
    assert changes(mm, lambda: change(RW)) == of(impl, locked(1), {})
    assert areas(mm) == [(0, HUGE, True)]
    copied = of(impl, [(7, 1, "PMU")], [])
    assert [run for run in pages_of(mm, HUGE) if "M" in run[2]] == copied
    assert mm.locked_vm == HUGE


@pytest.mark.parametrize("inside", [1, 256, 511])
def test_populating_from_inside_a_huge_page_goes_on_behind_it(make_mm: MakeMm, impl: str, inside: int) -> None:
    """follow_page() says how many pages are left in the huge page, not how many it has."""
    mm = make_mm(impl, thp="always")
    map_anon(mm, 2 * HUGE, NONE)
    assert error_of(lambda: mm.mlock(BASE, 2 * HUGE * PAGE)) == "ENOMEM"  # locked, but not populated
    mm.mprotect(BASE, 2 * HUGE * PAGE, READ)
    mm.touch(BASE, PAGE, "read")
    assert pages_of(mm, 2 * HUGE) == [(0, HUGE, "PZT")]
    mm.mlock(BASE + inside * PAGE, HUGE * PAGE)
    assert pages_of(mm, 2 * HUGE) == [(0, 2 * HUGE, "PZT")]


def test_huge_tlb_pages_are_never_locked(impl: str) -> None:
    """Their lock is taken back in mmap_region(), and mlock() passes over them. The oracle does not know them."""
    mm = Mm(impl)
    for flags in (c.MAP_LOCKED, 0):
        map_anon(mm, HUGE, flags=c.MAP_PRIVATE | MAP_HUGETLB | flags)
        assert (areas(mm), mm.locked_vm) == ([(0, HUGE, False)], 0)
        mm.mlock(BASE, HUGE * PAGE)
        mm.mlockall(c.MCL_CURRENT)
        assert (areas(mm), mm.locked_vm) == ([(0, HUGE, False)], 0)
        mm.munmap(BASE, HUGE * PAGE)
        assert (mm.locked_vm, mm.vmstat()["nr_mlock"]) == (0, 0)
    mm.mlockall(c.MCL_FUTURE)
    map_anon(mm, HUGE, flags=c.MAP_PRIVATE | MAP_HUGETLB)
    map_anon(mm, 4, at=THERE)
    assert (areas(mm), mm.locked_vm) == ([(0, HUGE, False), (4096, 4, True)], 4)


# ---- pages on their way to an LRU ----


def test_a_lock_while_pages_wait_for_the_lru_of_this_cpu(make_mm: MakeMm, impl: str) -> None:
    """Both kernels drain their own CPU first; 5.10 before each page, and the last one that it put back waits again."""
    mm = make_mm(impl)
    map_anon(mm, 3)
    mm.touch(BASE, 3 * PAGE, "write")
    waits = of(impl, 1, 0)
    lock = changes(mm, lambda: mm.mlock2(BASE, 3 * PAGE, c.MLOCK_ONFAULT))
    assert lock == all_of(3, "mlock", "mlocked") | all_of(3 - waits, "unev", "culled")
    assert drained(mm) == (all_of(1, "unev", "culled") if waits else {})
    assert drained(mm, lambda: mm.munlock(BASE, 3 * PAGE)) == unlocked(3)


def test_a_lock_while_pages_wait_for_the_lru_of_another_cpu(make_mm: MakeMm, impl: str) -> None:
    """They cannot be isolated; PG_mlocked is set, and sends them to the unevictable LRU when their CPU drains."""
    mm = make_mm(impl, nr_cpus=2)
    map_anon(mm, 3)
    mm.cpu = 1
    mm.touch(BASE, 3 * PAGE, "write")
    mm.cpu = 0
    assert changes(mm, lambda: mm.mlock2(BASE, 3 * PAGE, c.MLOCK_ONFAULT)) == all_of(3, "mlock", "mlocked")
    assert changes(mm, mm.lru_add_drain_all) == all_of(3, "unev", "culled")
    assert changes(mm, lambda: mm.munlock(BASE, 3 * PAGE)) == unlocked(3)


def test_an_unlock_while_locked_pages_wait_for_the_lru_of_another_cpu(make_mm: MakeMm, impl: str) -> None:
    """Unlocked before they ever came to the unevictable LRU: munlocked, not rescued."""
    mm = make_mm(impl, nr_cpus=2)
    map_anon(mm, 3)
    mm.mlock2(BASE, 3 * PAGE, c.MLOCK_ONFAULT)
    mm.cpu = 1
    assert changes(mm, lambda: mm.touch(BASE, 3 * PAGE, "write")) == all_of(3, "mlock", "mlocked")
    mm.cpu = 0

    def unlock() -> None:
        mm.munlock(BASE, 3 * PAGE)
        mm.lru_add_drain_all()

    assert changes(mm, unlock) == {"mlock": -3, "munlocked": 3}
    assert pages_of(mm, 3) == [(0, 3, "P")]
