"""What a cost depends on: one thing is varied, and the growth of what was measured says how.

Costs are held against that of the smallest size: what remains is growth, and a cost that is fixed is not in it. Growth that
would not even double the call in a large process (`LARGE`) is none, nor is what chance explains, nor what a span would cost
less than a millisecond by. What grows must do so as the size to the power of 1, by the same fit as the gate's; of a span,
sizes of 2 MiB and 1 GiB tell what a step of the walk is. A step may cost less where tables above it are missing, too: so the
growth of a span beyond 1 GiB is asked first, then that beyond 2 MiB, then all.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal

import msgspec

from bench.analysis import stats
from bench.analysis.stats import Interval
from bench.scan.layouts import LARGE, Axis
from bench.targets.kernel import Unit
from mmmodel.constants import PAGE_SIZE, PMD_SIZE, PUD_SIZE

Kind = Literal["nothing", "linear", "too few", "no law"]
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


def judge(axis: Axis, values: Values, unit_of_cost: Unit, *, is_whole: bool = True) -> Law:
    """Return the law of some costs; `is_whole`: larger sizes were not left out because of what they would cost.

    Needs at least one size, and costs above zero.
    """
    sizes = sorted(values)
    first, last = sizes[0], sizes[-1]
    base = statistics.median(values[first])
    if len(sizes) < stats.LEAST_SIZES or len(values[last]) < LEAST_VALUES:
        return Law("too few", base)
    if not _grows(axis, sizes, values, LEAST_GROWTH[unit_of_cost] if axis == "span" else 0.0):
        reached = axis != "span" or last >= FINEST or is_whole
        return Law("nothing" if reached else "too few", base)
    unit = _unit(sizes, values, LEAST_STEP[unit_of_cost]) if axis == "span" else 1
    if unit is None:
        return Law("too few", base)
    if axis != "span":
        return _linear(unit, values)
    law = msgspec.structs.replace(_of_span(unit, values), base=base)
    # Entries for 2 MiB may be those of one table alone, with no more beyond it.
    return (
        msgspec.structs.replace(law, kind="too few") if law.kind == "linear" and unit == PMD_SIZE and last <= PUD_SIZE else law
    )


def _of_span(unit: int, values: Values) -> Law:
    """Return the law of the longest spans that is linear, else that of all; `base` is the smallest of these."""
    for border in (PUD_SIZE, PMD_SIZE):
        beyond = {size: values[size] for size in values if size >= border}
        if len(beyond) > stats.LEAST_SIZES and (law := _linear(unit, beyond)).kind == "linear":
            return msgspec.structs.replace(law, per_unit=_last_step(unit, values) or law.per_unit)
    return _linear(unit, values)


def _last_step(unit: int, values: Values) -> Interval | None:
    """Return what a unit of the span costs beyond 1 GiB, None where no size is well beyond."""
    last = max(values)
    if last < 2 * PUD_SIZE or PUD_SIZE not in values:
        return None
    start, nr = statistics.median(values[PUD_SIZE]), _units(last, unit) - _units(PUD_SIZE, unit)
    each = [(one - start) / nr for one in values[last]]
    return stats.geometric_mean(each) if min(each) > 0 else None


def _grows(axis: Axis, sizes: Sequence[int], values: Values, least: float) -> bool:
    """Tell whether costs grow with their sizes, beyond chance and to what would matter: `least`, in the process of `LARGE`."""
    low, high = (statistics.median(values[size]) for size in (sizes[0], sizes[-1]))
    # What grows until the tables below one entry are all walked, and no further, does not go on to grow.
    start = max((size for size in sizes[:-1] if size <= PUD_SIZE), default=sizes[0]) if axis == "span" else sizes[0]
    grown = (high - statistics.median(values[start])) * LARGE[axis] / (sizes[-1] - start)
    return grown >= max(low, least) and stats.rises(
        [size for size in sizes for _ in values[size]], [one for size in sizes for one in values[size]], CHANCE
    )


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


def _linear(unit: int, values: Values) -> Law:
    """Return whether what costs grew by, from the smallest size on, is linear in the units of each."""
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
    kind: Kind
    if exponent.low >= LOW and exponent.high <= HIGH:
        kind = "linear"
    elif exponent.high <= 1 - LOW:
        kind = "nothing"  # it is dearer beyond the smallest size, by the same everywhere
    elif exponent.high < LOW or exponent.low > HIGH:
        kind = "no law"
    else:
        kind = "too few"
    return Law(kind, base, unit, per_unit, exponent)
