"""The list of broken models fits the sources, and its command tells caught ones from survivors."""

from __future__ import annotations

import pytest

import mutate
from gate_mutants import BROKEN, COUNTERS, SLOWER, GateMutant
from mutants import MUTANTS, Mutant, broken_source, file_of

PACKAGE = mutate.ROOT / "mmmodel"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_every_mutant_can_be_made(mutant: Mutant) -> None:
    source = broken_source(PACKAGE, mutant)
    compile(source, mutant.file, "exec")
    assert source != file_of(PACKAGE, mutant).read_text(encoding="utf-8")


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 14


def test_a_mutant_is_caught_and_a_change_without_effect_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    harmless = Mutant("harmless", "mlock.py", "The mlock family", "All of the mlock family")
    monkeypatch.setattr(mutate, "MUTANTS", (MUTANTS[2], harmless))
    monkeypatch.setattr(mutate, "TESTS", ("tests/model/test_differences.py::test_the_stated_answers_are_given",))
    assert mutate.main([]) == 1
    first, second, last = capsys.readouterr().out.splitlines()
    assert "caught by tests/model/test_differences.py::" in first
    assert second.endswith("SURVIVED")
    assert last == "1 of 2 mutants were caught"


def test_tests_that_fail_by_themselves_catch_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mutate, "run_tests", lambda directory: "tests/test_x.py::test_y")
    assert mutate.main(["mlock_count"]) == 2
    assert "tests/test_x.py::test_y fails without any mutant" in capsys.readouterr().err


def test_one_that_does_not_fit_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(mutate, "MUTANTS", (Mutant("gone", "mlock.py", "not in the source", ""),))
    monkeypatch.setattr(mutate, "run_tests", lambda directory: "")
    assert mutate.main([]) == 2
    assert "gone: mlock.py holds 'not in the source' 0 times, not once" in capsys.readouterr().err


@pytest.mark.parametrize("broken", [*COUNTERS, *BROKEN, *SLOWER], ids=lambda one: one.mutant.name.replace(" ", "-"))
def test_every_broken_tree_of_the_gate_can_be_made(broken: GateMutant) -> None:
    compile(broken_source(mutate.ROOT / broken.package, broken.mutant), broken.mutant.file, "exec")
