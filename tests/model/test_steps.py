"""The steps of a path, one after the other on a copy of a machine, leave exactly what the ordinary call leaves."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Generator

import numba
import numpy as np
import pytest

from mmmodel import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_READ,
    PROT_WRITE,
    Mm,
    check_mm,
    gup,
    install,
    kernels,
    lru,
    mlock_batch,
    munlock_page,
    page_walk,
    per_page,
    rmap,
    split,
    steps,
    steps_5_10,
    steps_6_1,
    steps_huge,
    steps_patch_07,
    steps_rmap,
    steps_unmap,
    zap,
)
from mmmodel import state as st
from mmmodel.constants import (
    _PAGE_SPECIAL,
    PMD_SIZE,
    VM_LOCKED,
    VM_LOCKED_CLEAR_MASK,
    VM_LOCKONFAULT,
    PG_head,
    PG_lru,
    PG_mlocked,
    PG_tail,
)
from mmmodel.kernels import LINUX_5_10, LINUX_6_1
from mmmodel.migrate import is_migration_entry, make_migration_entry
from mmmodel.pages import get_page
from mmmodel.pgtable import find_pmd, find_pte, pmd_slot, pte_offset, pte_pfn
from mmmodel.state import State
from mmmodel.steps import Lock, Step, position

PAGE = 4096
BASE = 1 << 32
RW = PROT_READ | PROT_WRITE
EXAMPLES = 12
Steps = Generator[Step, bool, object]  # a path, whatever it returns


OF_ONE_PAGE: tuple[Callable[..., Steps], ...] = (
    steps_6_1.mlock_folio,
    steps_6_1.munlock_page,
    steps.lru_add_drain,
    steps_5_10.mlock_vma_page_5_10,
    steps_5_10.munlock_vma_page_5_10,
    steps_rmap.page_add_rmap,
    steps_rmap.page_remove_rmap,
    steps_5_10.clear_page_mlock,
)
OF_A_RANGE: tuple[Callable[..., Steps], ...] = (steps_6_1.mlock_vma_pages_range, steps_5_10.munlock_vma_pages_range)
PATHS: tuple[Callable[..., Steps], ...] = (
    *OF_A_RANGE,
    *OF_ONE_PAGE,
    steps_6_1.mlock_new_page,
    steps_unmap.punch_hole,
    steps_unmap.try_to_unmap_one,
    steps_5_10.mlock_followed,
    steps_huge.split_huge_pmd,
)


@numba.njit(error_model="numpy", _nrt=False)  # type: ignore[untyped-decorator]
def also_ordinary(s: State, path: int, a: int, b: int, c: int) -> None:
    """Call what the last of PATHS retell."""
    if path == 10:
        mlock_batch.mlock_new_page(s, a)
    elif path == 11:
        zap.punch_hole(s, a, b, b + 1)
    elif path == 12:
        install._reclaim(s, c, find_pte(s, s.vmas[a]["vm_mm"], b), s.vmas[a]["vm_flags"])
    elif path == 13:
        gup._mlock_followed(s, a, False)
    elif path == 14:
        split.split_huge_pmd(s, s.vmas[a]["vm_mm"], find_pmd(s, s.vmas[a]["vm_mm"], b), s.vmas[a]["vm_flags"])


@numba.njit(error_model="numpy", _nrt=False)  # type: ignore[untyped-decorator]  # numba has no types
def ordinary(s: State, path: int, mm: int, a: int, b: int, c: int, d: int) -> None:
    """Call what a path retells, by its number in PATHS."""
    if path == 0:
        page_walk.mlock_vma_pages_range(s, mm, a, b, c, d)
    elif path == 1:
        per_page.munlock_vma_pages_range(s, mm, a, b, c)
    elif path == 2:
        mlock_batch.mlock_folio(s, a)
    elif path == 3:
        mlock_batch.munlock_page(s, a)
    elif path == 4:
        mlock_batch.lru_add_drain(s)
    elif path == 5:
        rmap.mlock_vma_page_5_10(s, a)
    elif path == 6:
        munlock_page.munlock_vma_page(s, a)
    elif path == 7:
        rmap.page_add_rmap(s, a, s.vmas[b]["vm_flags"])
    elif path == 8:
        rmap.page_remove_rmap(s, a, s.vmas[b]["vm_flags"], False)
    elif path == 9:
        rmap.clear_page_mlock(s, a)
    else:
        also_ordinary(s, path, a, b, c)


def drive(s: State, path: Steps) -> list[str]:
    """Take all steps of a path, holding it to the locks that it names; return their names."""
    names: list[str] = []
    held: set[Lock] = set()
    dropped: tuple[Lock, ...] = ()
    step = next(path, None)
    while step is not None:
        held -= set(dropped)
        taken = {*step.takes, *([step.tries] if step.tries else [])}
        assert not held & taken, f"{step} would wait for itself"
        held |= taken
        assert held >= set(step.needs), f"{step} lacks a lock"
        assert held >= set(step.drops), f"{step} drops what it has not"
        dropped = step.drops
        names.append(step.name)
        try:
            step = path.send(True)  # nobody else has the lock that it tries
        except StopIteration:
            step = None
    assert held == set(dropped), "a lock was kept"
    return names


def vma_at(mm: Mm, address: int) -> int:
    state = mm.state
    for vma in map(int, state.order[: mm.map_count]):
        if state.vmas[vma]["vm_start"] <= address < state.vmas[vma]["vm_end"]:
            return vma
    raise AssertionError(f"no VMA at {address:#x}")


def machine(impl: str, seed: int) -> tuple[Mm, random.Random]:
    """Return a machine with some history: shared and private pages, huge ones, half-full vectors, another process."""
    chance = random.Random(seed)
    mm = Mm(impl, thp=chance.choice(["never", "never", "always"]), nr_cpus=2, levels=chance.choice([4, 5]))
    mm.mmap(BASE, 2 * PMD_SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
    file = mm.create_file(64 * PAGE)
    mm.mmap(BASE + 4 * PMD_SIZE, 64 * PAGE, RW, chance.choice([MAP_PRIVATE, MAP_SHARED]) | MAP_FIXED, file=file)
    spaces = [mm]
    for _ in range(chance.randrange(8, 30)):
        one = chance.choice(spaces)
        one.cpu = chance.randrange(2)
        area, pages = chance.choice([(BASE, 40), (BASE + PMD_SIZE, 40), (BASE + 4 * PMD_SIZE, 60)])
        start, length = area + chance.randrange(pages) * PAGE, chance.randrange(1, 20) * PAGE
        call = chance.choice(["touch", "touch", "write", "write", "mlock", "munlock", "onfault", "swap", "drain", "fork"])
        if call in ("touch", "write"):
            one.touch(start, min(length, area + pages * PAGE - start), "write" if call == "write" else "read")
        elif call == "mlock":
            one.mlock(start, min(length, area + pages * PAGE - start))
        elif call == "munlock":
            one.munlock(start, min(length, area + pages * PAGE - start))
        elif call == "onfault":
            one.mlock2(start, min(length, area + pages * PAGE - start), 1)
        elif call == "swap":
            one.swap_out(start, min(length, area + pages * PAGE - start))
        elif call == "drain":
            one.lru_add_drain_all()
        elif call == "fork" and len(spaces) < 3:
            spaces.append(one.fork())
    check_mm(mm)
    return mm, chance


def same(mm: Mm, stepped: Callable[..., Steps], *arguments: int) -> None:
    """Hold a path to the call that it retells, on one machine, which is left as they leave it."""
    before = mm.snapshot()
    call = (*(() if "mm" in inspect.signature(stepped).parameters else (mm._mm,)), *arguments, 0, 0, 0, 0)[:5]
    ordinary(mm.state, PATHS.index(stepped), *call)
    wanted = mm.snapshot()
    mm.restore(before)
    names = drive(mm.state, stepped(mm.state, *arguments))
    found = mm.snapshot()
    for field, array in wanted.shared.items():
        assert np.array_equal(found.shared[field], array), f"{field} after {names}"
    for number, order in wanted.orders.items():
        assert np.array_equal(found.orders[number], order)


IMPLS = [one.name for one in kernels.implementations()]
OF_5_10 = [one.name for one in kernels.implementations() if one.kernel == LINUX_5_10]
OF_6_1 = [one.name for one in kernels.implementations() if one.kernel == LINUX_6_1]
SINCE_6_1 = [name for name in IMPLS if name not in OF_5_10]


def somewhere(chance: random.Random) -> tuple[int, int]:
    """Return a range below one PMD entry: all or some of a table."""
    area = chance.choice([BASE, BASE + PMD_SIZE, BASE + 4 * PMD_SIZE])
    first = chance.randrange(50)
    return area + first * PAGE, area + min(64, first + chance.randrange(1, 60)) * PAGE


@pytest.mark.parametrize("seed", range(EXAMPLES))
@pytest.mark.parametrize("impl", SINCE_6_1)
def test_a_range_locked_or_unlocked_in_6_1(impl: str, seed: int) -> None:
    mm, chance = machine(impl, seed)
    for lock in (True, False, True):
        start, end = somewhere(chance)
        vma, number = vma_at(mm, start), mm._mm
        end = min(end, int(mm.state.vmas[vma]["vm_end"]))
        flags = int(mm.state.vmas[vma]["vm_flags"]) & VM_LOCKED_CLEAR_MASK
        flags |= chance.choice([VM_LOCKED, VM_LOCKED | VM_LOCKONFAULT]) if lock else 0
        same(mm, steps_6_1.mlock_vma_pages_range, number, vma, start, end, flags)


@pytest.mark.parametrize("seed", range(EXAMPLES))
@pytest.mark.parametrize("impl", OF_5_10)
def test_a_range_unlocked_in_5_10(impl: str, seed: int) -> None:
    mm, chance = machine(impl, seed)
    for _ in range(3):
        start, end = somewhere(chance)
        vma, number = vma_at(mm, start), mm._mm
        end = min(end, int(mm.state.vmas[vma]["vm_end"]))
        same(mm, steps_5_10.munlock_vma_pages_range, number, vma, start, end)


def some_pages(mm: Mm, chance: random.Random) -> list[int]:
    """Return heads and single pages that have references and are mapped."""
    pages = mm.machine.arrays["pages"][st.FIRST_PFN : int(mm.machine.ctl[st.PAGES_TOP])]
    usable = (pages["refcount"] > 0) & (pages["flags"] & PG_tail == 0) & (pages["mapcount"] > 0)
    found = (np.nonzero(usable)[0] + st.FIRST_PFN).tolist()
    return chance.sample(found, min(8, len(found)))


def kernels_of(path: Callable[..., Steps]) -> list[str]:
    """Return the implementations whose kernel has a path of one page."""
    return {"mmmodel.steps_6_1": SINCE_6_1, "mmmodel.steps_5_10": OF_5_10}.get(path.__module__, IMPLS)


@pytest.mark.parametrize("seed", range(EXAMPLES))
@pytest.mark.parametrize(
    ("impl", "stepped"),
    [pytest.param(impl, path, id=f"{impl}-{path.__name__}") for path in OF_ONE_PAGE for impl in kernels_of(path)],
)
def test_one_page(impl: str, stepped: Callable[..., Steps], seed: int) -> None:
    mm, chance = machine(impl, seed)
    for pfn in some_pages(mm, chance):
        vma = int(mm.state.order[chance.randrange(mm.map_count)])
        same(mm, stepped, *(pfn, vma)[: len(inspect.signature(stepped).parameters) - 1])


@pytest.mark.parametrize("seed", range(EXAMPLES))
@pytest.mark.parametrize("impl", IMPLS)
def test_a_hole_of_one_page(impl: str, seed: int) -> None:
    mm, chance = machine(impl, seed)
    file = int(mm.state.vmas[vma_at(mm, BASE + 4 * PMD_SIZE)]["vm_file"])
    for pgoff in chance.sample(range(64), 8):
        same(mm, steps_unmap.punch_hole, file, pgoff)
    check_mm(mm)


def anonymous_pages(mm: Mm) -> list[tuple[int, int, int]]:
    """Return (vma, address, pfn) of the order-0 anonymous pages that an address space alone maps."""
    found = []
    for address in (area + page * PAGE for area in (BASE, BASE + PMD_SIZE) for page in range(64)):
        pmd = pmd_slot(mm.state, mm._mm, address)
        entry = mm.state.entries[pte_offset(mm.state, pmd, address)] if pmd else 0
        if entry & 1 and not entry & _PAGE_SPECIAL:
            pfn = int(pte_pfn(entry))
            page = mm.state.pages[pfn]
            if page["mapping"] & 1 and page["mapcount"] == 1 and not page["flags"] & PG_tail and not page["compound"]:
                found.append((vma_at(mm, address), address, pfn))
    return found


@pytest.mark.parametrize("seed", range(EXAMPLES))
@pytest.mark.parametrize("impl", IMPLS)
def test_reclaim_asks_for_a_page(impl: str, seed: int) -> None:
    mm, chance = machine(impl, seed)
    mm.lru_add_drain_all()
    pages = anonymous_pages(mm)
    for vma, address, pfn in chance.sample(pages, min(8, len(pages))):
        same(mm, steps_unmap.try_to_unmap_one, vma, address, pfn)
    check_mm(mm)


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("impl", IMPLS)
def test_reclaim_of_a_page(impl: str, locked: bool) -> None:
    mm, _ = simple(impl)
    if not locked:
        mm.munlock(BASE, 3 * PAGE)
    mm.lru_add_drain_all()
    vma, address, pfn = anonymous_pages(mm)[1]
    before = mm.observable_state()
    drive(mm.state, steps_unmap.reclaim_page(mm.state, vma, address, pfn))
    check_mm(mm)
    assert (mm.observable_state() == before) == locked
    assert (mm.state.pages[pfn]["refcount"] > 0) == locked


@pytest.mark.parametrize("seed", range(EXAMPLES))
@pytest.mark.parametrize("impl", IMPLS)
def test_migration_leaves_what_was_there(impl: str, seed: int) -> None:
    """No call of the model migrates: what both halves leave is held to what was there before, with its locks."""
    mm, chance = machine(impl, seed)
    mm.lru_add_drain_all()
    pages, spaces = anonymous_pages(mm), mm.observable_state()
    for vma, address, pfn in chance.sample(pages, min(8, len(pages))):
        slot = pte_offset(mm.state, pmd_slot(mm.state, mm._mm, address), address)
        kept = ("refcount", "mapcount", "mapping")
        before, locked = [int(mm.state.pages[pfn][one]) for one in kept], bool(mm.state.vmas[vma]["vm_flags"] & VM_LOCKED)
        entry = int(mm.state.entries[slot])
        get_page(mm.state.pages, pfn)  # the one that migrates it has isolated it
        drive(mm.state, steps_unmap.try_to_migrate_one(mm.state, vma, address))
        assert is_migration_entry(mm.state.entries[slot])
        assert (mm.state.pages[pfn]["mapcount"], mm.state.pages[pfn]["refcount"] > 0) == (0, True)
        mm.lru_add_drain_all()
        assert not mm.state.pages[pfn]["flags"] & PG_mlocked
        drive(mm.state, steps_unmap.remove_migration_pte(mm.state, vma, address))
        lru.put_page(mm.state, pfn)
        mm.lru_add_drain_all()
        page = mm.state.pages[pfn]
        assert (int(mm.state.entries[slot]) ^ entry) & ~0x60 == 0  # but accessed and dirty, which are not kept
        assert [int(page[one]) for one in kept] == before
        assert bool(page["flags"] & PG_mlocked) == locked
    check_mm(mm)
    assert mm.observable_state().vmas == spaces.vmas


@pytest.mark.parametrize("impl", SINCE_6_1)
def test_a_page_table_without_the_migration_entry_is_left_alone(impl: str) -> None:
    mm, _ = simple(impl)
    before = mm.snapshot()
    names = drive(mm.state, steps_unmap.remove_migration_pte(mm.state, vma_at(mm, BASE), BASE))
    assert names == ["lock page table", "unlock page table"]
    assert all(np.array_equal(mm.machine.arrays[field][: len(array)], array) for field, array in before.shared.items())


@pytest.mark.parametrize("impl", SINCE_6_1)
def test_a_new_page(impl: str) -> None:
    mm, _ = machine(impl, 3)
    mm.lru_add_drain_all()
    for address in range(BASE + 60 * PAGE, BASE + 80 * PAGE, PAGE):
        mm.touch(address, 1, "write")  # in the vector of this CPU, as if on its way to the batch
        pfn = int(mm.state.pvecs[mm.cpu, st.LRU_ADD_PVEC, 1])
        if pfn:
            mm.state.pvecs[mm.cpu, st.LRU_ADD_PVEC] = 0
            same(mm, steps_6_1.mlock_new_page, pfn)
            mm.lru_add_drain_all()


@pytest.mark.parametrize("impl", SINCE_6_1)
@pytest.mark.parametrize("locks", [1, 2, 3])
def test_a_page_that_others_lock_too(impl: str, locks: int) -> None:
    mm = Mm(impl)
    mm.mmap(BASE, 4 * PAGE, RW, MAP_SHARED | MAP_FIXED, file=mm.create_file(4 * PAGE))
    spaces = [mm, mm.fork(), mm.fork()]
    for space in spaces[:locks]:
        space.mlock(BASE, 4 * PAGE)
    mm.lru_add_drain_all()
    for pfn in np.nonzero(mm.machine.arrays["pages"]["flags"] & PG_mlocked)[0].tolist():
        assert mm.state.pages[pfn]["lru_prev"] == locks
        drive(mm.state, steps_6_1.munlock_page(mm.state, pfn))
    same(mm, steps.lru_add_drain)
    assert mm.vmstat()["nr_mlock"] == (0 if locks == 1 else 4)


# ---- huge pages, and what no call does ----


def huge(impl: str, locked: bool, children: int = 0) -> tuple[Mm, int, int]:
    """Return an address space with a huge page at BASE that ``children`` map, too, its VMA and its head."""
    mm = Mm(impl, thp="always")
    mm.mmap(BASE, PMD_SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
    mm.touch(BASE, 1, "write")
    mm.lru_add_drain_all()
    if locked:
        mm.mlock(BASE, PMD_SIZE)
    for _ in range(children):
        mm.fork()
    (head,) = np.nonzero(mm.machine.arrays["pages"]["compound"] == children + 1)[0]
    return mm, vma_at(mm, BASE), int(head)


@pytest.mark.parametrize("children", [0, 1])
@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("impl", IMPLS)
def test_a_huge_pmd_is_split(impl: str, locked: bool, children: int) -> None:
    mm, vma, _ = huge(impl, locked, children)
    same(mm, steps_huge.split_huge_pmd, vma, BASE)
    check_mm(mm)
    names = drive(mm.state, steps_huge.split_huge_pmd(mm.state, vma, BASE))
    assert names == ["lock page table", "unlock page table"]  # it is split already


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("impl", SINCE_6_1)
def test_a_huge_page_is_mapped_again_by_migration(impl: str, locked: bool) -> None:
    mm, vma, head = huge(impl, False)
    mm.state.vmas[vma]["vm_flags"] |= VM_LOCKED if locked else 0
    pmd = int(page_walk.walk_to_pmd(mm.state, mm._mm, BASE))
    before, entry = mm.snapshot(), int(mm.state.entries[pmd])
    make_migration_entry(mm.state, pmd)
    mm.state.pages[head]["compound"] -= 1
    mm.state.pages[head]["refcount"] -= 1
    drive(mm.state, steps_huge.remove_migration_pmd(mm.state, vma, BASE))
    assert (int(mm.state.entries[pmd]) ^ entry) & ~0x60 == 0  # but accessed and dirty, which are not kept
    for field in ("refcount", "mapcount", "mapping", "compound"):
        assert mm.state.pages[head][field] == before.shared["pages"][head][field]
    counted = locked and impl in OF_6_1  # the hook of 6.12 is of small folios
    assert bool(mm.state.pages[head]["flags"] & PG_mlocked) == counted
    assert mm.vmstat()["nr_mlock"] == (512 if counted else 0)


@pytest.mark.parametrize("seed", range(EXAMPLES))
@pytest.mark.parametrize("impl", OF_5_10)
def test_populate_finds_a_page(impl: str, seed: int) -> None:
    mm, chance = machine(impl, seed)
    for pfn in some_pages(mm, chance):
        if not mm.state.pages[pfn]["flags"] & (PG_tail | PG_head):
            same(mm, steps_5_10.mlock_followed, pfn)


@pytest.mark.parametrize("seed", range(EXAMPLES))
@pytest.mark.parametrize("impl", OF_6_1)
def test_after_patch_07_a_page_on_its_lru_is_changed_as_by_a_batch(impl: str, seed: int) -> None:
    """No call of the model does it: what one of these paths leaves is what the batch of 6.1 leaves when it is processed."""
    mm, chance = machine(impl, seed)
    mm.lru_add_drain_all()
    pairs = [(steps_6_1.mlock_folio, steps_patch_07.mlock_page), (steps_6_1.munlock_page, steps_patch_07.munlock_at_once)]
    for pfn in some_pages(mm, chance):
        batched, at_once = chance.choice(pairs)
        before = mm.snapshot()
        drive(mm.state, batched(mm.state, pfn))
        mm.lru_add_drain_all()
        wanted, counted = mm.snapshot(), mm.vmstat()
        mm.restore(before)
        drive(mm.state, at_once(mm.state, pfn))
        assert np.array_equal(mm.snapshot().shared["pages"], wanted.shared["pages"])
        assert mm.vmstat() == counted


# ---- what the cuts show ----


def simple(impl: str, pages: int = 3) -> tuple[Mm, list[int]]:
    """Return an address space of a few locked pages on their LRU, and their frames."""
    mm = Mm(impl)
    mm.mmap(BASE, pages * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
    mm.touch(BASE, pages * PAGE, "write")
    mm.lru_add_drain_all()
    mm.mlock(BASE, pages * PAGE)
    mm.lru_add_drain_all()
    flags = mm.machine.arrays["pages"]["flags"]
    return mm, np.nonzero(flags & PG_mlocked)[0].tolist()


def test_others_see_vm_io_while_6_1_locks() -> None:
    mm, _ = simple("page-walk")
    vma = vma_at(mm, BASE)
    flags = int(mm.state.vmas[vma]["vm_flags"])
    seen = []
    for step in steps_6_1.mlock_vma_pages_range(mm.state, mm._mm, vma, BASE, BASE + 3 * PAGE, flags):
        seen.append((step.name, bool(int(mm.state.vmas[vma]["vm_flags"]) & 0x4000)))
    assert seen[0] == ("store vm_flags and VM_IO", False) and seen[-1] == ("store vm_flags", True)
    assert all(guard for _, guard in seen[1:]) and len(seen) > 10
    assert not int(mm.state.vmas[vma]["vm_flags"]) & 0x4000


def test_a_page_is_off_its_lru_while_6_1_unlocks_it() -> None:
    mm, (pfn, *_) = simple("page-walk")
    drive(mm.state, steps_6_1.munlock_page(mm.state, pfn))
    flags = []
    for step in steps.mlock_pagevec(mm.state, 0):
        flags.append((step.name, int(mm.state.pages[pfn]["flags"]) & (PG_lru | PG_mlocked)))
    assert flags == [
        ("TestClearPageLRU", PG_lru | PG_mlocked),
        ("lock LRU", PG_mlocked),
        ("mlock_count", PG_mlocked),
        ("TestClearPageMlocked", PG_mlocked),
        ("page_evictable", 0),
        ("rescue", 0),
        ("SetPageLRU", 0),
        ("unlock LRU", PG_lru),
        ("put_page", PG_lru),
    ]


def test_a_page_that_is_off_its_lru_loses_its_flag_without_the_lru_lock() -> None:
    mm, (pfn, *_) = simple("page-walk")
    drive(mm.state, steps_6_1.munlock_page(mm.state, pfn))
    lru.test_clear_page_lru(mm.state.pages, pfn)  # another task has isolated it
    taken = [step for step in steps.mlock_pagevec(mm.state, 0) if step.name != "put_page"]
    assert [step.name for step in taken] == ["TestClearPageLRU", "TestClearPageMlocked"]
    assert not any(step.takes for step in taken)


@pytest.mark.parametrize("impl", OF_5_10)
def test_two_tasks_of_one_cpu_have_vectors_of_their_own(impl: str) -> None:
    mm, _ = simple(impl)
    child = mm.fork()
    child.touch(BASE, 3 * PAGE, "write")
    child.mlock(BASE, 3 * PAGE)
    spaces, end = (mm, child), BASE + 3 * PAGE
    paths = [steps_5_10.munlock_vma_pages_range(one.state, one._mm, vma_at(one, BASE), BASE, end) for one in spaces]
    while paths:  # in turns
        paths = [path for path in paths if next(path, None) is not None]
    assert mm.vmstat()["nr_mlock"] == 0
    assert not any(one._vm_flags_at(BASE) & VM_LOCKED for one in spaces)


def test_a_position_tells_two_entries_of_one_page_apart() -> None:
    mm, (pfn, *_) = simple("page-walk")
    mm.mlock(BASE, PAGE)
    for _ in range(2):
        drive(mm.state, steps_6_1.munlock_page(mm.state, pfn))
    path = steps.mlock_pagevec(mm.state, 0)
    places = [position(path) for _ in path]
    assert len(set(places)) == len(places) and all(hash(place) for place in places)
    assert position(path) == ()


def test_a_range_of_two_pmds_is_refused() -> None:
    mm, _ = simple("page-walk")
    for path in (
        steps_6_1.mlock_vma_pages_range(mm.state, mm._mm, 1, BASE, BASE + PMD_SIZE + PAGE, 0),
        steps_5_10.munlock_vma_pages_range(mm.state, mm._mm, 1, BASE, BASE + PMD_SIZE + PAGE),
    ):
        with pytest.raises(ValueError, match="not below one PMD entry"):
            next(path)
