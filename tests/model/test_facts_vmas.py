"""VMAs observed on booted Linux 5.10 and 6.1 kernels: splits, merges, mremap(), fork(); `of()`: as in test_facts_events."""

from collections.abc import Callable
from typing import Any

import pytest

from mmmodel import Mm
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
    forget_cap,
    locked,
    map_anon,
    of,
    rss_pages,
    unlocked,
)

MakeMm = Callable[..., Any]


# splits and merges


def test_unfaulted_range_merges_into_a_faulted_neighbour_only(make_mm: MakeMm, impl: str) -> None:
    for first in (0, 6):
        mm = make_mm(impl)
        map_anon(mm, 8)
        mm.mlock(BASE + first * PAGE, 2 * PAGE)
        mm.munlock(BASE, 8 * PAGE)
        assert len(areas(mm)) == 2


@pytest.mark.parametrize("prot", [RW, NONE])
def test_faulted_or_empty_areas_merge_again(make_mm: MakeMm, impl: str, prot: int) -> None:
    mm = make_mm(impl)
    map_anon(mm, 9, prot)
    if prot:
        mm.touch(BASE, 9 * PAGE, "write")
    error_of(lambda: mm.mlock(BASE, 9 * PAGE))
    mm.munlock(BASE + 3 * PAGE, 3 * PAGE)
    assert areas(mm) == [(0, 3, True), (3, 3, False), (6, 3, True)]
    mm.munlock(BASE, 9 * PAGE)
    assert areas(mm) == [(0, 9, False)]


def test_mmap_between_an_unfaulted_and_a_faulted_neighbour(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 2)
    map_anon(mm, 2, at=BASE + 4 * PAGE)
    mm.touch(BASE + 4 * PAGE, PAGE, "write")
    map_anon(mm, 2, at=BASE + 2 * PAGE)
    assert areas(mm) == of(impl, [(0, 6, False)], [(0, 2, False), (2, 4, False)], [(0, 6, False)])


def test_onfault_and_plain_are_different_flags(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 4)
    mm.mlock2(BASE, 2 * PAGE, c.MLOCK_ONFAULT)
    mm.mlock2(BASE + 2 * PAGE, 2 * PAGE, 0)
    assert areas(mm) == [(0, 2, True), (2, 2, True)]
    mm.mlock(BASE, 2 * PAGE)
    assert areas(mm) == [(0, 4, True)]
    assert (mm.locked_vm, rss_pages(mm)) == (4, 4)


def test_mprotect_of_locked_memory(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 4, NONE)
    error_of(lambda: mm.mlock(BASE, 4 * PAGE))
    assert changes(mm, lambda: mm.mprotect(BASE, 4 * PAGE, READ)) == {}
    assert rss_pages(mm) == 0
    assert changes(mm, lambda: mm.mprotect(BASE, 4 * PAGE, RW)) == locked(4)
    assert mm.locked_vm == 4


def test_madvise_at_the_limit_of_vmas(make_mm: MakeMm, impl: str) -> None:
    """From the source: 6.1 turns every ENOMEM of madvise_update_vma() into EAGAIN, 5.10 only the allocator's."""
    mm = make_mm(impl, max_map_count=2)
    map_anon(mm, 8)
    map_anon(mm, 1, at=BASE + 16 * PAGE)
    assert error_of(lambda: mm.madvise(BASE + PAGE, PAGE, c.MADV_HUGEPAGE)) == of(impl, "ENOMEM", "EAGAIN")
    assert error_of(lambda: mm.mlock(BASE + PAGE, PAGE)) == "ENOMEM"


# mremap


def test_mremap_of_locked_memory(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 4)
    mm.mlock(BASE, 4 * PAGE)
    assert changes(mm, lambda: mm.mremap(BASE, 4 * PAGE, 6 * PAGE)) == locked(2)
    assert mm.locked_vm == 6
    target = BASE + 0x1000_0000
    flags = c.MREMAP_MAYMOVE | c.MREMAP_FIXED
    assert changes(mm, lambda: mm.mremap(BASE, 6 * PAGE, 6 * PAGE, flags, target)) == {}
    assert areas(mm, target) == [(0, 6, True)]
    assert changes(mm, lambda: mm.mremap(target, 6 * PAGE, 2 * PAGE)) == unlocked(4)
    assert (mm.locked_vm, mm.total_vm) == (2, 2)
    forget_cap(mm, 4 * PAGE)
    assert error_of(lambda: mm.mremap(target, 2 * PAGE, 5 * PAGE)) == "EAGAIN"


