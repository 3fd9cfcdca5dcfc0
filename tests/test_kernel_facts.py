"""Event vectors and return values observed on booted Linux 5.10 and 6.1 kernels, one CPU, root unless it is said.

`OLD` and `NEW` are the two kernels' columns: `per-page` and `hole-skip` give the first, `page-walk` the second.
"""

from collections.abc import Callable
from typing import Any

import pytest
from facts import BASE, NONE, PAGE, READ, RW, areas, changes, error_of, forget_cap, map_anon, map_file, rss_pages
from oracle import constants as c

MakeMm = Callable[..., Any]
Vector = dict[str, int]


def of(impl: str, old: Any, new: Any) -> Any:
    """The column of the kernel that `impl` behaves like."""
    return new if impl == "page-walk" else old


def all_of(nr: int, *names: str) -> Vector:
    """The same change of several counters."""
    return dict.fromkeys(names, nr)


def locked(nr: int) -> Vector:
    """Pages newly mlocked and culled."""
    return all_of(nr, "mlock", "unev", "culled", "mlocked")


def unlocked(nr: int) -> Vector:
    """Pages munlocked and rescued."""
    return {"mlock": -nr, "unev": -nr, "rescued": nr, "munlocked": nr}


# event vectors of anonymous memory


def test_mlock_and_munlock_of_fresh_memory(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 64)
    assert changes(mm, lambda: mm.mlock(BASE, 64 * PAGE)) == locked(64)
    assert changes(mm, lambda: mm.mlock(BASE, 64 * PAGE)) == {}
    assert changes(mm, lambda: mm.munlock(BASE, 64 * PAGE)) == unlocked(64)
    assert changes(mm, mm.lru_add_drain_all) == {}


def test_mlock_of_present_memory_lags_by_a_page_in_old(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 64)
    mm.touch(BASE, 64 * PAGE, "write")
    now = {"mlock": 64, "unev": 63, "culled": 63, "mlocked": 64}
    assert changes(mm, lambda: mm.mlock(BASE, 64 * PAGE)) == of(impl, now, locked(64))
    assert changes(mm, mm.lru_add_drain_all) == of(impl, {"unev": 1, "culled": 1}, {})


def test_munmap_of_locked_memory(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 64)
    mm.mlock(BASE, 64 * PAGE)
    assert changes(mm, lambda: mm.munmap(BASE, 64 * PAGE)) == unlocked(64)
    assert mm.locked_vm == mm.total_vm == mm.map_count == 0


def test_exit_with_locked_memory(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 64)
    mm.mlock(BASE, 64 * PAGE)
    assert changes(mm, mm.exit) == unlocked(64)


def test_mlock_and_munlock_of_a_present_page_ten_times(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 1)
    mm.touch(BASE, PAGE, "write")
    pair = (lambda: mm.mlock(BASE, PAGE), lambda: mm.munlock(BASE, PAGE))
    old = all_of(10, "mlocked", "munlocked")
    assert changes(mm, *pair * 10) == of(impl, old, old | all_of(10, "culled", "rescued"))


def test_mlock_and_munlock_of_ten_fresh_pages(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 10)
    calls: list[Callable[[], object]] = []
    for addr in range(BASE, BASE + 10 * PAGE, PAGE):
        calls += [lambda addr=addr: mm.mlock(addr, PAGE), lambda addr=addr: mm.munlock(addr, PAGE)]  # type: ignore[misc]
    assert changes(mm, *calls) == all_of(10, "culled", "rescued", "mlocked", "munlocked")


def test_madv_dontneed_locked(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 8)
    mm.mlock(BASE, 8 * PAGE)

    def zap() -> None:
        mm.madvise(BASE, 8 * PAGE, c.MADV_DONTNEED_LOCKED)

    assert changes(mm, zap) == of(impl, {}, unlocked(8))
    assert error_of(zap) == of(impl, "EINVAL", "ok")
    assert mm.locked_vm == 8
    assert error_of(lambda: mm.madvise(BASE, 8 * PAGE, c.MADV_DONTNEED)) == "EINVAL"


def test_munlock_of_populated_memory_made_prot_none(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 8)
    mm.mlock(BASE, 8 * PAGE)
    mm.mprotect(BASE, 8 * PAGE, NONE)
    assert rss_pages(mm) == 8
    assert changes(mm, lambda: mm.munlock(BASE, 8 * PAGE)) == unlocked(8)


def test_mlock_of_zero_pages(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 8)
    mm.touch(BASE, 8 * PAGE, "read")
    assert changes(mm, lambda: mm.mlock2(BASE, 8 * PAGE, c.MLOCK_ONFAULT)) == {}
    assert changes(mm, lambda: mm.mlock(BASE, 8 * PAGE)) == locked(8)


