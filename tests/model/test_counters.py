"""A small program for every counter, its changes written down by hand from the loops, look-ups and locks of the two kernels.

What the kernels' own counters do is held by test_facts_events too, and calls of follow_page() and mlock_pte_range() by
test_call_counts; here each name has its turn, also those that move seldom.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest

from mmmodel import Mm
from mmmodel import constants as c
from mmmodel.counters import NAMES
from mmmodel.kernels import LINUX_5_10, LINUX_6_12, kernel_of
from support.facts import BASE, PAGE, READ, RW, map_anon, map_file

Call = Callable[[], object]
Changes = dict[str, int]
THERE = BASE + 4096 * PAGE
HUGE = 512  # pages
GIB = 512 * HUGE  # pages


def changes(mm: Mm, *calls: Call) -> Changes:
    """What calls add to all counters, zeros left out."""
    before = mm.machine.counters.copy()
    for call in calls:
        call()
    return {name: int(nr) for name, nr in zip(NAMES, mm.machine.counters - before, strict=True) if nr}


def onfault(mm: Mm, nr_pages: int, at: int = BASE) -> None:
    """Lock what is there, and let nothing wait in a vector."""
    mm.mlock2(at, nr_pages * PAGE, c.MLOCK_ONFAULT)
    mm.lru_add_drain_all()


# ---- programs: each returns the address space and the calls to count ----


def empty(impl: str, levels: int = 4) -> tuple[Mm, Call]:
    """Munlock of four pages in an address space without tables."""
    mm = Mm(impl, levels=levels)
    map_anon(mm, 4)
    onfault(mm, 4)
    return mm, lambda: mm.munlock(BASE, 4 * PAGE)


def one_of_four(impl: str, levels: int = 4) -> tuple[Mm, Call]:
    """Munlock of four pages, the first of which is there."""
    mm = Mm(impl, levels=levels)
    map_anon(mm, 4)
    mm.touch(BASE, PAGE, "write")
    onfault(mm, 4)
    return mm, lambda: mm.munlock(BASE, 4 * PAGE)


def munlockall_of_three(impl: str) -> tuple[Mm, Call]:
    """munlockall() of three VMAs, each of two pages that are not there."""
    mm = Mm(impl)
    for number, prot in enumerate((RW, READ, RW)):
        map_anon(mm, 2, prot, at=BASE + 2 * number * PAGE)
    mm.mlockall(c.MCL_CURRENT | c.MCL_ONFAULT)
    return mm, mm.munlockall


def in_a_row(impl: str) -> tuple[Mm, Call]:
    """Munlock of 31 pages in a row: vectors and batches of 15, 15 and 1."""
    mm = Mm(impl)
    map_anon(mm, 31)
    mm.touch(BASE, 31 * PAGE, "write")
    onfault(mm, 31)
    return mm, lambda: mm.munlock(BASE, 31 * PAGE)


def huge(impl: str) -> tuple[Mm, Call]:
    """Munlock of a huge page."""
    mm = Mm(impl, thp="always")
    map_anon(mm, HUGE)
    mm.mlock(BASE, HUGE * PAGE)
    mm.lru_add_drain_all()
    return mm, lambda: mm.munlock(BASE, HUGE * PAGE)


def part_of_huge(impl: str) -> tuple[Mm, Call]:
    """Munlock of the first page of a huge page, which takes the huge PMD apart."""
    mm, _ = huge(impl)
    return mm, lambda: mm.munlock(BASE, PAGE)


def twice_mapped(impl: str) -> tuple[Mm, Call]:
    """Munlock of a file's page that a second, unlocked VMA maps, too."""
    mm = Mm(impl)
    file = mm.create_file(PAGE)
    map_file(mm, file, 1)
    map_file(mm, file, 1, at=THERE)
    mm.mlock(BASE, PAGE)
    mm.touch(THERE, PAGE, "read")
    mm.lru_add_drain_all()
    return mm, lambda: mm.munlock(BASE, PAGE)


