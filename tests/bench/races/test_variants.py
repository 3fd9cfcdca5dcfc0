"""Kernels and patches side by side: the same race in another one, or with a weaker guard; more tasks, more and larger pages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.races import invariants as inv
from bench.races.explorer import Exploration, explore
from bench.races.guards import ALL_SPECIAL
from bench.races.interleaving import Interleaving, Moment, Situation, View
from bench.races.races import RACES
from bench.races.results import Result, variants
from bench.races.schedule import Shown, tell
from mmmodel.kernels import LINUX_6_12
from support.raced import explored, raced


def steps_of(found: Result, finding: str) -> list[Shown]:
    """Return the shortest schedule to something that is told, as it runs."""
    known = found.broken | found.notes
    return list(tell(found.race, found.without, known[finding].schedule).steps)


def last(steps: list[Shown], task: int, name: str) -> int:
    """Return where a task takes a step of this name for the last time."""
    return max(number for number, step in enumerate(steps) if (step.task, step.name) == (task, name))


def first(steps: list[Shown], task: int, name: str) -> int:
    """Return where a task takes a step of this name for the first time."""
    return min(number for number, step in enumerate(steps) if (step.task, step.name) == (task, name))


# ---- 5.10: one bit ----


@pytest.mark.parametrize(
    ("race", "ends"),
    [
        ("munlock-vs-truncate-5.10", {"freed"}),
        ("mlock-vs-migration-5.10", {"evictable", "evictable, in a vector"}),
        ("mlock-vs-reclaim-5.10", {"evictable", "freed"}),
        ("munlock-vs-lru-add-5.10", {"evictable"}),
    ],
)
def test_5_10_strands_nothing(race: str, ends: set[str]) -> None:
    found = raced(race)
    assert not found.broken and set(found.outcomes) == ends


# ---- patch 07 alone, against 6.1 with its batches and drains ----


@pytest.mark.parametrize("guard", ["vm-io", "one-store", "flags-first"])
def test_after_patch_07_every_guard_is_needed(guard: str) -> None:
    assert not raced("mlock-vs-migration-07").broken
    assert inv.STRANDED_MLOCKED in raced("mlock-vs-migration-07", guard).broken


def test_after_patch_07_migration_must_put_the_page_on_its_lru_before_it_maps_it() -> None:
    assert set(raced("mlock-vs-migration-07", "lru-first").broken) == {inv.STRANDED_MLOCKED, inv.COUNT_TOO_HIGH}
    steps = steps_of(raced("mlock-vs-migration-07", "lru-first"), inv.STRANDED_MLOCKED)
    assert last(steps, 0, "TestSetPageMlocked") < last(steps, 1, "add to list") < first(steps, 0, "mlock_count")
    assert inv.STRANDED_MLOCKED not in raced("mlock-vs-migration", "lru-first").broken  # its count begins at 0


def test_batches_opened_the_race_with_lru_add() -> None:
    assert raced("munlock-vs-lru-add-07").outcomes == ("evictable",) and not raced("munlock-vs-lru-add-07").broken
    assert inv.STRANDED in raced("munlock-vs-lru-add").broken


def test_after_patch_07_a_page_that_is_put_back_is_counted_for_its_flag_and_once_more() -> None:
    assert inv.STRANDED_MLOCKED not in raced("mlock-vs-reclaim").broken  # the batches' patch starts the count at 0
    found = raced("mlock-vs-reclaim-07")
    assert set(found.broken) == {inv.STRANDED_MLOCKED, inv.COUNT_TOO_HIGH}
    steps = steps_of(found, inv.COUNT_TOO_HIGH)
    flag, put_back = last(steps, 0, "TestSetPageMlocked"), last(steps, 1, "add to list")
    assert flag < put_back < last(steps, 0, "mlock_count")


def test_nothing_waits_in_a_vector_where_there_are_no_batches() -> None:
    for name, race in RACES.items():
        if name.endswith("-07"):
            found = raced(name)
            assert {inv.IN_VECTOR, inv.REFERENCE_LEFT}.isdisjoint({*found.broken, *found.notes}), name
            assert "drains" not in race.guards and "migration-drain" not in race.guards


def test_two_lockers_strand_a_page_with_and_without_batches() -> None:
    for name in ("two-lockers", "two-lockers-07"):
        assert inv.STRANDED in raced(name).broken
    steps = steps_of(raced("two-lockers-07"), inv.STRANDED)
    isolated = last(steps, 1, "TestClearPageLRU")  # by mlock, which then waits for the LRU lock
    assert isolated < last(steps, 0, "TestClearPageMlocked")


# ---- VM_IO alone, or all of VM_SPECIAL ----


def leaving_out(name: str, *what: str) -> Exploration[Moment]:
    """Explore a race and leave out what it may not name as a guard."""
    race = RACES[name]
    if what in variants(race):
        return explore(explored(name, *what).system)
    return visited(Interleaving(race.build(race.kernel, what)))


def visited(system: Interleaving) -> Exploration[Moment]:
    """Explore a system."""
    system.visit_all()
    return explore(system)


@pytest.mark.parametrize("without", [(), ("vm-io",), ("one-store",), ("flags-first",)])
@pytest.mark.parametrize("name", ["mlock-vs-migration", "mlock-vs-migration-held", "mlock-vs-reclaim"])
def test_what_of_vm_special_is_declined_makes_no_difference_to_mlock(name: str, without: tuple[str, ...]) -> None:
    """mlock_fixup() sets VM_LOCKED on no VMA that has a flag of VM_SPECIAL, so VM_IO is the only one that the hook can see."""
    all_of_it, vm_io_alone = leaving_out(name, *without), leaving_out(name, *without, ALL_SPECIAL)
    for one in ("stored", "matched", "depth", "complete"):
        assert getattr(all_of_it, one) == getattr(vm_io_alone, one)
    assert list(all_of_it.findings) == list(vm_io_alone.findings)
    assert {node.state.schedule() for node in all_of_it.ends.values()} == {
        node.state.schedule() for node in vm_io_alone.ends.values()
    }


def test_a_driver_that_maps_pages_needs_all_of_vm_special_declined() -> None:
    assert (raced("driver-mmap").outcomes, raced("driver-mmap").broken) == (("evictable",), {})
    assert inv.STRANDED_MLOCKED in raced("driver-mmap", ALL_SPECIAL).broken


# ---- two pages ----


def test_a_page_on_its_lru_munlocked_before_keeps_the_race_with_lru_add_away() -> None:
    assert raced("munlock-vs-lru-add-second").outcomes == ("evictable; evictable",)
    assert not raced("munlock-vs-lru-add-second").broken
    mine = raced("munlock-vs-lru-add-first")
    assert inv.STRANDED in mine.broken
    assert all(end.endswith("; evictable") for end in mine.outcomes)  # never the other page


def test_two_pages_are_told_apart() -> None:
    found = raced("two-pages-vs-migration-vs-reclaim", "vm-io")
    assert inv.STRANDED_MLOCKED in found.broken
    assert found.limit == f"{found.race.preemptions} preemptions"


# ---- three tasks ----


@pytest.mark.parametrize("race", ["mlock-vs-migration-vs-truncate", "mlock-vs-migration-vs-reclaim"])
def test_a_third_task_does_not_get_past_the_guard(race: str) -> None:
    assert inv.STRANDED_MLOCKED not in raced(race).broken
    assert raced(race).reduced


def test_a_page_that_migration_maps_and_a_hole_takes_is_freed() -> None:
    for without in ((), ("vm-io",)):
        assert raced("mlock-vs-migration-vs-truncate", *without).outcomes == ("freed",)


def test_compaction_makes_two_lockers_no_worse() -> None:
    alone, with_it = raced("two-lockers-held"), raced("two-lockers-compaction")
    assert set(with_it.broken) == set(alone.broken) and set(alone.outcomes) <= set(with_it.outcomes)


def test_two_readers_of_the_reverse_map_meet() -> None:
    def both(situation: Situation, view: View) -> list[str]:
        readers = sum(any(lock.kind == "rmap" for lock in held) for held in view.held)
        return [f"{readers} readers"]

    race = RACES["mlock-vs-migration-vs-truncate"]
    found = visited(Interleaving(replace(race.build(race.kernel, ()), judge=both), reduce=True))
    assert set(found.findings) == {"0 readers", "1 readers", "2 readers"}


# ---- a huge page ----


def test_6_1_strands_a_huge_page_that_is_split_between_munlock_and_its_walk() -> None:
    found = raced("huge-munlock-vs-split")
    assert set(found.outcomes) == {"evictable", "mlocked, count 1"}
    steps = steps_of(found, inv.STRANDED_MLOCKED)
    cleared = min(number for number, step in enumerate(steps) if (step.task, step.name) == (0, "store vm_flags"))
    looked = last(steps, 1, "look at vm_flags")  # by the split, under the page table lock
    assert cleared < looked < last(steps, 0, "lock page table")


def test_6_12_unlocks_a_huge_page_that_entries_map() -> None:
    for name in ("huge-munlock-vs-split", "huge-mlock-vs-split"):
        assert inv.STRANDED_MLOCKED in raced(name).broken
        assert (raced(f"{name}-6.12").outcomes, raced(f"{name}-6.12").broken) == (("evictable",), {})


def test_a_split_takes_back_what_was_not_counted() -> None:
    found = raced("huge-shared-vs-split")
    assert inv.UNDERCOUNT in found.notes and not found.broken


def test_a_huge_page_needs_vm_io_in_6_1_and_not_in_6_12() -> None:
    assert not raced("huge-mlock-vs-migration").broken
    assert inv.STRANDED_MLOCKED in raced("huge-mlock-vs-migration", "vm-io").broken
    assert not raced("huge-mlock-vs-migration-6.12", "vm-io").broken


@pytest.mark.parametrize(
    "name", ["munlock-vs-truncate", "mlock-vs-migration", "mlock-vs-reclaim", "munlock-vs-lru-add", "two-lockers"]
)
def test_6_12_takes_the_steps_of_6_1_at_a_page_of_order_0(name: str) -> None:
    race = RACES[name]
    mine, other = explore(explored(name).system), visited(Interleaving(race.build(LINUX_6_12, ())))
    assert (mine.stored, mine.matched, list(mine.findings)) == (other.stored, other.matched, list(other.findings))
