"""Tasks of the model that run at the same time, as a system to explore: their steps in every order that their locks allow.

The arrays of the machine, the place of each task in its path and the locks that it has are the state.  A path is a generator,
which cannot be copied: a state is returned to by running the steps that led there once more.  :meth:`Interleaving.visit_all`
is the cheapest way to know every move.

**Reduction.**  Steps that are marked quiet (:func:`mmmodel.steps.take`, :func:`mmmodel.steps.drop`) do nothing but take or drop
locks.  A drop can as well come at once: whoever can go on before it can go on after it, to the same state.  A take can as well
come late: whoever can go on after it could before it.  So a task's take, its next step if that takes nothing (it can then
always be taken), and the drops after it can be one move.  What is told of the states in between is told of those before the
take, or after the drops, too, since a judge tells no less where fewer locks are held.  Ends, and what is told, are therefore
the same with and without; ``tests/bench/races/test_reduction.py`` holds both conditions in every state of every race.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.races.explorer import Move
from mmmodel import Mm
from mmmodel import state as st
from mmmodel.constants import PTRS_PER_TABLE, PG_unevictable
from mmmodel.counters import NR_MLOCK, NR_UNEVICTABLE
from mmmodel.kernels import V6_1
from mmmodel.steps import Lock, Path, Step, position

# Of a page: what paths look at. Where it is in its list no path asks, and lru_prev is the count only while there is one.
_PAGE_FIELDS: Final = ("flags", "refcount", "mapcount", "mapping", "compound")

Schedule = tuple[int, ...]  # the tasks whose steps were taken, by number


@dataclass(frozen=True)
class Task:
    """Something that runs on a CPU of its own."""

    name: str
    cpu: int
    path: Callable[[], Path]  # from its beginning
    after: tuple[int, ...] = ()  # tasks, by number, that must be done before it begins
    has: tuple[Lock, ...] = ()  # locks that it has from the beginning


@dataclass(frozen=True)
class Situation:
    """A machine just before a race, and the tasks that are about to run."""

    mm: Mm
    tasks: tuple[Task, ...]
    pages: tuple[int, ...]  # the frames that the race is about
    entries: tuple[tuple[int, int], ...]  # (VMA, slot of the entry) where they may be mapped
    cache_slots: tuple[int, ...]  # of the page cache's entries for them
    judge: Callable[[Situation, View], Sequence[str]]  # what is to be told of a state, by name
    huge: bool = False  # the pages are huge, and the slots are those of their PMD entries

    def __post_init__(self) -> None:
        together = [task for task in self.tasks if not task.after]
        if len({task.cpu for task in together}) < len(together):
            raise ValueError("two tasks of one CPU: its vectors are under a lock that no step names")


@dataclass(frozen=True)
class View:
    """What a judge may know beside the arrays."""

    held: tuple[frozenset[Lock], ...]  # by task
    done: bool  # all tasks are
    last: bool  # no task can take a step


class Moment:
    """A state that was reached, equal to others by what can be told apart."""

    __slots__ = ("actor", "enabled", "findings", "key", "parent", "pending", "steps")

    def __init__(self, key: tuple[int, ...], parent: Moment | None, actor: int, steps: int) -> None:
        self.key = key
        self.parent = parent
        self.actor = actor
        self.steps = steps  # of the actor, from the parent
        self.enabled: tuple[int, ...] = ()
        self.pending: tuple[Step | None, ...] = ()  # what each task would do next
        self.findings: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Moment) and self.key == other.key

    def schedule(self) -> Schedule:
        """The steps that led here first."""
        actors: list[int] = []
        moment: Moment = self
        while moment.parent is not None:
            actors += [moment.actor] * moment.steps
            moment = moment.parent
        return tuple(reversed(actors))


class _Run:
    """The tasks on their machine, somewhere in a schedule."""

    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.machine = situation.mm.machine
        self.before = situation.mm.snapshot()
        self.taken: list[int] = []
        self.paths: list[Path | None] = []  # None: waits for others
        self.pending: list[Step | None] = []
        self.held: list[frozenset[Lock]] = []
        self.rewind()

    def rewind(self) -> None:
        """Back to the beginning."""
        self.situation.mm.restore(self.before)
        self.taken = []
        self.paths = [None] * len(self.situation.tasks)
        self.held = [frozenset(task.has) for task in self.situation.tasks]
        self.pending = [None] * len(self.paths)
        self._begin()

    def _begin(self) -> None:
        """Let the tasks begin that wait for nobody any more."""
        done = [path is not None and step is None for path, step in zip(self.paths, self.pending, strict=True)]
        for actor, task in enumerate(self.situation.tasks):
            if self.paths[actor] is None and all(done[other] for other in task.after):
                self.paths[actor] = task.path()
                self._resume(actor)

    def _resume(self, actor: int, got: bool | None = None) -> None:
        """Run a path on to its next step; `got`: whether the lock that it tried is its own now."""
        self.machine.ctl[st.CPU] = self.situation.tasks[actor].cpu
        path = self.paths[actor]
        try:
            self.pending[actor] = None if path is None else next(path) if got is None else path.send(got)
        except StopIteration:
            self.pending[actor] = None

    def go_to(self, schedule: Schedule, *, known: bool = False) -> None:
        """Stand where a schedule ends; `known`: it was taken before, and need not be checked."""
        if tuple(self.taken) != schedule[: len(self.taken)]:
            self.rewind()
        for actor in schedule[len(self.taken) :]:
            step = self.pending[actor]
            if known and step is not None:
                self._take(actor, step)
            else:
                self.step(actor)

    def repeat(self, actor: int, steps: int) -> None:
        """Take steps of a task that were taken from here before."""
        for _ in range(steps):
            step = self.pending[actor]
            if step is None:
                raise ValueError(f"{self.situation.tasks[actor].name} is done")
            self._take(actor, step)

    def can_step(self, actor: int) -> bool:
        """Whether a task has a step to take, and all its locks are free."""
        step = self.pending[actor]
        return step is not None and all(self._is_free(actor, lock) for lock in step.takes)

    def _is_free(self, actor: int, lock: Lock) -> bool:
        """Whether no other task has a lock that excludes this one."""
        return not any(lock.excludes(one) for other, held in enumerate(self.held) if other != actor for one in held)

    def step(self, actor: int) -> str:
        """Take a task's next step: its name.  ValueError: it cannot be taken, or the task lacks a lock for it."""
        step = self.pending[actor]
        name = self.situation.tasks[actor].name
        if step is None or not self.can_step(actor):
            raise ValueError(f"{name} cannot take a step here")
        held = self.held[actor]
        if held & set(step.takes) or not (held | set(step.takes)) >= {*step.needs, *step.drops}:
            raise ValueError(f"{name}: {step.name} does not keep to its locks")
        self._take(actor, step)
        return step.name

    def _take(self, actor: int, step: Step) -> None:
        """Take a step that can be taken."""
        got = None
        if step.tries is not None:
            got = self._is_free(actor, step.tries)
            if got:
                self.held[actor] |= {step.tries}
        if step.takes or step.drops:
            self.held[actor] = self.held[actor].union(step.takes).difference(step.drops)
        self._resume(actor, got)
        if self.pending[actor] is None:
            self._begin()
        self.taken.append(actor)

    def move(self, actor: int, together: bool) -> list[str]:
        """Take a task's next step, and `together` with it those that nobody can come between: their names."""
        first = self.pending[actor]
        names = [self.step(actor)]
        took = first is not None and first.quiet and bool(first.takes)
        while together and (step := self.pending[actor]) is not None:
            if not (step.quiet and step.drops) and not (took and not step.takes and step.tries is None):
                break
            took = False
            names.append(self.step(actor))
        return names

    def enabled(self) -> list[int]:
        """The tasks that can take a step."""
        return [actor for actor in range(len(self.paths)) if self.can_step(actor)]

    def view(self) -> View:
        """What a judge may know."""
        done = None not in self.paths and not any(self.pending)
        return View(tuple(self.held), done, not self.enabled())

    def contents(self) -> bytes:
        """The arrays, as far as a path or a judge can tell."""
        arrays = self.machine.arrays
        pages = arrays["pages"][st.FIRST_PFN : int(self.machine.ctl[st.PAGES_TOP])]
        parts = [pages[field].tobytes() for field in _PAGE_FIELDS]
        if self.machine.ctl[st.KERNEL] >= V6_1:
            parts.append(np.where(pages["flags"] & PG_unevictable, pages["lru_prev"], 0).tobytes())
        entries = arrays["entries"][: int(self.machine.ctl[st.TABLES_TOP]) * PTRS_PER_TABLE]
        used = entries.nonzero()[0]
        parts += [used.tobytes(), entries[used].tobytes(), arrays["vmas"]["vm_flags"].tobytes()]
        parts += [row[: row[0] + 1].tobytes() for vectors in arrays["pvecs"] for row in vectors]
        parts += [arrays["munlock_pvecs"].tobytes(), self.machine.counters[[NR_MLOCK, NR_UNEVICTABLE]].tobytes()]
        return b"".join(parts)

    def place(self, actor: int) -> Hashable:
        """Where a task stands."""
        path = self.paths[actor]
        return path and position(path), self.held[actor]


