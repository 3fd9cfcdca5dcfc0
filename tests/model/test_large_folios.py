"""Anonymous folios of 16 KiB to 1 MiB (mTHP), as Linux 6.12 brings them by a setting, and what mlock makes of them.

From the source of 6.12.117; recordings of 6.12.118 with them are in test_model_traces.py.
"""

from collections.abc import Callable
from typing import Any

import pytest

from mmmodel import Mm, check_mm
from mmmodel.estimate import KEEP, pages_to_populate
from mmmodel.kernels import V6_12, implementations
from oracle import constants as c
from support.facts import BASE, PAGE, READ, RW, all_of, areas, changes, locked, map_anon, rss_pages, unlocked
from support.subjects import of_kernel

MakeMm = Callable[..., Any]
NR = 16  # pages of a folio of 64 KiB
SIZE = NR * PAGE
MIB = 1 << 20
WHOLE = [(0, NR, "PT")]
WHOLE_LOCKED = [(0, NR, "PMUT")]


@pytest.fixture(params=of_kernel("6.12"))
def newest(request: pytest.FixtureRequest) -> str:
    """An implementation of 6.12."""
    name: str = request.param
    return name


@pytest.fixture
def mm(make_mm: MakeMm, newest: str) -> Any:
    """A machine that uses folios of 64 KiB."""
    return make_mm(newest, mthp=(SIZE,))


@pytest.fixture
def folio(mm: Any) -> Any:
    """One folio of 64 KiB, mapped whole at BASE, in a VMA of twice its size."""
    map_anon(mm, 2 * NR)
    mm.touch(BASE + 5 * PAGE, PAGE, "write")
    mm.lru_add_drain_all()
    return mm


def seen(mm: Any, pages: int = 2 * NR) -> Any:
    """Runs of pages from BASE."""
    return mm.pagemap(BASE, BASE + pages * PAGE)


# ---- alloc_anon_folio() ----


@pytest.mark.parametrize("page", [0, 5, NR - 1])
def test_a_write_brings_the_aligned_folio_around_it(mm: Any, page: int) -> None:
    map_anon(mm, NR)
    mm.touch(BASE + page * PAGE, PAGE, "write")
    assert seen(mm) == WHOLE


@pytest.mark.parametrize(("first", "pages"), [(1, NR), (0, NR - 1), (3, 4)])
def test_a_folio_lies_within_its_area(mm: Any, first: int, pages: int) -> None:
    map_anon(mm, pages, at=BASE + first * PAGE)
    mm.touch(BASE + 3 * PAGE, PAGE, "write")
    assert seen(mm) == [(3, 1, "P")]


def test_a_read_brings_the_zero_page_which_keeps_folios_away(mm: Any) -> None:
    map_anon(mm, NR)
    mm.touch(BASE, PAGE, "read")
    mm.touch(BASE + PAGE, PAGE, "write")
    assert seen(mm) == [(0, 1, "PZ"), (1, 1, "P")]


def test_a_page_in_swap_keeps_folios_away(make_mm: MakeMm, newest: str) -> None:
    mm = make_mm(newest, mthp=(SIZE,))
    map_anon(mm, 3)
    mm.touch(BASE, PAGE, "write")
    mm.lru_add_drain_all()
    assert mm.swap_out(BASE, PAGE) == 1
    map_anon(mm, NR - 3, at=BASE + 3 * PAGE)
    assert areas(mm) == [(0, NR, False)]
    mm.touch(BASE + 8 * PAGE, PAGE, "write")
    assert seen(mm) == [(8, 1, "P")]


@pytest.mark.parametrize(
    ("sizes", "page", "found"),
    [
        ((16384, SIZE, MIB), 300, (256, 256)),  # all of the second MiB
        ((16384, SIZE, MIB), 10, (0, NR)),  # page 98 is there already, so none of 1 MiB
        ((16384, MIB), 93, (92, 4)),
        ((32768, SIZE), 107, (104, 8)),  # nor of 64 KiB
        ((MIB,), 97, (97, 1)),
    ],
)
def test_the_largest_size_that_is_empty(make_mm: MakeMm, newest: str, sizes: tuple[int, ...], page: int, found: Any) -> None:
    mm = make_mm(newest, mthp=sizes)
    map_anon(mm, 512)
    mm.touch(BASE + 98 * PAGE, PAGE, "read")
    mm.touch(BASE + page * PAGE, PAGE, "write")
    state = "P" if found[1] == 1 else "PT"
    assert seen(mm, 512) == sorted([(98, 1, "PZ"), (*found, state)])


def test_advice_against_huge_pages_is_against_these(mm: Any) -> None:
    map_anon(mm, NR)
    mm.madvise(BASE, SIZE, c.MADV_NOHUGEPAGE)
    mm.touch(BASE, PAGE, "write")
    assert seen(mm) == [(0, 1, "P")]


