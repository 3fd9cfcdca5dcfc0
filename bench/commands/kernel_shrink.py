"""What `kernel conform --shrink` does: differences reduced, on the kernel itself, to small traces that are kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import replace

from bench.commands.replay import TraceRunner
from bench.errors import MeasurementError, UsageError, one_line
from bench.kernels.batches import Lost, results_of
from bench.kernels.recording import Kernel
from bench.runs.storage import write_atomic
from bench.traces.replay import differences
from bench.traces.shrinking import Shrinker, shrink_together
from bench.traces.trace_format import Result, Trace, encode_lines, op_name

MAX_KINDS: Final = 8  # of differences that are reduced: more are mostly one mistake
CRASH: Final = "crash"  # in place of a field: the kernel itself ended at the call


class Kind(NamedTuple):
    """Differences that are taken for the same: the call after which a trace differs first, and in what field or by CRASH."""

    op: str
    field: str


class _TimeIsUpError(Exception):
    """No more candidates may be run."""


class Reducer:
    """Reduces traces on which a kernel and an implementation differ."""

    def __init__(self, kernel: Kernel, runner: TraceRunner, jobs: int, seconds: float) -> None:
        """`seconds`: for everything."""
        self._kernel = kernel
        self._runner = runner
        self._jobs = jobs
        self._until = time.monotonic() + seconds

    def results(self, traces: Sequence[Trace]) -> Iterator[Result | Lost]:
        """Run traces on the kernel, under names of their own: candidates share the name of what they come from."""
        renamed = [replace(trace, name=f"c{number}") for number, trace in enumerate(traces)]
        return results_of(self._kernel, renamed, self._jobs, len(renamed) + 1)  # however many crash

    def kind_of(self, trace: Trace, result: Result | Lost) -> Kind | None:
        """Return how a trace differs first, None if it does not, or was lost otherwise than by a crash."""
        if isinstance(result, Lost):
            return Kind(op_name(trace.ops[len(result.begun.steps)]), CRASH) if result.begun else None
        steps = self._runner.steps(trace, trace.name, lambda: None)
        for op, expected, got in zip(trace.ops, result.steps, steps, strict=True):
            for difference in differences(expected, got):
                return Kind(op_name(op), difference.field)
        return None

    def reduce(self, found: Mapping[Kind, Trace]) -> list[Shrinker]:
        """Return what traces, each of which differs in its kind, were reduced to, as far as time allowed."""
        kinds = [*found]
        shrinkers = [Shrinker(trace) for trace in found.values()]

        def shows(candidates: Sequence[tuple[int, Trace]]) -> Iterator[bool]:
            if time.monotonic() > self._until:
                raise _TimeIsUpError
            for (index, trace), result in zip(candidates, self.results([one for _, one in candidates]), strict=True):
                yield self.kind_of(trace, result) == kinds[index]

        with suppress(_TimeIsUpError):
            shrink_together(shrinkers, shows)
        return shrinkers


def _shortest(found: Sequence[tuple[Trace, int, str]]) -> dict[Kind, Trace]:
    """Return by kind the trace that shows it soonest, without what comes after that; at most MAX_KINDS of them."""
    shortest: dict[Kind, Trace] = {}
    seen = set()
    for trace, step, field in found:
        if trace.name not in seen:  # its first difference
            seen.add(trace.name)
            kind = Kind(op_name(trace.ops[step]), field)
            if kind not in shortest or step + 1 < len(shortest[kind].ops):
                shortest[kind] = replace(trace, ops=trace.ops[: step + 1])
    return dict([*shortest.items()][:MAX_KINDS])


def reduce_all(
    found: Sequence[tuple[Trace, int, str]], reducer: Reducer, directory: Path, say: Callable[[str], None], against: str
) -> None:
    """Reduce a trace of each kind of difference; write it and the kernel's results into a directory, and say so.

    `found`: traces that differ, with the step and field of each difference; `against`: the options of `replay` that show it.
    """
    shortest = _shortest(found)
    shrinkers = reducer.reduce(shortest)
    results = reducer.results([one.trace for one in shrinkers])
    for (kind, trace), one, result in zip(shortest.items(), shrinkers, results, strict=True):
        if kind.field == CRASH and reducer.kind_of(one.trace, result) == kind:
            path = directory / f"{kind.op}-{CRASH}.trace.jsonl"
            _write(path, encode_lines([one.trace]))
            say(f"{CRASH} at {kind.op}: {_reduction(trace, one)}: {path}")
            continue
        if isinstance(result, Lost):
            say(f"{kind.field} after {kind.op}: {trace.name} was reduced, and then lost: {result.error}")
            continue
        small, linux = (directory / f"{kind.op}-{kind.field}.{what}.jsonl" for what in ("trace", "linux"))
        _write(small, encode_lines([one.trace]))
        _write(linux, encode_lines([replace(result, name=one.trace.name)]))
        shown = f"unlockall-bench replay {against} --against {linux} {small}"
        say(f"{kind.field} after {kind.op}: {_reduction(trace, one)}: {shown}")


def _reduction(trace: Trace, shrinker: Shrinker) -> str:
    """Say what a trace was reduced to."""
    unfinished = "" if shrinker.is_minimal else ", when time was up"
    return f"{len(trace.ops)} ops of {trace.name} reduced to {len(shrinker.trace.ops)}{unfinished}"


def prepare_directory(directory: Path) -> None:
    """Make the directory, before any work is done; UsageError if that cannot be."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write into {one_line(directory, 120)}: {error.strerror}") from None


def _write(path: Path, data: bytes) -> None:
    """Write a file whole; MeasurementError if that cannot be."""
    try:
        write_atomic(path, data)
    except OSError as error:
        raise MeasurementError(f"cannot write {one_line(path, 120)}: {error.strerror}") from None
