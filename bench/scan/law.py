"""What a cost depends on: one thing is varied, and the growth of what was measured says how.

Costs are held against that of the smallest size: what remains is growth, and a cost that is fixed is not in it. Growth that
would not even double the call in a large process (`LARGE`) is none, nor is what chance explains, nor what a span would cost
less than a millisecond by. What grows must do so as the size to the power of 1: times by the same fit as the gate's, counts,
which scatter by next to nothing, within what their repetitions leave open (`exact`). Of a span, sizes of 2 MiB and 1 GiB tell
what a step of the walk is. A law is what the largest sizes show, as the first of something may cost more or less, and a step
less where tables above it are missing: the growth of a span beyond 1 GiB is asked first, then that beyond 2 MiB, then all.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Final, Literal, NamedTuple

import msgspec

from bench.analysis import stats
from bench.analysis.stats import Interval
from bench.scan import exact
from bench.scan.layouts import LARGE, Axis
from bench.targets.kernel import Unit
from mmmodel.constants import PAGE_SIZE, PMD_SIZE, PUD_SIZE

Kind = Literal["nothing", "linear", "too few", "no law"]
Growth = Literal["none", "some", "unknown"]
EXACT: Final = "instructions"  # the unit of costs that are counts
LOW, HIGH = 0.9, 1.1  # of the exponent: the gate's band for what is linear in pages
CHANCE: Final = 1e-4  # that a constant cost is taken for one that grows: a scan judges hundreds
LEAST_VALUES: Final = 3
STEPS: Final = (PAGE_SIZE, PMD_SIZE, PUD_SIZE)  # bytes of a span that one step of a walk may stand for
NOISE: Final = 3  # times the median deviation of the smallest size: growth below it tells nothing of an exponent
# What a step of any walk costs at least: one instruction, at 5 GHz.
LEAST_STEP: Final[dict[Unit, float]] = {"instructions": 1.0, "seconds": 2e-10}
# What a span must cost in the process of `LARGE`, or nobody would notice: a millisecond, or what is executed in one.
LEAST_GROWTH: Final[dict[Unit, float]] = {"instructions": 2e6, "seconds": 1e-3}
FINEST: Final = 64 << 30  # bytes: a constant cost is one only if it was constant as far, which a step of 1 GiB would show

Values = Mapping[int, Sequence[float]]  # by size: of each call


class Law(msgspec.Struct, frozen=True):
    """How a cost depends on one thing."""

    kind: Kind
    base: float  # what the call cost on the smallest size
    unit: int = 1  # of a span: bytes that a step of the walk stands for
    per_unit: Interval | None = None  # cost of each
    exponent: Interval | None = None

    def of(self, size: float) -> float:
        """Return what a size would cost by this law."""
        return self.base + (self.per_unit.estimate * size / self.unit if self.per_unit else 0.0)


class Reading(NamedTuple):
    """How costs are read: as times, which scatter, or as counts."""

    cost: Callable[[Sequence[float]], float]  # of a size
    growth: Callable[[Axis, Sequence[int], Values, float], Growth]
    of_units: Callable[[int, Values], Law]  # of a span, in units of so many bytes
    of_things: Callable[[Values], Law]  # of pages, tables or VMAs
    each: Callable[[Values, int], Interval | None]  # cost of one of so many units, by which the sizes differ


def judge(axis: Axis, values: Values, unit_of_cost: Unit, *, is_whole: bool = True) -> Law:
    """Return the law of some costs; `is_whole`: larger sizes were not left out because of what they would cost.

    Needs at least one size, and costs above zero.
    """
    sizes = sorted(values)
    first, last = sizes[0], sizes[-1]
    is_exact = unit_of_cost == EXACT
    reading = COUNTS if is_exact else TIMES
    base = reading.cost(values[first])
    if len(sizes) < stats.LEAST_SIZES or len(values[last]) < LEAST_VALUES:
        return Law("too few", base)
    least = LEAST_GROWTH[unit_of_cost] if axis == "span" else 0.0
    growth = reading.growth(axis, sizes, values, least)
    if growth == "none":
        # Of counts it is known how little they grow by; of a span, once its size has taken steps of all kinds.
        reached = axis != "span" or last >= FINEST or is_whole or (is_exact and last > PUD_SIZE)
        return Law("nothing" if reached else "too few", base)
    unit = _unit(sizes, values, LEAST_STEP[unit_of_cost]) if axis == "span" else 1
    if unit is None or growth == "unknown":
        return Law("too few", base)
    if axis != "span":
        return reading.of_things(values)
    law = msgspec.structs.replace(_of_span(unit, values, reading), base=base)
    # Entries for 2 MiB may be those of one table alone, with no more beyond it.
    return (
        msgspec.structs.replace(law, kind="too few") if law.kind == "linear" and unit == PMD_SIZE and last <= PUD_SIZE else law
    )


def _of_span(unit: int, values: Values, reading: Reading) -> Law:
    """Return the law of the longest spans that is linear, else that of all; `base` is the smallest of these."""
    for border in (PUD_SIZE, PMD_SIZE):
        beyond = {size: values[size] for size in values if size >= border}
        if len(beyond) > stats.LEAST_SIZES and (law := reading.of_units(unit, beyond)).kind == "linear":
            return msgspec.structs.replace(law, per_unit=_last_step(unit, values, reading) or law.per_unit)
    return reading.of_units(unit, values)


def _counts_of_things(values: Values) -> Law:
    """Return the law of the largest sizes that is linear, else that of all, of pages, tables or VMAs."""
    whole = _linear_counts(1, values)
    found = (_linear_counts(1, {size: values[size] for size in tail}) for tail in exact.tails([*values]))
    return msgspec.structs.replace(next((one for one in found if one.kind == "linear"), whole), base=whole.base)


def _last_step(unit: int, values: Values, reading: Reading) -> Interval | None:
    """Return what a unit of the span costs beyond 1 GiB, None where no size is well beyond."""
    last = max(values)
    if last < 2 * PUD_SIZE or PUD_SIZE not in values:
        return None
    return reading.each({size: values[size] for size in (PUD_SIZE, last)}, _units(last, unit) - _units(PUD_SIZE, unit))


def _each_timed(values: Values, nr: int) -> Interval | None:
    """Return what one of `nr` units more of the largest size takes, from the smallest on; None if it may take no time."""
    start = statistics.median(values[min(values)])
    each = [(one - start) / nr for one in values[max(values)]]
    return stats.geometric_mean(each) if min(each) > 0 else None


def _each_counted(values: Values, nr: int) -> Interval | None:
    """Return the same of counts."""
    return exact.each({size: exact.bounds(values[size]) for size in values}, nr)


def _start(axis: Axis, sizes: Sequence[int]) -> int:
    """Return the size from which growth is asked for.

    What grows until the tables below one entry are all walked, and no further, does not go on to grow.
    """
    return max((size for size in sizes[:-1] if size <= PUD_SIZE), default=sizes[0]) if axis == "span" else sizes[0]


def _timed_growth(axis: Axis, sizes: Sequence[int], values: Values, least: float) -> Growth:
    """Return whether times grow, beyond chance and to what would matter: `least`, in the process of `LARGE`."""
    start, last = _start(axis, sizes), sizes[-1]
    low, before, high = (statistics.median(values[size]) for size in (sizes[0], start, last))
    grown = (high - before) * LARGE[axis] / (last - start)
    return "some" if grown >= max(low, least) and _rises(sizes, values) else "none"


def _counted_growth(axis: Axis, sizes: Sequence[int], values: Values, least: float) -> Growth:
    """Return whether counts grow so, which is unknown where what repetitions leave open is more than what would matter."""
    start, last = _start(axis, sizes), sizes[-1]
    low, before, high = (exact.bounds(values[size]) for size in (sizes[0], start, last))
    grown = high.since(before)
    times, enough = LARGE[axis] / (last - start), max(low.low, least)
    # The order of three sizes says little, and that of more whether something else than the size is in the counts.
    if grown.high * times < enough or (len(sizes) > exact.LEAST_SIZES and not _rises(sizes, values)):
        return "none"
    return "some" if grown.low * times >= enough else "unknown"


def _rises(sizes: Sequence[int], values: Values) -> bool:
    """Tell whether costs rise with their sizes, beyond chance."""
    return stats.rises([size for size in sizes for _ in values[size]], [one for size in sizes for one in values[size]], CHANCE)


def _units(size: int, unit: int) -> int:
    """Return how many units a size has or begins."""
    return -(-size // unit)


def _noise(values: Sequence[float]) -> float:
    """Return how far a cost may be from the median of some by chance: few that something disturbed count little."""
    middle = statistics.median(values)
    return NOISE * statistics.median(abs(one - middle) for one in values)


def _unit(sizes: Sequence[int], values: Values, least: float) -> int | None:
    """Return what a step of the walk stands for, None where that cannot be told from noise.

    A coarse step does not tell some sizes from the first: over these the cost does not grow, or it does at least half as much
    as the sizes do, and then a step is finer. Nor is it finer if such a step would cost less than the least that one can.
    """
    first, last = sizes[0], sizes[-1]
    low, high = (statistics.median(values[size]) for size in (first, last))
    for coarser, finer in pairwise(STEPS[::-1]):
        alike = max(size for size in sizes if _units(size, coarser) == _units(first, coarser))
        expected = (high - low) * (alike - first) / (last - first)
        if (high - low) / (_units(last, finer) - _units(first, finer) or 1) < least:
            return coarser
        if alike == last:
            continue
        if alike == first or expected / 2 < _noise(values[first]):
            return None
        if statistics.median(values[alike]) - low <= expected / 2:
            return coarser
    return STEPS[0]


def _linear_times(unit: int, values: Values) -> Law:
    """Return whether what times grow by, from the smallest size on, is linear in the units of each."""
    first = min(values)
    base, noise = statistics.median(values[first]), _noise(values[first])
    counted = {size: _units(size, unit) - _units(first, unit) for size in values}
    grown = {size: nr for size, nr in counted.items() if nr and min(values[size]) - base > noise}
    if len(grown) < stats.LEAST_SIZES:
        return Law("too few", base, unit)
    at = [nr for size, nr in grown.items() for _ in values[size]]
    exponent = stats.exponent(at, [one - base for size in grown for one in values[size]]).fitted
    largest = max(grown)
    per_unit = stats.geometric_mean([(one - base) / grown[largest] for one in values[largest]])
    return Law(_kind(exponent), base, unit, per_unit, exponent)


def _linear_counts(unit: int, values: Values) -> Law:
    """Return whether what counts grow by, from the smallest size on, is linear in the units of each."""
    costs = {size: exact.bounds(values[size]) for size in values}
    units = {size: _units(size, unit) for size in values}
    first, last = min(units), max(units)
    exponent = exact.exponent(units, costs)
    per_unit = exact.each(costs, units[last] - units[first]) if units[last] > units[first] else None
    if exponent is None or per_unit is None:
        return Law("too few", costs[first].low, unit)
    return Law(_kind(exponent), costs[first].low, unit, per_unit, exponent)


def _kind(exponent: Interval) -> Kind:
    """Return what an exponent of growth says."""
    if exponent.low >= LOW and exponent.high <= HIGH:
        return "linear"
    if exponent.high <= 1 - LOW:
        return "nothing"  # it is dearer beyond the smallest size, by the same everywhere
    return "no law" if exponent.high < LOW or exponent.low > HIGH else "too few"


TIMES: Final = Reading(statistics.median, _timed_growth, _linear_times, partial(_linear_times, 1), _each_timed)
COUNTS: Final = Reading(
    lambda values: exact.bounds(values).low, _counted_growth, _linear_counts, _counts_of_things, _each_counted
)
