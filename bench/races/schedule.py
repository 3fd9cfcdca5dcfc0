"""Schedules that are kept in files, and run again step by step."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bench.errors import UsageError, one_line
from bench.races.interleaving import Interleaving, Task
from bench.races.invariants import shown
from bench.races.races import Race
from bench.races.results import Witness, check_guards, race_named
from mmmodel.jit import source_digest

SCHEMA: Final = 1  # 1: the first
MAX_BYTES: Final = 1 << 20  # of a file


class Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A schedule in a file."""

    schema: int
    race: str
    without: tuple[str, ...]  # guards left out
    finding: str  # what is told of its last state
    sources: str  # digest of what made it
    steps: tuple[tuple[int, str], ...]  # task by number, name of the step
    decided: int | None = None  # the step after which every way leads to the finding, from 1


@dataclass(frozen=True)
class Shown:
    """One step as it was taken."""

    task: int
    name: str
    held: tuple[tuple[str, ...], ...]  # kinds of the locks that each task has after it
    state: str  # of the page, after it
    new: tuple[str, ...]  # what is told of the state after it and was not of the one before


@dataclass(frozen=True)
class Story:
    """A schedule, run."""

    race: Race
    without: tuple[str, ...]
    tasks: tuple[Task, ...]
    before: str  # state of the page at the beginning
    steps: tuple[Shown, ...]
    decided: int | None  # the step, from 1, after which every way leads to what is told of the last one; None: not known


def sources() -> str:
    """Return the digest of the sources that a schedule depends on: the model's and this package's."""
    digest = hashlib.sha256(source_digest().encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def tell(race: Race, without: tuple[str, ...], schedule: tuple[int, ...], decided: int | None = None) -> Story:
    """Run a schedule.  ValueError: a step that cannot be taken."""
    story = _tell_as_far(race, without, schedule, decided)
    if len(story.steps) < len(schedule):
        raise ValueError(f"step {len(story.steps) + 1} cannot be taken")
    return story


def _tell_as_far(race: Race, without: tuple[str, ...], schedule: tuple[int, ...], decided: int | None) -> Story:
    """Run a schedule up to the first step that cannot be taken."""
    situation = race.build(race.kernel, without)
    system = Interleaving(situation)
    system.go_to(())
    before = shown(situation)
    told: set[str] = set()
    steps: list[Shown] = []
    for actor in schedule:
        if actor not in system.enabled():
            break
        name = system.step(actor)
        view = system.view()
        found = situation.judge(situation, view)
        new = tuple(one for one in found if one not in told)
        told |= set(found)
        held = tuple(tuple(sorted(lock.kind for lock in one)) for one in view.held)
        steps.append(Shown(actor, name, held, shown(situation), new))
    return Story(race, without, situation.tasks, before, tuple(steps), decided)


def encode(race: Race, without: tuple[str, ...], witness: Witness) -> bytes:
    """Return a schedule as it is kept."""
    steps = tuple((step.task, step.name) for step in tell(race, without, witness.schedule).steps)
    saved = Saved(SCHEMA, race.name, without, witness.finding, sources(), steps, witness.decided)
    return msgspec.json.format(msgspec.json.encode(saved), indent=1) + b"\n"


def load(path: Path) -> Saved:
    """Read a schedule; UsageError: it is none, or of a race or guard that there is not."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{one_line(path, 120)}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{one_line(path, 120)}: longer than {MAX_BYTES >> 20} MiB: no schedule")
    try:
        saved = msgspec.json.decode(data, type=Saved)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{one_line(path, 120)}: no schedule: {one_line(error)}") from None
    if saved.schema != SCHEMA:
        raise UsageError(f"{one_line(path, 120)}: schema {saved.schema}, and this reads {SCHEMA}")
    check_guards(race_named(saved.race), saved.without)
    return saved


@dataclass(frozen=True)
class Replay:
    """A kept schedule, run again."""

    story: Story
    changed: bool  # the sources are others than those that made it
    differs: str | None  # where it goes another way now


def replay(saved: Saved) -> Replay:
    """Run a kept schedule again, as far as it goes."""
    race = race_named(saved.race)
    without = check_guards(race, saved.without)
    changed = saved.sources != sources()
    schedule = tuple(task for task, _ in saved.steps)
    story = _tell_as_far(race, without, schedule, saved.decided)
    for number, (step, (_, name)) in enumerate(zip(story.steps, saved.steps, strict=False), 1):
        if step.name != name:
            return Replay(story, changed, f"step {number} was {one_line(name, 60)!r}, and is {step.name!r}")
    if len(story.steps) < len(schedule):
        return Replay(story, changed, f"step {len(story.steps) + 1} cannot be taken any more")
    ends = {name for step in story.steps for name in step.new}
    if saved.finding not in ends:
        return Replay(story, changed, f"{one_line(saved.finding, 60)!r} is not told of it any more")
    return Replay(story, changed, None)