class Interleaving:
    """A situation as a system to explore.

    What follows a state is kept, so that a second exploration, in another order, drives the machine no more.  `reduce`: steps
    that nobody can come between are one move.
    """

    def __init__(self, situation: Situation, *, reduce: bool = False) -> None:
        self.situation = situation
        self.reduce = reduce
        self._run = _Run(situation)
        self._moves: dict[Moment, list[Move[Moment]]] = {}
        self._numbers: dict[Hashable, int] = {}  # of everything that a key is made of, in the order of its coming
        self._told: dict[tuple[int, View], tuple[str, ...]] = {}  # by the judge, of what the arrays hold
        self._waiting = [number for number, task in enumerate(situation.tasks) if task.after]

    def start(self) -> Moment:
        """Return the state before the first step."""
        self._run.rewind()
        return self._moment(None, -1, 0)

    def moves(self, state: Moment) -> Sequence[Move[Moment]]:
        """Return a move for each task that can take a step, and leave the machine behind the last of them."""
        if state in self._moves:
            return self._moves[state]
        found, schedule = [], state.schedule()
        for actor in state.enabled:
            self._run.go_to(schedule, known=True)
            found.append(self._new_move(state, actor))
        self._moves[state] = found
        return found

    def visit_all(self) -> None:
        """Drive the machine through every move of every state.

        Each way begins at the start, prefers moves that were not taken yet, then such as lead to some, and ends where there are
        none.  The ways are few, since each takes many new moves.
        """
        ways = _Ways()
        start = ways.place(self.start())
        while start.left:
            place = start
            self._run.rewind()
            while place.left:
                number = place.choose()
                move = place.moves[number]
                if move is None:
                    move = self._new_move(place.moment, place.moment.enabled[number])
                    ways.take(place, number, move)
                else:
                    self._run.repeat(move.actor, move.steps)
                after = place.after[number]
                assert after is not None
                place = after
        self._moves |= ways.moves()

    def findings(self, state: Moment, *, last: bool) -> Sequence[str]:
        """Return what the situation's judge said of the state when it was reached."""
        return state.findings

    def go_to(self, schedule: Schedule) -> None:
        """Leave the machine at the end of a schedule.  ValueError: a step that cannot be taken there."""
        self._run.go_to(schedule)

    def step(self, actor: int) -> str:
        """Take a task's next step: its name.  ValueError: it cannot be taken there."""
        if not 0 <= actor < len(self.situation.tasks):
            raise ValueError(f"there is no task {actor}")
        return self._run.step(actor)

    def enabled(self) -> list[int]:
        """Return the tasks that can take a step where the machine stands."""
        return self._run.enabled()

    def view(self) -> View:
        """Return what a judge may know where the machine stands."""
        return self._run.view()

    def _new_move(self, state: Moment, actor: int) -> Move[Moment]:
        """Take the move of a task from where the machine stands."""
        names = self._run.move(actor, self.reduce)
        return Move(actor, ", ".join(names), self._moment(state, actor, len(names)), len(names))

    def _number(self, part: Hashable) -> int:
        return self._numbers.setdefault(part, len(self._numbers))

    def _moment(self, parent: Moment | None, actor: int, steps: int) -> Moment:
        """Return where the machine stands; it was at the parent before the actor's steps."""
        if parent is None:
            places = [self._number(self._run.place(task)) for task in range(len(self.situation.tasks))]
        else:
            places = list(parent.key[1:])
            for task in (actor, *self._waiting):  # others stand where they stood
                places[task] = self._number(self._run.place(task))
        contents = self._number(self._run.contents())
        moment, view = Moment((contents, *places), parent, actor, steps), self._run.view()
        moment.enabled, moment.pending = tuple(self._run.enabled()), tuple(self._run.pending)
        if (contents, view) not in self._told:
            self._told[contents, view] = tuple(self.situation.judge(self.situation, view))
        moment.findings = self._told[contents, view]
        return moment


