#!/usr/bin/env python3
"""Run the trace tests against every deliberately broken model, and tell which test caught it.

    python3 tests/mutations/mutate.py [NAME ...]      all, or those whose name contains one of the words given

Each mutant is a copy of the sources in a temporary directory, run without compiled code; the sources as they are come
first. Exit code 0: all were caught; 1: one survived; 2: one could not be made, or the tests fail by themselves.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mutants import MUTANTS, Mutant, broken_source, file_of

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("bench", "mmmodel", "tests", "docs", "pyproject.toml")
# What fails soonest comes first, since the first failure is enough.
NAMES = ("differences", "limits", "combinations", "call_counts", "facts_calls",
         "facts_events", "facts_vmas", "model_traces", "random_traces")  # fmt: skip
TESTS = tuple(f"tests/model/test_{name}.py" for name in NAMES)
TIMEOUT = 900  # seconds: a mutant that hangs is caught too


class Verdict(NamedTuple):
    """What became of a mutant."""

    caught_by: str  # "" if it survived
    seconds: float


def run_tests(directory: Path) -> str:
    """The first test that fails in a copy of the project, "" if all pass."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA_", "PYTEST_"))}
    environment |= {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *TESTS]
    try:
        done = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end after {TIMEOUT} s"
    if done.returncode == 0:
        return ""
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    if done.returncode != 1 or not found or found[0].startswith("ERROR"):
        raise RuntimeError(f"the tests could not be run:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return found[1]


def copy_project(directory: Path) -> None:
    """The sources and tests, without what running them leaves behind."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(ROOT / name, directory / name)


def judge(mutant: Mutant | None) -> Verdict:
    """Make a mutant (None: leave everything as it is) and run the tests against it."""
    started = time.monotonic()
    source = broken_source(ROOT / "mmmodel", mutant) if mutant else ""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        copy_project(Path(name))
        if mutant:
            file_of(Path(name) / "mmmodel", mutant).write_text(source, encoding="utf-8")
        return Verdict(run_tests(Path(name)), time.monotonic() - started)


def main(words: Sequence[str]) -> int:
    """Judge the mutants that were asked for, print a line for each."""
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    width = max((len(mutant.name) for mutant in chosen), default=0)
    survived = 0
    if failing := judge(None).caught_by:
        print(f"{failing} fails without any mutant: mend that first", file=sys.stderr)
        return 2
    for mutant in chosen:
        try:
            verdict = judge(mutant)
        except (ValueError, RuntimeError) as error:
            print(error, file=sys.stderr)
            return 2
        survived += not verdict.caught_by
        outcome = f"caught by {verdict.caught_by}" if verdict.caught_by else "SURVIVED"
        print(f"{mutant.name:{width}}  {verdict.seconds:5.1f} s  {outcome}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} mutants were caught")
    return 1 if survived or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
