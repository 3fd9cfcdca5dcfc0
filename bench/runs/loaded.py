"""One run as it was read back: the type that tables, comparisons and figures are made from."""

from __future__ import annotations

import re
import statistics

import msgspec

from bench.errors import MeasurementError
from bench.runs.record import Counted
from bench.workloads.scenario import PointName


class Process(msgspec.Struct, frozen=True):
    """One worker process of a timed point, which measured at least one value."""

    values: tuple[float, ...]  # seconds of one call
    started: float | None  # seconds after the run's first process; None where the file does not say

    @property
    def seconds(self) -> float:
        """What a call took in this process: the median of its values; bench.analysis.stats says why."""
        return statistics.median(self.values)


class LoadedPoint(msgspec.Struct, frozen=True):
    """What a run knows of one point. None and "" where its files do not say."""

    name: PointName
    digest: str = ""  # of the parameters
    span: int | None = None  # bytes
    nr_vmas: int | None = None
    nr_populated: int | None = None  # pages in memory before the call
    counters_digest: str = ""
    record: Counted | None = None  # None where only times are known
    processes: tuple[Process, ...] = ()  # none where it was not timed; in the order of the file

    @property
    def implementation(self) -> str:
        """Name of the implementation."""
        return self.name.implementation

    @property
    def counters(self) -> dict[str, int] | None:
        """Exact counters of the call."""
        return self.record.counters if self.record else None

    @property
    def counted(self) -> Counted:
        """The record of the counted call; raises MeasurementError if there is none."""
        if self.record is None:
            raise MeasurementError(f"{self.name} was not counted")
        return self.record

    @property
    def by_process(self) -> list[float]:
        """What a call took, in seconds, in each process."""
        return [one.seconds for one in self.processes]

    @property
    def values(self) -> list[float]:
        """Seconds of one call, all values of all processes."""
        return [value for one in self.processes for value in one.values]


class LoadedRun(msgspec.Struct, frozen=True):
    """One run. Without counters.json it has no command, no date and no `machine`."""

    where: str  # name or path, as it was asked for
    name: str  # of its directory or file
    command: str
    created: str  # UTC, ISO 8601; "" where it was not to be dated
    machine: dict[str, str | int]  # as counters.json has it
    points: dict[str, LoadedPoint]  # by name, in the order of the files
    facts: dict[str, str]  # of the machine and the software, from both files under one set of names
    settings: bool  # whether the facts tell all settings of the environment, so that one which is missing was not set

    @property
    def slug(self) -> str:
        """The name as a directory of figures can have it."""
        return slug(self.name)

    @property
    def counted_points(self) -> tuple[LoadedPoint, ...]:
        """The points that have counters."""
        return tuple(one for one in self.points.values() if one.record)

    @property
    def timed_points(self) -> tuple[LoadedPoint, ...]:
        """The points that were timed, and counted, too, if any of the run was."""
        return tuple(one for one in self.counted_points or self.points.values() if one.processes)

    @property
    def nr_foreign(self) -> int:
        """Number of timed benchmarks that nothing was counted for, where others were counted."""
        return len(self.points) - len(self.counted_points) if self.counted_points else 0


def slug(text: str) -> str:
    """Return a text as a safe part of a file name: ASCII letters, digits, dots, dashes; never hidden, never empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:80] or "unnamed"
