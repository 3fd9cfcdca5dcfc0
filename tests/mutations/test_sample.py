"""The mistakes that are sampled: which there are, that each is one, and that the seed alone decides."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import sample
from operators import changes

SOURCE = '''
"""Texts stay: 1 + 1."""
LIMIT: int = 3


def f(a: int, b: int = 0) -> int:
    """Texts stay."""
    if a < b and not g(a, b):
        raise ValueError(f"{a + b} is too much")
    s[a] = b
    s[a] += LIMIT
    return -1 if a == b else a << 2
'''

WANTED = {
    ("number", "3", "(4)"),
    ("number", "3", "(2)"),
    ("number", "0", "(1)"),
    ("comparison", "a < b", "(a <= b)"),
    ("comparison", "a == b", "(a != b)"),
    ("boolean", "a < b and not g(a, b)", "(a < b or not g(a, b))"),
    ("dropped condition", "a < b and not g(a, b)", "(a < b)"),
    ("dropped condition", "a < b and not g(a, b)", "(not g(a, b))"),
    ("removed not", "not g(a, b)", "(g(a, b))"),
    ("swapped arguments", "g(a, b)", "(g(b, a))"),
    ("dropped statement", "s[a] = b", "pass"),
    ("dropped statement", "s[a] += LIMIT", "pass"),
    ("arithmetic", "s[a] += LIMIT", "s[a] -= LIMIT"),
    ("removed minus", "-1", "(1)"),
    ("arithmetic", "a << 2", "(a >> 2)"),
    ("condition", "-1 if a == b else a << 2", "(a << 2 if a == b else -1)"),
}


def test_which_mistakes_there_are() -> None:
    found = changes(SOURCE)
    made = {(one.operator, one.old, one.new) for one in found}
    assert not WANTED - made
    assert not [one for one in made if "too much" in one[1] and one[0] != "dropped statement"]
    assert len(found) == len(set(found))
    for one in found:
        assert ast.dump(ast.parse(one.applied(SOURCE))) != ast.dump(ast.parse(SOURCE)), one
    assert not [one for one in changes(SOURCE, numbers=False) if one.operator == "number"]


def test_a_change_of_another_source_is_refused() -> None:
    first = changes(SOURCE)[0]
    with pytest.raises(ValueError, match="does not hold"):
        first.applied("x" + SOURCE)


def test_the_sample_follows_from_the_seed() -> None:
    some = sample.sample(1, 60)
    assert some == sample.sample(1, 80)[:60]
    assert some != sample.sample(2, 60)
    assert len({one.key for one in some}) == 60
    assert {one.file.partition("/")[0] for one in some} == set(sample.PACKAGES)
    assert len({one.change.operator for one in some}) == 12
    assert not {one.file for one in some} & set(sample.COMPILATION)
    for one in some:
        source = one.change.applied((sample.ROOT / one.file).read_text(encoding="utf-8"))
        compile(source, one.file, "exec")
        tests = sample.tests_for(sample.ROOT, one.file)
        assert tests and all((sample.ROOT / name).is_file() for name in tests)


def test_the_nearest_tests_come_first() -> None:
    assert sample.tests_for(sample.ROOT, "bench/gate/times.py")[0] == "tests/bench/gate/test_times.py"
    assert sample.tests_for(sample.ROOT, "bench/figures/order/numbers.py")[0].startswith("tests/bench/figures/")
    assert sample.tests_for(sample.ROOT, "mmmodel/madvise.py")[0] == "tests/model/test_madvise.py"


def test_verdicts_are_kept_and_not_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second of three survives. Tests that fail by themselves would end it."""
    monkeypatch.setattr(sample, "copied", lambda directory: sample.ROOT)
    chosen = sample.sample(1, 3)
    judged: list[str] = []

    def judge(tree: Path, mutant: sample.Mutant, sound: set[str]) -> sample.Verdict:
        judged.append(mutant.key)
        return sample.Verdict("" if mutant == chosen[1] else "tests/x.py::test_y", 1.0)

    monkeypatch.setattr(sample, "judge", judge)
    record = tmp_path / "mutants.json"
    words = ["--record", str(record), "--number"]
    assert sample.main([*words, "1"]) == 0
    assert sample.main([*words, "3"]) == 1
    assert sorted(judged) == sorted(one.key for one in chosen)
    kept = json.loads(record.read_text())
    assert (kept["mutants"], kept["killed"], kept["survived_without"]) == (3, 2, 1)
    assert [one["key"] for one in kept["list"]] == [one.key for one in chosen]
    kept["list"][1]["reason"] = "it is equal"
    record.write_text(json.dumps(kept))
    assert sample.main([*words, "3", "--again"]) == 0
    assert len(judged) == 3
    assert "0 survive without a reason" in capsys.readouterr().out


def test_a_test_that_fails_without_any_mistake_is_no_verdict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mutant = sample.sample(1, 1)[0]
    path = tmp_path / mutant.file
    path.parent.mkdir(parents=True)
    source = (sample.ROOT / mutant.file).read_text(encoding="utf-8")
    path.write_text(source, encoding="utf-8")
    monkeypatch.setattr(sample, "tests_for", lambda tree, file: ["tests/x.py"])
    monkeypatch.setattr(sample, "notice", lambda tree, package, tests, mistake=True: "tests/x.py::test_y")
    with pytest.raises(sample.UnsoundError, match=r"tests/x.py::test_y.* without any mistake"):
        sample.judge(tmp_path, mutant, set())
    assert sample.judge(tmp_path, mutant, {"tests/x.py::test_y"}).noticed_by == "tests/x.py::test_y"
    assert path.read_text(encoding="utf-8") == source


def test_every_test_of_the_model_has_its_chance() -> None:
    files = {path.stem.removeprefix("test_") for path in (sample.ROOT / "tests" / "model").glob("test_*.py")}
    assert files == set(sample.OF_MODEL)
    assert len(sample.OF_MODEL) == len(files)
    assert all((sample.ROOT / "tests" / "bench" / name).exists() for name in sample.WIDER)
