#!/usr/bin/env python3
"""Show what the gate on real kernels says of Debian's kernels: of one against another, and of each against itself.

    python3 tests/mutations/kernel_gate_proofs.py [--same KERNEL --runs N] [--record FILE]

Needs QEMU and the kernels 5.10, 6.1, 6.12 and 7.3 in the cache. `--same`: instead, N runs of one kernel against itself, none of
which may raise an alarm; they are added to those that the record has. Exit code 0: the gate said each time what it must.
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

ROOT = Path(__file__).resolve().parents[2]
LAW = "munlockall: an untouched span is not visited page by page, on report"
# Head, base, more words, exit code, and findings that it must have: name and verdict.
PROOFS: tuple[tuple[str, str, tuple[str, ...], int, dict[str, str]], ...] = (
    ("6.1", "5.10", (), 0, {"munlockall/sparse-2MiB/2GiB": "faster", "munlock/sparse-64KiB/256MiB": "faster", LAW: "faster"}),
    (
        "5.10",
        "6.1",
        (),
        1,
        {"munlockall/report/64GiB": "regression", "munlockall/dense/64MiB": "regression", LAW: "regression"},
    ),
    ("6.12", "6.1", (), 1, {"munlockall/dense/64MiB": "regression", "munlockall/report/64GiB": "faster", LAW: "pass"}),
    ("7.3", "6.1", (), 1, {"munlockall/dense/64MiB": "regression", "munlockall/report/64GiB": "faster", LAW: "pass"}),
    ("6.1", "5.10", ("--op", "mprotect,mlockall"), 1, {"mprotect/dense/16MiB": "regression", "mlockall/dense/16MiB": "faster"}),
)


def gate(head: str, base: str, *words: str) -> dict[str, Any]:
    """Run the gate; return what is recorded of it."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "gate.json"
        done = subprocess.run(
            [sys.executable, "-m", "bench", "gate", "--kernel", head, "--base-kernel", base, *words, "--json", str(report)],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        found = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    told = [{key: one[key] for key in ("name", "verdict", "text")} for one in found.get("findings", [])]
    return {
        "command": " ".join(["gate", "--kernel", head, "--base-kernel", base, *words]),
        "kernels": found.get("kernels", {}),
        "exit_code": done.returncode,
        "seconds": round(time.monotonic() - started),
        "load": round(os.getloadavg()[0], 1),  # of the machine, at the end: instructions do not depend on it
        "said": (done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or [""])[-1],
        "findings": told,
        "machine": found.get("machine", {}),
    }


def proofs() -> Iterator[dict[str, Any]]:
    """Hold kernels against each other."""
    for head, base, words, code, wanted in PROOFS:
        seen = gate(head, base, *words)
        verdicts = {one["name"]: one["verdict"] for one in seen["findings"]}
        right = seen["exit_code"] == code and wanted.items() <= verdicts.items()
        yield seen | {"expected_exit_code": code, "as_it_must": right}


def same(kernel: str, runs: int) -> Iterator[dict[str, Any]]:
    """Hold a kernel against itself, again and again; what passed is not listed."""
    for _ in range(runs):
        seen = gate(kernel, kernel)
        seen["findings"] = [one for one in seen["findings"] if one["verdict"] != "pass"]
        yield seen | {"expected_exit_code": 0, "as_it_must": seen["exit_code"] == 0}


def main(words: Sequence[str]) -> int:
    """Run what was asked for, print a line for each, and record it."""
    parser = argparse.ArgumentParser(description="Show what the gate says of real kernels.")
    parser.add_argument("--same", metavar="KERNEL", help="a kernel against itself")
    parser.add_argument("--runs", type=int, default=20, help="of it")
    parser.add_argument("--record", type=Path, help="JSON file for what was seen")
    args = parser.parse_args(words)
    kept = json.loads(args.record.read_text(encoding="utf-8")) if args.same and args.record and args.record.exists() else []
    new = []
    for one in same(args.same, args.runs) if args.same else proofs():
        new.append(one)
        word = "ok" if one["as_it_must"] else "WRONG"
        print(f"{word:5}  exit code {one['exit_code']}  {one['seconds']:4} s  {one['command']}: {one['said']}", flush=True)
        if args.record:
            part = args.record.with_suffix(".part")
            part.write_text(json.dumps([*kept, *new], indent=1) + "\n", encoding="utf-8")
            part.replace(args.record)
    wrong = sum(not one["as_it_must"] for one in new)
    print(f"{len(new) - wrong} of {len(new)} as they must be")
    return 1 if wrong or not new else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
