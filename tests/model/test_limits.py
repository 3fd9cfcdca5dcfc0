"""Equality at every limit: what is just allowed, and what is just not. From the comparisons in the kernels' sources.

`of()`: as in test_facts_events.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mmmodel import Mm, kernels
from mmmodel.constants import DEFAULT_MAP_WINDOW, MAP_HUGETLB, MMAP_MIN_ADDR
from mmmodel.kernels import LINUX_6_12, kernel_of
from oracle import constants as c
from support.facts import BASE, NONE, PAGE, RW, areas, changes, error_of, forget_cap, map_anon, rss_pages

MakeMm = Callable[..., Any]
MIB = 1 << 20
MOVE = c.MREMAP_MAYMOVE
ANON = c.MAP_PRIVATE | c.MAP_ANONYMOUS
THERE = BASE + 1024 * PAGE

# ---- RLIMIT_MEMLOCK ----


@pytest.mark.parametrize(("pages", "answer"), [(15, "ok"), (16, "ok"), (17, "ENOMEM")])
def test_mlockall_at_the_limit(make_mm: MakeMm, impl: str, pages: int, answer: str) -> None:
    """total_vm > limit is too much."""
    mm = make_mm(impl)
    map_anon(mm, pages)
    forget_cap(mm, 16 * PAGE)
    assert error_of(lambda: mm.mlockall(c.MCL_CURRENT)) == answer
    assert mm.locked_vm == (pages if answer == "ok" else 0)


def test_mlockall_with_the_capability_knows_no_limit(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 17)
    mm.setrlimit_memlock(16 * PAGE)
    mm.mlockall(c.MCL_CURRENT)
    assert mm.locked_vm == 17


@pytest.mark.parametrize(("pages", "answer"), [(8, "ok"), (9, "ENOMEM")])
def test_mlock_beside_locked_pages(make_mm: MakeMm, impl: str, pages: int, answer: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 24)
    forget_cap(mm, 16 * PAGE)
    mm.mlock(BASE, 8 * PAGE)
    assert error_of(lambda: mm.mlock(BASE + 8 * PAGE, pages * PAGE)) == answer


@pytest.mark.parametrize(("pages", "answer"), [(8, "ok"), (9, "EAGAIN")])
def test_map_locked_beside_locked_pages(make_mm: MakeMm, impl: str, pages: int, answer: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 8)
    forget_cap(mm, 16 * PAGE)
    mm.mlock(BASE, 8 * PAGE)
    assert error_of(lambda: map_anon(mm, pages, at=THERE, flags=c.MAP_PRIVATE | c.MAP_LOCKED)) == answer


@pytest.mark.parametrize("blocked", [False, True], ids=["in-place", "moved"])
@pytest.mark.parametrize(("pages", "answer"), [(16, "ok"), (17, "EAGAIN")])
def test_mremap_grows_up_to_the_limit(make_mm: MakeMm, impl: str, pages: int, answer: str, blocked: bool) -> None:
    mm = make_mm(impl)
    map_anon(mm, 8)
    if blocked:
        map_anon(mm, 1, NONE, at=BASE + 8 * PAGE)
    mm.mlock(BASE, 8 * PAGE)
    forget_cap(mm, 16 * PAGE)
    assert error_of(lambda: mm.mremap(BASE, 8 * PAGE, pages * PAGE, MOVE)) == answer
    assert mm.locked_vm == (16 if answer == "ok" else 8)


@pytest.mark.parametrize(("limit", "answer"), [(2 * MIB, "ok"), (2 * MIB - 1, "EAGAIN")])
def test_locked_huge_tlb_pages_at_the_limit(impl: str, limit: int, answer: str) -> None:
    """They are held to the limit, rounded up to 2 MiB, and then not locked. The oracle does not know them."""
    mm = Mm(impl)
    forget_cap(mm, limit)
    flags = c.MAP_PRIVATE | c.MAP_LOCKED | MAP_HUGETLB
    assert error_of(lambda: map_anon(mm, 1, at=BASE, flags=flags)) == answer
    assert areas(mm) == ([(0, 512, False)] if answer == "ok" else [])
    assert mm.locked_vm == 0


# ---- max_map_count ----


@pytest.mark.parametrize("what", ["mlock", "mprotect"])
@pytest.mark.parametrize(("most", "answer", "parts"), [(3, "ok", 3), (2, "ENOMEM", 2), (1, "ENOMEM", 1)])
def test_a_middle_needs_two_more_vmas(make_mm: MakeMm, impl: str, what: str, most: int, answer: str, parts: int) -> None:
    """split_vma() refuses at map_count >= max; the split before stays."""
    mm = make_mm(impl, max_map_count=most)
    map_anon(mm, 8)
    calls = {"mlock": lambda: mm.mlock(BASE + 2 * PAGE, PAGE), "mprotect": lambda: mm.mprotect(BASE + 2 * PAGE, PAGE, NONE)}
    assert error_of(calls[what]) == answer
    assert mm.map_count == parts


@pytest.mark.parametrize(("most", "answer"), [(1, "ENOMEM"), (2, "ok")])
def test_munmap_of_a_middle_needs_one_more_vma(make_mm: MakeMm, impl: str, most: int, answer: str) -> None:
    mm = make_mm(impl, max_map_count=most)
    map_anon(mm, 8)
    assert error_of(lambda: mm.munmap(BASE + 2 * PAGE, PAGE)) == answer
    assert areas(mm) == ([(0, 2, False), (3, 5, False)] if answer == "ok" else [(0, 8, False)])


def test_mmap_goes_one_beyond_the_most(make_mm: MakeMm, impl: str) -> None:
    """do_mmap() refuses at map_count > max, so one more than that can come about."""
    mm = make_mm(impl, max_map_count=2)
    answers = [error_of(lambda at=at: map_anon(mm, 1, at=at)) for at in range(BASE, BASE + 8 * PAGE, 2 * PAGE)]  # type: ignore[misc]
    assert answers == ["ok", "ok", "ok", "ENOMEM"]


@pytest.mark.parametrize(("most", "answer"), [(4, "ENOMEM"), (5, "ok")])
def test_a_move_wants_three_vmas_to_spare(make_mm: MakeMm, impl: str, most: int, answer: str) -> None:
    """move_vma() refuses at map_count >= max - 3; growing in place does not ask."""
    mm = make_mm(impl, max_map_count=most)
    map_anon(mm, 2)
    assert error_of(lambda: mm.mremap(BASE, 2 * PAGE, 3 * PAGE, MOVE)) == "ok"
    assert error_of(lambda: mm.mremap(BASE, 2 * PAGE, 4 * PAGE, MOVE)) == answer  # its end is not that of the VMA


@pytest.mark.parametrize(("most", "answer"), [(6, "ENOMEM"), (7, "ok")])
def test_a_move_to_a_place_wants_five_to_spare(make_mm: MakeMm, impl: str, most: int, answer: str) -> None:
    """mremap_to() refuses at map_count + 2 >= max - 3."""
    mm = make_mm(impl, max_map_count=most)
    map_anon(mm, 2)
    assert error_of(lambda: mm.mremap(BASE, 2 * PAGE, 2 * PAGE, MOVE | c.MREMAP_FIXED, THERE)) == answer


# ---- batches ----


@pytest.mark.parametrize(("batches", "more", "full"), [(1, -1, 0), (1, 0, 1), (1, 1, 1), (2, -1, 1), (2, 0, 2)])
def test_new_locked_pages_wait_in_batches(make_mm: MakeMm, impl: str, batches: int, more: int, full: int) -> None:
    """What is locked when it comes is counted at once and culled with its batch: 15 pages, 31 in 6.12."""
    size = 31 if kernel_of(impl) == LINUX_6_12 else 15
    pages, culled = batches * size + more, full * size
    mm = make_mm(impl)
    map_anon(mm, 64)
    mm.mlock2(BASE, 64 * PAGE, c.MLOCK_ONFAULT)
    found = changes(mm, lambda: mm.touch(BASE, pages * PAGE, "write"))
    assert found == {"mlock": pages, "mlocked": pages} | ({"culled": culled, "unev": culled} if culled else {})
    assert changes(mm, mm.lru_add_drain_all) == ({"culled": pages - culled, "unev": pages - culled} if pages > culled else {})


# ---- where a mapping goes ----


def test_a_gap_of_just_the_size(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    first, second, third = (mm.mmap(None, 4 * PAGE, RW, ANON) for _ in range(3))
    assert (first - second, second - third) == (4 * PAGE, 4 * PAGE)  # top-down
    mm.munmap(second, 4 * PAGE)
    assert mm.mmap(None, 5 * PAGE, RW, ANON) == third - 5 * PAGE
    assert mm.mmap(None, 4 * PAGE, NONE, ANON) == second
    mm.munmap(second, 4 * PAGE)
    assert mm.mmap(second, 4 * PAGE, RW, ANON) == second  # as a hint
    mm.munmap(second, 4 * PAGE)
    assert mm.mmap(second, 5 * PAGE, RW, ANON) == third - 10 * PAGE  # the hint is one page short


def test_the_last_gap_below_the_top(make_mm: MakeMm, impl: str) -> None:
    """Where all below mmap_base is taken, the search goes bottom-up to the end of the window."""
    mm = make_mm(impl)
    top = DEFAULT_MAP_WINDOW - 4 * PAGE
    mm.mmap(MMAP_MIN_ADDR, top - MMAP_MIN_ADDR, NONE, ANON | c.MAP_NORESERVE | c.MAP_FIXED)
    assert error_of(lambda: mm.mmap(None, 5 * PAGE, RW, ANON)) == "ENOMEM"
    assert mm.mmap(None, 4 * PAGE, RW, ANON) == top
    assert error_of(lambda: mm.mmap(None, PAGE, RW, ANON)) == "ENOMEM"


def test_fixed_at_both_ends_of_the_address_space(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    fixed = ANON | c.MAP_FIXED
    top = DEFAULT_MAP_WINDOW
    assert mm.mmap(top - PAGE, PAGE, RW, fixed) == top - PAGE
    assert error_of(lambda: mm.mmap(top - PAGE, 2 * PAGE, RW, fixed)) == "ENOMEM"
    assert error_of(lambda: mm.mmap(top, PAGE, RW, fixed)) == "ENOMEM"
    assert error_of(lambda: mm.munmap(top, PAGE)) == "EINVAL"
    assert error_of(lambda: mm.munmap(top - PAGE, PAGE)) == "ok"


# ---- holes, by the size of the entry that is missing ----

TIB = 1 << 40
GIB = 1 << 30
SKIPPING = [one.name for one in kernels.implementations() if one.steps_over_holes]
LEVELS = ("pgd", "p4d", "pud", "pmd", "pte")


def entries_read(mm: Mm) -> tuple[int, ...]:
    """Of each level, by the call before."""
    counters = mm.call_counters()
    return tuple(counters[f"model_{level}_read"] for level in LEVELS)


@pytest.mark.parametrize("impl", SKIPPING)
@pytest.mark.parametrize(
    ("levels", "nbytes", "expected"),
    [
        (5, 1024 * TIB, (4, 0, 0, 0, 0)),  # entries of 256 TiB
        (4, 4 * TIB, (8, 0, 0, 0, 0)),  # entries of 512 GiB
    ],
)
def test_what_an_empty_area_costs(impl: str, levels: int, nbytes: int, expected: tuple[int, ...]) -> None:
    """One entry of the top table for as much as that covers, whatever the length."""
    mm = Mm(impl, levels=levels)
    start = nbytes
    mm.mmap(start, nbytes, NONE, ANON | c.MAP_NORESERVE | c.MAP_FIXED)
    mm.mlockall(c.MCL_CURRENT)
    mm.munlockall()
    assert entries_read(mm) == expected


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (4, (1, 0, 2, 512, 512)),  # the second GiB has no PMD table, the first one page table
        (5, (1, 1, 2, 512, 512)),
    ],
)
def test_what_one_page_in_two_gib_costs(levels: int, expected: tuple[int, ...]) -> None:
    """6.1 reads every entry of the tables that exist, once."""
    mm = Mm("page-walk", levels=levels)
    map_anon(mm, 2 * GIB // PAGE)
    mm.touch(BASE, PAGE, "write")
    mm.mlock2(BASE, 2 * GIB, c.MLOCK_ONFAULT)
    assert entries_read(mm) == expected
    mm.munlock(BASE, 2 * GIB)
    assert entries_read(mm) == expected
    assert mm.call_counters()["model_tables_entered"] == levels - 1
    assert rss_pages(mm) == 1