def test_mlock_of_read_only_memory_maps_zero_pages(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 8, READ)
    assert changes(mm, lambda: mm.mlock(BASE, 8 * PAGE)) == {}
    assert mm.pagemap(BASE, BASE + 16 * PAGE) == [(0, 8, "PZ")]
    assert (rss_pages(mm), mm.locked_vm) == (0, 8)


def test_faults_under_onfault_are_culled_in_batches(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 20)
    mm.mlock2(BASE, 20 * PAGE, c.MLOCK_ONFAULT)
    now = {"mlock": 20, "mlocked": 20, "unev": 15, "culled": 15}
    assert changes(mm, lambda: mm.touch(BASE, 20 * PAGE, "write")) == now
    assert changes(mm, mm.lru_add_drain_all) == {"unev": 5, "culled": 5}


def test_pages_in_another_cpus_batch(make_mm: MakeMm) -> None:
    mm = make_mm("page-walk", nr_cpus=2)
    map_anon(mm, 10)
    mm.mlock2(BASE, 10 * PAGE, c.MLOCK_ONFAULT)
    mm.cpu = 1
    assert changes(mm, lambda: mm.touch(BASE, 10 * PAGE, "write")) == {"mlock": 10, "mlocked": 10}
    mm.cpu = 0
    assert changes(mm, lambda: mm.munlock(BASE, 10 * PAGE)) == {"mlock": -10, "munlocked": 10}
    assert changes(mm, mm.lru_add_drain_all) == {}


# event vectors of files