def mlock_of_present(impl: str) -> tuple[Mm, Call]:
    """Mlock of three pages that are there and on a list."""
    mm = Mm(impl)
    map_anon(mm, 3)
    mm.touch(BASE, 3 * PAGE, "write")
    mm.lru_add_drain_all()
    return mm, lambda: mm.mlock(BASE, 3 * PAGE)


def faults(impl: str) -> tuple[Mm, Call]:
    """Three pages are read, two of them written, all read again."""
    mm = Mm(impl)
    map_anon(mm, 3)

    def touched() -> None:
        mm.touch(BASE, 3 * PAGE, "read")
        mm.touch(BASE, 2 * PAGE, "write")
        mm.touch(BASE, 3 * PAGE, "read")

    return mm, touched


def copied_in_locked(impl: str, *, elsewhere: bool) -> tuple[Mm, Call]:
    """A private, locked mapping of a file's page becomes writable, and is populated: a copy; is the page mapped elsewhere?"""
    mm = Mm(impl)
    file = mm.create_file(PAGE)
    map_file(mm, file, 1, READ, flags=c.MAP_PRIVATE)
    if elsewhere:
        map_file(mm, file, 1, at=THERE)
        mm.touch(THERE, PAGE, "read")
    mm.mlock(BASE, PAGE)
    mm.lru_add_drain_all()

    def copied() -> None:
        mm.mprotect(BASE, PAGE, RW)
        mm.lru_add_drain_all()

    return mm, copied


def pages_of_a_file(impl: str) -> tuple[Mm, Call]:
    """A file of three pages is populated by one mapping, the first page of it by another one, too."""
    mm = Mm(impl)
    file = mm.create_file(3 * PAGE)

    def populated() -> None:
        map_file(mm, file, 3, flags=c.MAP_SHARED | c.MAP_POPULATE)
        mm.lru_add_drain_all()
        map_file(mm, file, 1, flags=c.MAP_SHARED | c.MAP_POPULATE, at=THERE)
        mm.lru_add_drain_all()

    return mm, populated


def huge_by_entries(impl: str) -> tuple[Mm, Call]:
    """Mlock of three pages of a huge page, which thereby is mapped by entries and not mlocked."""
    mm = Mm(impl, thp="always")
    map_anon(mm, HUGE)
    mm.touch(BASE, PAGE, "write")
    return mm, lambda: mm.mlock(BASE + PAGE, 3 * PAGE)


def parts_of_huge(impl: str) -> tuple[Mm, Call]:
    """Munlock of three pages of a huge page that is mapped by entries: the VMA between two joins both."""
    mm, mlock = huge_by_entries(impl)
    mlock()
    mm.lru_add_drain_all()
    return mm, lambda: mm.munlock(BASE + PAGE, 3 * PAGE)


def zero_pages(impl: str) -> tuple[Mm, Call]:
    """Munlock of three pages, two of which were read."""
    mm = Mm(impl)
    map_anon(mm, 3)
    mm.touch(BASE, 2 * PAGE, "read")
    onfault(mm, 3)
    return mm, lambda: mm.munlock(BASE, 3 * PAGE)


def cut_in_three(impl: str) -> tuple[Mm, Call]:
    """Munlock of the page in the middle of three."""
    mm = Mm(impl)
    map_anon(mm, 3)
    onfault(mm, 3)
    return mm, lambda: mm.munlock(BASE + PAGE, PAGE)


def unmapped(impl: str, levels: int = 4) -> tuple[Mm, Call]:
    """Munmap of four pages, one written and one read, and with it three tables."""
    mm = Mm(impl, levels=levels)
    map_anon(mm, 4)
    mm.touch(BASE, PAGE, "write")
    mm.touch(BASE + PAGE, PAGE, "read")
    mm.lru_add_drain_all()
    return mm, lambda: mm.munmap(BASE, 4 * PAGE)


def three_gib_unmapped(impl: str) -> tuple[Mm, Call]:
    """Munmap of 3 GiB with a page in the first and in the last."""
    mm = Mm(impl)
    map_anon(mm, 3 * GIB)
    for first in (0, 2 * GIB):
        mm.touch(BASE + first * PAGE, PAGE, "write")
    mm.lru_add_drain_all()
    return mm, lambda: mm.munmap(BASE, 3 * GIB * PAGE)


