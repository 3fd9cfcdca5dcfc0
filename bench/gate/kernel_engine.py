"""The gate on real kernels: starts two kernels in turn, has them judged, and starts them again for what seems dearer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from rich.progress import Progress

from bench.gate import kernel_judge
from bench.gate.kernel_checks import KernelLaw
from bench.gate.kernel_judge import FEWEST_BOOTS, Arms
from bench.gate.verdict import Finding
from bench.measuring import kernel_boots
from bench.measuring.kernel_boots import Boot, Order
from bench.targets.kernel import KernelTarget
from bench.workloads.suite import Group

ARMS: Final = ("base", "head")


class Request(msgspec.Struct, frozen=True):
    """What is to be measured and judged."""

    base: KernelTarget
    head: KernelTarget
    groups: tuple[Group, ...]
    laws: tuple[KernelLaw, ...]


class Outcome(msgspec.Struct, frozen=True):
    """What was found, and what it was found by."""

    findings: list[Finding]
    arms: Arms


def measure_and_judge(request: Request, progress: Progress) -> Outcome:
    """Start the kernels in turn, FEWEST_BOOTS times each; what seems dearer is measured once more, and judged by all starts."""
    arms = _boot(request, request.groups, progress)
    names = [one.name for one in request.groups]
    findings = _failures(arms) + kernel_judge.judge(arms, names, request.laws)
    dearer = {one.name for one in findings if one.part == "instructions" and one.verdict == "regression"}
    if not dearer:
        return Outcome(findings, arms)
    again = _boot(request, [one for one in request.groups if one.name in dearer], progress)
    both = Arms([*arms.base, *again.base], [*arms.head, *again.head])
    return Outcome(_failures(both) + kernel_judge.judge(both, names, request.laws), both)


def _boot(request: Request, groups: Sequence[Group], progress: Progress) -> Arms:
    """Start both kernels in turn."""
    targets = [getattr(request, arm) for _ in range(FEWEST_BOOTS) for arm in ARMS]
    orders = [Order(target, groups) for target in targets]
    task = progress.add_task(f"calls on {request.base.name} and {request.head.name}", total=sum(map(Order.nr_values, orders)))
    boots = kernel_boots.run(orders, lambda: progress.advance(task))
    progress.remove_task(task)
    return Arms(boots[0::2], boots[1::2])


def _failures(arms: Arms) -> list[Finding]:
    """Return a finding for each start that did not come to its end."""
    boots: dict[str, Sequence[Boot]] = {arm: getattr(arms, arm) for arm in ARMS}
    return [
        Finding("instructions", f"start {number} of the {arm}", "error", boot.error)
        for arm, every in boots.items()
        for number, boot in enumerate(every, 1)
        if boot.error
    ]
