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
from bench.errors import MeasurementError, UsageError, one_line
from bench.runs.record import Counted
from bench.targets import registry
from bench.workloads.scenario import Point

# Modules beside the model's that decide what is counted and timed.
DECIDING = (
    "measuring/counting",
    "measuring/timing",
    "targets/*",
    "workloads/layout",
    "workloads/scenario",
)


LONG_SECONDS = 60.0  # what takes longer is announced


class CountResult(msgspec.Struct, frozen=True):
    """A counted call with what is needed beside the record that is kept."""

    counted: Counted
    state: str | None  # digest of the state after the call, all per-CPU batches drained; None where it cannot be seen
    seconds: float  # roughly; only to choose how often to repeat the call when it is timed
    prepare_seconds: float = 0.0  # roughly; only to say how long timing will take


@functools.cache
def sources_digest() -> str:
    """Return the digest of all sources that decide what a point's counters are, as this process first saw them."""
    digest = hashlib.sha256(environment.source_digest().encode())
    for pattern in DECIDING:
        for path in sorted(Path(__file__).parents[1].glob(f"{pattern}.py")):
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _comparable(point: Point) -> str:
    """Return what points have in common that must leave the same state.

    Two calls are compared within a kernel only. mlockall(): 5.10 locks what it can fault in, and so no page that is PROT_NONE
    now, 6.1 what is there (docs/differences.md). mmap(): 6.12 puts anonymous memory of 2 MiB or more at a multiple of that.
    """
    if point.operation not in ("mlockall", "mmap"):
        return point.group
    return f"{point.group} of {registry.implementation(point.implementation).kernel}"


class Agreement:
    """Holds the implementations of a group to each other: all must leave the same state behind."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[str, str]] = {}

    def check(self, done: CountResult) -> None:
        """Compare with the first implementation of its group that was counted; raise MeasurementError if they differ."""
        point = done.counted.point
        if done.state is None:
            return
        name, state = self._first.setdefault(_comparable(point), (point.implementation, done.state))
        if state != done.state:
            raise MeasurementError(
                f"{name} and {point.implementation} leave different states after {point.group}: nothing was timed"
            )


def tell_if_long(progress: Progress, what: str, seconds: float) -> None:
    """Print a line on standard error before work that will take more than LONG_SECONDS."""
    if seconds > LONG_SECONDS:
        told = f"unlockall-bench: {what} will take about {seconds / 60:.0f} min"
        progress.console.print(told, highlight=False, soft_wrap=True, markup=False)


def count_points(points: Sequence[Point], progress: Progress) -> list[CountResult]:
    """Count every point's call; raise if two implementations leave different states behind."""
    task = progress.add_task("counting", total=len(points))
    agreement = Agreement()
    results: list[CountResult] = []
    for point in points:
        tell_if_long(progress, f"counting {point.name}", registry.implementation(point.implementation).expected_seconds(point))
        progress.update(task, description=f"counting {point.name}")
        results.append(count(point))
        agreement.check(results[-1])
        progress.advance(task)
    progress.remove_task(task)
    return results


def count(point: Point) -> CountResult:
    """Run the measured call once and read its counters; UsageError if the target has none."""
    began = time.perf_counter()
    prepared = registry.prepare(point)
    started = time.perf_counter()
    try:
        prepared.call()
    except OSError as error:  # an error of the call that is measured, not of this program
        raise MeasurementError(f"{point.name} failed: {one_line(error)}") from None
    seconds = time.perf_counter() - started
    counters = prepared.counters()
    if counters is None:
        raise UsageError(f"{point.implementation} has no counters: it can be timed only")
    counted = Counted(
        name=point.name,
        point=point,
        span=point.scenario.span if point.operation == "mmap" else prepared.span,
        nr_vmas=prepared.nr_vmas,
        nr_populated=prepared.nr_populated,
        counters=counters,
    )
    return CountResult(counted=counted, state=prepared.state(), seconds=seconds, prepare_seconds=started - began)
