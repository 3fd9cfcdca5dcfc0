"""What `kernel history` and `kernel costs` have in common: kernels or a kept file, tables, JSON, a figure."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.errors import EXIT_MEASUREMENT, MeasurementError, UsageError, one_line
from bench.figures.inputs import Skipped
from bench.figures.kind import Prepared
from bench.figures.kinds import KERNEL_KINDS
from bench.measuring.kernel_boots import Boot
from bench.runs import storage
from bench.runs.kernel_costs import KernelCosts
from bench.runs.kernel_history import KernelFacts, KernelHistory
from bench.tables import formats
from bench.tables.table import Page, Table
from bench.targets import kernel
from bench.targets.kernel import KernelTarget
from bench.workloads.suite import Group

SUFFIX = ".json"


def say(line: str) -> None:
    """Tell on standard error."""
    print(f"unlockall-bench: {line}", file=sys.stderr, flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that both have."""
    parser.add_argument(
        "kernel", nargs="+", metavar="KERNEL", help="versions of the cache or paths of images; or one file that --json wrote"
    )
    parser.add_argument("--json", action="store_true", help="print all that was measured as JSON")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw the figure there, as SVG and PNG")
    formats.add_option(parser)


def chosen(options: argparse.Namespace, groups: Sequence[Group] = ()) -> list[KernelTarget] | Path:
    """Return the kernels to measure, or the file that has what was measured."""
    words: list[str] = options.kernel
    if options.plots:
        storage.make_directory(options.plots)
    if any(word.endswith(SUFFIX) for word in words):
        if len(words) > 1:
            raise UsageError(f"{one_line(words[0], 80)} is one of {len(words)}: give kernels, or one file that --json wrote")
        return Path(words[0])
    targets = [kernel.find(word) for word in words]
    names = [one.name for one in targets]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"kernel {twice} is asked for twice")
    for one in targets:
        check(one, groups)
    return targets


def check(target: KernelTarget, groups: Sequence[Group]) -> None:
    """Raise UsageError for a kernel whose calls are not counted in instructions, or that cannot carry out a point."""
    if target.unit != "instructions":
        raise UsageError(f"{target.name} is timed, and kernels are compared in instructions: give versions or images for QEMU")
    for group in groups:
        for point in group.points([target.name]):
            target.check(point)


def tell(
    measured: KernelHistory | KernelCosts, figure: str, tables: Callable[[Any], Sequence[Table]], options: argparse.Namespace
) -> int:
    """Print what was measured as tables or JSON, draw its figure if asked; return the exit code.

    `tables`: of the numbers of that figure. MeasurementError if there is nothing to show.
    """
    prepared = KERNEL_KINDS[figure].prepared(measured)[0]
    if isinstance(prepared, Skipped):
        raise MeasurementError(next((one.error for one in measured.kernels if one.error), prepared.reason))
    if options.json:
        sys.stdout.write(storage.encode_json(measured).decode())
    else:
        formats.show(Page(tuple(tables(prepared.data))), wide=options.wide)
    if options.plots:
        draw(prepared, options.plots)
    return ending(measured.kernels)


def draw(prepared: Prepared[Any], plots: Path) -> None:
    """Draw a figure."""
    from bench.figures.style import save  # here, because it loads matplotlib, which bad input need not wait for

    words = prepared.words()
    svg, _ = save(prepared.draw(), plots / words.name, words.title, words.alternative)
    say(f"figure: {svg}, .png")


def facts(targets: Sequence[KernelTarget], boots: Sequence[Boot]) -> list[KernelFacts]:
    """Return what is told of each kernel."""
    return [
        KernelFacts(target.name, boot.releases[0] if boot.releases else target.kernel, boot.error)
        for target, boot in zip(targets, boots, strict=True)
    ]


def ending(kernels: Sequence[KernelFacts]) -> int:
    """Tell what could not be measured; return the exit code."""
    failed = [one for one in kernels if one.error]
    for one in failed:
        say(f"{one.name}: {one.error}")
    return EXIT_MEASUREMENT if failed else 0
