"""check_mm() catches what it is for: one state, damaged in one way at a time, each time the right invariant fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mmmodel import Mm, check_mm
from mmmodel import constants as mc
from mmmodel import state as st
from mmmodel.check import ModelError
from mmmodel.counters import NR_INACTIVE_ANON, NR_MLOCK, NR_UNEVICTABLE
from oracle import constants as c
from support.facts import BASE, PAGE, map_anon, map_file

HUGE = BASE + (1 << 30)
FILE = BASE + (2 << 30)
LOCKED = 4  # pages of the first VMA, populated and locked
Entries = dict[int, int]  # address -> slot of the entry
Damage = Callable[["Scene"], None]


def entries_of(mm: Any) -> Entries:
    """Where the entries are, by a walk of its own."""
    state, found = mm.state, {}

    def walk(table: int, shift: int, base: int) -> None:
        for i in range(512):
            entry = int(state.entries[table << 9 | i])
            if entry == 0:
                continue
            if shift == 12 or entry & mc._PAGE_PSE:
                found[base + (i << shift)] = table << 9 | i
            else:
                walk(entry >> 12 & mc.PFN_FIELD, shift - 9, base + (i << shift))

    walk(int(state.mms[mm._mm]["pgd"]), 39, 0)
    return found


class Scene:
    """A machine with some of everything: two processes, locked and unlocked pages, a file, a huge page, full vectors."""

    def __init__(self, impl: str) -> None:
        self.mm = Mm(impl, thp="madvise")
        file = self.mm.create_file(8 * PAGE)
        map_anon(self.mm, 16)
        map_anon(self.mm, 512, at=HUGE)
        map_file(self.mm, file, 8, at=FILE)
        self.mm.madvise(HUGE, 512 * PAGE, c.MADV_HUGEPAGE)
        self.mm.touch(HUGE, 1, "write")
        self.mm.touch(FILE, 3 * PAGE, "write")
        self.mm.touch(BASE + 8 * PAGE, 4 * PAGE, "write")
        self.mm.touch(BASE + 12 * PAGE, PAGE, "read")
        self.child = self.mm.fork()
        self.mm.mlock(BASE, LOCKED * PAGE)
        self.mm.lru_add_drain_all()
        self.mm.touch(BASE + 13 * PAGE, PAGE, "write")  # stays in a vector
        self.state = self.mm.state
        self.slots = entries_of(self.mm)
        self.file = file.number

    def pfn(self, address: int) -> int:
        """The page mapped at an address."""
        return int(self.state.entries[self.slots[address]]) >> 12 & mc.PFN_FIELD

    def page(self, address: int) -> Any:
        """struct page of the page mapped at an address."""
        return self.state.pages[self.pfn(address)]

    def vma(self, position: int) -> Any:
        """A VMA of the first process."""
        return self.state.vmas[self.state.order[position]]

    @property
    def record(self) -> Any:
        """mm_struct of the first process."""
        return self.state.mms[self.mm._mm]


def add(field: str, number: int) -> Damage:
    """Damage: a field of the mm is off by a number."""

    def damage(scene: Scene) -> None:
        scene.record[field] += number

    return damage


def vma_field(position: int, field: str, number: int) -> Damage:
    """Damage: a field of a VMA is off by a number."""

    def damage(scene: Scene) -> None:
        scene.vma(position)[field] += number

    return damage


def page_field(address: int, field: str, number: int) -> Damage:
    """Damage: a field of the page at an address is off by a number."""

    def damage(scene: Scene) -> None:
        scene.page(address)[field] += number

    return damage


def page_flag(address: int, flag: int) -> Damage:
    """Damage: a flag of the page at an address is flipped."""

    def damage(scene: Scene) -> None:
        scene.page(address)["flags"] ^= flag

    return damage


def counter(index: int) -> Damage:
    """Damage: a counter is off by one."""

    def damage(scene: Scene) -> None:
        scene.state.counters[index] += 1

    return damage


def control(index: int, number: int) -> Damage:
    """Damage: a word of an allocator is off by a number."""

    def damage(scene: Scene) -> None:
        scene.state.ctl[index] += number

    return damage


def entry_bits(address: int, bits: int) -> Damage:
    """Damage: bits of an entry are flipped."""

    def damage(scene: Scene) -> None:
        scene.state.entries[scene.slots[address]] ^= bits

    return damage


def stray_entry(scene: Scene) -> None:
    """An entry where there is no VMA, in a table that is there."""
    scene.state.entries[scene.slots[BASE] + 100] = scene.state.entries[scene.slots[BASE]]


def stray_table(scene: Scene) -> None:
    """An empty table at an address that no VMA uses."""
    table = scene.mm.machine._new_table()
    scene.record["nr_tables"] += 1
    pud = scene.state.entries[int(scene.record["pgd"]) << 9 | BASE >> 39 & 511] >> 12 & mc.PFN_FIELD
    pmd = scene.state.entries[pud << 9 | BASE >> 30 & 511] >> 12 & mc.PFN_FIELD
    scene.state.entries[pmd << 9 | 300] = table << 12 | mc.TABLE_BITS


def leak_table(scene: Scene) -> None:
    """A table that nobody points to."""
    scene.mm.machine._new_table()


def leak_frame(scene: Scene) -> None:
    """A frame that nobody uses."""
    scene.state.ctl[st.PAGES_TOP] += 1


def lose_vma_slot(scene: Scene) -> None:
    """A VMA slot that is neither in use nor free."""
    scene.state.ctl[st.VMAS_TOP] += 1


def dirty_vma_slot(scene: Scene) -> None:
    """A free VMA slot that still has flags."""
    scene.mm.mmap(FILE + (1 << 30), PAGE, 3, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED)
    scene.mm.munmap(FILE + (1 << 30), PAGE)
    scene.state.vmas[scene.state.ctl[st.VMAS_FREE]]["vm_flags"] = 1


def lose_deposit(scene: Scene) -> None:
    """The table deposited for the huge PMD is gone."""
    scene.record["deposit"] = 0


def swap_list_neighbours(scene: Scene) -> None:
    """The backward link of a page on an LRU list is wrong."""
    scene.page(FILE)["lru_prev"] = scene.pfn(FILE)


def wrong_anon_vma(scene: Scene) -> None:
    """An anonymous page says that it belongs to the huge page's anon_vma."""
    scene.page(BASE + 8 * PAGE)["mapping"] = scene.page(HUGE)["mapping"]


