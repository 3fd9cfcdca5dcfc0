#!/usr/bin/env python3
"""Scan the same kernels again and again, and say whether the verdicts are the same each time.

    python3 tests/mutations/scan_repeated.py --on KERNEL [--on KERNEL] [--only CALL,...] [--layouts NAME,...] [--runs N]
        [--record FILE]

Needs QEMU and the kernels in the cache. A verdict is what a call depends on, per how many bytes, and what else makes it dearer;
what a step costs is none, nor on which layout it costs most. On which layouts a law was not clear is told apart. `--record`: a
JSON file, whole after each run. Exit code 0: all runs said the same, 1: they did not, 3: a scan failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.scan.results import KernelScan, load
from bench.scan.verdict import of_kernel

ROOT = Path(__file__).resolve().parents[2]
Verdicts = dict[str, dict[str, str]]  # by kernel, then call


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


def record(words: Sequence[str], facts: dict[str, Any], runs: Sequence[Verdicts]) -> dict[str, Any]:
    """Return what is kept: the verdicts once, what differed from them, and how often nothing did."""
    return {
        "command": " ".join(["scan", *words]),
        **facts,
        "runs": len(runs),
        "same": same(runs),
        "differing": differing(runs),
        "verdicts": runs[0],
    }


def main(arguments: Sequence[str]) -> int:
    """Repeat a scan, print a line for each run, and record what was said."""
    parser = argparse.ArgumentParser(description="Scan the same kernels again and again.")
    parser.add_argument("--on", action="append", required=True, metavar="KERNEL")
    parser.add_argument("--only", metavar="CALL,...")
    parser.add_argument("--layouts", metavar="NAME,...")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--record", type=Path, help="JSON file for what was seen")
    args = parser.parse_args(arguments)
    words = [word for one in args.on for word in ("--on", one)]
    words += [word for option in ("only", "layouts") if (text := getattr(args, option)) for word in (f"--{option}", text)]
    runs: list[Verdicts] = []
    seconds: list[int] = []
    doubts: list[dict[str, list[str]]] = []
    for number in range(args.runs):
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as directory:
            output = Path(directory) / "scan.json"
            code, said = scan(words, output)
            if code or not output.exists():
                print(f"run {number + 1}: exit code {code}: {said}", flush=True)
                return 3
            found = load(output)
        runs.append(verdicts(found.kernels))
        doubts.append(unclear(found.kernels))
        seconds.append(round(time.monotonic() - started))
        others = differing([runs[0], runs[-1]])
        print(f"run {number + 1}: {seconds[-1]} s, {f'{len(others)} verdicts differ' if others else 'the same'}", flush=True)
        if args.record:
            releases = {one.name: one.release for one in found.kernels}
            facts = {"kernels": releases, "machine": found.machine, "seconds": seconds, "unclear": doubts}
            kept = record(words, facts, runs)
            part = args.record.with_suffix(".part")
            part.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
            part.replace(args.record)
    for name, each in differing(runs).items():
        print(f"{name}: {' | '.join(each)}")
    print(f"{same(runs)} of {len(runs)} scans gave the verdicts of the first")
    return int(same(runs) < len(runs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
