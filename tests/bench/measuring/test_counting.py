"""The digest that decides whether kept counts may be used: every source that decides what is counted is in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench import environment
from bench.measuring import collect, counting
from bench.measuring.collect import Request
from bench.measuring.repetition import Policy
from bench.workloads.scenario import SCENARIOS, Point

BENCH = Path(counting.__file__).parents[1]
DECIDE = (
    "measuring/counting.py",
    "measuring/timing.py",
    "targets/model.py",
    "targets/registry.py",
    "targets/target.py",
    "workloads/layout.py",
    "workloads/scenario.py",
)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that the digest is made of."""
    shutil.copytree(BENCH, tmp_path / "bench", ignore=shutil.ignore_patterns("__pycache__", "data"))
    monkeypatch.setattr(counting, "__file__", str(tmp_path / "bench" / "measuring" / "counting.py"))
    return tmp_path / "bench"


def digest() -> str:
    """The digest, anew."""
    made: str = counting.sources_digest.__wrapped__()
    return made


@pytest.mark.parametrize("name", DECIDE)
def test_every_module_that_decides_is_in_the_digest(tree: Path, name: str) -> None:
    before = digest()
    path = tree / name
    path.write_text(path.read_text(encoding="utf-8") + "#", encoding="utf-8")
    assert digest() != before


def test_a_new_target_is_in_the_digest(tree: Path) -> None:
    before = digest()
    (tree / "targets" / "another.py").write_text("", encoding="utf-8")
    assert digest() != before


def test_what_only_shows_results_is_not(tree: Path) -> None:
    before = digest()
    path = tree / "tables" / "formats.py"
    path.write_text(path.read_text(encoding="utf-8") + "#", encoding="utf-8")
    assert digest() == before


def test_text_cannot_move_from_one_module_to_the_next(tree: Path) -> None:
    first, second = tree / "targets" / "model.py", tree / "targets" / "registry.py"
    first.write_text("ab", encoding="utf-8")
    second.write_text("c", encoding="utf-8")
    before = digest()
    first.write_text("a", encoding="utf-8")
    second.write_text("bc", encoding="utf-8")
    assert digest() != before


def test_the_models_sources_are_in_the_digest(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest()
    monkeypatch.setattr(environment, "source_digest", lambda: "0123456789abcdef")
    assert digest() != before


REQUEST = Request("sweep", "line", (Point(SCENARIOS["report"].resized(1 << 20), "page-walk"),), Policy(processes=2, values=2))


@pytest.mark.parametrize(
    "change",
    [
        {"command": "reference"},
        {"line": "other"},
        {"points": (Point(SCENARIOS["report"].resized(1 << 21), "page-walk"),)},
        {"points": (Point(SCENARIOS["report"].resized(1 << 20), "per-page"),)},
        {"points": (Point(SCENARIOS["report"].resized(1 << 20), "page-walk", "mlockall"),)},
        {"points": REQUEST.points * 2},
        {"policy": Policy(processes=3, values=2)},
        {"policy": Policy(processes=2, values=3)},
        {"timed": False},
    ],
)
def test_every_part_of_a_request_is_in_its_digest(change: dict[str, Any]) -> None:
    assert collect._digest(msgspec.structs.replace(REQUEST, **change)) != collect._digest(REQUEST)


def test_the_machine_and_the_sources_are_in_a_requests_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    digests = {collect._digest(REQUEST)}
    with monkeypatch.context() as patched:
        patched.setattr(environment, "machine_facts", lambda: {"cpu_model": "another"})
        digests.add(collect._digest(REQUEST))
    with monkeypatch.context() as patched:
        patched.setattr(counting, "sources_digest", lambda: "0123456789abcdef")
        digests.add(collect._digest(REQUEST))
    assert len(digests) == 3