def middle_unmapped(impl: str) -> tuple[Mm, Call]:
    """Munmap of two of four pages, whose neighbours keep all tables."""
    mm, _ = unmapped(impl)
    return mm, lambda: mm.munmap(BASE + PAGE, 2 * PAGE)


def unlocked_while_isolated(impl: str) -> tuple[Mm, Call]:
    """Two VMAs lock a file's page, both are unlocked: in 5.10 the page waits in a vector when the second one is."""
    mm, _ = twice_mapped(impl)
    mm.mlock(THERE, PAGE)
    mm.lru_add_drain_all()

    def unlocked() -> None:
        mm.munlock(BASE, PAGE)
        mm.munlock(THERE, PAGE)

    return mm, unlocked


def copied_beside_what_was_read(impl: str) -> tuple[Mm, Call]:
    """A write to a file's page in a private mapping, which the read fault on the page before it has mapped, too."""
    mm = Mm(impl)
    file = mm.create_file(2 * PAGE)
    map_file(mm, file, 2)
    mm.touch(BASE, 2 * PAGE, "read")
    map_file(mm, file, 2, flags=c.MAP_PRIVATE, at=THERE)
    mm.touch(THERE, PAGE, "read")
    mm.lru_add_drain_all()

    def written() -> None:
        mm.touch(THERE + PAGE, PAGE, "read")  # it is there: no fault
        mm.touch(THERE + PAGE, PAGE, "write")
        mm.lru_add_drain_all()

    return mm, written


def truncated(impl: str) -> tuple[Mm, Call]:
    """A file is cut off below its page, which is locked."""
    mm = Mm(impl)
    file = mm.create_file(PAGE)
    map_file(mm, file, 1)
    mm.mlock(BASE, PAGE)
    mm.lru_add_drain_all()

    def cut() -> None:
        file.truncate(0)
        mm.lru_add_drain_all()

    return mm, cut


ONE_VMA, THREE_VMAS = {"model_vmas_changed": 1}, {"model_vmas_changed": 3}
WALK_6_1 = {
    "model_vmas_changed": 1,
    "model_mlock_pte_range": 1,
    "model_cond_resched": 1,
    "model_pte_lock": 1,
    "model_pages_looked_up": 4,
    "model_pgd_read": 1,
    "model_pud_read": 1,
    "model_pmd_read": 1,
    "model_pte_read": 4,
    "model_tables_entered": 3,
}
MUNLOCKED = {"nr_mlock": -1, "nr_unevictable": -1, "nr_inactive_anon": 1}
MUNLOCKED |= {"unevictable_pgs_munlocked": 1, "unevictable_pgs_rescued": 1}
# 6.1 takes a page off its list and puts it on another one in place: no isolate_lru_page(), no putback_lru_page().
ONE_BATCH = {"model_mlock_batches": 1, "model_lru_lock": 1}
# One look-up a page. The first finds a page, whose vector is filled under the page table's lock once more: the entry behind
# it is read, and is none. The vector takes the LRU lock to isolate and to put back, and the page's lock once.
LOOP_5_10 = {
    "model_vmas_changed": 1,
    "model_follow_page": 4,
    "model_cond_resched": 4,
    "model_pages_looked_up": 4,
    "model_pgd_read": 4,
    "model_pud_read": 4,
    "model_pmd_read": 4,
    "model_pte_read": 4 + 1,
    "model_tables_entered": 4 * 3,
    "model_pte_lock": 4 + 1,
    "model_pagevecs": 1,
    "model_lru_lock": 2,
    "model_page_lock": 1,
    "model_isolated": 1,
    "model_putback": 1,
}


# An entry of each level is read to unmap, and one to free the tables.
UNMAPPED = {"model_zap_read": 4, "model_zapped": 1, "model_zap_special": 1, "model_unmap_pmd_read": 2 * 1}
UNMAPPED |= {"model_unmap_upper_read": 2 * 2, "model_tables_freed": 3, "model_vmas_freed": 1}


