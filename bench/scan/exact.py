"""Counts read as what they are: exact but for what a tick or a callback of RCU's adds to some of them.

What disturbs a count only adds to it. So a size costs its lowest value, or up to the second lowest, which says how well it
repeats: to a few parts in ten thousand, as a rule. The interval of an exponent is what these bounds leave open, and no
quantile of a distribution that counts do not have; three sizes are enough for one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from bench.analysis.stats import Interval

LEAST_SIZES: Final = 3  # the smallest, from which costs grow, and two that tell how
REACH: Final = 16  # times the smallest size: any smooth cost is linear within less
LOOSE: Final = 0.02  # of a growth: bounds that are further apart are worth more values


class Bounds(NamedTuple):
    """Between what a cost is."""

    low: float
    high: float

    def since(self, other: Bounds) -> Bounds:
        """Return what it has grown by since another."""
        return Bounds(self.low - other.high, self.high - other.low)


def bounds(values: Sequence[float]) -> Bounds:
    """Return the bounds of a size's cost: its two lowest values, or the only one."""
    lowest = sorted(values)[:2]
    return Bounds(lowest[0], lowest[-1])


def exponent(units: Mapping[int, int], costs: Mapping[int, Bounds]) -> Interval | None:
    """Return the power of the units, from those of the smallest size on, that costs grow with; None where too few have grown.

    `units`: of each size. The slope of a line through logarithms, by least squares, and what it can be within the bounds.
    """
    first = min(costs)
    grown = [n for n in costs if units[n] > units[first] and costs[n].since(costs[first]).low > 0]
    at = np.log([float(units[n] - units[first]) for n in grown])
    if len(grown) < LEAST_SIZES - 1 or len(set(at)) < LEAST_SIZES - 1:
        return None
    weights = (at - at.mean()) / float(np.sum((at - at.mean()) ** 2))
    ends = [end for base in costs[first] for end in _slopes(weights, [costs[n] for n in grown], base)]
    lows = np.log([costs[n].low - costs[first].low for n in grown])
    return Interval(float(weights @ lows), min(ends), max(ends))


def _slopes(weights: np.ndarray, costs: Sequence[Bounds], base: float) -> tuple[float, float]:
    """Return the least and the greatest slope of what costs grew by since a base."""
    low, high = (np.log([one[end] - base for one in costs]) for end in (0, 1))
    rises = weights > 0
    return float(weights @ np.where(rises, low, high)), float(weights @ np.where(rises, high, low))


def tails(sizes: Sequence[int]) -> list[list[int]]:
    """Return the largest sizes, from each on that is small enough, fewest first: what they show is how a cost goes on."""
    ordered = sorted(sizes)
    found = [ordered[start:] for start in range(len(ordered)) if ordered[start] * REACH <= ordered[-1]]
    return [one for one in reversed(found) if len(one) >= LEAST_SIZES]


def each(costs: Mapping[int, Bounds], nr: int) -> Interval | None:
    """Return what one of `nr` units more of the largest size costs, from the smallest on; None if it may cost nothing."""
    first, last = costs[min(costs)], costs[max(costs)]
    low, high = last.since(first)
    return Interval((last.low - first.low) / nr, low / nr, high / nr) if low > 0 else None


def loose(values: Mapping[int, Sequence[float]]) -> list[int]:
    """Return the sizes whose cost is not known to a small part of what it, or that of the next size, grew by."""
    costs = {n: bounds(values[n]) for n in sorted(values)}
    first = min(costs)
    grown = [abs(costs[n].low - costs[first].low) for n in costs if n != first]
    by = dict(zip(costs, [min(grown, default=math.inf), *grown], strict=True))
    return [n for n, one in costs.items() if one.high - one.low > LOOSE * by[n]]
