"""A second opinion: races written once more in Promela, from the facts, and run by Spin.

Spin's steps are not ours one by one: it has some more where nobody else can look, and no references, counters or lists.  What
both have is the page's state (``Projection``), so these states are compared, how a race can end, and which invariants break.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.races import invariants as inv
from bench.races.explorer import explore
from bench.races.interleaving import Interleaving, Situation, View
from bench.races.races import DRAINS, FLAGS_FIRST, MIGRATION_DRAIN, ONE_STORE, RACES, VM_IO_GUARD
from bench.races.results import variants
from mmmodel.constants import VM_IO, VM_LOCKED, PG_lru

SOURCES = Path(__file__).parent / "spin"
WITHOUT = {  # a guard that is left out, as the Promela models have it
    VM_IO_GUARD: "NO_VM_IO",
    ONE_STORE: "TWO_STORES",
    FLAGS_FIRST: "FLAGS_LAST",
    DRAINS: "NO_DRAINS",
    MIGRATION_DRAIN: "NO_MIGRATION_DRAIN",
}
MODELS = {  # a race, as its file and what is defined there
    "mlock-vs-migration": ("mlock_vs_migration.pml",),
    "mlock-vs-migration-held": ("mlock_vs_migration.pml", "HELD"),
    "munlock-vs-lru-add": ("munlock_vs_lru_add.pml",),
}
COMPARED = {inv.COUNT_TOO_HIGH, inv.STRANDED_MLOCKED, inv.STRANDED, inv.REFERENCE_LEFT, inv.OFF_LRU}
CASES = [(name, without) for name in MODELS for without in variants(RACES[name])]

pytestmark = pytest.mark.skipif(
    not (shutil.which("spin") and shutil.which("gcc")), reason="no spin, or no gcc, which Spin's verifiers are compiled by"
)


class Projection(NamedTuple):
    """What both tools say of a race."""

    states: frozenset[str]  # VM_LOCKED, VM_IO, mapped, PG_lru, PG_unevictable, PG_mlocked, mlock_count
    ends: frozenset[str]  # the same, and how many entries wait in vectors
    broken: frozenset[str]  # invariants


def by_spin(name: str, without: Sequence[str], directory: Path) -> Projection:
    """Run the Promela model of a race, without reduction and without optimizing variables away."""
    model, *defined = MODELS[name]
    for path in SOURCES.glob("*.pml"):
        shutil.copy(path, directory)
    defines = [f"-D{word}" for word in (*defined, *(WITHOUT[guard] for guard in without))]
    for command in (
        ["spin", "-o1", "-o2", "-o3", *defines, "-a", model],
        ["gcc", "-O0", "-w", "-DNOREDUCE", "-DSAFETY", "-DPRINTF", "-o", "pan", "pan.c"],
    ):
        subprocess.run(command, cwd=directory, check=True, capture_output=True)
    said = subprocess.run(["./pan", "-n"], cwd=directory, check=True, capture_output=True, text=True).stdout
    assert "errors: 0" in said and "Search not completed" not in said  # no task is stuck
    return Projection(
        frozenset(re.findall(r"^S (\d+)$", said, re.MULTILINE)),
        frozenset(re.findall(r"^E (\d+ \d+)$", said, re.MULTILINE)),
        frozenset(re.findall(r"^B (.*) 1$", said, re.MULTILINE)),
    )


def shown(situation: Situation) -> tuple[str, int]:
    """Return the page's state as the Promela models print it, and how many entries wait for it in vectors."""
    page = inv.facts_of(situation, situation.pages[0])
    flags = int(situation.mm.state.vmas[situation.entries[0][0]]["vm_flags"])
    bits = (flags & VM_LOCKED, flags & VM_IO, page.mappings, page.flags & PG_lru, page.unevictable, page.mlocked)
    return "".join("1" if bit else "0" for bit in bits) + str(page.count), len(page.queued)


def by_explorer(name: str, without: Sequence[str]) -> Projection:
    """Explore the race, and tell of each state what both tools know of it."""

    def judge(situation: Situation, view: View) -> Sequence[str]:
        state, waiting = shown(situation)
        end = [f"E {state} {waiting}"] if view.last else []
        return [f"S {state}", *end, *(f"B {one}" for one in inv.judge(situation, view) if one in COMPARED)]

    race = RACES[name]
    found = explore(Interleaving(dataclasses.replace(race.build(race.kernel, without), judge=judge)))
    assert found.complete
    return Projection(*(frozenset(one[2:] for one in found.findings if one.startswith(kind)) for kind in "SEB"))


def difference(ours: frozenset[str], spins: frozenset[str]) -> str:
    """Return what one of them lacks, as text; nothing if they are the same."""
    return " ".join(
        [*(f"only ours: {one}" for one in sorted(ours - spins)), *(f"only Spin's: {one}" for one in sorted(spins - ours))]
    )


@pytest.mark.parametrize(("name", "without"), CASES, ids=[" without ".join([name, *without]) for name, without in CASES])
def test_spin_agrees(name: str, without: tuple[str, ...], tmp_path: Path) -> None:
    ours, spins = by_explorer(name, without), by_spin(name, without, tmp_path)
    for field in Projection._fields:
        assert difference(getattr(ours, field), getattr(spins, field)) == "", field
    assert ours.states and ours.ends


def test_a_model_that_is_another_is_told_by_the_state_that_one_lacks(tmp_path: Path) -> None:
    ours, spins = by_explorer("mlock-vs-migration-held", ()), by_spin("mlock-vs-migration-held", ("vm-io",), tmp_path)
    assert "only Spin's: 1011112" in difference(ours.states, spins.states)  # counted twice
    assert difference(ours.broken, spins.broken) == f"only Spin's: {inv.COUNT_TOO_HIGH}"
