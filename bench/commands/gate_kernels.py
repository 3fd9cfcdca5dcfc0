"""The `gate` command on two real kernels: check what is asked for, have the gate boot and judge them, make the report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

from bench import environment
from bench.commands.kernel_figures import check
from bench.errors import UsageError
from bench.gate import kernel_checks, kernel_engine, render
from bench.gate.kernel_engine import ARMS, Request
from bench.gate.verdict import EXIT_CODES, overall
from bench.progress import progress_bar
from bench.runs import storage
from bench.targets import kernel
from bench.workloads import selection
from bench.workloads.suite import KERNELS, UNLOCKING, Group

# Options that say how the model is judged.
_OF_THE_MODEL: Final = ("base", "only", "accept", "expectation", "suite", "rounds", "tolerance", "seed")


def read_request(args: argparse.Namespace) -> Request:
    """Check what the words of a command line mean."""
    if args.kernel is None or args.base_kernel is None:
        raise UsageError("one real kernel is held against another: --kernel and --base-kernel need each other")
    if others := [name for name in _OF_THE_MODEL if getattr(args, name) not in (None, False)]:
        raise UsageError(f"--{others[0]} is of the gate on the model; with --kernel there are only --base-kernel and reports")
    groups = _groups(args.op or [])
    request = Request(kernel.find(args.base_kernel), kernel.find(args.kernel), groups, tuple(kernel_checks.laws(groups)))
    for target in (request.base, request.head):
        check(target, request.groups)
    return request


def _groups(words: Sequence[str]) -> tuple[Group, ...]:
    """Return the points of the suite for kernels on which the calls asked for are made."""
    asked = selection.operations(words) if words else UNLOCKING
    if others := set(asked) - {group.operation for group in KERNELS}:
        raise UsageError(f"--op {min(others)} is not in the suite for kernels (try unlockall-bench gate --help)")
    return tuple(group for group in KERNELS if group.operation in asked)


def run(request: Request) -> render.KernelReport:
    """Boot and judge; return the report."""
    with progress_bar() as progress:
        outcome = kernel_engine.measure_and_judge(request, progress)
    verdict = overall(outcome.findings)
    boots = {arm: list(getattr(outcome.arms, arm)) for arm in ARMS}
    return render.KernelReport(
        schema=render.SCHEMA,
        kind="gate-kernels",
        command=environment.command_line(),
        created=storage.now(),
        machine=environment.machine_facts(),
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        findings=outcome.findings,
        kernels={arm: getattr(request, arm).name for arm in ARMS},
        boots=boots,
    )
