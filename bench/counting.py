"""The counting pass: each call once, untimed, its exact counters, and the state it leaves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from bench.scenario import Point
from bench.workload import prepare

if TYPE_CHECKING:
    from mmmodel import ObservableState


class Counted(msgspec.Struct, frozen=True):
    """What one call did. Exact: the same on every machine, in every run."""

    name: str
    point: Point
    span: int  # bytes reserved before the call, all VMAs
    nr_vmas: int  # before the call
    nr_populated: int  # pages in memory before the call
    counters: dict[str, int]  # of the call; names that start with model_ are not the kernel's


class Pass(msgspec.Struct, frozen=True):
    """A counted call with what is needed beside the record that is kept."""

    counted: Counted
    state: ObservableState | None  # after the call, all per-CPU batches drained; None once it was compared
    seconds: float  # roughly; only to choose how often to repeat the call when it is timed


def count(point: Point) -> Pass:
    """Run the measured call once and read its counters."""
    prepared = prepare(point)
    space = prepared.space
    span = sum(vma.end - vma.start for vma in space.smaps())
    started = time.perf_counter()
    prepared.call()
    seconds = time.perf_counter() - started
    counters = space.call_counters()
    # A page that waits in a per-CPU batch is not yet where it will be, and the two kernels batch differently.
    space.lru_add_drain_all()
    counted = Counted(
        name=point.name,
        point=point,
        span=span,
        nr_vmas=prepared.nr_vmas,
        nr_populated=prepared.nr_populated,
        counters=counters,
    )
    return Pass(counted=counted, state=space.observable_state(), seconds=seconds)