def active_vmas(scene: Scene) -> None:
    """num_active_vmas is off by one."""
    scene.state.anon_vmas[scene.vma(0)["anon_vma"]]["num_active_vmas"] += 1


def children(scene: Scene) -> None:
    """num_children is off by one."""
    scene.state.anon_vmas[scene.vma(0)["anon_vma"]]["num_children"] += 1


def chain_backwards(scene: Scene) -> None:
    """The list of an anon_vma does not read backwards."""
    anon_vma = scene.state.anon_vmas[scene.vma(0)["anon_vma"]]
    following = scene.state.avcs[anon_vma["avc_head"]]["next_same_anon_vma"]
    assert following
    scene.state.avcs[following]["prev_same_anon_vma"] = 0


def cached(scene: Scene) -> None:
    """files.cached is off by one."""
    scene.state.files[scene.file]["cached"] += 1


def short_file(scene: Scene) -> None:
    """The file ends before its cached pages."""
    scene.state.files[scene.file]["nr_pages"] = 1


def file_refs(scene: Scene) -> None:
    """A reference to the file too many."""
    scene.state.files[scene.file]["refs"] += 1


def i_mmap(scene: Scene) -> None:
    """The file does not know the VMAs that map it."""
    scene.state.files[scene.file]["i_mmap"] = 0


