"""The kinds of figures that there are. A new one is a folder here, and its name in NAMES."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.figures.inputs import Skipped
from bench.figures.kind import Kind, Prepared, kind_of
from bench.runs.loaded import LoadedRun

NAMES = ("report", "scaling", "ratio", "cost", "distribution", "order")  # in the order of the page
KINDS: dict[str, Kind[Any]] = {name: kind_of(name) for name in NAMES}
# Of what `kernel history`, `kernel costs` and `scan` measure, which is no run: those commands draw them.
KERNEL_NAMES = ("kernel_history", "kernel_costs", "scan")
KERNEL_KINDS: dict[str, Kind[Any]] = {name: kind_of(name) for name in KERNEL_NAMES}

# Of the address spaces of processes, which are no runs either.
LAYOUT_NAMES = ("address_space",)
LAYOUT_KINDS: dict[str, Kind[Any]] = {name: kind_of(name) for name in LAYOUT_NAMES}


def prepare(run: LoadedRun, kinds: Sequence[str] = NAMES) -> list[Prepared[Any] | Skipped]:
    """Return every figure of these kinds, or why a run has none."""
    return [one for kind in kinds for one in KINDS[kind].prepared(run)]
