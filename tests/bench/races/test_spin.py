"""A second opinion: every race written once more in Promela, from the facts, and run by Spin.

Spin's steps are not ours one by one: it has some more where nobody else can look.  What both have is ``State``, so the sets of
these states are compared, the states in which a race can end, which invariants break, and what else is told of it.
"""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.races.races import ALL_SPECIAL, DRAINS, FLAGS_FIRST, LRU_FIRST, MIGRATION_DRAIN, ONE_STORE, RACES, VM_IO_GUARD
from bench.races.results import variants
from mmmodel import steps
from support.projected import Batches, Page, State, Vma
from support.raced import explore_anew, explored, explored_whole

SOURCES = Path(__file__).parent / "spin"
# By the numbers that page.pml gives them:
WITHOUT = ("", VM_IO_GUARD, ONE_STORE, FLAGS_FIRST, DRAINS, MIGRATION_DRAIN, ALL_SPECIAL, LRU_FIRST)
RECORD = tomllib.loads((SOURCES / "races.toml").read_text(encoding="utf-8"))
MODELS: dict[str, list[str]] = RECORD["models"]
MORE_IN_FULL: dict[str, list[str]] = RECORD["more-in-full"]
BEYOND: dict[str, list[str]] = RECORD["beyond-the-bound"]
CASES = [(name, without) for name in MODELS for without in variants(RACES[name]) if RACES[name].preemptions is None]
BOUNDED = [(name, without) for name in MODELS for without in variants(RACES[name]) if RACES[name].preemptions is not None]
# Where the kernel's own steps lead to more ends: a page that reclaim has unmapped stays in the swap cache while somebody else
# refers to it.
MORE_ENDS_IN_FULL = {"mlock-vs-reclaim", "mlock-vs-reclaim-07", "mlock-vs-reclaim-5.10", "mlock-vs-migration-vs-reclaim"}
IDS = [" without ".join([name, *without]) for name, without in CASES]

pytestmark = pytest.mark.skipif(
    not (shutil.which("spin") and shutil.which("gcc")), reason="no spin, or no gcc, which Spin's verifiers are compiled by"
)


Facts = frozenset[State] | frozenset[str]


class Projection(NamedTuple):
    """What both tools say of a race."""

    states: frozenset[State]
    ends: frozenset[State]
    broken: frozenset[str]  # invariants
    notes: frozenset[str]  # what is only worth telling


# ---- by Spin ----