def test_a_huge_page_comes_first(make_mm: MakeMm, newest: str) -> None:
    mm = make_mm(newest, mthp=(SIZE,), thp="always")
    map_anon(mm, 512 + 2 * NR)
    mm.touch(BASE, PAGE, "write")
    mm.touch(BASE + 515 * PAGE, PAGE, "write")
    assert seen(mm, 544) == [(0, 512 + NR, "PT")]


def test_copies_are_single_pages(folio: Any) -> None:
    folio.fork()
    folio.touch(BASE + 2 * PAGE, PAGE, "write")
    assert seen(folio) == [(0, 2, "PT"), (2, 1, "P"), (3, NR - 3, "PT")]


# ---- locking ----


def test_a_fault_in_a_locked_area_locks_all_of_the_folio(mm: Any) -> None:
    map_anon(mm, NR)
    mm.mlock2(BASE, SIZE, c.MLOCK_ONFAULT)
    assert changes(mm, lambda: mm.touch(BASE, PAGE, "write")) == locked(NR)  # culled at once: it does not wait in the batch
    assert seen(mm) == WHOLE_LOCKED


def test_populate_takes_a_fault_for_each_folio(newest: str) -> None:
    mm = Mm(newest, mthp=(SIZE,))
    map_anon(mm, 4 * NR)
    mm.mlock(BASE, 4 * SIZE)
    assert mm.call_counters()["model_faults"] == 4
    assert mm.vmstat()["nr_mlock"] == 4 * NR


@pytest.mark.parametrize(("first", "pages", "counted"), [(0, NR, NR), (0, 2 * NR, NR), (1, NR - 1, 0), (0, NR - 1, 0)])
def test_a_folio_is_locked_if_it_lies_within_the_range(folio: Any, first: int, pages: int, counted: int) -> None:
    lock = lambda: folio.mlock2(BASE + first * PAGE, pages * PAGE, c.MLOCK_ONFAULT)  # noqa: E731
    assert changes(folio, lock) == (locked(NR) if counted else {})


@pytest.mark.parametrize("hole", [0, 7, NR - 1])
def test_a_folio_with_a_page_missing_is_not_locked(folio: Any, hole: int) -> None:
    folio.madvise(BASE + hole * PAGE, PAGE, c.MADV_DONTNEED)
    assert changes(folio, lambda: folio.mlock2(BASE, SIZE, c.MLOCK_ONFAULT)) == {}


def test_a_folio_that_two_page_tables_map_is_not_locked(folio: Any) -> None:
    at = BASE + (512 - 4) * PAGE
    folio.mremap(BASE, SIZE, SIZE, c.MREMAP_MAYMOVE | c.MREMAP_FIXED, at)
    assert changes(folio, lambda: folio.mlock(at, SIZE)) == {}
    assert folio.pagemap(at, at + SIZE) == WHOLE


def test_a_folio_that_was_moved_off_its_alignment_is_locked(folio: Any) -> None:
    at = BASE + 101 * PAGE
    folio.mremap(BASE, SIZE, SIZE, c.MREMAP_MAYMOVE | c.MREMAP_FIXED, at)
    assert changes(folio, lambda: folio.mlock(at, SIZE)) == locked(NR)


@pytest.mark.parametrize("pages", [1, 7, NR])
def test_any_part_unlocks_all_of_it(folio: Any, pages: int) -> None:
    folio.mlock(BASE, SIZE)
    assert changes(folio, lambda: folio.munlock(BASE + (NR - pages) * PAGE, pages * PAGE)) == unlocked(NR)
    assert seen(folio) == WHOLE


def test_unmapping_a_part_unlocks_the_folio_and_splits_nothing(folio: Any) -> None:
    folio.mlock(BASE, SIZE)
    assert changes(folio, lambda: folio.munmap(BASE + 4 * PAGE, 2 * PAGE)) == unlocked(NR)
    assert seen(folio) == [(0, 4, "PT"), (6, NR - 6, "PT")]
    assert changes(folio, lambda: folio.munmap(BASE, SIZE)) == {}


def test_protecting_a_part_keeps_the_lock(folio: Any) -> None:
    folio.mlock(BASE, SIZE)
    assert changes(folio, lambda: folio.mprotect(BASE, PAGE, READ), lambda: folio.mprotect(BASE, PAGE, RW)) == {}
    assert seen(folio) == WHOLE_LOCKED


def test_every_page_of_it_is_exclusive(folio: Any) -> None:
    """Else a write to it would copy a page once it had been read-only."""
    folio.mprotect(BASE, SIZE, READ)
    folio.mprotect(BASE, SIZE, RW)
    folio.touch(BASE, SIZE, "write")
    assert seen(folio) == WHOLE


