"""The counting pass: each call once, untimed, its exact counters, and the state it leaves."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.progress import Progress

from bench import environment
from bench.errors import MeasurementError
from bench.runs.record import Counted
from bench.targets.model import prepare
from bench.workloads.scenario import Point

# Modules beside the model's that decide what is counted and timed.
DECIDING = ("measuring/counting", "measuring/timing", "targets/model", "workloads/layout", "workloads/scenario")


class Pass(msgspec.Struct, frozen=True):
    """A counted call with what is needed beside the record that is kept."""

    counted: Counted
    state: str  # digest of the state after the call, all per-CPU batches drained
    seconds: float  # roughly; only to choose how often to repeat the call when it is timed


@functools.cache
def sources_digest() -> str:
    """Return the digest of all sources that decide what a point's counters are, as this process first saw them."""
    digest = hashlib.sha256(environment.source_digest().encode())
    for name in DECIDING:
        digest.update((Path(__file__).parents[1] / f"{name}.py").read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _comparable(point: Point) -> str:
    """Return what points have in common that must leave the same state.

    mlockall() is compared within a kernel only: 5.10 locks what it can fault in, and so no page that is PROT_NONE now,
    6.1 what is there (docs/differences.md).
    """
    if point.operation != "mlockall":
        return point.group
    return f"{point.group} of {'6.1' if point.implementation == 'page-walk' else '5.10'}"


class Agreement:
    """Holds the implementations of a group to each other: all must leave the same state behind."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[str, str]] = {}

    def check(self, done: Pass) -> None:
        """Compare with the first implementation of its group that was counted; raise MeasurementError if they differ."""
        point = done.counted.point
        name, state = self._first.setdefault(_comparable(point), (point.implementation, done.state))
        if state != done.state:
            raise MeasurementError(
                f"{name} and {point.implementation} leave different states after {point.group}: nothing was timed"
            )


def count_points(points: Sequence[Point], progress: Progress) -> list[Pass]:
    """Count every point's call; raise if two implementations leave different states behind."""
    task = progress.add_task("counting", total=len(points))
    agreement = Agreement()
    passes: list[Pass] = []
    for point in points:
        progress.update(task, description=f"counting {point.name}")
        passes.append(count(point))
        agreement.check(passes[-1])
        progress.advance(task)
    progress.remove_task(task)
    return passes


def count(point: Point) -> Pass:
    """Run the measured call once and read its counters."""
    prepared = prepare(point)
    space = prepared.space
    reserved = sum(vma.end - vma.start for vma in space.smaps())
    started = time.perf_counter()
    prepared.call()
    seconds = time.perf_counter() - started
    counters = space.call_counters()
    # A page that waits in a per-CPU batch is not yet where it will be, and the two kernels batch differently.
    space.lru_add_drain_all()
    counted = Counted(
        name=point.name,
        point=point,
        span=point.scenario.span if point.operation == "mmap" else reserved,
        nr_vmas=prepared.nr_vmas,
        nr_populated=prepared.nr_populated,
        counters=counters,
    )
    state = hashlib.sha256(msgspec.json.encode(space.observable_state())).hexdigest()
    return Pass(counted=counted, state=state, seconds=seconds)