_NOT_TAKEN: Final = 1 << 62  # more than any number of moves


class _Place:
    """A state, and what is known of its moves."""

    __slots__ = ("after", "before", "left", "moment", "moves")

    def __init__(self, moment: Moment) -> None:
        self.moment = moment
        self.moves: list[Move[Moment] | None] = [None] * len(moment.enabled)
        self.after: list[_Place | None] = [None] * len(moment.enabled)  # by move
        self.before: list[_Place] = []  # that have moves to here, until there are none left
        self.left = len(moment.enabled)  # moves that were not taken, or lead to where some are left

    def choose(self) -> int:
        """Return the number of a move that was not taken, or of the one that leads to where most are left."""
        left = [_NOT_TAKEN if after is None else after.left for after in self.after]
        return left.index(max(left))


class _Ways:
    """Which moves were taken, and from which states there are some left."""

    def __init__(self) -> None:
        self._places: dict[Moment, _Place] = {}

    def place(self, moment: Moment) -> _Place:
        """Return the place of a state."""
        if moment not in self._places:
            self._places[moment] = _Place(moment)
        return self._places[moment]

    def take(self, place: _Place, number: int, move: Move[Moment]) -> None:
        """Note where a move has led."""
        place.moves[number] = move
        place.after[number] = after = self.place(move.state)
        if after.left:
            after.before.append(place)
            return
        done = [place]
        while done:  # a move of theirs needs no more: nor do those that lead there, if it was the last
            one = done.pop()
            one.left -= 1
            if not one.left:
                done += one.before

    def moves(self) -> dict[Moment, list[Move[Moment]]]:
        """Return the moves of all states."""
        return {place.moment: [move for move in place.moves if move is not None] for place in self._places.values()}