class Case(NamedTuple):
    """A program, and what it changes: all of it, or what is named here."""

    program: Callable[[str], tuple[Mm, Call]]
    old: Changes  # per-page, and hole-skip if `skip` says nothing else
    new: Changes
    skip: Changes | None = None
    all: bool = True
    newest: Changes | None = None  # 6.12, if `new` is 6.1 alone


def alike(program: Callable[[str], tuple[Mm, Call]], changed: Changes, newest: Changes | None = None) -> Case:
    """A program that changes what is named here, the same in all kernels but for what `newest` says of 6.12."""
    return Case(program, changed, changed, all=False, newest=newest)


CASES = {
    "empty": Case(
        empty,
        ONE_VMA | {"model_follow_page": 4, "model_cond_resched": 4, "model_pages_looked_up": 4, "model_pgd_read": 4},
        ONE_VMA | {"model_pgd_read": 1},
        ONE_VMA | {"model_follow_page": 1, "model_cond_resched": 1, "model_pages_looked_up": 1, "model_pgd_read": 1},
    ),
    "empty, 5 levels": Case(
        lambda impl: empty(impl, 5),
        ONE_VMA | {"model_follow_page": 4, "model_cond_resched": 4, "model_pages_looked_up": 4, "model_pgd_read": 4},
        ONE_VMA | {"model_pgd_read": 1},
        ONE_VMA | {"model_follow_page": 1, "model_cond_resched": 1, "model_pages_looked_up": 1, "model_pgd_read": 1},
    ),
    "one of four": Case(one_of_four, LOOP_5_10 | MUNLOCKED, WALK_6_1 | MUNLOCKED | ONE_BATCH),
    "one of four, 5 levels": Case(
        lambda impl: one_of_four(impl, 5),
        LOOP_5_10 | MUNLOCKED | {"model_p4d_read": 4, "model_tables_entered": 4 * 4},
        WALK_6_1 | MUNLOCKED | ONE_BATCH | {"model_p4d_read": 1, "model_tables_entered": 4},
    ),
    "munlockall": Case(
        munlockall_of_three,
        THREE_VMAS | {"model_follow_page": 6, "model_cond_resched": 6 + 3, "model_pages_looked_up": 6, "model_pgd_read": 6},
        THREE_VMAS | {"model_cond_resched": 3, "model_pgd_read": 3},
        THREE_VMAS | {"model_follow_page": 3, "model_cond_resched": 3 + 3, "model_pages_looked_up": 3, "model_pgd_read": 3},
    ),
    "in a row": Case(
        in_a_row,
        {"model_pagevecs": 3, "model_lru_lock": 6, "model_page_lock": 31, "model_isolated": 31, "model_putback": 31}
        | {"model_follow_page": 3, "model_pages_looked_up": 31, "model_mlock_batches": 0, "unevictable_pgs_munlocked": 31},
        {"model_mlock_batches": 3, "model_lru_lock": 3, "model_page_lock": 0, "model_isolated": 0, "model_putback": 0}
        | {"model_follow_page": 0, "model_pages_looked_up": 31, "model_pagevecs": 0, "unevictable_pgs_munlocked": 31},
        newest={"model_mlock_batches": 1, "model_lru_lock": 1, "model_pages_looked_up": 31, "unevictable_pgs_munlocked": 31},
        all=False,
    ),
    # munlock_vma_page(): the page's lock, one LRU lock to isolate, one to put back: at once, as for all compound pages.
    "huge": Case(
        huge,
        {"model_follow_page": 1, "model_cond_resched": 1, "model_pte_lock": 1, "model_page_lock": 1, "model_lru_lock": 2}
        | {"model_isolated": 1, "model_putback": 1, "model_pte_read": 0, "model_pagevecs": 0, "model_pmd_splits": 0}
        | {"model_pages_looked_up": 1, "nr_mlock": -HUGE, "unevictable_pgs_munlocked": HUGE, "unevictable_pgs_rescued": HUGE},
        {"model_mlock_pte_range": 1, "model_cond_resched": 1, "model_pte_lock": 1, "model_page_lock": 0, "model_lru_lock": 1}
        | {"model_mlock_batches": 1, "model_pte_read": 0, "model_pmd_splits": 0, "model_pages_looked_up": 1}
        | {"nr_mlock": -HUGE, "unevictable_pgs_munlocked": HUGE, "unevictable_pgs_rescued": HUGE},
        all=False,
    ),
    "part of a huge page": Case(
        part_of_huge,
        {"model_pmd_splits": 1, "unevictable_pgs_cleared": HUGE, "unevictable_pgs_munlocked": 0, "nr_mlock": -HUGE},
        {"model_pmd_splits": 1, "unevictable_pgs_cleared": 0, "unevictable_pgs_munlocked": HUGE, "nr_mlock": -HUGE},
        all=False,
    ),
    # Neither VMA is locked when the reverse map is asked, so both are looked at.
    "twice mapped": Case(
        twice_mapped,
        {"model_rmap_lock": 1, "model_rmap_vmas": 2, "model_page_lock": 1, "unevictable_pgs_munlocked": 1, "nr_mlock": -1},
        {"model_rmap_lock": 0, "model_rmap_vmas": 0, "model_page_lock": 0, "unevictable_pgs_munlocked": 1, "nr_mlock": -1},
        all=False,
    ),
    # 5.10 populates: each page found is locked and isolated; each drain puts the page before it back, the last one waits.
    "mlock of what is there": Case(
        mlock_of_present,
        {"model_follow_page": 3, "model_page_lock": 3, "model_isolated": 3, "model_putback": 2, "model_lru_lock": 3 + 2}
        | {"unevictable_pgs_mlocked": 3, "unevictable_pgs_culled": 2, "nr_mlock": 3, "nr_unevictable": 2}
        | {"nr_inactive_anon": -3, "model_faults": 0},
        {"model_follow_page": 3, "model_page_lock": 0, "model_mlock_batches": 1, "model_lru_lock": 1, "model_faults": 0}
        | {
            "unevictable_pgs_mlocked": 3,
            "unevictable_pgs_culled": 3,
            "nr_mlock": 3,
            "nr_unevictable": 3,
            "nr_inactive_anon": -3,
        },
        all=False,
    ),
    "faults": Case(faults, {"model_faults": 5, "model_follow_page": 0}, {"model_faults": 5, "model_follow_page": 0}, all=False),
    # 5.10 locks the old page to munlock it, which its last unmap has done already, and the copy to mlock it.
    "copied in a locked mapping": Case(
        lambda impl: copied_in_locked(impl, elsewhere=False),
        {"model_faults": 1, "model_page_lock": 2, "unevictable_pgs_mlocked": 1, "unevictable_pgs_munlocked": 0}
        | {"unevictable_pgs_cleared": 1, "nr_mlock": 0, "nr_unevictable": 0, "nr_inactive_file": 1},
        {"model_faults": 1, "model_page_lock": 0, "unevictable_pgs_mlocked": 1, "unevictable_pgs_munlocked": 1}
        | {"unevictable_pgs_cleared": 0, "nr_mlock": 0, "nr_unevictable": 0, "nr_inactive_file": 1},
        all=False,
    ),
    "copied in one of two mappings": Case(
        lambda impl: copied_in_locked(impl, elsewhere=True),
        {"model_faults": 1, "model_page_lock": 2, "unevictable_pgs_mlocked": 1, "unevictable_pgs_munlocked": 1}
        | {"unevictable_pgs_cleared": 0, "nr_mlock": 0, "nr_unevictable": 0, "nr_inactive_file": 1, "model_rmap_lock": 0},
        {"model_faults": 1, "model_page_lock": 0, "unevictable_pgs_mlocked": 1, "unevictable_pgs_munlocked": 1}
        | {"unevictable_pgs_cleared": 0, "nr_mlock": 0, "nr_unevictable": 0, "nr_inactive_file": 1},
        all=False,
    ),
    # The second time that populate finds a page it becomes active, as its first look at it set PG_referenced.
    "pages of a file": Case(
        pages_of_a_file,
        {"nr_inactive_file": 2, "nr_active_file": 1, "nr_inactive_anon": 0, "nr_active_anon": 0},
        {"nr_inactive_file": 2, "nr_active_file": 1, "nr_inactive_anon": 0, "nr_active_anon": 0},
        all=False,
    ),
    "a huge page mapped by entries": alike(
        huge_by_entries,
        {"nr_inactive_anon": -HUGE, "nr_active_anon": HUGE, "model_pmd_splits": 1, "model_follow_page": 3, "nr_mlock": 0},
    ),
    "parts of a huge page": alike(
        parts_of_huge,
        {
            "model_pte_compound": 3,
            "model_pte_special": 0,
            "model_vma_merges": 1,
            "model_vmas_changed": 1,
            "model_vmas_freed": 2,
        },
        newest={"model_pte_compound": 0, "model_pte_folio": 3, "model_pte_special": 0, "model_vma_merges": 1},
    ),
    "zero pages": alike(zero_pages, {"model_pte_special": 2, "model_pte_compound": 0, "model_pte_read": 3, "nr_mlock": 0}),
    "cut in three": alike(
        cut_in_three, {"model_vma_splits": 2, "model_vma_merges": 0, "model_vmas_changed": 1, "model_vmas_freed": 0}
    ),
    "unmapped": alike(unmapped, UNMAPPED),
    "unmapped, five levels": alike(
        partial(unmapped, levels=5), UNMAPPED | {"model_unmap_upper_read": 2 * 3, "model_tables_freed": 4}
    ),
    "three GiB unmapped": alike(
        three_gib_unmapped, {"model_unmap_pmd_read": 2 * 2 * 512, "model_unmap_upper_read": 2 * (1 + 3)}
    ),
    "a middle unmapped": alike(middle_unmapped, {"model_unmap_pmd_read": 1, "model_unmap_upper_read": 2, "model_zap_read": 2}),
    "unlocked while isolated": Case(
        unlocked_while_isolated,
        {"unevictable_pgs_stranded": 1, "unevictable_pgs_munlocked": 0, "unevictable_pgs_mlocked": 1, "model_rmap_lock": 1},
        {"unevictable_pgs_stranded": 0, "unevictable_pgs_munlocked": 1, "unevictable_pgs_mlocked": 0, "model_rmap_lock": 0},
        all=False,
    ),
    "copied beside what was read": alike(
        copied_beside_what_was_read, {"model_faults": 1, "nr_inactive_anon": 1, "nr_inactive_file": 0}
    ),
    "truncated": Case(
        truncated,
        {"unevictable_pgs_cleared": 1, "unevictable_pgs_munlocked": 0, "nr_mlock": -1, "nr_unevictable": -1},
        {"unevictable_pgs_cleared": 0, "unevictable_pgs_munlocked": 1, "nr_mlock": -1, "nr_unevictable": -1},
        all=False,
    ),
}
# Only shmctl(SHM_UNLOCK) has check_move_unevictable_pages() look at pages, and the model has no System V shared memory.
NEVER = {"unevictable_pgs_scanned"}


@pytest.mark.parametrize("name", CASES)
def test_a_small_program(impl: str, name: str) -> None:
    case = CASES[name]
    expected = case.old if kernel_of(impl) == LINUX_5_10 else case.new
    if case.newest is not None and kernel_of(impl) == LINUX_6_12:
        expected = case.newest
    if case.skip is not None and impl == "hole-skip":
        expected = case.skip
    mm, call = case.program(impl)
    found = changes(mm, call)
    assert (found if case.all else {key: found.get(key, 0) for key in expected}) == expected
    assert not NEVER & found.keys()


def test_every_counter_has_a_program_that_moves_it() -> None:
    all_of = [changed for case in CASES.values() for changed in (case.old, case.new, case.newest or {})]
    moved = {key for changed in all_of for key, nr in changed.items() if nr}
    assert moved | NEVER == set(NAMES)
    assert not moved & NEVER
