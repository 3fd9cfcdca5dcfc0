#!/usr/bin/env python3
"""Show that the gate bites: run it on trees that are broken on purpose, and on trees that are not.

    python3 tests/mutations/gate_proofs.py [--same N] [--first N] [--record FILE] [NAME ...]

Each broken tree is a copy of this one in a temporary directory, committed as it is and then broken. `--same N`: instead,
N runs of the gate's timing of this tree against itself, none of which may raise an alarm. `--record`: a JSON file for what
was seen. Exit code 0: the gate said each time what it must; 1: it did not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gate_mutants import BROKEN, COUNTERS, SLOWER, GateMutant
from mutants import broken_source, file_of

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("bench", "mmmodel")
GIT = ("git", "-c", "user.name=gate", "-c", "user.email=gate@localhost", "-c", "commit.gpgsign=false")


@contextmanager
def copy_of_the_tree() -> Iterator[Path]:
    """Give a copy of the sources in a repository of its own, with all of it committed."""
    with tempfile.TemporaryDirectory(prefix="gate-") as name:
        tree = Path(name)
        for part in COPIED:
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", tree)
        (tree / "results").mkdir()
        if (ROOT / "results" / "expectation.json").exists():
            shutil.copy(ROOT / "results" / "expectation.json", tree / "results")
        for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "the tree as it is")):
            subprocess.run([*GIT, *words], cwd=tree, check=True)
        yield tree


def break_it(tree: Path, broken: GateMutant) -> None:
    """Make the replacement."""
    package = tree / broken.package
    source = broken_source(package, broken.mutant)
    file_of(package, broken.mutant).write_text(source, encoding="utf-8")


def gate(tree: Path, *words: str, settings: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the gate of a tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", **(settings or {})}
    return subprocess.run([sys.executable, "-m", "bench", "gate", "--wide", *words], cwd=tree, env=environment,
                          capture_output=True, text=True, check=False)  # fmt: skip


def as_it_must(broken: GateMutant, done: subprocess.CompletedProcess[str]) -> bool:
    """Tell whether the gate ended with the right code and named what is wrong."""
    return done.returncode == broken.exit_code and any(broken.seen in line for line in done.stdout.splitlines())


def _seen(tree: Path, what: str, *words: str) -> tuple[dict[str, Any], subprocess.CompletedProcess[str]]:
    """Run the gate of a tree; return what is recorded of that, all times and what else is not as expected, and the process."""
    started = time.monotonic()
    report = tree / "results" / "gate.json"
    done = gate(tree, *words, "--json", str(report))
    found = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {"findings": [], "machine": {}}
    report.unlink(missing_ok=True)
    told = [one for one in found["findings"] if one["part"] == "times" or one["verdict"] != "pass"]
    seen = {
        "what": what,
        "exit_code": done.returncode,
        "seconds": round(time.monotonic() - started),
        "said": (done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or [""])[-1],
        "findings": [{key: one[key] for key in ("name", "verdict", "text")} for one in told],
        "machine": found["machine"],
    }
    return seen, done


def prove(broken: GateMutant) -> dict[str, Any]:
    """Run the gate on one broken tree."""
    words = ("--only", "times", "--base", "HEAD") if broken in SLOWER else ("--only", "counters")
    with copy_of_the_tree() as tree:
        break_it(tree, broken)
        seen, done = _seen(tree, broken.mutant.name, *words)
    right = as_it_must(broken, done)
    if broken in SLOWER:  # all benchmarks of that implementation, and no other
        slower = {one["name"] for one in seen["findings"] if one["verdict"] == "regression"}
        implementation = broken.mutant.name.split()[0]
        right = right and slower == {one["name"] for one in seen["findings"] if one["name"].endswith(f"/{implementation}")}
    return seen | {"expected_exit_code": broken.exit_code, "as_it_must": right}


def same(number: int, first: int) -> Iterator[dict[str, Any]]:
    """Time this tree against itself, again and again, with another order each time."""
    with copy_of_the_tree() as tree:
        for run in range(first, first + number):
            seen, done = _seen(tree, f"the same tree, run {run}", "--only", "times", "--base", "HEAD", "--seed", str(run))
            # An alarm is false; that a noisy machine cannot tell is not.
            yield seen | {"expected_exit_code": 0, "as_it_must": done.returncode in (0, 4)}


def main(words: Sequence[str]) -> int:
    """Run what was asked for, print a line for each, and record it."""
    parser = argparse.ArgumentParser(description="Show that the gate bites.")
    parser.add_argument("name", nargs="*", help="broken trees whose name contains one of these; default all")
    parser.add_argument("--same", type=int, default=0, metavar="N", help="runs of the same tree against itself")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first of these runs, its seed")
    parser.add_argument("--record", type=Path, help="JSON file for what was seen")
    args = parser.parse_args(words)
    everything = (*COUNTERS, *BROKEN, *SLOWER)
    chosen = [one for one in everything if not args.name or any(word in one.mutant.name for word in args.name)]
    seen = []
    for one in same(args.same, args.first) if args.same else map(prove, chosen):
        seen.append(one)
        word = "ok" if one["as_it_must"] else "WRONG"
        print(f"{word:5}  exit code {one['exit_code']}  {one['seconds']:4} s  {one['what']}: {one['said']}", flush=True)
        if args.record:
            part = args.record.with_suffix(".part")
            part.write_text(json.dumps(seen, indent=1) + "\n", encoding="utf-8")
            part.replace(args.record)
    wrong = sum(not one["as_it_must"] for one in seen)
    print(f"{len(seen) - wrong} of {len(seen)} as they must be")
    return 1 if wrong or not seen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
