"""Swapped-out pages of locked memory, as observed on booted Linux 5.10 and 6.1 kernels with a swap disk; `of()`: as in
test_facts_events. What is said of 6.12 alone is from the source: to it a page that was just read from swap is a new one, and
folio_add_new_anon_rmap() does not mlock.
"""

from collections.abc import Callable
from typing import Any

import pytest

from mmmodel import Mm, check_mm
from oracle import constants as c
from support.facts import BASE, NONE, PAGE, READ, RW, all_of, changes, locked, map_anon, of, rss_pages

OUT = locked(2)
READ_AND_COPIED = {"mlock": 2, "unev": 2, "culled": 2, "mlocked": 2}  # unlocking the page that was read does nothing
COPIED = {"mlock": 2, "unev": 2, "culled": 4, "rescued": 2, "mlocked": 4, "munlocked": 2}


@pytest.fixture
def mm(make_mm: Callable[[str], Any], impl: str) -> Any:
    """Two pages that were written to."""
    made = make_mm(impl)
    map_anon(made, 2)
    made.touch(BASE, 2 * PAGE, "write")
    return made


def check(mm: Any) -> None:
    """The model's own invariants; the oracle's are tested with it."""
    if isinstance(mm, Mm):
        check_mm(mm)


def out(mm: Any) -> None:
    """Both pages go to swap."""
    assert mm.swap_out(BASE, 2 * PAGE) == 2
    check(mm)


def onfault(mm: Any) -> None:
    mm.mlock2(BASE, 2 * PAGE, c.MLOCK_ONFAULT)


def effect(mm: Any, call: Callable[[], object]) -> dict[str, int]:
    """Changes by a call, with those that wait in the vectors."""
    found = changes(mm, call, mm.lru_add_drain_all)
    check(mm)
    return found


def touches(mm: Any, access: Any) -> Callable[[], None]:
    return lambda: mm.touch(BASE, 2 * PAGE, access)


def state(mm: Any) -> str:
    """Letters of the two pages, which are in the same state."""
    ((_, pages, letters),) = mm.pagemap(BASE, BASE + 2 * PAGE)
    assert pages == 2
    return str(letters)


def test_a_read_brings_a_page_back_read_only(mm: Any, impl: str) -> None:
    """So 5.10's populating with write access passes it over."""
    out(mm)
    mm.touch(BASE, 2 * PAGE, "read")
    mm.lru_add_drain_all()
    assert effect(mm, lambda: onfault(mm)) == of(impl, {}, OUT)
    assert state(mm) == of(impl, "P", "PMU")


def test_a_write_to_what_a_read_brought_back(mm: Any, impl: str) -> None:
    """5.10 copies it, since the swap cache has a reference too, and so the copy is mlocked."""
    out(mm)
    mm.mprotect(BASE, 2 * PAGE, READ)
    mm.touch(BASE, 2 * PAGE, "read")
    mm.mprotect(BASE, 2 * PAGE, RW)
    mm.lru_add_drain_all()
    onfault(mm)
    assert effect(mm, touches(mm, "write")) == of(impl, OUT, {})
    assert state(mm) == "PMU"


def test_a_write_after_fork_copies_what_it_swaps_in(mm: Any, impl: str) -> None:
    out(mm)
    child = mm.fork()
    onfault(mm)
    assert effect(mm, touches(mm, "write")) == of(impl, OUT, COPIED, READ_AND_COPIED)
    assert state(mm) == "PMU"
    assert child.pagemap(BASE, BASE + 2 * PAGE) == []
    assert effect(mm, touches(child, "write")) == {}
    assert state(child) == "P"


@pytest.mark.parametrize("end", ["exit", "munmap"])
def test_a_child_that_is_gone_before_makes_no_copy(mm: Any, impl: str, end: str) -> None:
    out(mm)
    child = mm.fork()
    if end == "exit":
        child.exit()
    else:
        child.munmap(BASE, 2 * PAGE)
    onfault(mm)
    assert effect(mm, touches(mm, "write")) == of(impl, {}, OUT, {})
    assert state(mm) == of(impl, "P", "PMU", "P")


def test_parent_and_child_find_the_same_page_in_the_swap_cache(mm: Any, impl: str) -> None:
    out(mm)
    onfault(mm)
    child = mm.fork()
    assert effect(mm, touches(mm, "read")) == of(impl, {}, OUT, {})
    assert [vma.locked_kb for vma in mm.smaps()] == [8]
    child.touch(BASE, 2 * PAGE, "read")
    check(mm)
    assert [vma.locked_kb for vma in mm.smaps()] == [4]
    assert state(mm) == state(child) == of(impl, "P", "PMU", "P")


def test_mlock_of_what_a_child_shares_in_swap(mm: Any, impl: str) -> None:
    out(mm)
    mm.fork()
    assert effect(mm, lambda: mm.mlock(BASE, 2 * PAGE)) == of(impl, locked(2), COPIED, READ_AND_COPIED)


# reclaim of what MADV_FREE was told of


def freed(mm: Any, *calls: Callable[[], object]) -> str:
    """Letters of the two pages when they were reclaimed and read after the calls."""
    for call in calls:
        call()
    mm.lru_add_drain_all()
    assert mm.swap_out(BASE, 2 * PAGE) == 2
    check(mm)
    mm.touch(BASE, 2 * PAGE, "read")
    return state(mm)


