"""Statistics of times: the one estimator, and intervals of it, of ratios, of scaling exponents, of paired differences.

What a call takes is estimated in one way everywhere (`ESTIMATOR`): of each
process the median of its values, of all processes the geometric mean. Values
of one process are not independent of each other, as they share its memory
layout: pooled, they pass for more data than there are, and intervals come out
several times too narrow. So a process counts once. Within it, what disturbs a
value (an interrupt, another process's turn) only adds, to few values and much:
the median is free of it, and a mean of five microsecond calls is not. Between
processes, layouts make some slower than others, often in two groups, and
whoever runs the call draws one of them: all count, which a median of three
processes would not have. On logarithms, as times are ratios: the estimate of a
ratio is then the ratio of the estimates, B / A the inverse of A / B, and an
exponent is fitted to what tables and figures show.

Intervals are Student's t of logarithms, over processes. One degree of freedom
gives none: its quantile is 12.7, so the interval would tell how few data there
are and not how they scatter. The gate, whose rate of false alarms must hold
whatever the distribution, judges differences of interleaved processes by the
sign test; their median is that of a ratio's logarithm, process by process.

What was counted is exact: it has no interval. Its exponents are those from
each size to the next, and whether they are one and the same can be seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from scipy import stats

from bench.errors import MeasurementError

CONFIDENCE = 0.95
ESTIMATOR = "geometric mean over the processes of each one's median"  # as tables and figures name it
LEAST_FREEDOM = 2  # degrees, of an interval
LEAST_SIZES = 3  # of an exponent: two always lie on a line
ROUNDING = 1e-9  # of a logarithm: less than that is no curvature
LEAST_PROCESSES = LEAST_FREEDOM + 1  # of a time or a ratio that has an interval


class Interval(msgspec.Struct, frozen=True):
    """An estimate with its confidence interval. Where the data are too few for one it ends at infinity."""

    estimate: float
    low: float
    high: float
    confidence: float = CONFIDENCE

    def contains(self, value: float) -> bool:
        """Tell whether `value` lies within the interval, ends included."""
        return self.low <= value <= self.high

    @property
    def is_known(self) -> bool:
        """Tell whether the data were enough for an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)


class Exponent(msgspec.Struct, frozen=True):
    """How a measured quantity grows with a size: as size**k, if at all as one power."""

    fitted: Interval  # k, by least squares of logarithms
    local: tuple[float, ...]  # k from each size to the next
    curved: bool  # local exponents rise or fall with the size, beyond chance: there is no one k


def positive(values: Sequence[float], what: str) -> np.ndarray:
    """Return the values as an array; raise MeasurementError if there is none, or one is no finite number above zero."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise MeasurementError(f"there is no value of {what}")
    if not np.all(np.isfinite(array)) or not np.all(array > 0):
        raise MeasurementError(f"{what} has a value that is no finite number above zero")
    return array


def geometric_mean(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the geometric mean of what processes took with the t interval of its logarithm."""
    logs = np.log(positive(values, "the run"))
    center = float(np.mean(logs))
    if len(logs) < LEAST_PROCESSES:
        return Interval(_exp(center), 0.0, math.inf, confidence)
    margin = _t_margin(float(np.std(logs, ddof=1)) / math.sqrt(len(logs)), len(logs) - 1, confidence)
    return Interval(_exp(center), _exp(center - margin), _exp(center + margin), confidence)


