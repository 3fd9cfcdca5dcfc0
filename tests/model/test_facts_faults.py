"""Pages, and how smaps counts them, as observed on booted Linux 5.10 and 6.1 kernels; `of()`: as in test_facts_events."""

from collections.abc import Callable
from typing import Any

import pytest

from oracle import constants as c
from support.facts import BASE, NONE, PAGE, READ, RW, changes, error_of, locked, locked_huge_page, map_anon, map_file, of

MakeMm = Callable[..., Any]
HUGE = 512
ELSEWHERE = BASE + (1 << 36)


def shown(mm: Any, at: int = BASE) -> tuple[int, int]:
    """Rss and Locked of the VMA that starts at an address, in kB."""
    (vma,) = (vma for vma in mm.smaps() if vma.start == at)
    return vma.rss_kb, vma.locked_kb


# huge pages in smaps


def test_a_huge_page_made_prot_none_is_missing_from_smaps_in_new(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl, thp="always")
    map_anon(mm, HUGE, flags=c.MAP_PRIVATE | c.MAP_LOCKED)
    assert shown(mm) == (2048, 2048)
    mm.mprotect(BASE, HUGE * PAGE, NONE)
    assert shown(mm) == of(impl, (2048, 2048), (0, 0), (2048, 2048))
    assert mm.pagemap(BASE, BASE + HUGE * PAGE) == locked_huge_page(impl)
    mm.mprotect(BASE, HUGE * PAGE, READ)
    assert shown(mm) == (2048, 2048)


def test_prot_none_pages_that_are_mapped_by_entries_stay_in_smaps(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl, thp="always")
    map_anon(mm, 2 * HUGE, flags=c.MAP_PRIVATE | c.MAP_LOCKED)
    mm.mprotect(BASE, (HUGE + 1) * PAGE, NONE)  # splits the second huge page
    assert shown(mm) == of(impl, (2052, 2052), (4, 4), (2052, 2052))
    assert shown(mm, BASE + (HUGE + 1) * PAGE) == (2044, 2044)


@pytest.mark.parametrize("page", [0, 1, HUGE - 1])
def test_smaps_divides_a_huge_page_by_the_mappings_of_each_of_its_pages(make_mm: MakeMm, impl: str, page: int) -> None:
    mm = make_mm(impl, thp="always")
    map_anon(mm, HUGE, flags=c.MAP_PRIVATE | c.MAP_LOCKED)
    child = mm.fork()
    assert shown(mm) == (2048, 1024)
    child.touch(BASE + page * PAGE, PAGE, "write")
    assert shown(mm) == (2048, 1026)
    child.exit()
    assert shown(mm) == (2048, 2048)


def test_smaps_divides_by_two_children(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl, thp="always")
    map_anon(mm, HUGE, flags=c.MAP_PRIVATE | c.MAP_LOCKED)
    children = mm.fork(), mm.fork()
    assert shown(mm) == (2048, 682)
    children[0].munmap(BASE + 5 * PAGE, 7 * PAGE)
    assert shown(mm) == (2048, 687)


# a read beyond the end of a file


def mapped_file(mm: Any, cached: tuple[int, ...], flags: int) -> None:
    """A file that ends with its last cached page, mapped by 20 pages at BASE, untouched there."""
    file = mm.create_file((max(cached, default=0) + 1) * PAGE)
    map_file(mm, file, 8, at=ELSEWHERE)
    for page in cached:
        mm.touch(ELSEWHERE + page * PAGE, PAGE, "write")
    map_file(mm, file, 20, flags=flags)
    mm.lru_add_drain_all()


@pytest.mark.parametrize("flags", [c.MAP_SHARED, c.MAP_PRIVATE])
@pytest.mark.parametrize(
    ("cached", "at", "found"),
    [
        ((0,), 1, [(0, 1, "P")]),
        ((0,), 5, [(0, 1, "P")]),
        ((0, 1), 5, [(0, 2, "P")]),
        ((0, 3), 5, [(0, 1, "P"), (3, 1, "P")]),
        ((2,), 5, [(2, 1, "P")]),
        ((0,), 17, []),  # another window of 16 pages
        ((), 1, []),
    ],
)
def test_what_is_cached_is_mapped_before_a_read_gets_sigbus(
    make_mm: MakeMm, impl: str, flags: int, cached: tuple[int, ...], at: int, found: list[tuple[int, int, str]]
) -> None:
    mm = make_mm(impl)
    mapped_file(mm, cached, flags)
    assert error_of(lambda: mm.touch(BASE + at * PAGE, PAGE, "read")) == "EFAULT"
    assert mm.pagemap(BASE, BASE + 20 * PAGE) == found


def test_a_write_that_gets_sigbus_maps_nothing(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    mapped_file(mm, (0,), c.MAP_PRIVATE)
    assert error_of(lambda: mm.touch(BASE + PAGE, PAGE, "write")) == "EFAULT"
    assert mm.pagemap(BASE, BASE + 20 * PAGE) == []


@pytest.mark.parametrize("flags", [c.MAP_SHARED, c.MAP_PRIVATE])
def test_what_is_mapped_before_sigbus_is_mlocked_on_fault_in_new(make_mm: MakeMm, impl: str, flags: int) -> None:
    mm = make_mm(impl)
    mapped_file(mm, (0, 3), flags)
    mm.mlock2(BASE, 20 * PAGE, c.MLOCK_ONFAULT)

    def read() -> None:
        mm.touch(BASE + 5 * PAGE, PAGE, "read")
        mm.lru_add_drain_all()

    assert changes(mm, read, mm.lru_add_drain_all) == of(impl, {}, locked(2))
    assert mm.pagemap(BASE, BASE + 20 * PAGE) == of(impl, [(0, 1, "P"), (3, 1, "P")], [(0, 1, "PMU"), (3, 1, "PMU")])


def test_the_window_before_sigbus_starts_with_the_vma(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    file = mm.create_file(2 * PAGE)
    map_file(mm, file, 8, at=ELSEWHERE)
    mm.touch(ELSEWHERE, 2 * PAGE, "write")
    mm.mmap(BASE, 8 * PAGE, RW, c.MAP_PRIVATE | c.MAP_FIXED_NOREPLACE, file=file, offset=PAGE)
    assert error_of(lambda: mm.touch(BASE + PAGE, PAGE, "read")) == "EFAULT"
    assert mm.pagemap(BASE, BASE + 8 * PAGE) == [(0, 1, "P")]
