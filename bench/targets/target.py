"""What a target is: something that carries out points, as an implementation of the model does, or a real kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, runtime_checkable

import msgspec

from bench.traces.trace_format import Step, Trace
from bench.workloads.scenario import Point

OnProgress = Callable[[int, int, str], None]  # what is done, of how many, what it is called


class Prepared(msgspec.Struct, frozen=True):
    """A point in the state before its call.

    `call` and `restore` are called in the timed loop, `call` alone within the clock: they must be no more than the call and
    the way back. `counters` and `state` are asked for once after a call, in this order.
    """

    implementation: str  # that carries it out, as the target itself says
    span: int  # bytes reserved before the call, all VMAs
    nr_vmas: int
    nr_populated: int  # pages in memory, the zero page's mappings not counted (as Rss)
    call: Callable[[], object]  # the measured call, without arguments
    restore: Callable[[], object]  # back to the state before the call
    counters: Callable[[], dict[str, int] | None]  # of the last call; None where the target has none
    state: Callable[[], str | None]  # digest of what can be seen after the call; None where the target cannot say


class TraceSettings(msgspec.Struct, frozen=True):
    """The machine that traces run on."""

    thp: str = "never"  # transparent_hugepage=, "never" or "always"
    ram: int | None = None  # bytes; None: what the target has


class Target(Protocol):
    """What points are carried out on. Creating one loads nothing.

    One that is a subclass has what is given here where it says nothing else.
    """

    @property
    def name(self) -> str:
        """Name of the implementation or the kernel, the last part of its points' names."""

    @property
    def summary(self) -> str:
        """What it is, one line."""

    @property
    def kernel(self) -> str:
        """The kernel whose rules it follows, "5.10": targets of one kernel leave the same state behind, whatever the call."""

    def check(self, point: Point) -> None:
        """Raise UsageError if a point cannot be carried out, before anything is built for it."""

    def expected_seconds(self, point: Point) -> float:
        """Return about how long it takes to build a point and make its call; 0 where that is not known."""
        return 0.0


class PreparingTarget(Target, Protocol):
    """A target that prepares points in the process that measures them, as the model does; a kernel has them done in a guest.

    What a first use needs is load()'s.
    """

    @property
    def family(self) -> str:
        """What load() loads: targets of one family are loaded together."""

    def load(self, on_progress: OnProgress) -> None:
        """Do what the first use would wait for; `on_progress` hears how far it is."""
        on_progress(1, 1, self.family)

    def facts(self) -> Mapping[str, str | int]:
        """Return what a result must say of the target, beside the machine's facts, as pyperf's metadata."""
        return {}

    def source_digest(self) -> str:
        """Return the digest of what is measured, "" where there is none: results of other sources are never mixed."""
        return ""

    def needed_bytes(self, point: Point) -> int:
        """Return the bytes of this machine's memory that a prepared point takes at most."""
        return 0

    def prepare(self, point: Point) -> Prepared:
        """Build what `point` asks for; UsageError if it cannot be built, MeasurementError if it is not what was asked for."""


@runtime_checkable
class TraceTarget(PreparingTarget, Protocol):
    """A target that can also carry out traces, step by step."""

    def refusal_of(self, trace: Trace) -> str:
        """Return why it cannot carry out a trace, "" if it can."""
        return ""

    def steps(self, trace: Trace, settings: TraceSettings) -> Iterator[Step]:
        """Carry out a trace in a fresh process, one step after the other; MemoryError where memory does not suffice."""
