"""Instructions per page from kernel to kernel: a row for each call on each address space."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bench.analysis.kernel_history import Row, largest, rows
from bench.figures.inputs import Skipped
from bench.runs.kernel_history import KernelHistory

NAME = "kernel-history"


class History(msgspec.Struct, frozen=True):
    """The figure's numbers."""

    kernels: tuple[str, ...]  # in the order asked for
    span: tuple[Row, ...]  # of untouched memory, cheapest first
    memory: tuple[Row, ...]  # of pages in memory, cheapest first
    every: tuple[Row, ...]  # of all sizes, for the tables


def prepare(history: KernelHistory) -> Sequence[History | Skipped]:
    """Return the rows of the longest spans."""
    found = rows(history)
    shown = largest(found)
    names = tuple(one.name for one in history.kernels)
    span, memory = (tuple(row for row in shown if row.per == per) for per in ("span", "memory"))
    return [History(names, span, memory, tuple(found))] if found else [Skipped(NAME, "no call was measured")]
