"""How what the processes of each call took is distributed."""

from __future__ import annotations

import msgspec

from bench.analysis.stats import geometric_mean
from bench.figures.inputs import Skipped, main_groups
from bench.runs.kernel_record import KernelFacts
from bench.runs.loaded import LoadedPoint, LoadedRun

NAME = "distribution"
MOST_GROUPS = 6
# With fewer values not even their middle has a 95 % interval that holds for any distribution: the sign test gives none.
FEWEST_PROCESSES = 6


class Sample(msgspec.Struct, frozen=True):
    """One implementation's processes."""

    implementation: str
    by_process: tuple[float, ...]  # seconds, ascending
    seconds: float  # what all together took, as tables have it

    @property
    def relative(self) -> tuple[float, ...]:
        """What each took by what all took."""
        return tuple(one / self.seconds for one in self.by_process)

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of the processes that are as fast as each, or faster."""
        return tuple(number / len(self.by_process) for number in range(1, len(self.by_process) + 1))


class Samples(msgspec.Struct, frozen=True):
    """What one panel shows."""

    group: str
    samples: tuple[Sample, ...]


class Distribution(msgspec.Struct, frozen=True):
    """Numbers of the figure of distributions."""

    name: str
    groups: tuple[Samples, ...]
    nr_left_out: int  # groups for which there is no place
    nr_too_few: int  # groups that were timed in too few processes
    kernels: dict[str, KernelFacts] = {}  # that are among the samples

    @property
    def reach(self) -> float:
        """Largest deviation from what all processes took, as a fraction."""
        return max(abs(value - 1) for group in self.groups for one in group.samples for value in one.relative)


def prepare(run: LoadedRun) -> list[Distribution | Skipped]:
    """Return the samples of the main calls."""
    enough = [one for one in run.timed_points if len(one.processes) >= FEWEST_PROCESSES]
    groups = main_groups(enough, len(enough))
    # Few processes tell little of a distribution: the groups that have most come first.
    order = sorted(groups, key=lambda group: -max(len(one.processes) for one in groups[group].values()))
    shown = [Samples(group, tuple(map(_sample, groups[group].values()))) for group in order[:MOST_GROUPS]]
    if not shown:
        return [Skipped(NAME, f"it needs a call that was timed in {FEWEST_PROCESSES} processes or more")]
    timed = {one.name.group for one in run.timed_points}
    nr_too_few = len(timed - {one.name.group for one in enough})
    return [Distribution(NAME, tuple(shown), len(groups) - len(shown), nr_too_few, run.kernels)]


def _sample(one: LoadedPoint) -> Sample:
    """Return the processes of one measurement."""
    return Sample(one.implementation, tuple(sorted(one.by_process)), geometric_mean(one.by_process).estimate)
