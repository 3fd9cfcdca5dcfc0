"""What is new in Linux 6.12: large folios that entries map, longer batches, areas that may be dropped, a long count.

From the source of 6.12.117; what traces can show of it is in recordings of 6.12.118 (test_model_traces.py), too.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from mmmodel import Mm
from mmmodel.constants import MAP_DROPPABLE
from oracle import constants as c
from support.facts import BASE, PAGE, READ, RW, all_of, areas, changes, error_of, locked, map_anon, of, rss_pages, unlocked
from support.subjects import of_kernel

MakeMm = Callable[..., Any]
HUGE = 512
OF_6_12 = of_kernel("6.12")
FIXED = c.MREMAP_MAYMOVE | c.MREMAP_FIXED


@pytest.fixture(params=OF_6_12)
def newest(request: pytest.FixtureRequest) -> str:
    """An implementation of 6.12."""
    name: str = request.param
    return name


@pytest.fixture
def entries(make_mm: MakeMm, newest: str) -> Any:
    """A huge page that entries map, in one VMA, and not locked."""
    mm = make_mm(newest, thp="always")
    map_anon(mm, HUGE)
    mm.touch(BASE, PAGE, "write")
    mm.mprotect(BASE, PAGE, READ)
    mm.mprotect(BASE, PAGE, RW)
    mm.lru_add_drain_all()
    assert areas(mm) == [(0, HUGE, False)]
    return mm


# ---- folio_mlock_step() and allow_mlock_munlock() ----


@pytest.mark.parametrize(("first", "pages", "counted"), [(0, HUGE, HUGE), (0, HUGE - 1, 0), (1, HUGE - 1, 0), (3, 9, 0)])
def test_a_folio_is_locked_if_it_lies_within_the_range(entries: Any, first: int, pages: int, counted: int) -> None:
    assert changes(entries, lambda: entries.mlock(BASE + first * PAGE, pages * PAGE)) == (locked(HUGE) if counted else {})


@pytest.mark.parametrize("hole", [0, 1, 300, HUGE - 1])
def test_a_folio_that_is_not_mapped_whole_is_not_locked(entries: Any, hole: int) -> None:
    entries.madvise(BASE + hole * PAGE, PAGE, c.MADV_DONTNEED)
    assert changes(entries, lambda: entries.mlock2(BASE, HUGE * PAGE, c.MLOCK_ONFAULT)) == {}


def test_a_folio_that_two_page_tables_map_is_not_locked(entries: Any) -> None:
    entries.mremap(BASE, HUGE * PAGE, HUGE * PAGE, FIXED, BASE + (4 * HUGE + 256) * PAGE)
    assert changes(entries, lambda: entries.mlock(BASE + 4 * HUGE * PAGE + 256 * PAGE, HUGE * PAGE)) == {}
    assert entries.pagemap(BASE + 4 * HUGE * PAGE, BASE + 6 * HUGE * PAGE) == [(256, HUGE, "PT")]


def test_a_folio_is_unlocked_by_any_part(entries: Any) -> None:
    """A range unlocks what it touches, though the VMAs beside it stay locked; what is unlocked twice has no count to lose."""
    entries.mlock(BASE, HUGE * PAGE)
    assert changes(entries, lambda: entries.munlock(BASE + 7 * PAGE, PAGE)) == unlocked(HUGE)
    assert entries.pagemap(BASE, BASE + HUGE * PAGE) == [(0, HUGE, "PT")]
    assert changes(entries, lambda: entries.munlock(BASE, HUGE * PAGE)) == {}


@pytest.mark.parametrize("pages", [1, 40, HUGE])
def test_unmapping_a_part_unlocks_the_folio_once(entries: Any, pages: int) -> None:
    """One call is one lock less, however many pages it unmaps, so what another process locks stays locked."""
    entries.mlock(BASE, HUGE * PAGE)
    child = entries.fork()
    assert changes(entries, lambda: child.mlock2(BASE, HUGE * PAGE, c.MLOCK_ONFAULT)) == {}
    assert changes(entries, lambda: child.munmap(BASE, pages * PAGE)) == {}
    assert changes(entries, lambda: entries.munmap(BASE + 9 * PAGE, PAGE)) == unlocked(HUGE)


def test_runs_of_entries_are_unlocked_one_by_one(entries: Any) -> None:
    entries.mlock(BASE, HUGE * PAGE)
    child = entries.fork()
    child.mlock2(BASE, HUGE * PAGE, c.MLOCK_ONFAULT)
    child.mprotect(BASE, HUGE * PAGE, READ)
    child.munmap(BASE + 100 * PAGE, PAGE)
    assert entries.vmstat()["nr_mlock"] == HUGE
    assert changes(entries, lambda: child.munmap(BASE, HUGE * PAGE)) == unlocked(HUGE)  # two runs, two locks less


def test_writing_to_a_part_that_others_map_unlocks_the_folio(entries: Any) -> None:
    """wp_page_copy() unmaps the old page: 6.1 has nothing to unlock there, 6.12 has. The copy is mlocked for itself."""
    entries.mlock(BASE, HUGE * PAGE)
    entries.fork()
    found = changes(entries, lambda: entries.touch(BASE, PAGE, "write"), entries.lru_add_drain_all)
    assert found == {"mlock": 1 - HUGE, "unev": 1 - HUGE, "culled": 1, "mlocked": 1} | all_of(HUGE, "rescued", "munlocked")
    assert entries.pagemap(BASE, BASE + HUGE * PAGE) == [(0, 1, "PMU"), (1, HUGE - 1, "PT")]


# ---- batches ----


def test_a_batch_holds_as_many_as_its_kernel_says(make_mm: MakeMm, impl: str) -> None:
    """Pages faulted into a locked VMA wait in the batch; what is not multiple of its size is culled at the next drain."""
    mm = make_mm(impl)
    map_anon(mm, 70)
    mm.mlock2(BASE, 70 * PAGE, c.MLOCK_ONFAULT)
    size = of(impl, 15, 15, 31)
    now = 70 - 70 % size
    assert changes(mm, lambda: mm.touch(BASE, 70 * PAGE, "write")) == all_of(70, "mlock", "mlocked") | all_of(
        now, "unev", "culled"
    )
    assert changes(mm, mm.lru_add_drain_all) == all_of(70 % size, "unev", "culled")


# ---- areas that may be dropped ----


def map_droppable(mm: Any, pages: int, flags: int = 0) -> None:
    mm.mmap(BASE, pages * PAGE, RW, MAP_DROPPABLE | c.MAP_ANONYMOUS | c.MAP_FIXED_NOREPLACE | flags)


def test_droppable_memory_is_of_6_12(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    assert error_of(lambda: map_droppable(mm, 1)) == of(impl, "EINVAL", "EINVAL", "ok")


def test_droppable_memory_is_never_locked(make_mm: MakeMm, newest: str) -> None:
    mm = make_mm(newest)
    map_droppable(mm, 4)
    assert changes(mm, lambda: mm.mlock(BASE, 4 * PAGE)) == {}
    assert (areas(mm), mm.locked_vm, rss_pages(mm)) == ([(0, 4, False)], 0, 4)  # but populated
    mm.mlockall(c.MCL_CURRENT | c.MCL_FUTURE)
    mm.munmap(BASE, 4 * PAGE)
    map_droppable(mm, 3)
    assert (areas(mm), mm.locked_vm, rss_pages(mm)) == ([(0, 3, False)], 0, 3)
    assert mm.vmstat()["nr_mlock"] == 0


def test_what_droppable_memory_refuses(make_mm: MakeMm, newest: str) -> None:
    mm = make_mm(newest)
    assert error_of(lambda: map_droppable(mm, 1, c.MAP_LOCKED)) == "EINVAL"
    map_droppable(mm, 2)
    mm.touch(BASE, 2 * PAGE, "write")
    for advice in (c.MADV_KEEPONFORK, c.MADV_DODUMP):
        assert error_of(partial(mm.madvise, BASE, PAGE, advice)) == "EINVAL"
    flags = mm.smaps()[0].vm_flags
    mm.madvise(BASE, 2 * PAGE, c.MADV_MERGEABLE)
    assert mm.smaps()[0].vm_flags == flags
    assert rss_pages(mm.fork()) == 0  # wiped


def test_droppable_pages_are_dropped_though_they_were_written_to(make_mm: MakeMm, newest: str) -> None:
    mm = make_mm(newest)
    map_droppable(mm, 2)
    mm.touch(BASE, 2 * PAGE, "write")
    mm.lru_add_drain_all()
    assert mm.swap_out(BASE, 2 * PAGE) == 2
    mm.touch(BASE, 2 * PAGE, "read")
    assert mm.pagemap(BASE, BASE + 2 * PAGE) == [(0, 2, "PZ")]


# ---- the calls ----


def test_locked_pages_are_counted_in_a_long(make_mm: MakeMm, newest: str) -> None:
    mm = make_mm(newest)
    pages = (1 << 43) >> 12
    map_anon(mm, pages, 0, flags=c.MAP_PRIVATE | c.MAP_NORESERVE)
    mm.mlock2(BASE, pages * PAGE, c.MLOCK_ONFAULT)
    assert mm.locked_vm == pages
    mm.munlock(BASE, pages * PAGE)
    assert mm.locked_vm == 0


@pytest.mark.parametrize(("pages", "flags"), [(HUGE, c.MAP_PRIVATE), (HUGE + 1, c.MAP_PRIVATE), (HUGE, c.MAP_SHARED)])
def test_where_memory_goes_that_huge_pages_fit(make_mm: MakeMm, impl: str, pages: int, flags: int) -> None:
    mm = make_mm(impl)
    mm.mmap(None, PAGE, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS)
    address = mm.mmap(None, pages * PAGE, RW, flags | c.MAP_ANONYMOUS)
    aligned = of(impl, False, False, pages == HUGE and flags == c.MAP_PRIVATE)
    assert (address % (HUGE * PAGE) == 0) == aligned
    if aligned:
        assert mm.smaps()[-1].start - address < 2 * HUGE * PAGE
        moved = mm.mremap(address, HUGE * PAGE, 2 * HUGE * PAGE, c.MREMAP_MAYMOVE)
        assert moved % (HUGE * PAGE) == 0


def test_mmap_that_is_refused_leaves_what_was_there(make_mm: MakeMm, impl: str) -> None:
    """Though split where the new mapping would have begun."""
    mm = make_mm(impl, ram=1 << 30)
    map_anon(mm, 4)
    mm.touch(BASE, 4 * PAGE, "write")
    big = (1 << 31) + 2 * PAGE
    assert error_of(lambda: mm.mmap(BASE + 2 * PAGE, big, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED)) == "ENOMEM"
    assert areas(mm) == of(impl, *2 * ([(0, 2, False)],), [(0, 2, False), (2, 2, False)])
    assert rss_pages(mm) == of(impl, 2, 2, 4)


def test_what_is_replaced_was_charged_already(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl, ram=8 * PAGE)
    for at in (0, 8):
        map_anon(mm, 8, at=BASE + at * PAGE)
    again = lambda: mm.mmap(BASE, 16 * PAGE, RW, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED)  # noqa: E731
    assert error_of(again) == of(impl, "ENOMEM", "ENOMEM", "ok")
    assert areas(mm) == of(impl, [], [], [(0, 16, False)])


def test_exclusive_pages_are_writable_again_at_once(newest: str) -> None:
    """A huge page that was made read-only and writable again needs no fault to be written to."""
    mm = Mm(newest, thp="always")
    map_anon(mm, HUGE)
    mm.touch(BASE, PAGE, "write")
    mm.mprotect(BASE, HUGE * PAGE, READ)
    mm.mprotect(BASE, HUGE * PAGE, RW)
    mm.touch(BASE, HUGE * PAGE, "write")
    assert mm.call_counters()["model_faults"] == 0
    assert mm.pagemap(BASE, BASE + HUGE * PAGE) == [(0, HUGE, "PT")]
