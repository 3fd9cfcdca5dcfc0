"""Many address spaces predicted, each by itself, and ranked: what munlockall() would cost on each, the worst first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from bench.errors import UsageError, one_line
from bench.prediction.forecast import BLAMED, Forecast, forecast
from bench.prediction.times import Calibration, Interval, seconds_of
from bench.prediction.weights import Cost, KernelWeights
from bench.workloads.layout import Layout

NAME_LENGTH: Final = 60  # characters of a file's name that are shown


class Bound(msgspec.Struct, frozen=True):
    """What munlockall() visits and costs."""

    visited: int  # pages looked up
    cost: Cost


class OnKernel(msgspec.Struct, frozen=True):
    """What is told of one layout on one kernel."""

    series: str
    most: Bound
    least: Bound | None = None  # where it is not known which pages are in memory

    def time(self, calibration: Calibration | None) -> Interval:
        """Return the time of munlockall(); of a range its middle is no estimate."""
        most = seconds_of(self.most.cost, BLAMED, calibration)
        if self.least is None:
            return most
        least = seconds_of(self.least.cost, BLAMED, calibration)
        return Interval((least.seconds * most.seconds) ** 0.5, least.low, most.high)


class Answer(msgspec.Struct, frozen=True):
    """What is told of one file."""

    file: str
    nr_vmas: int = 0
    span: int = 0  # bytes reserved
    nr_present: int = 0  # pages in memory, at most
    kernels: tuple[OnKernel, ...] = ()
    error: str = ""  # why nothing is


class Ranked(NamedTuple):
    """A file on the kernel that it costs most on."""

    answer: Answer
    worst: OnKernel
    time: Interval  # there

    @property
    def name(self) -> str:
        """The end of the file's name, on one line."""
        return one_line(self.answer.file[-NAME_LENGTH:], NAME_LENGTH)


def answer(file: str, cheap: Layout, dear: Layout, kernels: Sequence[KernelWeights]) -> Answer:
    """Return what is told of an address space, which is between two; an error that is its own becomes the answer."""
    try:
        found = []
        for kernel in kernels:
            most = _bound(dear, kernel)
            found.append(OnKernel(kernel.series, most, None if cheap is dear else _bound(cheap, kernel)))
    except UsageError as error:
        return Answer(file, error=one_line(error))
    return Answer(file, len(dear.vmas), dear.span, dear.nr_present, tuple(found))


def _bound(layout: Layout, kernel: KernelWeights) -> Bound:
    """Return what munlockall() visits and costs on a kernel."""
    (found,) = forecast(layout, kernel, calls=(BLAMED,))
    return Bound(found.visited, _cost(found))


def _cost(one: Forecast) -> Cost:
    """Return the cost of a call that was counted."""
    assert one.cost is not None, one.reason  # only calls that populate are left out
    return one.cost


def ranked(answers: Iterable[Answer], calibrations: Mapping[str, Calibration | None]) -> list[Ranked]:
    """Return files by how long munlockall() may take on their worst kernel, the longest first; those without an answer not."""
    found = []
    for one in answers:
        times = [(each.time(calibrations[each.series]), each) for each in one.kernels]
        if times:
            time, worst = max(times, key=lambda pair: pair[0].high)
            found.append(Ranked(one, worst, time))
    return sorted(found, key=lambda one: (-one.time.high, one.answer.file))
