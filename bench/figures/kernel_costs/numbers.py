"""Instructions per page by kind of page, on each kernel."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bench.analysis.kernel_costs import KindRow, rows
from bench.figures.inputs import Skipped
from bench.runs.kernel_costs import KernelCosts

NAME = "kernel-costs"


class PageCosts(msgspec.Struct, frozen=True):
    """The figure's numbers."""

    kernels: tuple[str, ...]  # in the order asked for
    kinds: tuple[KindRow, ...]


def prepare(costs: KernelCosts) -> Sequence[PageCosts | Skipped]:
    """Return the kinds that were measured."""
    names, found = tuple(one.name for one in costs.kernels), tuple(rows(costs))
    return [PageCosts(names, found)] if found else [Skipped(NAME, "no kind of page was measured")]