def test_truncation_of_locked_pages(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    file = mm.create_file(4 * PAGE)
    map_file(mm, file, 4)
    mm.mlock(BASE, 4 * PAGE)
    old = {"mlock": -4, "unev": -3, "culled": 1, "rescued": 4, "cleared": 4}
    assert changes(mm, lambda: file.truncate(0)) == of(impl, old, unlocked(4))
    assert error_of(lambda: mm.mlock(BASE, 4 * PAGE)) == "ENOMEM"
    assert mm.locked_vm == 4


@pytest.fixture
def twice(make_mm: MakeMm, impl: str) -> Any:
    """Four file pages mapped at A = BASE and B = BASE + 16 pages, both locked, batches empty."""
    mm = make_mm(impl)
    file = mm.create_file(4 * PAGE)
    map_file(mm, file, 4)
    map_file(mm, file, 4, at=BASE + 16 * PAGE)
    for addr in (BASE, BASE + 16 * PAGE):
        mm.touch(addr, 4 * PAGE, "read")
    drained = mm.lru_add_drain_all
    assert changes(mm, lambda: mm.mlock(BASE, 4 * PAGE), drained) == locked(4)
    assert changes(mm, lambda: mm.mlock(BASE + 16 * PAGE, 4 * PAGE), drained) == {}
    return mm


def test_unlocking_a_page_locked_twice(twice: Any, impl: str) -> None:
    mm = twice
    assert changes(mm, lambda: mm.munlock(BASE, 4 * PAGE)) == of(impl, {"unev": -4, "mlocked": 4}, {})
    assert changes(mm, mm.lru_add_drain_all) == of(impl, {"unev": 4}, {})
    now = {"mlock": -4, "unev": -4, "munlocked": 4}
    assert changes(mm, lambda: mm.munlock(BASE + 16 * PAGE, 4 * PAGE)) == of(impl, now, unlocked(4))
    assert changes(mm, mm.lru_add_drain_all) == of(impl, {"rescued": 4}, {})


def test_unlocking_twice_without_a_drain_strands_in_old(twice: Any, impl: str) -> None:
    mm = twice
    calls = (lambda: mm.munlock(BASE, 4 * PAGE), lambda: mm.munlock(BASE + 16 * PAGE, 4 * PAGE))
    old = {"mlock": -4, "unev": -4, "rescued": 4, "mlocked": 4, "stranded": 4}
    assert changes(mm, *calls) == of(impl, old, unlocked(4))


def test_unmapping_a_page_locked_twice(twice: Any, impl: str) -> None:
    mm = twice
    assert changes(mm, lambda: mm.munmap(BASE, 4 * PAGE)) == of(impl, {"mlocked": 4}, {})
    assert changes(mm, lambda: mm.munmap(BASE + 16 * PAGE, 4 * PAGE)) == unlocked(4)


def test_file_pages_faulted_in_a_locked_vma(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_file(mm, mm.create_file(8 * PAGE), 8)
    mm.mlock2(BASE, 8 * PAGE, c.MLOCK_ONFAULT)
    touched = changes(mm, lambda: mm.touch(BASE, 8 * PAGE, "write"), mm.lru_add_drain_all)
    assert touched == of(impl, {}, locked(8))


def test_mlock_of_a_private_file_mapping_copies(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_file(mm, mm.create_file(8 * PAGE), 8, flags=c.MAP_PRIVATE)
    mm.touch(BASE, 8 * PAGE, "read")
    mm.lru_add_drain_all()
    new = {"mlock": 8, "unev": 8, "culled": 16, "rescued": 8, "mlocked": 16, "munlocked": 8}
    assert changes(mm, lambda: mm.mlock(BASE, 8 * PAGE), mm.lru_add_drain_all) == of(impl, locked(8), new)


# event vectors of huge pages


def test_partial_munlock_of_a_huge_page(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl, thp="always")
    map_anon(mm, 1024)
    mm.touch(BASE, 1024 * PAGE, "write")
    assert changes(mm, lambda: mm.mlock(BASE, 512 * PAGE)) == locked(512)
    gone = {"mlock": -512, "unev": -512, "rescued": 512}
    partial = changes(mm, lambda: mm.munlock(BASE, PAGE))
    assert partial == of(impl, gone | {"cleared": 512}, gone | {"munlocked": 512})
    assert changes(mm, lambda: mm.munlock(BASE, 512 * PAGE)) == {}
    assert changes(mm, lambda: mm.mlock(BASE, 512 * PAGE)) == {}
    assert changes(mm, lambda: mm.mlock(BASE + 512 * PAGE, PAGE)) == {}
    assert mm.locked_vm == 513
    assert [v.locked_kb for v in mm.smaps() if v.locked] == [513 * 4]


def test_a_locked_huge_page_shows_its_state_at_the_head(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl, thp="always")
    map_anon(mm, 512)
    mm.mlock(BASE, 512 * PAGE)
    assert mm.pagemap(BASE, BASE + 512 * PAGE) == [(0, 1, "PMUT"), (1, 511, "PT")]


def test_writing_to_the_huge_zero_page_splits_it(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl, thp="always")
    map_anon(mm, 512)
    mm.touch(BASE, PAGE, "read")
    assert mm.pagemap(BASE, BASE + 512 * PAGE) == [(0, 512, "PZT")]
    mm.touch(BASE, PAGE, "write")
    assert mm.pagemap(BASE, BASE + 512 * PAGE) == [(0, 1, "P"), (1, 511, "PZ")]


def test_a_page_of_a_split_huge_page_is_copied_on_write_in_old(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl, thp="always")
    map_anon(mm, 512)
    mm.touch(BASE, PAGE, "write")
    mm.mprotect(BASE, PAGE, READ)
    mm.mprotect(BASE, PAGE, RW)
    mm.touch(BASE, PAGE, "write")
    assert mm.pagemap(BASE, BASE + 512 * PAGE) == of(impl, [(0, 1, "P"), (1, 511, "PT")], [(0, 512, "PT")])


def test_a_page_table_left_behind_keeps_huge_pages_out(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl, thp="always")
    map_anon(mm, 512)
    mm.touch(BASE, PAGE, "read")
    mm.touch(BASE, PAGE, "write")
    mm.madvise(BASE, 512 * PAGE, c.MADV_DONTNEED)
    mm.touch(BASE, PAGE, "write")
    assert mm.pagemap(BASE, BASE + 512 * PAGE) == [(0, 1, "P")]
    mm.munmap(BASE, 512 * PAGE)
    map_anon(mm, 512)
    mm.touch(BASE, PAGE, "write")
    assert mm.pagemap(BASE, BASE + 512 * PAGE) == [(0, 512, "PT")]


# return values


def test_rounding_and_wrapping(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 4)
    top = 2**64 - 1
    expected = {(0, 0): 0, (1, 0): 1, (4095, 2): 2, (0, top): 0}
    for (offset, length), nr_pages in expected.items():
        mm.mlock(BASE + offset, length)
        assert mm.locked_vm == nr_pages
        mm.munlock(BASE, 4 * PAGE)
    mm.mlock(0x5000, 0)  # nothing is mapped there
    mm.munlock(BASE, top)
    for length, offset in ((top - 4095, 0), (top - 4096, 1)):
        assert error_of(lambda length=length, offset=offset: mm.mlock(BASE + offset, length)) == "EINVAL"
    assert error_of(lambda: mm.munlock(BASE, top - 4095)) == "EINVAL"


def test_mlock_over_a_hole(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 2)
    map_anon(mm, 3, at=BASE + 3 * PAGE)
    assert error_of(lambda: mm.mlock(BASE, 6 * PAGE)) == "ENOMEM"
    assert areas(mm) == [(0, 2, True), (3, 3, False)]
    assert (rss_pages(mm), mm.locked_vm) == (0, 2)
    assert error_of(lambda: mm.munlock(BASE, 6 * PAGE)) == "ENOMEM"
    assert areas(mm) == [(0, 2, False), (3, 3, False)]
    assert error_of(lambda: mm.mlock(BASE + 2 * PAGE, 4 * PAGE)) == "ENOMEM"
    assert areas(mm) == [(0, 2, False), (3, 3, False)]


def test_mlock_of_prot_none(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 4, NONE)
    assert error_of(lambda: mm.mlock(BASE, 4 * PAGE)) == "ENOMEM"
    assert (areas(mm), mm.locked_vm) == ([(0, 4, True)], 4)
    mm.munlock(BASE, 4 * PAGE)
    result = error_of(lambda: mm.mlock2(BASE, 4 * PAGE, c.MLOCK_ONFAULT))
    assert result == of(impl, "ENOMEM", "ok")
    assert (areas(mm), mm.locked_vm) == ([(0, 4, True)], 4)


def test_mlock_stops_populating_at_prot_none(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 6)
    mm.mprotect(BASE + 2 * PAGE, 2 * PAGE, NONE)
    assert error_of(lambda: mm.mlock(BASE, 6 * PAGE)) == "ENOMEM"
    assert mm.locked_vm == 6
    assert mm.pagemap(BASE, BASE + 6 * PAGE)[0][:2] == (0, 2)
    assert rss_pages(mm) == 2


def test_limit_of_sixteen_pages(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 32)
    forget_cap(mm, 16 * PAGE + 1)
    assert error_of(lambda: mm.mlock(BASE, 17 * PAGE)) == "ENOMEM"
    mm.mlock(BASE, 16 * PAGE)
    assert error_of(lambda: mm.mlock(BASE + 8 * PAGE, 9 * PAGE)) == "ENOMEM"
    mm.mlock(BASE, 16 * PAGE)
    mm.mlock(BASE + 3 * PAGE, 8 * PAGE)
    assert mm.locked_vm == 16


def test_limit_of_zero(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 4)
    forget_cap(mm, 0)
    assert error_of(lambda: mm.mlock(BASE, PAGE)) == "EPERM"
    assert error_of(lambda: mm.mlock(BASE, 0)) == "EPERM"
    assert error_of(lambda: mm.mlockall(c.MCL_FUTURE)) == "EPERM"
    assert error_of(lambda: mm.mlockall(0)) == "EINVAL"
    assert error_of(lambda: mm.mlock2(BASE, PAGE, 2)) == "EINVAL"
    assert error_of(lambda: map_anon(mm, 1, at=BASE + 8 * PAGE, flags=c.MAP_PRIVATE | c.MAP_LOCKED)) == "EPERM"
    mm.munlock(BASE, PAGE)
    mm.munlockall()


def test_mcl_future_and_the_limit(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    forget_cap(mm, 16 * PAGE)
    mm.mlockall(c.MCL_FUTURE)
    assert error_of(lambda: map_anon(mm, 17)) == "EAGAIN"
    map_anon(mm, 16, NONE)
    assert (mm.locked_vm, rss_pages(mm)) == (16, 0)


def test_mlockall_compares_total_vm(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 17)
    forget_cap(mm, 16 * PAGE)
    assert error_of(lambda: mm.mlockall(c.MCL_CURRENT)) == "ENOMEM"
    assert error_of(lambda: mm.mlockall(c.MCL_FUTURE)) == "ok"
    for flags in (c.MCL_ONFAULT, 8, c.MCL_CURRENT | 8):
        assert error_of(lambda flags=flags: mm.mlockall(flags)) == "EINVAL"


def test_mlockall_current_ends_future(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    mm.mlockall(c.MCL_FUTURE)
    map_anon(mm, 2)
    mm.mlockall(c.MCL_CURRENT)
    map_anon(mm, 2, at=BASE + 8 * PAGE)
    assert areas(mm) == [(0, 2, True), (8, 2, False)]


def test_mlockall_ignores_prot_none(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 2, NONE)
    map_anon(mm, 2, at=BASE + 8 * PAGE)
    mm.mlockall(c.MCL_CURRENT)
    assert areas(mm) == [(0, 2, True), (8, 2, True)]
    assert rss_pages(mm) == 2


def test_locked_vm_goes_through_a_c_int(make_mm: MakeMm, impl: str) -> None:
    for order, after_lock, after_unlock in ((42, 1 << 30, 0), (43, -(1 << 31), -(1 << 32)), (45, 0, 0)):
        mm = make_mm(impl)
        map_anon(mm, 1 << (order - 12), NONE)
        assert error_of(lambda mm=mm, order=order: mm.mlock(BASE, 1 << order)) == "ENOMEM"
        assert mm.locked_vm % 2**64 == after_lock % 2**64
        if impl != "per-page":  # which looks at every page of the area
            mm.munlock(BASE, 1 << order)
            assert mm.locked_vm % 2**64 == after_unlock % 2**64


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
    assert areas(mm) == of(impl, [(0, 6, False)], [(0, 2, False), (2, 4, False)])


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
