#!/usr/bin/env python3
"""Mutation testing of both packages: a sample of small mistakes, each run with the tests until one notices.

    python3 tests/mutations/sample.py [--seed N] [--number N] [--jobs N] [--record FILE] [--package mmmodel|bench] [--again]

The mistakes are those of `operators.py`. Which are taken follows from the seed alone: each package and each operator in
turn gives its next one, in the order of a digest of seed and mistake, so that an edit elsewhere does not change the sample
and a larger number contains a smaller one. Each is made in a copy of the tree; the tests that are nearest to the file come
first and the first failure ends them. Mistakes in the model run as plain Python. What was judged before is found in the
record and not run again; `--again` runs survivors again, after tests were added. A survivor in the record has a `reason`,
written by hand: why no test can or should notice it, or "" if nobody knows.

Why not a tool. mutmut (3.8) leaves out every function that has a decorator, as all of the model's compiled functions have.
cosmic-ray (8.7) can drive the model as plain Python, but has one test command for all files, mutates the tree itself, not a
copy, and exchanges every operator with every other: 58 mutants for a file of ten lines. Left out here: how functions are
compiled (`jit`, `statetype`, `arraytypes`, `compile`, `warm`), since the model runs as plain Python, and numbers in drawings,
which people judge.

Exit code 0: all were noticed or have a reason; 1: some have neither, or no verdict, as what noticed them fails without any
mistake, too.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from operators import Change, changes

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "results" / "records" / "mutants.json"
PACKAGES = ("mmmodel", "bench")
COMPILATION = ("mmmodel/jit.py", "mmmodel/statetype.py", "mmmodel/compile.py", "mmmodel/warm.py", "mmmodel/arraytypes.py")
SECONDS = 1800  # for all tests of a mutant

# What fails soonest comes first, since the first failure is enough.
OF_MODEL = ("facts_calls", "facts_events", "facts_vmas", "facts_errors", "limits", "combinations", "facts_faults", "facts_swap",
            "call_counts", "counters", "madvise", "selftests", "ltp", "differences", "check", "memory", "folios",
            "large_folios", "coredump", "model_traces", "steps", "random_traces", "state_machine")  # fmt: skip
COMPILED = ("model_traces", "random_traces", "state_machine")  # take longer as plain Python than compiling does
NEAREST = {
    "mmmodel/check.py": "check", "mmmodel/check_structures.py": "check", "mmmodel/madvise.py": "madvise",
    "mmmodel/steps.py": "steps", "mmmodel/steps_5_10.py": "steps", "mmmodel/steps_6_1.py": "steps",
    "mmmodel/steps_rmap.py": "steps", "mmmodel/machine.py": "memory", "mmmodel/estimate.py": "memory",
}  # fmt: skip
# After the tests of a file of `bench` and those of its package: what uses all of it.
WIDER = ("commands/test_kernel.py", "commands/test_show.py", "commands/test_report.py", "commands/test_replay.py",
         "commands/test_sweep.py", "commands/test_reference.py", "test_cli.py", "figures/test_numbers.py",
         "figures/test_page.py", "figures/test_kernel_figures.py", "commands/test_plot.py",
         "commands/test_pyperf_run.py")  # fmt: skip
RACES = ("tests/bench/commands/test_races.py", "tests/docs/test_races.py")  # the second: what comes out of every race
SLOW = ("test_gate_bites.py", "test_pyperf_run.py", "test_plot.py", "test_imports.py", "test_browser.py", "test_committed.py")
PYTHON_DOORS = ("mmmodel/arguments.py", "mmmodel/show.py", "mmmodel/sizes.py", "mmmodel/kernels.py", "mmmodel/modelled.py")


class Mutant(NamedTuple):
    """One mistake in one file."""

    file: str
    change: Change
    number: int  # of equal ones in the file

    @property
    def key(self) -> str:
        """Return what it is known by, wherever it stands in its file: 12 hexadecimal digits."""
        words = (self.file, self.change.operator, self.change.old, self.change.new, str(self.number))
        return hashlib.sha256("\0".join(words).encode()).hexdigest()[:12]


def mutants_of(file: str) -> Iterator[Mutant]:
    """Yield every mistake that can be made in a file of the tree."""
    drawing = file.endswith(("/drawing.py", "figures/style.py", "figures/page.py"))
    seen: dict[tuple[str, str, str], int] = {}
    for change in changes((ROOT / file).read_text(encoding="utf-8"), numbers=not drawing):
        same = (change.operator, change.old, change.new)
        seen[same] = seen.get(same, -1) + 1
        yield Mutant(file, change, seen[same])


def sample(seed: int, number: int) -> list[Mutant]:
    """Return the first mutants of a seed: package by package and operator by operator in turn."""
    return list(_in_order(seed)[:number])


@functools.cache
def _in_order(seed: int) -> tuple[Mutant, ...]:
    """Return every mutant that there is, in the order of a seed."""
    kinds: dict[tuple[str, str], list[tuple[str, Mutant]]] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            file = path.relative_to(ROOT).as_posix()
            for one in mutants_of(file) if file not in COMPILATION else ():
                rank = hashlib.sha256(f"{seed}:{one.key}".encode()).hexdigest()
                kinds.setdefault((one.change.operator, package), []).append((rank, one))
    columns = [[one for _, one in sorted(kinds[kind], key=lambda pair: pair[0])] for kind in sorted(kinds)]
    longest = max(map(len, columns), default=0)
    return tuple(column[row] for row in range(longest) for column in columns if row < len(column))


# ---- tests ----


def tests_for(tree: Path, file: str) -> list[str]:
    """Return the test files of a tree for a mistake in a file, the nearest first."""
    if file.startswith("mmmodel/"):
        names = [f"tests/model/test_{name}.py" for name in OF_MODEL]
        names = [name for name in names if (tree / name).exists()]
        first = f"tests/model/test_{NEAREST.get(file, '')}.py"
        names.sort(key=lambda name: name != first)
        doors = ["tests/mmmodel/test_show.py", "tests/mmmodel/test_kernels.py", "tests/mmmodel/test_doors.py"]
        return [*doors, *names] if file in PYTHON_DOORS else [*names, *doors]
    path = Path(file)
    folder = Path("tests") / path.parent
    mirrored = folder / f"test_{path.stem}.py"
    while not (tree / folder).is_dir():  # a figure's own folder
        folder = folder.parent
    near = sorted(path.relative_to(tree) for path in (tree / folder).glob("test_*.py"))
    near.sort(key=lambda one: one.name in SLOW)
    wider = [Path("tests/bench", name) for name in WIDER]
    wider = [*map(Path, RACES)] if "races" in path.parts else wider
    found = [one.as_posix() for one in (mirrored, *near, *wider) if (tree / one).exists()]
    return list(dict.fromkeys(found))


class UnsoundError(Exception):
    """A test fails without any mistake, too: what it notices is no verdict."""


class Verdict(NamedTuple):
    """What became of a mutant."""

    noticed_by: str  # "" if by none
    seconds: float


def notice(tree: Path, package: str, tests: Sequence[str], mistake: bool = True) -> str:
    """Return what noticed: the first test that fails, or that the tests did not end; "" if all pass.

    `mistake`: whether there is one in the tree.
    """
    late = [one for one in tests if Path(one.partition("::")[0]).stem.removeprefix("test_") in COMPILED]
    early = [one for one in tests if one not in late]
    if package != "mmmodel":
        return run_tests(tree, tests, {})
    found = run_tests(tree, early, {"NUMBA_DISABLE_JIT": "1"}) if early else ""
    if found or not late:
        return found
    if not mistake:
        return run_tests(tree, late, {})
    with tempfile.TemporaryDirectory(prefix="mutants-") as cache:  # nobody needs the code of a mistake again
        return run_tests(tree, late, {"XDG_CACHE_HOME": cache})


def run_tests(tree: Path, tests: Sequence[str], settings: Mapping[str, str]) -> str:
    """Run tests in one process, with settings of the environment; return what noticed."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA_", "PYTEST_"))}
    path = os.pathsep.join([str(tree), str(tree / "tests" / "mutations")])
    environment |= {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **settings}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "time_limit", *tests]
    process = subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        text=True, errors="replace",  # a mistake can print anything
    )  # fmt: skip
    try:
        out, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"no end after {SECONDS} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and whatever the tests have started
        process.wait()
    if process.returncode == 0:
        return ""
    if process.returncode == -signal.SIGALRM:
        return "a test that did not end"
    found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", out, re.MULTILINE)
    return found[1] if found else f"exit code {process.returncode}"


