"""CONTRIBUTING.md: each recipe is carried out on a copy of the tree, from the document's own blocks."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.pages import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
COPIED = ("bench", "mmmodel", "plots", "results/reference", "results/expectation.json", "pyproject.toml")
# Runs command lines one after the other in one process; the answer is a list of [exit code, standard output].
PROGRAM = """
import contextlib, io, json, sys
from bench.__main__ import main

done = []
for line in json.loads(sys.argv[1]):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(line)
    done.append([code, out.getvalue()])
print(json.dumps(done))
"""
SMALL = ("--processes", "1", "--values", "1")


class Edit(NamedTuple):
    """One place in one file: what is there, and what comes in its place."""

    path: str
    old: str  # "": the file is new
    new: str


def edits_in(block: str) -> list[Edit]:
    """Return the edits of a block: files are named by `+++`, places in a file parted by `@@`."""
    found: list[Edit] = []
    for part in re.split(r"^\+\+\+ ", block, flags=re.MULTILINE)[1:]:
        path, body = part.split("\n", 1)
        for place in re.split(r"^@@\n", body, flags=re.MULTILINE):
            lines = place.splitlines(keepends=True)
            assert all(line[0] in "+- " for line in lines), place
            old = "".join(line[1:] for line in lines if line[0] != "+")
            found.append(Edit(path, old, "".join(line[1:] for line in lines if line[0] != "-")))
    return found


def recipes() -> dict[str, tuple[int, list[Edit]]]:
    """Return for each recipe how many places it says to touch, and its edits."""
    heads = re.split(r"^### An? (\w+): (\d+) (?:file|place)s?\n", TEXT, flags=re.MULTILINE)[1:]
    found = {}
    for name, number, body in zip(heads[::3], heads[1::3], heads[2::3], strict=True):
        blocks = re.findall(r"^```diff\n(.*?)^```$", body, re.DOTALL | re.MULTILINE)
        found[name] = (int(number), [edit for block in blocks for edit in edits_in(block)])
    return found


RECIPES = recipes()


def apply(edit: Edit, tree: Path) -> None:
    """Carry out an edit; what is there must be there once."""
    path = tree / edit.path
    if not edit.old:
        assert not path.exists(), path
        path.parent.mkdir(exist_ok=True)
        path.write_text(edit.new, encoding="utf-8")
        return
    text = path.read_text(encoding="utf-8")
    assert text.count(edit.old) == 1, f"{edit.path} has {text.count(edit.old)} times:\n{edit.old}"
    path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")


def tree_with(recipe: str, directory: Path) -> Path:
    """Return a copy of the tree in which a recipe has been carried out."""
    tree = directory / "tree"
    for name in COPIED:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
        else:
            shutil.copy(ROOT / name, tree / name)
    for edit in RECIPES[recipe][1]:
        apply(edit, tree)
    return tree


def run(tree: Path, *lines: list[str]) -> list[str]:
    """Run command lines by the code of a tree, as plain Python, so that nothing is compiled; return what each printed."""
    env = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(tree)}
    command = [sys.executable, "-c", PROGRAM, json.dumps(lines)]
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    for line, (code, out) in zip(lines, answers, strict=True):
        assert code == 0, (line, code, out, done.stderr)
    return [out for _, out in answers]


def counted(run_directory: Path) -> list[dict[str, Any]]:
    """Return the counted calls of a run."""
    points: list[dict[str, Any]] = json.loads((run_directory / "counters.json").read_text(encoding="utf-8"))["points"]
    return points


def only_run(results: Path) -> Path:
    """Return the one run of a directory."""
    (found,) = (path.parent for path in results.glob("*/counters.json"))
    return found


def test_there_are_five_recipes_and_each_touches_as_many_places_as_it_says() -> None:
    assert list(RECIPES) == ["scenario", "counter", "implementation", "figure", "target"]
    for name, (number, edits) in RECIPES.items():
        # The files of a figure's folder are one place.
        places = {re.sub(r"(figures/\w+)/.*", r"\1", edit.path) for edit in edits}
        assert len(places) == number, name


def test_an_edit_of_what_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (first,) = edits_in("+++ a.py\n x = 1\n+y = 2\n")
    apply(first, tmp_path)
    assert (tmp_path / "a.py").read_text() == "x = 1\ny = 2\n"
    gone, twice = edits_in("+++ a.py\n-x = 2\n+x = 3\n+++ a.py\n+x = 3\n")
    with pytest.raises(AssertionError, match=r"a\.py has 0 times"):
        apply(gone, tmp_path)
    with pytest.raises(AssertionError, match=r"a\.py"):
        apply(twice, tmp_path)


def test_a_scenario(tmp_path: Path) -> None:
    tree = tree_with("scenario", tmp_path)
    results = tmp_path / "results"
    listed, reported = run(tree, ["list", "--wide"], ["report", "half", "--size", "16KiB", *SMALL, "--results", str(results)])
    assert "the first half in memory, then PROT_NONE" in listed
    assert "half/16KiB" in reported
    assert {(one["span"], one["nr_populated"]) for one in counted(only_run(results))} == {(16384, 4)}


def test_a_counter(tmp_path: Path) -> None:
    tree = tree_with("counter", tmp_path)
    results, plots = tmp_path / "results", tmp_path / "plots"
    plot = ["plot", "reference", "--plots", str(plots)]
    run(tree, ["report", "dense", "--size", "16KiB", *SMALL, "--results", str(results)], ["table", "reference"], plot)
    assert {one["counters"]["model_mlock_fixup"] for one in counted(only_run(results))} == {1}
    assert (plots / "index.html").read_bytes() == (ROOT / "plots" / "index.html").read_bytes()  # kept runs have no such counter
    (raw,) = run(tree, ["table", str(only_run(results)), "--counters", "--format", "csv"])
    assert "model_mlock_fixup" in raw


def test_an_implementation(tmp_path: Path) -> None:
    tree = tree_with("implementation", tmp_path)
    results, plots = tmp_path / "results", tmp_path / "plots"
    report = ["report", "report", "--size", "16MiB", *SMALL, "--results", str(results)]
    listed, reported = run(tree, ["list", "--wide"], report)
    assert "a VMA that never had a page is not walked" in listed
    assert "vma-skip" in reported and "all left the same state." in reported
    kept = only_run(results)
    entries = {one["point"]["implementation"]: one["counters"]["model_pgd_read"] for one in counted(kept)}
    assert entries["page-walk"] > entries["vma-skip"] == 0
    table, _, _ = run(tree, ["table", str(kept)], ["compare", str(kept), str(kept)], ["plot", str(kept), "--plots", str(plots)])
    assert "vma-skip" in table
    assert "vma-skip" in (plots / "index.html").read_text(encoding="utf-8")


def test_a_figure(tmp_path: Path) -> None:
    tree, plots = tree_with("figure", tmp_path), tmp_path / "plots"
    run(tree, ["plot", "reference", "--only", "locks,cost", "--plots", str(plots)])
    page = (plots / "index.html").read_text(encoding="utf-8")
    assert page.index('src="reference/cost.svg"') < page.index('src="reference/locks.svg"')
    assert (plots / "reference" / "locks.svg").stat().st_size > 10_000


def test_a_target(tmp_path: Path) -> None:
    tree, times = tree_with("target", tmp_path), tmp_path / "times.json"
    timed = ["run", "report", "--impl", "nothing", "-p1", "-n1", "-w0", "-l1", "--quiet", "-o", str(times)]
    listed, _, table = run(tree, ["list", "--wide"], timed, ["table", str(times)])
    assert "what measuring itself takes" in listed
    assert "munlockall/report/2TiB" in table and "nothing" in table
