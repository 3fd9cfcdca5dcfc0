#!/usr/bin/env python3
"""Scan the same kernels again and again, and say whether the verdicts are the same each time.

    python3 tests/mutations/scan_repeated.py --on KERNEL [--on KERNEL] [--only CALL,...] [--layouts NAME,...] [--runs N]
        [--record FILE]
    python3 tests/mutations/scan_repeated.py --kept FILE --kept FILE [--kept FILE] [--record FILE]

Needs QEMU and the kernels in the cache; with `--kept` nothing is measured: files are what `scan -o` wrote, of one command. A
verdict is what a call depends on, per how many bytes, and what else makes it dearer; what a step costs is none, nor on which
layout it costs most. On which layouts a law was not clear is told apart. `--record`: a JSON file, whole after each run. Exit
code 0: all runs said the same, 1: they did not, 3: a scan failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.scan.results import KernelScan, Scan, load
from bench.scan.verdict import of_kernel

ROOT = Path(__file__).resolve().parents[2]
Verdicts = dict[str, dict[str, str]]  # by kernel, then call


class ScanError(Exception):
    """There is no scan to look at."""


def verdicts(kernels: Sequence[KernelScan]) -> Verdicts:
    """Return the verdict on each call of each kernel, as words."""
    return {one.name: _of_kernel(one) for one in kernels}


def _of_kernel(kernel: KernelScan) -> dict[str, str]:
    """Return the verdicts on one kernel."""
    found = {}
    for name, verdict in of_kernel(kernel).items():
        step = f" per {verdict.law.unit} B" if verdict.answer in ("span", "output") and verdict.law else ""
        more = f", also {', '.join(verdict.also)}" if verdict.also else ""
        found[name] = f"{verdict.answer}{step}{more}" if verdict.answer != "missing" else f"missing: {verdict.why}"
    return found


def unclear(kernels: Sequence[KernelScan]) -> dict[str, list[str]]:
    """Return the layouts of each call on which its law was not clear, by kernel and call."""
    return {
        f"{kernel.name}: {name}": list(verdict.unclear)
        for kernel in kernels
        for name, verdict in of_kernel(kernel).items()
        if verdict.unclear
    }


def differing(runs: Sequence[Verdicts]) -> dict[str, list[str]]:
    """Return what was said otherwise in some run than in the first, by kernel and call: the words of each run."""
    names = dict.fromkeys((kernel, call) for run in runs for kernel, calls in run.items() for call in calls)
    said = {(kernel, call): [run.get(kernel, {}).get(call, "nothing said") for run in runs] for kernel, call in names}
    return {f"{kernel}: {call}": words for (kernel, call), words in said.items() if len(set(words)) > 1}


def same(runs: Sequence[Verdicts]) -> int:
    """Return how many runs said exactly what the first did."""
    return sum(one == runs[0] for one in runs)


def scan(words: Sequence[str], output: Path) -> tuple[int, str]:
    """Run the scan; return its exit code, and the last line of what it said of an error."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", "scan", *words, "-o", str(output)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]


def record(command: str, facts: dict[str, Any], runs: Sequence[Verdicts]) -> dict[str, Any]:
    """Return what is kept: the verdicts once, what differed from them, and how often nothing did."""
    return {
        "command": command,
        **facts,
        "runs": len(runs),
        "same": same(runs),
        "differing": differing(runs),
        "verdicts": runs[0],
    }


def measured(words: Sequence[str], nr_runs: int) -> Iterator[tuple[Scan, int]]:
    """Yield scans, and how many seconds each took; ScanError for one that fails."""
    for number in range(nr_runs):
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as directory:
            output = Path(directory) / "scan.json"
            code, said = scan(words, output)
            if code or not output.exists():
                raise ScanError(f"run {number + 1}: exit code {code}: {said}")
            found = load(output)
        yield found, round(time.monotonic() - started)


def _asked(found: Scan) -> str:
    """Return the command of a kept scan, but for the file that it wrote."""
    return found.command.partition(" -o ")[0]


def kept(paths: Sequence[Path]) -> Iterator[tuple[Scan, None]]:
    """Yield scans that were made before; ScanError for one of another command than the first's."""
    asked = None
    for path in paths:
        found = load(path)
        words = _asked(found)
        if words != (asked or words):
            raise ScanError(f"{path} is of another command: {words}")
        asked = words
        yield found, None


def main(arguments: Sequence[str]) -> int:
    """Repeat a scan, print a line for each run, and record what was said."""
    parser = argparse.ArgumentParser(description="Scan the same kernels again and again.")
    parser.add_argument("--on", action="append", default=[], metavar="KERNEL")
    parser.add_argument("--kept", action="append", default=[], type=Path, metavar="FILE")
    parser.add_argument("--only", metavar="CALL,...")
    parser.add_argument("--layouts", metavar="NAME,...")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--record", type=Path, help="JSON file for what was seen")
    args = parser.parse_args(arguments)
    if bool(args.on) == bool(args.kept):
        parser.error("give either --on KERNEL or --kept FILE")
    words = [word for one in args.on for word in ("--on", one)]
    words += [word for option in ("only", "layouts") if (text := getattr(args, option)) for word in (f"--{option}", text)]
    command = " ".join(["scan", *words])
    runs: list[Verdicts] = []
    facts: dict[str, Any] = {"seconds": [], "unclear": []}
    try:
        for found, seconds in kept(args.kept) if args.kept else measured(words, args.runs):
            runs.append(verdicts(found.kernels))
            facts |= {"kernels": {one.name: one.release for one in found.kernels}, "machine": found.machine}
            facts["unclear"].append(unclear(found.kernels))
            facts["seconds"] += [] if seconds is None else [seconds]
            others = differing([runs[0], runs[-1]])
            took = found.created if seconds is None else f"{seconds} s"
            print(f"run {len(runs)}: {took}, {f'{len(others)} verdicts differ' if others else 'the same'}", flush=True)
            if args.record:
                _write(args.record, record(_asked(found) if args.kept else command, facts, runs))
    except ScanError as error:
        print(error, flush=True)
        return 3
    for name, each in differing(runs).items():
        print(f"{name}: {' | '.join(each)}")
    print(f"{same(runs)} of {len(runs)} scans gave the verdicts of the first")
    return int(same(runs) < len(runs))


def _write(path: Path, said: dict[str, Any]) -> None:
    """Write the record, as a whole."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
