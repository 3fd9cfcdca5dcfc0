"""What the gate holds real kernels to, beside each other."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from bench.workloads.scenario import Operation
from bench.workloads.suite import KERNELS_GATE, Group


class KernelLaw(msgspec.Struct, frozen=True):
    """How the cost of a call may grow from each size of a curve to the next."""

    what: str
    curve: tuple[Group, ...]  # sizes ascending
    # Instructions for each page more, or the exponent k of cost ~ size**k: above `low`, below `high`.
    measure: Literal["per page", "exponent"]
    low: float
    high: float


def _curves(pattern: str) -> Iterable[tuple[Operation, tuple[Group, ...]]]:
    """Yield the points of the suite with such pages in memory that differ in their span alone, by call."""
    found: dict[tuple[Operation, str], list[Group]] = {}
    for group in KERNELS_GATE:
        if group.scenario.populate.pattern == pattern:
            found.setdefault((group.operation, group.scenario.name), []).append(group)
    for (operation, _), groups in found.items():
        if len(groups) > 1:
            yield operation, tuple(groups)


# What visits a page executes an instruction at least.
_UNTOUCHED: Final = tuple(
    KernelLaw(f"{operation}: an untouched span is not visited page by page", curve, "per page", -math.inf, 1.0)
    for operation, curve in _curves("none")
)
_DENSE: Final = tuple(
    KernelLaw(f"{operation}: linear in the pages in memory", curve, "exponent", 0.9, 1.1)
    for operation, curve in _curves("every")
)
KERNEL_LAWS: Final = (*_UNTOUCHED, *_DENSE)
