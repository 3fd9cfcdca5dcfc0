"""Judging times: this tree against another on the same machine, by pairs of interleaved processes.

A round of processes gives one value for each benchmark, the median over its
slices of the differences of logarithms. The values of all rounds give their
median and the sign test's exact interval, corrected for the number of
benchmarks. A second arm of the base (the control) is judged in the same way:
where even that differs, the machine was not fit to tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from bench.analysis import stats
from bench.gate.verdict import Finding

ERROR_RATE = 0.05  # of one false alarm in the whole family of benchmarks, before each is confirmed


class Rule(msgspec.Struct, frozen=True):
    """What counts as slower."""

    tolerance: float = 0.03  # a slowdown of up to this much is not one
    resolution: float = 0.10  # a run that cannot exclude a slowdown of this much says nothing
    nr_benchmarks: int = 1  # that are judged together

    @property
    def confidence(self) -> float:
        """Confidence of each end of each interval, by Bonferroni."""
        return 1 - ERROR_RATE / self.nr_benchmarks

    @property
    def least_rounds(self) -> int:
        """Rounds below which the sign test has no interval of this confidence, whatever is measured."""
        return math.ceil(math.log2(self.nr_benchmarks / ERROR_RATE))


Rounds = Sequence[Sequence[float]]  # seconds, for each round those of its slices


class Arms(msgspec.Struct, frozen=True):
    """Times of one benchmark: of the base, of this tree, and of the base again, slice by slice the same."""

    base: Rounds
    head: Rounds
    control: Rounds


def log_ratios(new: Rounds, old: Rounds) -> list[float]:
    """Return ln(new / old) for each round: the median of its slices."""
    pairs = zip(new, old, strict=True)
    return [float(np.median(_logs(slices, "this arm") - _logs(before, "the base"))) for slices, before in pairs]


def _logs(slices: Sequence[float], what: str) -> np.ndarray:
    """Return the logarithms of the times of slices."""
    found: np.ndarray = np.log(stats.positive(slices, what))
    return found


def _as_percent(interval: stats.Interval) -> str:
    """Return an interval of logarithms as a change in percent."""
    change, low, high = (math.expm1(value) * 100 if value < 100 else math.inf for value in
                         (interval.estimate, interval.low, interval.high))  # fmt: skip
    return f"{change:+.1f} % [{low:+.1f}, {high:+.1f}]"


def judge_one(name: str, arms: Arms, rule: Rule) -> Finding:
    """Judge one benchmark. Slower only if the whole interval is past the tolerance."""
    change = stats.median_interval(log_ratios(arms.head, arms.base), rule.confidence)
    control = stats.median_interval(log_ratios(arms.control, arms.base), rule.confidence)
    limit = math.log1p(rule.tolerance)
    numbers = {
        "log_ratio": change.estimate, "interval_low": change.low, "interval_high": change.high, "rounds": len(arms.base),
        "control_low": control.low, "control_high": control.high, "tolerance": rule.tolerance,
    }  # fmt: skip
    seen = f"{_as_percent(change)}, tolerance {rule.tolerance:.0%}"
    if math.isinf(change.low) or math.isinf(change.high):
        few = f"{len(arms.base)} rounds are too few for an interval"
        return Finding("times", name, "error", few, {"rounds": len(arms.base)})
    if control.low > limit or control.high < -limit:
        return Finding("times", name, "inconclusive", f"{seen}; the base differs from itself: {_as_percent(control)}", numbers)
    if change.low > limit:
        return Finding("times", name, "regression", f"slower: {seen}", numbers)
    if change.high > math.log1p(rule.resolution):
        return Finding("times", name, "inconclusive", f"{seen}; cannot exclude {rule.resolution:+.0%}", numbers)
    return Finding("times", name, "pass", f"{'faster: ' if change.high < -limit else ''}{seen}", numbers)


def judge(measured: Mapping[str, Arms], rule: Rule) -> list[Finding]:
    """Judge all benchmarks together."""
    return [judge_one(name, arms, rule) for name, arms in measured.items()]


def confirmed(first: Finding, second: Finding) -> Finding:
    """Return what two independent measurements of one benchmark come to: slower only if it was both times."""
    if second.verdict == "regression":
        return msgspec.structs.replace(second, text=f"{second.text}; confirmed, first seen {first.text}")
    return msgspec.structs.replace(second, text=f"{second.text}; not confirmed, first seen {first.text}")