def ratio(new: Sequence[float], old: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return new / old of what two independent sets of processes took: of geometric means, with Welch's t interval.

    With fewer than three processes in either there is no interval: it is from zero to infinity.
    """
    logs = [np.log(positive(values, what)) for values, what in ((new, "the new run"), (old, "the old run"))]
    center = float(np.mean(logs[0]) - np.mean(logs[1]))
    estimate = _exp(center)
    if min(map(len, logs)) < LEAST_PROCESSES:
        return Interval(estimate, 0.0, math.inf, confidence)
    # By hand, since scipy's ttest_ind() has no interval where neither run has a spread, and warns where it is next to nothing.
    errors = [(float(np.var(one, ddof=1)) / len(one), len(one) - 1) for one in logs]  # with their degrees of freedom
    whole, weights = sum(error for error, _ in errors), sum(error**2 / freedom for error, freedom in errors)
    if weights == 0:
        return Interval(estimate, estimate, estimate, confidence)
    margin = _t_margin(math.sqrt(whole), whole**2 / weights, confidence)
    return Interval(estimate, _exp(center - margin), _exp(center + margin), confidence)


def exponent(sizes: Sequence[float], values: Sequence[float], confidence: float = CONFIDENCE) -> Exponent:
    """Return how values grow with their sizes; `sizes` has a size again for each process that was timed at it.

    Raises MeasurementError if there are no two sizes.
    """
    x, y = _logarithms(sizes, values)
    ascending = np.unique(x)
    if len(ascending) < 2:
        raise MeasurementError("a scaling exponent needs at least two sizes")
    middles = [float(np.mean(y[x == one])) for one in ascending]
    local = tuple(float(slope) for slope in np.diff(middles) / np.diff(ascending))
    return Exponent(_line(x, y, confidence), local, _is_curved(x, y, confidence))


def _line(x: np.ndarray, y: np.ndarray, confidence: float) -> Interval:
    """Return the slope of a line through points, with its t interval; no interval of fewer than three different x.

    Data that fit exactly give an interval with next to no width.
    """
    # By hand, since scipy's linregress() gives a constant quantity no standard error, where it is zero.
    x, y = x - x.mean(), y - y.mean()
    square = float(np.sum(x**2))
    slope = float(np.sum(x * y)) / square
    if len(np.unique(x)) < LEAST_SIZES or len(x) - 2 < LEAST_FREEDOM:
        return Interval(slope, -math.inf, math.inf, confidence)
    error = math.sqrt(float(np.sum((y - slope * x) ** 2)) / (len(x) - 2) / square)
    margin = _t_margin(error, len(x) - 2, confidence)
    return Interval(slope, slope - margin, slope + margin, confidence)


def _is_curved(x: np.ndarray, y: np.ndarray, confidence: float) -> bool:
    """Tell whether points bend away from every line: a t test of what a square adds to the fit.

    Of a fit by 1, x and x**2 the last coefficient is zero where local exponents neither rise nor fall. Drift of the machine
    from one size to the next is in the residual, and so is not taken for a bend. Too few points show none.
    """
    freedom = len(x) - 3
    if len(np.unique(x)) < LEAST_SIZES or freedom < LEAST_FREEDOM:
        return False
    x = (x - x.mean()) / np.ptp(x)
    basis, triangle = np.linalg.qr(np.stack([np.ones_like(x), x, x**2], axis=1))
    parts = basis.T @ y
    bend, error = float(parts[2]), math.sqrt(float(np.sum((y - basis @ parts) ** 2)) / freedom)
    # `bend` is the coefficient times triangle[2, 2], whose standard error is that of one point.
    height = abs(bend / float(triangle[2, 2])) / 4  # of the bend above the line between the ends
    return height > ROUNDING and abs(bend) > _t_margin(error, freedom, confidence)


def local_exponents(sizes: Sequence[float], values: Sequence[float]) -> list[float]:
    """Return the exponent between each size and the next, which shows where there is no power law; sizes ascend."""
    x, y = _logarithms(sizes, values)
    if np.any(np.diff(x) <= 0):
        raise MeasurementError("sizes must ascend, each above the one before")
    return [float(slope) for slope in np.diff(y) / np.diff(x)]


def rises(sizes: Sequence[float], values: Sequence[float], chance: float) -> bool:
    """Tell whether values rise with their sizes, by Kendall's test of their order: what a constant does with that chance.

    Whatever the distribution: few values that something disturbed, and much, change little.
    """
    if len(set(values)) < 2 or len(set(sizes)) < 2:
        return False
    found = stats.kendalltau(sizes, values, alternative="greater")
    return bool(found.pvalue < chance)


def _logarithms(sizes: Sequence[float], values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the logarithms of sizes and of as many values."""
    x, y = np.log(positive(sizes, "the sizes")), np.log(positive(values, "the measured quantity"))
    if len(x) != len(y):
        raise MeasurementError(f"{len(x)} sizes do not go with {len(y)} values")
    return x, y


def _t_margin(error: float, freedom: float, confidence: float) -> float:
    """Return how far a t interval goes to either side, from a standard error and its degrees of freedom."""
    return float(stats.t.ppf(0.5 + confidence / 2, freedom)) * error


def _exp(power: float) -> float:
    """Return e**power, infinite where that is beyond what a float holds."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.exp(power))


def median_interval(differences: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the median of paired differences with the exact interval of the sign test, whatever their distribution.

    Each end alone errs with a probability of at most 1 - `confidence`, which
    is what a one-sided verdict needs. With too few differences for that the
    end is infinite.
    """
    array = np.asarray(differences, dtype=np.float64)
    if array.size == 0 or not np.all(np.isfinite(array)):
        raise MeasurementError("paired differences must be finite, and at least one")
    low, high = -math.inf, math.inf
    for alternative in ("greater", "less"):
        found = stats.quantile_test(array, q=0, p=0.5, alternative=alternative).confidence_interval(confidence)
        if alternative == "greater" and not math.isnan(found.low):
            low = float(found.low)
        if alternative == "less" and not math.isnan(found.high):
            high = float(found.high)
    return Interval(float(np.median(array)), low, high, confidence)
