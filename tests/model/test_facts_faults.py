"""Pages, and how smaps counts them, as observed on booted Linux 5.10 and 6.1 kernels; `of()`: as in test_facts_events."""

from collections.abc import Callable
from typing import Any

import pytest

from oracle import constants as c
from support.facts import BASE, NONE, PAGE, READ, map_anon, of

MakeMm = Callable[..., Any]
HUGE = 512


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
    assert shown(mm) == of(impl, (2048, 2048), (0, 0))
    assert mm.pagemap(BASE, BASE + HUGE * PAGE) == [(0, 1, "PMUT"), (1, HUGE - 1, "PT")]
    mm.mprotect(BASE, HUGE * PAGE, READ)
    assert shown(mm) == (2048, 2048)


def test_prot_none_pages_that_are_mapped_by_entries_stay_in_smaps(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl, thp="always")
    map_anon(mm, 2 * HUGE, flags=c.MAP_PRIVATE | c.MAP_LOCKED)
    mm.mprotect(BASE, (HUGE + 1) * PAGE, NONE)  # splits the second huge page
    assert shown(mm) == of(impl, (2052, 2052), (4, 4))
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