def free(mm: Any) -> None:
    mm.madvise(BASE, 2 * PAGE, c.MADV_FREE)


def test_free_of_pages_that_came_back_from_swap(mm: Any, impl: str) -> None:
    """Reading leaves them clean, and their swap is given up."""
    out(mm)
    assert freed(mm, touches(mm, "read"), lambda: free(mm)) == "PZ"


@pytest.mark.parametrize("lock", [False, True])
def test_free_of_forked_pages_that_had_been_in_swap(mm: Any, impl: str, lock: bool) -> None:
    """They have PG_dirty since their swap was given up, and what is dirty and mapped twice is not marked."""
    out(mm)
    if lock:
        mm.mlock(BASE, 2 * PAGE)
        mm.munlock(BASE, 2 * PAGE)
    else:
        mm.touch(BASE, 2 * PAGE, "write")
    child = mm.fork()
    assert freed(mm, lambda: free(mm), child.exit) == "P"


def test_free_of_forked_pages_that_never_were_in_swap(mm: Any, impl: str) -> None:
    child = mm.fork()
    assert freed(mm, lambda: free(mm), child.exit) == "PZ"


@pytest.mark.parametrize("on_fault", [False, True])
def test_populating_dirties_what_was_freed(mm: Any, impl: str, on_fault: bool) -> None:
    """Looking a page up with write access sets PG_dirty, so its data stay; 6.1 looks up nothing for MLOCK_ONFAULT.

    5.10.262 and 6.1.192: after the munlock, reclaim keeps dirty pages at first, since they belong to swap again.
    """
    free(mm)
    mm.mlock2(BASE, 2 * PAGE, c.MLOCK_ONFAULT if on_fault else 0)
    mm.munlock(BASE, 2 * PAGE)
    clean = on_fault and of(impl, False, True)
    assert mm.swap_out(BASE, 2 * PAGE) == (2 if clean else 0)
    check(mm)
    mm.touch(BASE, 2 * PAGE, "read")
    assert state(mm) == ("PZ" if clean else "P")


# reclaim


def test_reclaim_of_what_came_back_into_a_locked_vma(mm: Any, impl: str) -> None:
    """5.10 does not mlock it when it comes back, nor does 6.12; reclaim meets VM_LOCKED in its rmap walk."""
    out(mm)
    onfault(mm)
    mm.touch(BASE, 2 * PAGE, "write")
    mm.lru_add_drain_all()
    assert state(mm) == of(impl, "P", "PMU", "P")
    assert effect(mm, lambda: mm.swap_out(BASE, 2 * PAGE)) == of(impl, OUT, {}, OUT)
    assert state(mm) == "PMU"
    assert [vma.rss_kb for vma in mm.smaps()] == [8]


def test_reclaim_of_prot_none_memory_that_was_locked_afterwards(mm: Any, impl: str) -> None:
    mm.lru_add_drain_all()
    mm.mprotect(BASE, 2 * PAGE, NONE)
    onfault_fails = changes(mm, lambda: onfault(mm), mm.lru_add_drain_all)
    assert onfault_fails == of(impl, {}, OUT)
    assert effect(mm, lambda: mm.swap_out(BASE, 2 * PAGE)) == of(impl, OUT, {})
    assert state(mm) == "PMU"


@pytest.mark.parametrize("child_exits", [False, True])
def test_reclaim_of_a_forked_page_that_was_locked_afterwards(mm: Any, impl: str, child_exits: bool) -> None:
    mm.lru_add_drain_all()
    child = mm.fork()
    if child_exits:
        child.exit()
    assert effect(mm, lambda: onfault(mm)) == of(impl, {}, OUT)
    assert effect(mm, lambda: mm.swap_out(BASE, 2 * PAGE)) == of(impl, OUT, {})
    assert state(mm) == "PMU"


def test_reclaim_frees_the_swap_of_what_it_mlocks(mm: Any, impl: str) -> None:
    """So a write goes to the page itself and moves no lock."""
    out(mm)
    mm.touch(BASE, 2 * PAGE, "read")
    mm.lru_add_drain_all()
    onfault(mm)
    mm.swap_out(BASE, 2 * PAGE)
    assert state(mm) == "PMU"
    assert effect(mm, touches(mm, "write")) == {}
    assert effect(mm, lambda: mm.munlock(BASE, 2 * PAGE)) == {"mlock": -2, "unev": -2} | all_of(2, "rescued", "munlocked")
    out(mm)
    assert effect(mm, lambda: mm.munmap(BASE, 2 * PAGE)) == {}


def test_huge_pages_and_absent_ones_are_left_alone(make_mm: Callable[..., Any], impl: str) -> None:
    mm = make_mm(impl, thp="always")
    map_anon(mm, 3 * 512)
    mm.touch(BASE + 512 * PAGE, PAGE, "write")
    assert mm.swap_out(BASE, 3 * 512 * PAGE) == 0
    check(mm)
    # As many tables as there are pages up to the huge one: its entry does not name one of them.
    single = BASE + (1 << 31)
    map_anon(mm, 600 * 512, at=single)
    mm.madvise(single, 600 * 512 * PAGE, c.MADV_NOHUGEPAGE)
    mm.touch(single, 600 * 512 * PAGE, "write", 512 * PAGE)
    assert mm.swap_out(BASE, 3 * 512 * PAGE) == 0
    check(mm)
    assert rss_pages(mm) == 512 + 600
