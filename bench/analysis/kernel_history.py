"""Instructions per page from kernel to kernel."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec

from bench.runs.kernel_history import HistoryPoint, KernelHistory
from bench.workloads import setup
from bench.workloads.scenario import Point
from mmmodel.constants import PAGE_SIZE

Per = Literal["span", "memory"]  # a page of the span, or one that is in memory


class Row(msgspec.Struct, frozen=True):
    """One point from kernel to kernel."""

    point: Point
    per: Per
    nr_pages: int  # that the call works on, of the span or in memory
    cost: dict[str, int]  # by kernel, instructions: the median of its calls

    @property
    def per_page(self) -> dict[str, float]:
        """Return instructions per page by kernel."""
        return {name: value / self.nr_pages for name, value in self.cost.items()}


def rows(history: KernelHistory) -> list[Row]:
    """Return every point that was measured: those without anything in memory first, each kind cheapest first."""
    found = [_row(one) for one in history.points if one.costs]
    return sorted(found, key=lambda row: (row.per != "span", _typical(row)))


def _typical(row: Row) -> float:
    """Return what rows are ordered by: the median of the kernels."""
    return statistics.median(row.per_page.values())


def _row(one: HistoryPoint) -> Row:
    """Return a point per page."""
    scenario = one.scenario
    per: Per = "memory" if scenario.populate.pattern != "none" or one.point.operation == "mmap" else "span"
    # A huge page is one access of the set-up, and 512 pages in memory; mmap() brings all.
    every = per == "span" or scenario.thp == "always" or one.point.operation == "mmap"
    nr_pages = scenario.span // PAGE_SIZE if every else scenario.populate.nr_pages(scenario.span)
    if one.point.operation == "munlock-part":
        nr_pages = nr_pages * setup.part(0, scenario.span)[1] // scenario.span
    return Row(one.point, per, nr_pages, {name: int(statistics.median(costs.values)) for name, costs in one.costs.items()})


def largest(found: Sequence[Row]) -> list[Row]:
    """Return of each call on each scenario the row with the longest span, in the same order."""
    most: dict[tuple[str, str], int] = {}
    for row in found:
        key = (row.point.operation, row.point.scenario.name)
        most[key] = max(most.get(key, 0), row.point.scenario.span)
    return [row for row in found if row.point.scenario.span == most[row.point.operation, row.point.scenario.name]]
