"""Call counts are exact: follow_page() of 5.10 and mlock_pte_range() of 6.1 against formulas, and against observed figures.

The formulas are those of the two kernels' loops, written down from what pagemap shows and from what a test put there, without
a look at the model's page tables. The observed figures were counted with function tracing on booted 5.10 and 6.1 kernels.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from mmmodel import Mm
from mmmodel import constants as c
from mmmodel.state import NODE
from support.facts import BASE, NONE, PAGE, READ, RW, map_anon

MIB = 1 << 20
TABLE = 512  # pages that one page table maps
OLD = ["per-page", "hole-skip"]


def follow_page(mm: Mm, call: Callable[[], object]) -> int:
    """follow_page() calls of one call."""
    call()
    return mm.call_counters()["model_follow_page"]


def mlock_pte_range(mm: Mm, call: Callable[[], object]) -> int:
    """mlock_pte_range() calls of one call."""
    call()
    return mm.call_counters()["model_mlock_pte_range"]


def onfault(mm: Mm, pages: int, at: int = BASE) -> None:
    mm.mlock2(at, pages * PAGE, c.MLOCK_ONFAULT)


# observed figures: 64 MiB is 16384 pages


def area(impl: str, pages: int = 16384, prot: int = RW, thp: str = "never") -> Mm:
    mm = Mm(impl, thp=thp)
    map_anon(mm, pages, prot)
    return mm


def locked(impl: str, pages: int, prepare: Callable[[Mm], object], prot: int = RW) -> Mm:
    """A locked area in which some pages are present."""
    mm = area(impl, pages, prot)
    prepare(mm)
    onfault(mm, pages)
    return mm


def test_munlock_of_an_empty_area() -> None:
    mm = locked("per-page", 16384, lambda mm: None)
    assert follow_page(mm, lambda: mm.munlock(BASE, 64 * MIB)) == 16384
    assert follow_page(mm, lambda: mm.munlock(BASE, 64 * MIB)) == 0  # unlocked already: no walk


@pytest.mark.parametrize("name", ["exit", "munlockall", "munmap", "mremap"])
def test_who_else_munlocks_an_empty_area(name: str) -> None:
    mm = area("per-page", prot=NONE)
    mm.mlockall(c.MCL_CURRENT)
    there = 0x30_0000_0000
    moved = c.MREMAP_MAYMOVE | c.MREMAP_FIXED
    call = {
        "exit": mm.exit,
        "munlockall": mm.munlockall,
        "munmap": lambda: mm.munmap(BASE, 64 * MIB),
        "mremap": lambda: mm.mremap(BASE, 64 * MIB, 64 * MIB, moved, there),
    }[name]
    assert follow_page(mm, call) == 16384


def test_munlock_of_64_pages_in_a_row() -> None:
    mm = locked("per-page", 16384, lambda mm: mm.touch(BASE, 64 * PAGE, "write"))
    assert follow_page(mm, lambda: mm.munlock(BASE, 64 * MIB)) == 16325


def test_munlock_of_64_pages_on_every_second() -> None:
    mm = locked("per-page", 16384, lambda mm: mm.touch(BASE, 128 * PAGE, "write", 2 * PAGE))
    assert follow_page(mm, lambda: mm.munlock(BASE, 64 * MIB)) == 16384
    assert mm.call_counters()["model_pagevecs"] == 64


def test_munlock_of_two_full_tables() -> None:
    mm = locked("per-page", 1024, lambda mm: mm.touch(BASE, 1024 * PAGE, "write"))
    assert follow_page(mm, lambda: mm.munlock(BASE, 4 * MIB)) == 70


def test_munlock_of_zero_pages() -> None:
    mm = locked("per-page", 512, lambda mm: mm.touch(BASE, 512 * PAGE, "read"), READ)
    assert mm.pagemap(BASE, BASE + 2 * MIB) == [(0, 512, "PZ")]
    assert follow_page(mm, lambda: mm.munlock(BASE, 2 * MIB)) == 512


def test_munlock_of_the_huge_zero_page() -> None:
    mm = area("per-page", 512, READ, "always")
    mm.touch(BASE, PAGE, "read")
    assert mm.pagemap(BASE, BASE + 2 * MIB) == [(0, 512, "PZT")]
    onfault(mm, 512)
    assert follow_page(mm, lambda: mm.munlock(BASE, 2 * MIB)) == 512


def test_munlock_of_a_huge_page() -> None:
    mm = area("per-page", 512, RW, "always")
    mm.mlock(BASE, 2 * MIB)
    assert mm.pagemap(BASE, BASE + 2 * MIB) == [(0, 1, "PMUT"), (1, 511, "PT")]
    assert follow_page(mm, lambda: mm.munlock(BASE, 2 * MIB)) == 1


def test_munlock_of_a_split_huge_page() -> None:
    """511 entries of a huge page that is mapped by entries."""
    mm = area("per-page", 512, RW, "always")
    mm.mlock(BASE, 2 * MIB)
    mm.munlock(BASE, PAGE)
    assert follow_page(mm, lambda: mm.munlock(BASE + PAGE, 511 * PAGE)) == 511


@pytest.mark.parametrize("shift", range(24, 47, 2))
def test_an_empty_area_of_any_size_has_one_table(shift: int) -> None:
    mm = Mm("page-walk")
    size, end = 1 << shift, BASE + (1 << shift) - PAGE  # its last page in the table of a neighbour
    mm.mmap(BASE - PAGE, size, NONE, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED_NOREPLACE | c.MAP_NORESERVE)
    map_anon(mm, 1, at=end)
    mm.touch(end, 1, "write")
    mm.mlock2(BASE - PAGE, size, c.MLOCK_ONFAULT)
    assert mlock_pte_range(mm, lambda: mm.munlock(BASE - PAGE, size)) == 1


def test_a_page_in_each_of_128_tables() -> None:
    """And the table that the last page shares with a neighbour; the tables stay when their pages go."""
    mm = Mm("page-walk")
    start, size = BASE + MIB, 256 * MIB
    map_anon(mm, size // PAGE, at=start)
    map_anon(mm, 1, at=start - PAGE)
    mm.touch(start - PAGE, 1, "write")
    mm.touch(start + MIB, size - MIB, "write", 2 * MIB)
    mm.mlock2(start, size, c.MLOCK_ONFAULT)
    assert mlock_pte_range(mm, lambda: mm.munlock(start, size)) == 129
    mm.madvise(start, size, c.MADV_DONTNEED)
    assert mm.pagemap(start, start + size) == []
    assert mlock_pte_range(mm, lambda: mm.mlock2(start, size, c.MLOCK_ONFAULT)) == 129
    assert mlock_pte_range(mm, lambda: mm.munlock(start, size)) == 129


def test_mlock_onfault_of_64_mib_with_one_page() -> None:
    old = area("per-page")
    old.touch(BASE + MIB, 1, "write")
    assert follow_page(old, lambda: onfault(old, 16384)) == 16384
    new = Mm("page-walk")
    start = BASE + MIB  # its first table is shared with a neighbour
    map_anon(new, 16384, at=start)
    map_anon(new, 1, at=start - PAGE)
    new.touch(start - PAGE, 1, "write")
    new.touch(start + 32 * MIB, 1, "write")
    assert mlock_pte_range(new, lambda: onfault(new, 16384, start)) == 2
    assert new.call_counters()["model_follow_page"] == 0


def test_munmap_of_64_mib_with_one_page() -> None:
    new = locked("page-walk", 16384, lambda mm: mm.touch(BASE + MIB, 1, "write"))
    assert mlock_pte_range(new, lambda: new.munmap(BASE, 64 * MIB)) == 0
    assert new.call_counters()["unevictable_pgs_munlocked"] == 1
    old = locked("per-page", 16384, lambda mm: mm.touch(BASE + MIB, 1, "write"))
    assert follow_page(old, lambda: old.munmap(BASE, 64 * MIB)) == 16384


def test_a_batch_ends_where_the_zone_changes() -> None:
    mm = area("per-page", 40)
    for node in (0, 1):
        mm.state.ctl[NODE] = node
        mm.touch(BASE + node * 20 * PAGE, 20 * PAGE, "write")
    onfault(mm, 40)
    assert follow_page(mm, lambda: mm.munlock(BASE, 40 * PAGE)) == 2 + 2


# formulas, on random layouts


class Layout:
    """What a random layout put where, by page number from BASE."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.first = rng.randrange(TABLE)  # of the VMA
        self.pages = rng.randrange(1, 5 * TABLE)
        self.runs: list[tuple[int, int, str]] = []
        at = self.first
        while at < self.first + self.pages:
            n = min(
                rng.choice((1, 2, 14, 15, 16, 30, 100, 300, TABLE - at % TABLE, TABLE - at % TABLE)),
                self.first + self.pages - at,
            )
            kind = rng.choice(("", "", "anon", "anon", "zero", "swap", "zapped"))
            if at % TABLE == 0 and at + TABLE <= self.first + self.pages and rng.randrange(2):
                n, kind = TABLE, rng.choice(("thp", "thp-pte"))
            self.runs.append((at, n, kind))
            at += n
        low, high = rng.randrange(self.pages), rng.randrange(self.pages)
        whole = rng.randrange(2)
        self.start = self.first + (0 if whole else min(low, high))  # of what is unlocked
        self.end = self.first + (self.pages if whole else max(low, high) + 1)

    def apply(self, mm: Mm) -> None:
        """Map it, fill it, lock it."""
        map_anon(mm, self.pages, at=BASE + self.first * PAGE)
        for first, n, kind in self.runs:
            at, nbytes = BASE + first * PAGE, n * PAGE
            if kind == "zero":
                mm.touch(at, nbytes, "read")
            elif kind in ("thp", "thp-pte"):
                mm.install_pages(at, nbytes, kind)
            elif kind:
                mm.touch(at, nbytes, "write")
            if kind == "swap":
                mm.lru_add_drain_all()
                assert mm.swap_out(at, nbytes) == n
            elif kind == "zapped":
                mm.madvise(at, nbytes, c.MADV_DONTNEED)
        mm.mlock2(BASE + self.first * PAGE, self.pages * PAGE, c.MLOCK_ONFAULT)
        mm.lru_add_drain_all()

    def huge(self) -> set[int]:
        """First pages of huge PMDs that the split at the ends of the unlocked range leaves whole."""
        return {
            first
            for first, _, kind in self.runs
            if kind == "thp" and not any(first < cut < first + TABLE for cut in (self.start, self.end))
        }

    def tables(self) -> set[int]:
        """2 MiB ranges, numbered, whose PMD entry is not none."""
        return {page // TABLE for first, n, kind in self.runs if kind for page in (first, first + n - 1)}

    def unlock(self, mm: Mm) -> None:
        mm.munlock(BASE + self.start * PAGE, (self.end - self.start) * PAGE)


def states(mm: Mm) -> dict[int, str]:
    """State letters of each present page, by page number from BASE."""
    return {first + i: letters for first, n, letters in mm.pagemap(BASE, BASE + 16 * MIB) for i in range(n)}


def follow_page_formula(layout: Layout, before: dict[int, str], *, skip: bool) -> int:
    """Calls of munlock by 5.10's loop; `skip`: where a page table is missing, one call for all of it."""
    calls, page = 0, layout.start
    huge, tables = layout.huge(), layout.tables()
    if skip and not tables:
        return 1
    while page < layout.end:
        state = before.get(page, "")
        if skip and page // TABLE not in tables:
            page, calls = (page // TABLE + 1) * TABLE, calls + 1
        elif page in huge and "M" in state:
            page, calls = page + TABLE, calls + 1
        elif not state or "Z" in state or "T" in state:
            page, calls = page + 1, calls + 1
        else:
            stop = min(layout.end, (page // TABLE + 1) * TABLE)
            run = page
            while run < stop and before.get(run) and not set(before[run]) & {"Z", "T"}:
                run += 1
            calls += -(-(run - page) // c.PAGEVEC_SIZE)
            page = run
    return calls


SEEDS = range(25)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("impl", OLD)
def test_follow_page_calls_of_munlock(impl: str, seed: int) -> None:
    layout, mm = Layout(seed), Mm(impl)
    layout.apply(mm)
    before = states(mm)
    wanted = follow_page_formula(layout, before, skip=impl == "hole-skip")
    assert follow_page(mm, lambda: layout.unlock(mm)) == wanted
    assert mm.call_counters()["model_mlock_pte_range"] == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_follow_page_calls_of_mlock_onfault(seed: int) -> None:
    """Populating without faults: one call a page, one for a huge PMD."""
    layout, mm = Layout(seed), Mm("per-page")
    layout.apply(mm)
    before = states(mm)
    start, nbytes = BASE + layout.first * PAGE, layout.pages * PAGE
    mm.munlock(start, nbytes)
    whole = sum(1 for first, _, kind in layout.runs if kind == "thp")
    calls = follow_page(mm, lambda: mm.mlock2(start, nbytes, c.MLOCK_ONFAULT))
    assert calls == layout.pages - (TABLE - 1) * whole
    assert set(states(mm)) == set(before)


@pytest.mark.parametrize("seed", SEEDS)
def test_mlock_pte_range_calls(seed: int) -> None:
    """One call for every PMD entry of the range that is not none, to lock as to unlock; a huge one is one too."""
    layout, mm = Layout(seed), Mm("page-walk")
    layout.apply(mm)
    ranges = {page // TABLE for page in range(layout.start, layout.end)} & layout.tables()
    assert mlock_pte_range(mm, lambda: layout.unlock(mm)) == len(ranges)
    assert mm.call_counters()["model_follow_page"] == 0
    length = (layout.end - layout.start) * PAGE
    again = mlock_pte_range(mm, lambda: mm.mlock2(BASE + layout.start * PAGE, length, c.MLOCK_ONFAULT))
    assert again == len(ranges)


def test_the_layouts_hold_every_kind() -> None:
    kinds = {kind for seed in SEEDS for _, _, kind in Layout(seed).runs}
    assert kinds == {"", "anon", "zero", "swap", "zapped", "thp", "thp-pte"}
