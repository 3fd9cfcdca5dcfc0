"""What the races come to, held to what the mail and the facts of the kernels say, and how they are explored."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from bench.races import chart
from bench.races import invariants as inv
from bench.races.explorer import Limits, Move, explore
from bench.races.interleaving import Interleaving, Moment, Situation, Task
from bench.races.invariants import outcome
from bench.races.races import GUARDS, RACES
from bench.races.results import Result, run, variants
from bench.races.schedule import tell
from mmmodel.steps import Lock, Path, Step
from support.raced import raced

ALL = [(name, without) for name, race in RACES.items() for without in variants(race)]
IDS = [" without ".join([name, *without]) for name, without in ALL]


def everything(result: Result) -> set[str]:
    return {*result.broken, *result.notes}


# ---- the two races of the mail ----


def test_a_page_truncated_while_it_is_munlocked_keeps_its_flag_until_it_is_freed() -> None:
    for name in ("munlock-vs-truncate", "munlock-vs-truncate-pinned"):
        found = raced(name)
        assert (found.broken, found.outcomes) == ({}, ("freed",))
        assert inv.MLOCKED_UNMAPPED in found.notes


def test_with_vm_io_mlock_and_migration_never_count_twice() -> None:
    found = raced("mlock-vs-migration")
    assert not found.broken
    assert all(end.startswith("evictable") for end in found.outcomes)
    assert not raced("mlock-vs-migration-held").broken


def test_without_vm_io_a_page_is_counted_twice_and_stranded() -> None:
    assert "mlocked, count 2" in raced("mlock-vs-migration-held", "vm-io").outcomes
    found = raced("mlock-vs-migration", "vm-io")
    assert {inv.STRANDED_MLOCKED, inv.COUNT_TOO_HIGH} == set(found.broken)
    assert "mlocked, count 1" in found.outcomes


def test_the_guard_leaves_an_undercount_which_reclaim_repairs() -> None:
    found = raced("mlock-vs-migration-held")
    assert found.outcomes == ("evictable, in a VM_LOCKED VMA", "mlocked, count 1")
    assert set(found.notes) == {inv.UNDERCOUNT}
    repaired = raced("mlock-vs-migration-reclaim")
    assert (repaired.outcomes, everything(repaired)) == (("mlocked, count 1",), set())


def test_reclaim_is_as_migration() -> None:
    assert inv.STRANDED_MLOCKED not in raced("mlock-vs-reclaim").broken
    assert "mlocked, count 1" in raced("mlock-vs-reclaim", "vm-io").outcomes
    assert inv.STRANDED_MLOCKED in raced("mlock-vs-reclaim", "vm-io").broken


@pytest.mark.parametrize("race", ["mlock-vs-migration", "mlock-vs-reclaim"])
@pytest.mark.parametrize("guard", ["vm-io", "one-store", "flags-first", "drains"])
def test_every_guard_is_needed(race: str, guard: str) -> None:
    assert inv.STRANDED_MLOCKED in raced(race, guard).broken


def test_migration_must_drain() -> None:
    assert inv.REFERENCE_LEFT not in raced("mlock-vs-migration-held").broken
    assert set(raced("mlock-vs-migration-held", "migration-drain").broken) == {inv.REFERENCE_LEFT}


def test_munlock_must_drain() -> None:
    assert set(raced("munlock-vs-truncate", "drains").broken) == {inv.STRANDED_MLOCKED}


# ---- PG_mlocked cleared without the LRU lock ----


def test_munlock_of_a_page_off_its_lru_can_strand_it() -> None:
    found = raced("munlock-vs-lru-add")
    assert set(found.broken) == {inv.STRANDED, inv.COUNT_TOO_HIGH}
    story = tell(found.race, (), found.broken[inv.STRANDED].schedule)
    (cleared,) = (number for number, step in enumerate(story.steps) if step.name == "TestClearPageMlocked")
    failed = max(number for number, step in enumerate(story.steps[:cleared]) if step.task == story.steps[cleared].task)
    assert story.steps[failed].name == "TestClearPageLRU"  # found it off its LRU, and then holds no LRU lock
    assert any(step.name == "SetPageLRU" or step.name == "page_evictable" for step in story.steps[:cleared] if step.task == 1)


def test_5_10_munlocks_under_the_lru_lock_and_strands_nothing() -> None:
    found = raced("munlock-vs-lru-add-5.10")
    assert (found.outcomes, everything(found)) == (("evictable",), set())


def test_isolation_repairs_what_munlock_stranded_and_another_mlock_does_not() -> None:
    assert raced("munlock-vs-lru-add-compaction").outcomes == ("evictable",)
    assert set(raced("munlock-vs-lru-add-mlock").outcomes) == {"evictable", "mlocked, count 1"}


# ---- all of them ----


@pytest.mark.parametrize(("name", "without"), ALL, ids=IDS)
def test_every_state_was_seen_and_no_task_stuck(name: str, without: tuple[str, ...]) -> None:
    found = raced(name, *without)
    bound = RACES[name].preemptions
    assert found.limit == (None if bound is None else f"{bound} preemptions") and found.outcomes and found.stored > 50
    assert not {inv.DEADLOCK, inv.OFF_LRU, inv.NR_MLOCK_WRONG, inv.REFERENCE_MISSING} & everything(found)


@pytest.mark.parametrize(("name", "without"), ALL, ids=IDS)
def test_a_schedule_leads_to_what_is_told_of_it_and_not_before(name: str, without: tuple[str, ...]) -> None:
    found = raced(name, *without)
    for finding, witness in (found.broken | found.notes).items():
        story = tell(found.race, without, witness.schedule)
        assert finding in story.steps[-1].new


def test_a_readable_schedule_has_no_more_preemptions_than_the_shortest() -> None:
    race = RACES["mlock-vs-migration"]
    shortest, readable = (run(race, ("vm-io",), readable=one).broken[inv.STRANDED_MLOCKED] for one in (False, True))
    assert len(shortest.schedule) <= len(readable.schedule)
    assert readable.preemptions <= shortest.preemptions
    assert readable.preemptions == 1  # mlock comes in between the look at vm_flags and what led to it
    fewer = run(race, ("vm-io",), Limits(preemptions=0))
    assert inv.STRANDED_MLOCKED not in fewer.broken and fewer.limit == "0 preemptions"


@pytest.mark.parametrize(
    ("name", "guard", "preemptions"),
    [
        ("mlock-vs-migration", "vm-io", 1),  # removed
        ("mlock-vs-migration", "one-store", 2),  # weakened: there is a moment between two stores
        ("driver-mmap", "all-special", 0),  # weakened
        ("mlock-vs-migration", "flags-first", 1),  # the store after the walk
        ("mlock-vs-migration", "drains", 0),
        ("mlock-vs-migration-held", "migration-drain", 0),
    ],
)
def test_what_a_guard_is_for_is_shown_in_few_preemptions(name: str, guard: str, preemptions: int) -> None:
    found = run(RACES[name], (guard,), readable=True)
    worst = next(iter(found.broken.values()))
    assert worst.preemptions <= preemptions and worst.decided is not None
    told = list(chart.lines(tell(found.race, found.without, worst.schedule, worst.decided)))
    assert sum("from here on" in line for line in told) == 1
    assert any(f"^ BROKEN: {worst.finding}" in line for line in told)
    assert worst.finding not in run(RACES[name], ()).broken


def test_the_step_that_decides_is_the_first_that_does() -> None:
    race = RACES["mlock-vs-migration"]
    worst = run(race, ("vm-io",), readable=True).broken[inv.STRANDED_MLOCKED]
    assert worst.decided is not None
    step = tell(race, ("vm-io",), worst.schedule).steps[worst.decided - 1]
    assert (step.task, step.name) == (0, "store vm_flags")
    system, chance = Interleaving(race.build(race.kernel, ("vm-io",))), random.Random(1)
    before, after = (
        {rest(system, worst.schedule[:length], chance)[1] for _ in range(60)} for length in (worst.decided - 1, worst.decided)
    )
    assert len(before) > 1 and after == {"mlocked, count 1"}


def test_twice_is_the_same() -> None:
    assert run(RACES["two-lockers-held"], ("drains",)) == run(RACES["two-lockers-held"], ("drains",))


def test_limits_are_told() -> None:
    assert run(RACES["munlock-vs-lru-add"], (), Limits(states=20)).limit == "20 states"


def test_races_name_guards_that_there_are() -> None:
    assert {guard for race in RACES.values() for guard in race.guards} == set(GUARDS)


# ---- states ----


def rest(system: Interleaving, schedule: tuple[int, ...], chance: random.Random) -> tuple[list[str], str]:
    """Go on from a schedule at random, to the end: the steps, and the outcome."""
    system.go_to(schedule)
    names = []
    while enabled := system.enabled():
        names.append(system.step(chance.choice(enabled)))
    return names, outcome(system.situation)


def test_states_that_are_held_for_equal_go_on_alike() -> None:
    for name in ("mlock-vs-migration", "mlock-vs-reclaim", "munlock-vs-lru-add-5.10"):
        race = RACES[name]
        system = Interleaving(race.build(race.kernel, ()))
        system.visit_all()
        first: dict[Moment, Moment] = {}
        twice: list[tuple[Moment, Moment]] = []
        explore(Recorded(system, first, twice))
        assert len(twice) > 50
        for one, other in twice:
            assert (one.enabled, one.findings) == (other.enabled, other.findings)
            seen = []
            for moment in (one, other):
                system.go_to(moment.schedule())
                told = tuple(inv.judge(system.situation, system.view()))
                seen.append((inv.facts_of(system.situation, system.situation.pages[0]), told))
            assert seen[0] == seen[1] and seen[0][1] == one.findings
        for one, other in random.Random(1).sample(twice, 25):
            seed = len(one.schedule())
            assert rest(system, one.schedule(), random.Random(seed)) == rest(system, other.schedule(), random.Random(seed))


class Recorded:
    """A system that notes each state that is reached once more, by another schedule."""

    def __init__(self, system: Interleaving, first: dict[Moment, Moment], twice: list[tuple[Moment, Moment]]) -> None:
        self._system, self._first, self._twice = system, first, twice

    def start(self) -> Moment:
        return self._system.start()

    def moves(self, state: Moment) -> Sequence[Move[Moment]]:
        moves = self._system.moves(state)
        for move in moves:
            known = self._first.setdefault(move.state, move.state)
            if known is not move.state:
                self._twice.append((known, move.state))
        return moves

    def findings(self, state: Moment, *, last: bool) -> Sequence[str]:
        return self._system.findings(state, last=last)


@pytest.mark.parametrize("name", ["mlock-vs-migration-held", "mlock-vs-reclaim", "munlock-vs-lru-add", "two-lockers-held"])
def test_random_schedules_end_as_the_exploration_says(name: str) -> None:
    race, known = RACES[name], raced(name)
    system = Interleaving(race.build(race.kernel, ()))
    ends = {rest(system, (), random.Random(seed))[1] for seed in range(150)}
    assert ends <= set(known.outcomes) and len(ends) > 1


# ---- the driver ----


def small(*paths: Callable[[], Path]) -> Situation:
    """Return a situation of paths of our own."""
    race = RACES["munlock-vs-lru-add"]
    built = race.build(race.kernel, ())
    tasks = tuple(Task(f"task {number}", number, path) for number, path in enumerate(paths))
    return Situation(built.mm, tasks, built.pages, built.entries, built.cache_slots, built.judge)


def locks(*kinds: str) -> Callable[[], Path]:
    """Return a path that takes locks one after the other, and drops them all."""

    def path() -> Path:
        for kind in kinds:
            yield Step(f"lock {kind}", takes=(Lock(kind, 0),))
        yield Step("unlock", drops=tuple(Lock(kind, 0) for kind in kinds))

    return path


def test_a_deadlock_is_found() -> None:
    found = explore(Interleaving(small(locks("a", "b"), locks("b", "a"))))
    assert [node.state.schedule() for node in [found.findings[inv.DEADLOCK]]] in ([(0, 1)], [(1, 0)])
    assert inv.DEADLOCK not in explore(Interleaving(small(locks("a", "b"), locks("a", "b")))).findings


def test_tasks_with_a_lock_keep_others_out() -> None:
    system = Interleaving(small(locks("a"), locks("a")))
    system.step(0)
    assert system.enabled() == [0]
    with pytest.raises(ValueError, match="task 1 cannot take a step"):
        system.step(1)
    with pytest.raises(ValueError, match="no task 2"):
        system.step(2)


def test_a_step_without_its_lock_is_an_error() -> None:
    def path() -> Path:
        yield Step("careless", needs=(Lock("a", 0),))

    with pytest.raises(ValueError, match="careless does not keep to its locks"):
        explore(Interleaving(small(path)))


def readers(name: str, *, shared: bool) -> Callable[[], Path]:
    """Return a path that has a lock for a step."""

    def path() -> Path:
        lock = Lock(name, 0, shared)
        yield Step("lock", takes=(lock,))
        yield Step("unlock", drops=(lock,))

    return path


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True), (False, False)])
def test_readers_keep_out_writers_only(first: bool, second: bool) -> None:
    system = Interleaving(small(readers("a", shared=first), readers("a", shared=second)))
    system.step(0)
    assert system.enabled() == ([0, 1] if first and second else [0])


def test_a_lock_that_is_tried_is_had_only_if_it_is_free() -> None:
    got: list[bool] = []

    def path() -> Path:
        lock = Lock("a", 0)
        got.append((yield Step("trylock", tries=lock)))
        if got[-1]:
            yield Step("unlock", needs=(lock,), drops=(lock,))

    for before, had in (([], True), ([1], False), ([1, 1], True)):
        system = Interleaving(small(path, readers("a", shared=False)))
        for task in before:
            system.step(task)
        assert system.step(0) == "trylock" and got.pop() == had


def test_two_tasks_of_one_cpu_are_refused() -> None:
    built = small(locks("a"))
    with pytest.raises(ValueError, match="two tasks of one CPU"):
        Situation(built.mm, (*built.tasks, *built.tasks), built.pages, built.entries, built.cache_slots, built.judge)