def long_vector(scene: Scene) -> None:
    """A vector that should have been emptied."""
    scene.state.pvecs[0, st.LRU_ADD_PVEC, 0] = scene.state.ctl[st.BATCH_SIZE]


def drop_vector(scene: Scene) -> None:
    """A vector forgets a page, which goes nowhere now."""
    scene.state.pvecs[0, st.LRU_ADD_PVEC, 0] = 0
    scene.page(BASE + 13 * PAGE)["refcount"] -= 1


def writable_twice(scene: Scene) -> None:
    """A page shared by fork is writable in one of the two."""
    scene.state.entries[scene.slots[BASE + 8 * PAGE]] |= mc._PAGE_RW


def tail(scene: Scene) -> None:
    """A tail that belongs to no head."""
    scene.state.pages[scene.pfn(HUGE) + 7]["compound"] = 0


DAMAGE: dict[str, tuple[str, Damage]] = {
    "map_count": ("one list once", add("map_count", 1)),
    "total_vm": ("total_vm", add("total_vm", 1)),
    "locked_vm": ("locked_vm", add("locked_vm", -1)),
    "nr_tables": ("nr_tables", add("nr_tables", 1)),
    "def_flags": ("def_flags", add("def_flags", 1)),
    "lock flag": ("locked_vm", vma_field(0, "vm_flags", -mc.VM_LOCKED)),
    "guard left": ("VM_IO guard", vma_field(0, "vm_flags", mc.VM_IO)),
    "onfault alone": ("VM_LOCKONFAULT", vma_field(1, "vm_flags", mc.VM_LOCKONFAULT)),
    "overlap": ("disjoint", vma_field(0, "vm_end", PAGE)),
    "unaligned": ("page-aligned", vma_field(0, "vm_start", 1)),
    "owner of a VMA": ("knows its mm", vma_field(0, "vm_mm", 1)),
    "lost VMA slot": ("either in use or free", lose_vma_slot),
    "dirty VMA slot": ("slot is clean", dirty_vma_slot),
    "free VMAs": ("free list of VMAs", control(st.VMAS_NFREE, 1)),
    "avc_count": ("avc_count", vma_field(0, "avc_count", 1)),
    "num_active_vmas": ("num_active_vmas", active_vmas),
    "num_children": ("num_children", children),
    "chain backwards": ("both ways", chain_backwards),
    "cached": ("files.cached", cached),
    "short file": ("beyond the end", short_file),
    "file refs": ("refs of a file", file_refs),
    "i_mmap": ("i_mmap lists", i_mmap),
    "stray entry": ("lies in a VMA", stray_entry),
    "stray table": ("serves a VMA", stray_table),
    "lost table": ("in use or free", leak_table),
    "free tables": ("free list of tables", control(st.TABLES_NFREE, 1)),
    "deposit": ("deposited table per huge PMD", lose_deposit),
    "access bits": ("access bits", entry_bits(BASE, mc._PAGE_NX)),
    "write bit": ("without VM_WRITE", vma_field(0, "vm_flags", -mc.VM_WRITE)),
    "special bit": ("special entries", entry_bits(BASE, mc._PAGE_SPECIAL)),
    "writable twice": ("mapped once", writable_twice),
    "page index": ("page.index", page_field(BASE, "index", 1)),
    "file page index": ("file and offset", page_field(FILE, "index", 1)),
    "anon_vma of a page": ("linked to its anon_vma", wrong_anon_vma),
    "mapcount": ("mapcount is", page_field(FILE, "mapcount", 1)),
    "compound mapcount": ("compound_mapcount", page_field(HUGE, "compound", 1)),
    "refcount": ("refcount", page_field(FILE, "refcount", 1)),
    "refcount 0": ("in use", page_field(BASE, "refcount", -1)),
    "tail": ("tails", tail),
    "lost frame": ("in use or free, once", leak_frame),
    "page lock": ("flags of a page", page_flag(BASE, mc.PG_locked)),
    "long vector": ("emptied when full", long_vector),
    "dropped from a vector": ("waits for it", drop_vector),
    "list backwards": ("both ways", swap_list_neighbours),
    "wrong list": ("its flags name", page_flag(FILE, mc.PG_active)),
    "PG_lru": ("LRU", page_flag(FILE, mc.PG_lru)),
    "nr_inactive_anon": ("LRU's counter", counter(NR_INACTIVE_ANON)),
    "nr_unevictable": ("LRU's counter", counter(NR_UNEVICTABLE)),
    "nr_mlock": ("nr_mlock", counter(NR_MLOCK)),
    "PG_mlocked lost": ("is mlocked", page_flag(BASE, mc.PG_mlocked)),
    "PG_mlocked too much": ("is unevictable", page_flag(FILE, mc.PG_mlocked)),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_caught(what: str, impl: str) -> None:
    invariant, damage = DAMAGE[what]
    scene = Scene(impl)
    check_mm(scene.mm)
    damage(scene)
    with pytest.raises(ModelError, match=invariant):
        check_mm(scene.mm)


def test_mlock_count_beyond_the_mappings_is_caught() -> None:
    scene = Scene("page-walk")
    check_mm(scene.mm)
    scene.page(BASE)["lru_prev"] += 1
    with pytest.raises(ModelError, match="mlock_count"):
        check_mm(scene.mm)


@pytest.mark.parametrize(
    ("damage", "invariant"),
    [
        ("flag", "the page of a swap slot names it"),
        ("slot", "the page of a swap slot names it"),
        ("page", "references of a swap slot"),
        ("page, reference", "the slot of a page in the swap cache names it"),
    ],
)
def test_a_swap_slot_and_its_page_that_do_not_name_each_other_are_caught(damage: str, invariant: str, impl: str) -> None:
    """Two processes share a page that was swapped out; one has read it in again, so that it is in the swap cache."""
    mm = Mm(impl)
    map_anon(mm, 1)
    mm.touch(BASE, PAGE, "write")
    mm.lru_add_drain_all()
    assert mm.swap_out(BASE, PAGE) == 1
    child = mm.fork()
    mm.touch(BASE, PAGE, "read")
    assert child.pagemap(BASE, BASE + PAGE) == []
    check_mm(mm)
    page = mm.state.pages[int(mm.state.entries[entries_of(mm)[BASE]]) >> 12 & mc.PFN_FIELD]
    assert page["flags"] & mc.PG_swapcache
    if damage == "flag":
        page["flags"] &= ~mc.PG_swapcache
        page["refcount"] -= 1
    elif damage == "slot":
        page["compound"] += 1
    else:
        slot = mm.state.pages[page["compound"]]
        slot["index"] = 0
        slot["refcount"] -= damage == "page, reference"
    with pytest.raises(ModelError, match=invariant):
        check_mm(mm)


def test_an_mlocked_page_of_5_10_without_mapping_is_caught() -> None:
    mm = Mm("per-page", nr_cpus=2)
    file = mm.create_file(PAGE)
    map_file(mm, file, 1)
    mm.cpu = 1
    mm.touch(BASE, 1, "write")
    mm.cpu = 0
    mm.munmap(BASE, PAGE)
    check_mm(mm)  # the page is in the vector of CPU 1
    page = mm.state.pages[mm.state.pvecs[1, st.LRU_ADD_PVEC, 1]]
    assert page["mapcount"] == 0
    page["flags"] |= mc.PG_mlocked
    mm.state.counters[NR_MLOCK] += 1
    with pytest.raises(ModelError, match="goes with the last mapping"):
        check_mm(mm)


def test_a_shared_page_that_is_called_exclusive_is_caught() -> None:
    scene = Scene("page-walk")
    scene.page(BASE + 8 * PAGE)["flags"] |= mc.PG_anon_exclusive
    with pytest.raises(ModelError, match="PG_anon_exclusive"):
        check_mm(scene.mm)
