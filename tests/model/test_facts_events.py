"""Event vectors observed on booted Linux 5.10 and 6.1 kernels, one CPU: what single calls add to /proc/vmstat.

`of(impl, old, new)`: implementations of 5.10 give the first column, later ones the second; a third is for 6.12, where it has an
answer of its own: seen in random traces on a booted kernel, or from the source.
"""

from collections.abc import Callable
from typing import Any

import pytest

from oracle import constants as c
from support.facts import (
    BASE,
    NONE,
    PAGE,
    READ,
    RW,
    all_of,
    changes,
    error_of,
    locked,
    locked_huge_page,
    map_anon,
    map_file,
    of,
    rss_pages,
    unlocked,
)

MakeMm = Callable[..., Any]


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
    culled = of(impl, 15, 15, 0)  # 6.12 waits for 31
    now = all_of(20, "mlock", "mlocked") | (all_of(culled, "unev", "culled") if culled else {})
    assert changes(mm, lambda: mm.touch(BASE, 20 * PAGE, "write")) == now
    assert changes(mm, mm.lru_add_drain_all) == all_of(20 - culled, "unev", "culled")


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


def test_a_huge_page_that_was_split_elsewhere_is_not_mlocked_in_old(make_mm: MakeMm, impl: str) -> None:
    """From the source: PageDoubleMap outlives the process that split its PMD, and FOLL_MLOCK declines it."""
    mm = make_mm(impl, thp="always")
    map_anon(mm, 512)
    mm.touch(BASE, PAGE, "write")
    child = mm.fork()
    child.mprotect(BASE, PAGE, READ)
    child.exit()
    assert mm.pagemap(BASE, BASE + 512 * PAGE) == [(0, 512, "PT")]
    assert changes(mm, lambda: mm.mlock(BASE, 512 * PAGE)) == of(impl, {}, locked(512))


def test_partial_munlock_of_a_huge_page(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl, thp="always")
    map_anon(mm, 1024)
    mm.touch(BASE, 1024 * PAGE, "write")
    assert changes(mm, lambda: mm.mlock(BASE, 512 * PAGE)) == locked(512)
    gone = {"mlock": -512, "unev": -512, "rescued": 512}
    partial = changes(mm, lambda: mm.munlock(BASE, PAGE))
    assert partial == of(impl, gone | {"cleared": 512}, gone | {"munlocked": 512})
    assert changes(mm, lambda: mm.munlock(BASE, 512 * PAGE)) == {}
    assert changes(mm, lambda: mm.mlock(BASE, 512 * PAGE)) == of(impl, {}, {}, locked(512))
    assert changes(mm, lambda: mm.mlock(BASE + 512 * PAGE, PAGE)) == {}
    assert mm.locked_vm == 513
    assert [v.locked_kb for v in mm.smaps() if v.locked] == [513 * 4]


def test_unmapping_a_locked_huge_page(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl, thp="always")
    map_anon(mm, 512)
    mm.mlock(BASE, 512 * PAGE)
    mm.lru_add_drain_all()
    assert changes(mm, lambda: mm.munmap(BASE, 512 * PAGE), mm.lru_add_drain_all) == unlocked(512)
    assert mm.vmstat()["nr_mlock"] == mm.vmstat()["nr_unevictable"] == 0


def test_a_huge_page_that_another_process_has_given_up_is_one_mms_again(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl, thp="always")
    map_anon(mm, 512)
    mm.touch(BASE, PAGE, "write")
    child = mm.fork()
    child.munmap(BASE, 512 * PAGE)
    mm.lru_add_drain_all()
    assert changes(mm, lambda: mm.mlock(BASE, 512 * PAGE), mm.lru_add_drain_all) == locked(512)
    assert mm.pagemap(BASE, BASE + 512 * PAGE) == locked_huge_page(impl)


def test_a_locked_huge_page_shows_its_state_at_the_head(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl, thp="always")
    map_anon(mm, 512)
    mm.mlock(BASE, 512 * PAGE)
    assert mm.pagemap(BASE, BASE + 512 * PAGE) == locked_huge_page(impl)


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
