"""The action `kernel history`: what the calls of the suite cost one kernel after another, as a table and a figure."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from bench import environment
from bench.commands import Actions
from bench.commands.kernel_figures import add_arguments, chosen, facts, tell
from bench.figures.kernel_history.words import tables
from bench.measuring import kernel_boots
from bench.measuring.kernel_boots import Boot, Order
from bench.progress import progress_bar
from bench.runs import kernel_history, storage
from bench.runs.kernel_history import Costs, HistoryPoint, KernelHistory
from bench.targets.kernel import KernelTarget
from bench.workloads.scenario import Point
from bench.workloads.suite import KERNELS

FIGURE: Final = "kernel_history"


def _measure(targets: list[KernelTarget]) -> KernelHistory:
    """Start each kernel once."""
    orders = [Order(target, KERNELS) for target in targets]
    with progress_bar() as progress:
        names = ", ".join(one.name for one in targets)
        task = progress.add_task(f"calls on {names}", total=sum(map(Order.nr_values, orders)))
        boots = kernel_boots.run(orders, lambda: progress.advance(task))
    return KernelHistory(
        schema=kernel_history.SCHEMA,
        kind="kernel-history",
        command=environment.command_line(),
        created=storage.now(),
        machine=environment.machine_facts(),
        kernels=facts(targets, boots),
        points=[_point(number, targets, boots) for number in range(len(KERNELS))],
    )


def _point(number: int, targets: list[KernelTarget], boots: list[Boot]) -> HistoryPoint:
    """Return what one point of the suite cost on each kernel."""
    group = KERNELS[number]
    costs = {
        target.name: Costs(boot.costs[group.name].values, boot.costs[group.name].taken_off)
        for target, boot in zip(targets, boots, strict=True)
        if group.name in boot.costs
    }
    return HistoryPoint(Point(group.scenario, "", group.operation), costs)


def _history(options: argparse.Namespace) -> int:
    """Measure, or read what was measured before; print a table, draw a figure."""
    asked = chosen(options, KERNELS)
    history = kernel_history.load(asked) if isinstance(asked, Path) else _measure(asked)
    return tell(history, FIGURE, tables, options)


def add_parser(actions: Actions) -> None:
    """Add the action to the parser of `kernel`."""
    parser = actions.add_parser("history", allow_abbrev=False, help="what calls cost one kernel after another, in instructions")
    add_arguments(parser)
    parser.set_defaults(action=_history)
