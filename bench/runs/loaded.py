"""One run as it was read back: the type that tables, comparisons and figures are made from."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence

import msgspec

from bench.errors import MeasurementError, one_line, unknown
from bench.runs.kernel_record import KernelFacts
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
    processes: tuple[Process, ...] = ()  # none where it was not timed; in the order of the file; starts of a real kernel
    kernel: KernelFacts | None = None  # the real kernel that it was measured on; None: a model's
    instructions: tuple[tuple[int, ...], ...] = ()  # of each call, start by start; of real kernels alone

    @property
    def implementation(self) -> str:
        """Name of the implementation, or of the real kernel."""
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

    @property
    def nr_instructions(self) -> int | None:
        """Instructions of one call: the median of all; None where they are not known."""
        found = self.all_instructions
        return statistics.median_low(found) if found else None

    @property
    def all_instructions(self) -> list[int]:
        """Instructions of each call, all starts together."""
        return [value for start in self.instructions for value in start]


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
    def kernel_points(self) -> tuple[LoadedPoint, ...]:
        """The points that were measured on real kernels."""
        return tuple(one for one in self.points.values() if one.kernel)

    @property
    def kernels(self) -> dict[str, KernelFacts]:
        """The real kernels, by the name of the target."""
        return {one.kernel.name: one.kernel for one in self.points.values() if one.kernel}

    @property
    def known_points(self) -> tuple[LoadedPoint, ...]:
        """The points that have counters or are of real kernels; all of them if none has counters."""
        return tuple(one for one in self.points.values() if one.record or one.kernel or not self.counted_points)

    @property
    def timed_points(self) -> tuple[LoadedPoint, ...]:
        """The points that were timed: those of the model were counted, too, if any of the run was."""
        return tuple(one for one in self.known_points if one.processes)

    @property
    def nr_foreign(self) -> int:
        """Number of timed benchmarks of the model that nothing was counted for, where others were counted."""
        return len(self.points) - len(self.known_points)


def of_targets(run: LoadedRun, words: Sequence[str]) -> LoadedRun:
    """Return the part of a run that is of these targets, all of it if there are no words; UsageError if it has none of one.

    A word is a name, or the beginning of a version ("6.1": the newest of them) or of a file's name.
    """
    if not words:
        return run
    names = list(dict.fromkeys(one.implementation for one in run.points.values()))
    chosen = [_target_of(run, word, names) for word in words]
    return msgspec.structs.replace(run, points={key: one for key, one in run.points.items() if one.implementation in chosen})


def _target_of(run: LoadedRun, word: str, names: Sequence[str]) -> str:
    """Return the name of the target that a word means in a run."""
    last = word.rpartition("/")[2].rpartition(":")[2]
    fitting = [name for name in names if name == word] or [
        name for name in names if name.startswith((f"{last}.", f"{last}-")) and last
    ]
    if not fitting:
        raise unknown(f"{run.where} has nothing of {one_line(word, 60)!r}; it has ", word, names)
    return max(fitting, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])


def slug(text: str) -> str:
    """Return a text as a safe part of a file name: ASCII letters, digits, dots, dashes; never hidden, never empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:80] or "unnamed"