def test_two_processes_lock_it_once_each(folio: Any) -> None:
    folio.mlock(BASE, SIZE)
    child = folio.fork()
    assert changes(folio, lambda: child.mlock2(BASE, SIZE, c.MLOCK_ONFAULT)) == {}
    assert changes(folio, lambda: folio.munlock(BASE, SIZE)) == {}
    assert changes(folio, child.exit) == unlocked(NR)


def test_a_copy_unlocks_the_folio_that_it_leaves(folio: Any) -> None:
    folio.mlock(BASE, SIZE)
    folio.fork()
    found = changes(folio, lambda: folio.touch(BASE, PAGE, "write"), folio.lru_add_drain_all)
    assert found == {"mlock": 1 - NR, "unev": 1 - NR, "culled": 1, "mlocked": 1} | all_of(NR, "rescued", "munlocked")


def test_mlockall_of_what_comes(mm: Any) -> None:
    mm.mlockall(c.MCL_CURRENT | c.MCL_FUTURE)
    assert changes(mm, lambda: map_anon(mm, 2 * NR + 1)) == all_of(2 * NR + 1, "mlock", "unev", "culled", "mlocked")
    assert seen(mm, 2 * NR + 1) == [(0, 2 * NR, "PMUT"), (2 * NR, 1, "PMU")]
    assert changes(mm, mm.munlockall) == unlocked(2 * NR + 1)


def test_the_end_of_a_process_gives_all_of_it_back(folio: Any) -> None:
    folio.mlock(BASE, 2 * SIZE)
    assert changes(folio, folio.exit) == unlocked(2 * NR)


# ---- the machine ----


def test_pages_put_in_place_are_single_ones(newest: str) -> None:
    mm = Mm(newest, mthp=(SIZE,))
    map_anon(mm, NR)
    mm.install_pages(BASE, 3 * PAGE, "anon")
    assert seen(mm) == [(0, 3, "P")]


def test_folios_are_used_again(newest: str) -> None:
    """A machine that maps and unmaps does not grow: each size has its own free frames."""
    mm = Mm(newest, mthp=(4 * PAGE, SIZE, MIB))
    sizes = []
    for _ in range(4):
        map_anon(mm, 512 - NR)
        mm.touch(BASE, (512 - NR) * PAGE, "write")
        check_mm(mm)
        mm.munmap(BASE, (512 - NR) * PAGE)
        check_mm(mm)
        sizes.append(mm.memory_bytes())
    assert len(set(sizes)) == 1


def test_frames_that_a_request_could_take(newest: str) -> None:
    mm = Mm(newest, mthp=(SIZE,))
    map_anon(mm, NR)
    bound = pages_to_populate(mm.state, 1, BASE, BASE + PAGE, KEEP)
    mm.touch(BASE, PAGE, "write")
    assert bound >= rss_pages(mm) == NR


def test_mprotect_that_populates_has_room_for_folios(newest: str) -> None:
    mm = Mm(newest, mthp=(MIB,))
    for at in range(40):  # a page in each of forty areas, which become writable together: a folio of 1 MiB for each
        mm.mmap(BASE + 2 * at * MIB, MIB, READ, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED_NOREPLACE)
        mm.mlock2(BASE + (2 * at * MIB) + 9 * PAGE, PAGE, c.MLOCK_ONFAULT)
    for at in range(40):
        mm.munlock(BASE + 2 * at * MIB, MIB)
        mm.mlock(BASE + 2 * at * MIB, MIB)
        mm.madvise(BASE + 2 * at * MIB, MIB, c.MADV_DONTNEED_LOCKED)
        mm.mprotect(BASE + 2 * at * MIB, MIB, RW)
    check_mm(mm)
    assert mm.vmstat()["nr_mlock"] == 40 * 256


@pytest.mark.parametrize("size", [0, PAGE, 2 * PAGE, 3 * SIZE, 2 * MIB])
def test_sizes_that_there_are_not(newest: str, size: int) -> None:
    with pytest.raises(ValueError, match=rf"^mthp: {size}: choose of 16384, 32768, .*, 1048576 bytes$"):
        Mm(newest, mthp=(SIZE, size))


def test_sizes_may_be_text(newest: str) -> None:
    mm = Mm(newest, mthp=("64KiB",))
    map_anon(mm, NR)
    mm.touch(BASE, PAGE, "write")
    assert seen(mm) == WHOLE


def test_older_kernels_have_none() -> None:
    for one in implementations():
        if one.kernel.version < V6_12:
            with pytest.raises(ValueError, match=f"^mthp: Linux {one.kernel.name} has no large folios of these sizes$"):
                Mm(one.name, mthp=(SIZE,))