def batches_in(word: str, nr_pages: int) -> Batches:
    """Read a CPU's batches: a digit for each page, then one for each place of the mlock batch, tag and page in one."""
    tags = [int(digit) - 1 for digit in word[nr_pages:] if digit != "0"]
    return Batches(tuple(map(int, word[:nr_pages])), tuple((tag // 3, tag % 3 + 1) for tag in tags))


def parsed(line: str) -> State:
    """Read a state as the Promela models print it."""
    first, second, lru_lock, *words = line.split()
    batches = [batches_in(word, len(words) - 3) for word in words[:3]]
    vmas = [Vma(int(word[0]), int(word[1]), tuple(map(int, word[2:]))) for word in (first, second)]
    pages = tuple(Page(*map(int, word.split(","))) for word in words[3:])
    return State((vmas[0], vmas[1]), int(lru_lock), (batches[0], batches[1], batches[2]), pages)


def verify(name: str, directory: Path) -> dict[str, set[str]]:
    """Run the Promela model of a race, without reduction and without optimizing variables away: what it tells, by kind.

    A kind is a letter, the guard that is left out, and whether the steps are the kernel's, as page.pml has them.
    """
    model, *defined = MODELS[name]
    for command in (
        ["spin", "-o1", "-o2", "-o3", *(f"-D{word}" for word in defined), "-a", model],
        ["gcc", "-O0", "-w", "-DNOREDUCE", "-DSAFETY", "-DNOFAIR", "-DCOLLAPSE", "-o", "pan", "pan.c"],
    ):
        subprocess.run(command, cwd=directory, check=True, capture_output=True)
    said = subprocess.run(["./pan", "-n"], cwd=directory, check=True, capture_output=True, text=True).stdout
    assert "errors: 0" in said and "Search not completed" not in said, said[-2000:]  # no task is stuck
    told: dict[str, set[str]] = {}
    for line in set(said.splitlines()):
        if line[:2] in ("S ", "E ", "B ", "N "):
            told.setdefault(line[:5], set()).add(line[6:])
    return told


class Verifier:
    """Runs each model once, for all its guards."""

    def __init__(self, sources: Path, directory: Path) -> None:
        self._directory = directory
        self._said: dict[str, dict[str, set[str]]] = {}
        for path in sources.glob("*.pml"):
            shutil.copy(path, directory)

    def projection(self, name: str, without: Sequence[str], *, in_full: bool = False) -> Projection:
        """Return what Spin says of a race."""
        if name not in self._said:
            self._said[name] = verify(name, self._directory)
        variant = f"{WITHOUT.index(''.join(without))} {int(in_full)}"
        lines = {kind: self._said[name].get(f"{kind} {variant}", set()) for kind in "SEBN"}
        assert lines["E"], f"{name} has no variant {without} in Promela"
        return Projection(
            frozenset(map(parsed, lines["S"])), frozenset(map(parsed, lines["E"])), frozenset(lines["B"]), frozenset(lines["N"])
        )


@pytest.fixture(scope="module")
def spin(tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    """Spin, with the models."""
    return Verifier(SOURCES, tmp_path_factory.mktemp("spin"))


# ---- by our explorer ----


def ours(name: str, *without: str) -> Projection:
    """Return what exploring the race tells of it."""
    whole = RACES[name].preemptions is None
    found = (explored_whole if whole else explored)(name, *without)
    assert (found.result.limit is None) == whole
    return Projection(found.states, found.ends, frozenset(found.result.broken), frozenset(found.result.notes))


# ---- both ----


def difference(ours: Facts, spins: Facts) -> str:
    """Return what one of them lacks, as text; nothing if they are the same."""
    lines = [*(f"only ours: {one}" for one in ours - spins), *(f"only Spin's: {one}" for one in spins - ours)]
    return "\n".join(sorted(lines))


def assert_same(ours: Projection, spins: Projection, fields: Sequence[str] = Projection._fields) -> None:
    """Fail with the states that one of them lacks."""
    assert ours.states and ours.ends
    for field in fields:
        assert difference(getattr(ours, field), getattr(spins, field)) == "", field


def test_a_race_has_a_model_or_a_reason() -> None:
    assert set(MODELS) | set(RECORD["without-a-model"]) == set(RACES)
    assert not set(MODELS) & set(RECORD["without-a-model"])


@pytest.mark.parametrize(("name", "without"), CASES, ids=IDS)
def test_spin_finds_the_same_states(name: str, without: tuple[str, ...], spin: Verifier) -> None:
    assert_same(ours(name, *without), spin.projection(name, without))


@pytest.mark.parametrize(("name", "without"), CASES, ids=IDS)
def test_steps_as_fine_as_the_kernels_change_no_verdict(name: str, without: tuple[str, ...], spin: Verifier) -> None:
    mine, full = ours(name, *without), spin.projection(name, without, in_full=True)
    assert full.broken | full.notes == mine.broken | mine.notes | set(MORE_IN_FULL.get(name, ()))
    assert not mine.ends - full.ends
    if name not in MORE_ENDS_IN_FULL:
        assert difference(mine.ends, full.ends) == ""


# ---- races that ours explores to a bound: Spin searches them whole ----


@pytest.mark.parametrize("in_full", [False, True], ids=["", "in full"])
@pytest.mark.parametrize(("name", "without"), BOUNDED, ids=[" without ".join([name, *without]) for name, without in BOUNDED])
def test_spin_finds_what_is_within_the_bound(name: str, without: tuple[str, ...], in_full: bool, spin: Verifier) -> None:
    mine, spins = ours(name, *without), spin.projection(name, without, in_full=in_full)
    if not in_full:
        assert mine.states and not mine.states - spins.states
    assert mine.ends and not mine.ends - spins.ends
    beyond = set(BEYOND[" without ".join([name, *without])])
    assert not beyond & (mine.broken | mine.notes)
    assert spins.broken | spins.notes == mine.broken | mine.notes | beyond


# ---- that a difference is told ----


def test_a_step_of_a_promela_model_that_is_another_is_told(tmp_path: Path) -> None:
    for path in SOURCES.glob("*.pml"):
        shutil.copy(path, tmp_path)
    path = tmp_path / "linux_6_1.pml"
    text, look = path.read_text(encoding="utf-8"), ":: isolated && pg_unevictable && !pg_mlocked -> rescue()"
    assert text.count(look) == 1
    path.write_text(text.replace(look, ":: isolated && pg_unevictable && pg_mlocked -> rescue()"), encoding="utf-8")
    (tmp_path / "run").mkdir()
    spins = Verifier(tmp_path, tmp_path / "run").projection("munlock-vs-lru-add", ())
    assert "only ours: mapped; no entry; PG_lru; mlock_count 0" in difference(ours("munlock-vs-lru-add").states, spins.states)


def test_a_step_of_ours_that_is_another_is_told(spin: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "count_munlock", lambda pages, pfn: False)  # mlock_count stays
    other, spins = explore_anew("munlock-vs-lru-add", ()), spin.projection("munlock-vs-lru-add", ())
    assert "only Spin's: mapped; no entry; PG_unevictable; mlock_count 0" in difference(other.states, spins.states)