def test_mremap_dontunmap(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 8)
    mm.mlock(BASE, 8 * PAGE)
    target, flags = BASE + 0x1000_0000, c.MREMAP_MAYMOVE | c.MREMAP_FIXED | c.MREMAP_DONTUNMAP
    assert changes(mm, lambda: mm.mremap(BASE, 4 * PAGE, 4 * PAGE, flags, target)) == {}
    assert mm.locked_vm == 8
    mm.munmap(BASE, 8 * PAGE)
    mm.munmap(target, 4 * PAGE)
    assert mm.locked_vm == of(impl, 4, 0)


# fork


def test_child_inherits_no_lock(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 4)
    mm.mlockall(c.MCL_CURRENT | c.MCL_FUTURE)
    child = mm.fork()
    assert (areas(child), child.locked_vm, rss_pages(child)) == ([(0, 4, False)], 0, 4)
    map_anon(child, 1, at=BASE + 8 * PAGE)
    assert child.locked_vm == 0
    assert [vma.locked_kb for vma in mm.smaps()] == [8]  # half of it is the child's


def test_munlock_while_a_child_maps_the_pages(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 4)
    mm.mlock(BASE, 4 * PAGE)
    mm.lru_add_drain_all()
    child = mm.fork()
    now = {"mlock": -4, "unev": -4, "munlocked": 4}
    assert changes(mm, lambda: mm.munlock(BASE, 4 * PAGE)) == of(impl, now, unlocked(4))
    assert changes(mm, mm.lru_add_drain_all) == of(impl, {"rescued": 4}, {})
    assert changes(child, child.exit) == {}


def test_writing_after_fork_moves_the_lock_to_the_copy(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 1)
    mm.mlock(BASE, PAGE)
    mm.lru_add_drain_all()
    child = mm.fork()
    assert changes(child, lambda: child.touch(BASE, PAGE, "write"), child.exit) == {}
    child = mm.fork()
    moved = changes(mm, lambda: mm.touch(BASE, PAGE, "write"), mm.lru_add_drain_all)
    assert moved == all_of(1, "culled", "rescued", "mlocked", "munlocked")
    assert child.pagemap(BASE, BASE + PAGE) == [(0, 1, "P")]
    assert mm.pagemap(BASE, BASE + PAGE) == [(0, 1, "PMU")]


def test_a_child_gets_page_tables_that_are_empty(make_mm: MakeMm, impl: str) -> None:
    """From the source: copy_pte_range() allocates before it looks, so where the parent has no huge page the child has none."""
    mm = make_mm(impl, thp="always")
    map_anon(mm, 1024)
    mm.touch(BASE, PAGE, "read")
    mm.touch(BASE, PAGE, "write")
    mm.madvise(BASE, 512 * PAGE, c.MADV_DONTNEED)
    child = mm.fork()
    child.touch(BASE, 1024 * PAGE, "write", 512 * PAGE)
    assert child.pagemap(BASE, BASE + 1024 * PAGE) == [(0, 1, "P"), (512, 512, "PT")]


def anon_vmas(mm: Any, *addresses: int) -> list[object]:
    """The anon_vmas of the VMAs at some addresses, as far as they can be told apart."""
    if not isinstance(mm, Mm):
        return [mm.mm.vma_at(address // PAGE).anon_vma for address in addresses]
    state = mm.state
    vmas = state.array("vmas")[state.array("order")[: mm.map_count]]
    return [next(int(one["anon_vma"]) for one in vmas if address < one["vm_end"]) for address in addresses]


@pytest.mark.parametrize("same_file", [True, False])
def test_neighbours_share_an_anon_vma_if_they_map_the_same_file(make_mm: MakeMm, impl: str, same_file: bool) -> None:
    """Private mappings of pages 0 and 1, which would be one VMA but for their protection."""
    mm = make_mm(impl)
    file = mm.create_file(4 * PAGE)
    other = file if same_file else mm.create_file(4 * PAGE)
    mm.mmap(BASE, PAGE, RW, c.MAP_PRIVATE | c.MAP_FIXED, file=file)
    mm.mmap(BASE + PAGE, PAGE, RW | c.PROT_EXEC, c.MAP_PRIVATE | c.MAP_FIXED, file=other, offset=PAGE)
    mm.touch(BASE, 2 * PAGE, "write")
    first, second = anon_vmas(mm, BASE, BASE + PAGE)
    assert first and second and (first == second) == same_file
