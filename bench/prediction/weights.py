"""The weights of the cost model: the data file that `predict --fit` writes, and what it makes of the counters of a call."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from bench.errors import MeasurementError, UsageError, one_line, unknown
from bench.prediction.page_lists import Moved
from bench.prediction.page_lists import unknown as unknown_lists
from bench.prediction.terms import CALLS, SPILLED, TERMS, Calls, events
from bench.runs.storage import load_json
from mmmodel.kernels import implementation, implementations, newest_until, version_of

SCHEMA: Final = 1
FILE: Final = "cost-weights.json"
SMALL: Final = 10_000  # instructions: below it a call is mostly the call itself, and its error may be larger


class Weight(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one event costs a kernel."""

    name: str
    calls: tuple[Calls, ...]
    unit: str  # what one event is
    meaning: str
    weight: float  # instructions for each
    standard_error: float  # instructions


class KernelWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The weights of one kernel."""

    series: str  # "5.10"
    release: str  # the build that was measured
    implementation: str  # of the model, whose counters are weighed
    terms: tuple[Weight, ...]
    spread: dict[Calls, float]  # relative error that 90 % of layouts stayed within when they were left out of the fit
    spread_small: dict[Calls, float]  # the same of calls below SMALL instructions


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file that weights were fitted on."""

    name: str
    sha256: str


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of the file."""

    schema: Literal[1]
    kind: Literal["cost-weights"]
    command: str
    sources: tuple[Source, ...]
    kernels: tuple[KernelWeights, ...]

    def of(self, series: str) -> KernelWeights:
        """Return the weights of a kernel; UsageError if there are none."""
        for one in self.kernels:
            if one.series == series:
                return one
        known = [one.series for one in self.kernels]
        raise unknown(f"there are no weights for kernel {one_line(series, 40)!r}; there are for ", series, known)


class Cost(NamedTuple):
    """A predicted number of instructions, and the interval that nine of ten should lie in."""

    instructions: float
    low: float
    high: float


def implementation_of(series: str) -> str:
    """Return the implementation whose counters stand for a kernel: of those that the cost model has terms for, the newest
    that is not newer; UsageError if all are.
    """
    found = newest_until(version_of(series), [one for one in implementations() if one.algorithm in TERMS])
    if found is None:
        raise UsageError(f"the cost model is of no kernel as old as {one_line(series, 40)}")
    return found.name


def predict(kernel: KernelWeights, call: str, counters: Mapping[str, int]) -> Cost:
    """Return what a call costs whose counters are given.

    Where these do not tell what the allocator's lists did (terms.SPILLED), the interval has all that they may do.
    """
    known = implementation(kernel.implementation)
    spread = kernel.spread[CALLS[call]], kernel.spread_small[CALLS[call]]

    def weighed(more: Moved | None) -> Cost:
        numbers = events(known.algorithm, call, {**counters, **more.counters()} if more else counters)
        cost = sum(one.weight * numbers[one.name] for one in kernel.terms if one.name in numbers)
        relative = 1 + spread[cost < SMALL]
        return Cost(cost, cost / relative, cost * relative)

    if SPILLED in counters:
        return weighed(None)
    least, usual, most = map(weighed, unknown_lists(known.kernel.version, counters))
    return Cost(usual.instructions, least.low, most.high)


def load(path: Path) -> Weights:
    """Read and check a file of weights; MeasurementError if it is none."""
    found = load_json(path, Weights)
    for kernel in found.kernels:
        problem = _problem(kernel)
        if problem:
            raise MeasurementError(f"{one_line(path, 120)}: the weights of {one_line(kernel.series, 40)}: {problem}")
    return found


def _problem(kernel: KernelWeights) -> str:
    """Return what is wrong with the weights of a kernel, "" if nothing is."""
    known = {one.name: one for one in implementations()}
    if kernel.implementation not in known:
        return f"there is no implementation {one_line(kernel.implementation, 40)!r}"
    wanted = {one.name for one in TERMS.get(known[kernel.implementation].algorithm, ())}
    names = [one.name for one in kernel.terms]
    if set(names) != wanted or len(names) != len(wanted):
        return "its terms are not those of the cost model"
    numbers = [*(one.weight for one in kernel.terms), *(one.standard_error for one in kernel.terms)]
    numbers += [*kernel.spread.values(), *kernel.spread_small.values()]
    if not all(math.isfinite(one) and one >= 0 for one in numbers):
        return "a number is negative or none"
    return "" if {*CALLS.values()} == {*kernel.spread} == {*kernel.spread_small} else "a spread is missing"


@functools.cache
def shipped() -> Weights:
    """Return the weights that come with the package."""
    return load(Path(str(resources.files("bench"))) / "data" / FILE)
