"""What the gate holds real kernels to, beside each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from bench.workloads.suite import Group


class KernelLaw(msgspec.Struct, frozen=True):
    """How the cost of a call may grow from each size of a curve to the next."""

    what: str
    curve: tuple[Group, ...]  # sizes ascending
    # Instructions for each page more, or the exponent k of cost ~ size**k: above `low`, below `high`.
    measure: Literal["per page", "exponent"]
    low: float
    high: float


def laws(groups: Sequence[Group]) -> list[KernelLaw]:
    """Return the laws for all points of these that differ in their span alone."""
    curves: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        curves.setdefault((group.operation, group.scenario.name), []).append(group)
    return [_law(curve) for curve in curves.values() if len(curve) > 1]


def _law(curve: Sequence[Group]) -> KernelLaw:
    """Return the law for a call: what visits a page executes an instruction at least, what is in memory must be visited."""
    scenario, operation = curve[0].scenario, curve[0].operation
    ascending = tuple(sorted(curve, key=lambda group: group.scenario.span))
    if scenario.populate.pattern == "none":
        what = f"{operation}: an untouched span is not visited page by page, on {scenario.name}"
        return KernelLaw(what, ascending, "per page", -math.inf, 1.0)
    return KernelLaw(f"{operation}: linear in the pages in memory, on {scenario.name}", ascending, "exponent", 0.9, 1.1)
