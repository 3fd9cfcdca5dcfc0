"""The action `kernel costs`: what munlock() executes for a page of each kind, on real kernels, as a table and a figure."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from bench import environment
from bench.commands import Actions
from bench.commands.kernel_figures import add_arguments, chosen, facts, tell
from bench.figures.kernel_costs.words import tables
from bench.kernels.page_kinds import KINDS, PageKind
from bench.measuring import page_costs
from bench.measuring.kernel_boots import Boot
from bench.progress import progress_bar
from bench.runs import kernel_costs, storage
from bench.runs.kernel_costs import KernelCosts, KindCosts, Sized
from bench.targets.kernel import KernelTarget

FIGURE: Final = "kernel_costs"


def _measure(targets: list[KernelTarget]) -> KernelCosts:
    """Start each kernel."""
    with progress_bar() as progress:
        names = ", ".join(one.name for one in targets)
        task = progress.add_task(f"pages of each kind on {names}", total=page_costs.nr_values() * len(targets))
        boots = page_costs.run(targets, lambda: progress.advance(task))
    return KernelCosts(
        schema=kernel_costs.SCHEMA,
        kind="kernel-costs",
        command=environment.command_line(),
        created=storage.now(),
        machine=environment.machine_facts(),
        kernels=facts(targets, boots),
        kinds=[_kind(kind, targets, boots) for kind in KINDS],
    )


def _kind(kind: PageKind, targets: list[KernelTarget], boots: list[Boot]) -> KindCosts:
    """Return what one kind costs on every kernel that was measured with both sizes."""
    few, more = (page_costs.key(kind, nr_pages) for nr_pages in kind.sizes)
    found = {
        target.name: (Sized(kind.sizes[0], boot.costs[few].values), Sized(kind.sizes[1], boot.costs[more].values))
        for target, boot in zip(targets, boots, strict=True)
        if few in boot.costs and more in boot.costs
    }
    return KindCosts(kind.name, kind.summary, kind.covers, found)


def _costs(options: argparse.Namespace) -> int:
    """Measure, or read what was measured before; print tables, draw a figure."""
    asked = chosen(options)
    costs = kernel_costs.load(asked) if isinstance(asked, Path) else _measure(asked)
    return tell(costs, FIGURE, tables, options)


def add_parser(actions: Actions) -> None:
    """Add the action to the parser of `kernel`."""
    what = "what munlock() executes for a page of each kind, in instructions"
    parser = actions.add_parser("costs", allow_abbrev=False, help=what)
    add_arguments(parser)
    parser.set_defaults(action=_costs)