def copied(directory: Path) -> Path:
    """Make a copy of the tree in a repository of its own, and return it."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    files = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in files.splitlines():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, directory / name)
    git = ("git", "-c", "user.name=mutants", "-c", "user.email=mutants@localhost", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "the tree as it is")):
        subprocess.run([*git, *words], cwd=directory, check=True)
    return directory


def judge(tree: Path, mutant: Mutant, sound: set[str]) -> Verdict:
    """Make a mistake in a copy of the tree, run the tests, and take it back.

    `sound`: tests that pass without any mistake. One that is not yet among them is run so when it has noticed something.
    """
    started = time.monotonic()
    package = mutant.file.partition("/")[0]
    path = tree / mutant.file
    source = path.read_text(encoding="utf-8")
    try:
        path.write_text(mutant.change.applied(source), encoding="utf-8")
        found = notice(tree, package, tests_for(tree, mutant.file))
    finally:
        path.write_text(source, encoding="utf-8")
    if found and found not in sound:
        # What could not even be collected must be collected without the mistake.
        collected = ["--collect-only", *tests_for(tree, mutant.file)]
        said = notice(tree, package, [found], mistake=False) if "::" in found else run_tests(tree, collected, {})
        if said:
            raise UnsoundError(f"{found}: {said} without any mistake, too: mend that first")
        sound.add(found)
    return Verdict(found, time.monotonic() - started)


# ---- record ----


def entry(mutant: Mutant, verdict: Verdict) -> dict[str, Any]:
    """Return what is recorded of a mutant."""
    return {
        "key": mutant.key,
        "file": mutant.file,
        "line": mutant.change.line,
        "operator": mutant.change.operator,
        "old": mutant.change.old[:160],
        "new": mutant.change.new[:160],
        "verdict": "killed" if verdict.noticed_by else "survived",
        "by": verdict.noticed_by,
        "seconds": round(verdict.seconds, 1),
        "reason": "",
    }


def write(record: Path, seed: int, entries: Sequence[dict[str, Any]]) -> None:
    """Write the record: survivors first in sight, all of them in the order of the sample."""
    survivors = [one for one in entries if one["verdict"] == "survived"]
    content = {
        "seed": seed,
        "mutants": len(entries),
        "killed": len(entries) - len(survivors),
        "survived_with_a_reason": sum(bool(one["reason"]) for one in survivors),
        "survived_without": sum(not one["reason"] for one in survivors),
        "list": list(entries),
    }
    part = record.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    part.replace(record)


def read(record: Path) -> dict[str, dict[str, Any]]:
    """Return what was judged before, by key."""
    if not record.exists():
        return {}
    return {one["key"]: one for one in json.loads(record.read_text(encoding="utf-8"))["list"]}


def main(words: Sequence[str]) -> int:
    """Judge what is not in the record, and keep each verdict as it comes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--number", type=int, default=200, help="of mutants")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at once")
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--package", choices=PACKAGES, help="only its part of the sample")
    parser.add_argument("--again", action="store_true", help="run survivors without a reason again")
    args = parser.parse_args(words)
    chosen = [one for one in sample(args.seed, args.number) if args.package in (None, one.file.partition("/")[0])]
    known = read(args.record)
    done = {key: one for key, one in known.items() if not args.again or one["verdict"] == "killed" or one["reason"]}
    lock, sound, unsound = threading.Lock(), set[str](), list[Mutant]()
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch, ThreadPoolExecutor(args.jobs) as workers:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(args.jobs):
            trees.put(copied(Path(scratch) / str(number)))

        def work(mutant: Mutant) -> None:
            tree = trees.get()
            try:
                found = entry(mutant, judge(tree, mutant, sound))
            except UnsoundError as error:
                unsound.append(mutant)
                print(f"no verdict          {mutant.file}:{mutant.change.line}  {error}", flush=True)
                return
            finally:
                trees.put(tree)
            with lock:
                done[mutant.key] = found
                order = [one.key for one in chosen]
                kept = [done[key] for key in order if key in done] + [one for key, one in done.items() if key not in order]
                write(args.record, args.seed, kept)
                print(f"{found['verdict']:8} {found['seconds']:6.1f} s  {mutant.file}:{mutant.change.line}"
                      f"  {mutant.change.operator}  {found['by']}", flush=True)  # fmt: skip

        list(workers.map(work, [one for one in chosen if one.key not in done]))
    left = [one for one in done.values() if one["verdict"] == "survived" and not one["reason"]]
    print(f"{len(done)} judged, {len(left)} survive without a reason, {len(unsound)} without a verdict")
    return 1 if left or unsound else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
