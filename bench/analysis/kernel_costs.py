"""Instructions per page by kind of page: the difference of two exact runs, by the pages in which they differ."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec

from bench.runs.kernel_costs import KernelCosts, KindCosts, Sized


class Fitted(msgspec.Struct, frozen=True):
    """What a call costs on a kernel: `fixed`, and `per_page` for each page of a kind."""

    per_page: float  # instructions
    fixed: float  # instructions


class KindRow(msgspec.Struct, frozen=True):
    """One kind of page on every kernel."""

    name: str
    summary: str
    covers: int
    fitted: dict[str, Fitted]  # by kernel

    @property
    def per_page(self) -> dict[str, float]:
        """Return instructions per page by kernel."""
        return {name: one.per_page for name, one in self.fitted.items()}


def fit(sizes: Sequence[Sized]) -> Fitted:
    """Return the line through the medians of two sizes."""
    few, more = sizes
    low, high = (statistics.median(one.values) for one in sizes)
    per_page = (high - low) / (more.nr_pages - few.nr_pages)
    return Fitted(per_page, low - per_page * few.nr_pages)


def rows(costs: KernelCosts) -> list[KindRow]:
    """Return every kind that was measured, in order."""
    return [_row(one) for one in costs.kinds if one.costs]


def _row(kind: KindCosts) -> KindRow:
    """Return one kind fitted on every kernel."""
    return KindRow(kind.name, kind.summary, kind.covers, {name: fit(sizes) for name, sizes in kind.costs.items()})
