"""Judging what calls cost two real kernels, in instructions, by how far each kernel is from itself.

The value of a start is the median of its rounds. How far apart a kernel's own values would let such medians be is its jitter
at a point; the largest of all points, as a fraction of what the call executes, is the kernel's. The tolerance is the sum of both
kernels' jitters: a point is dearer if every start of the one was dearer by more than that than every start of the other.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec

from bench.analysis.stats import local_exponents
from bench.gate.kernel_checks import KernelLaw
from bench.gate.verdict import Finding, Verdict
from bench.measuring.kernel_boots import Boot, Cost
from bench.number_format import change, count, exponent_range, percent, significant
from mmmodel.constants import PAGE_SIZE

RESOLUTION: Final = 0.10  # a run that cannot exclude a slowdown of this much says nothing
FEWEST_BOOTS: Final = 2  # of each kernel: how far it is from itself is not known of fewer


class Arms(msgspec.Struct, frozen=True):
    """The starts of both kernels."""

    base: Sequence[Boot]
    head: Sequence[Boot]

    def groups(self) -> list[str]:
        """Return every point that was measured on either kernel, in order."""
        return list(dict.fromkeys(name for boot in (*self.base, *self.head) for name in boot.costs))


def of_point(boots: Sequence[Boot], group: str) -> list[Cost]:
    """Return what a point cost in each start that has it."""
    return [boot.costs[group] for boot in boots if group in boot.costs]


def middles(costs: Sequence[Cost]) -> list[float]:
    """Return the value of each start: the median of its rounds."""
    return [statistics.median(one.values) for one in costs]


def executed(costs: Sequence[Cost]) -> float:
    """Return what the whole call executes, what is taken off for the guest's own memory included."""
    return statistics.median([middle + one.taken_off for middle, one in zip(middles(costs), costs, strict=True)])


def jitter(costs: Sequence[Cost]) -> float:
    """Return how far apart two medians of as many rounds can be that are taken from one point's values, in instructions.

    A median of three is no lower than the second lowest of all values, and no higher than the second highest: one
    value that something else disturbed, and it alone, is no jitter.
    """
    values = sorted(value for one in costs for value in one.values)
    beyond = (min(len(one.values) for one in costs) - 1) // 2
    return values[-1 - beyond] - values[beyond]


def jitter_of(boots: Sequence[Boot]) -> float:
    """Return the largest jitter of a kernel's points, as a fraction of what their calls execute."""
    found = (of_point(boots, group) for group in dict.fromkeys(name for boot in boots for name in boot.costs))
    return max((jitter(costs) / executed(costs) for costs in found if len(costs) >= FEWEST_BOOTS), default=0.0)


def judge(arms: Arms, groups: Sequence[str], laws: Sequence[KernelLaw]) -> list[Finding]:
    """Return a finding for each of the points that were asked for, and for each law."""
    tolerance = jitter_of(arms.base) + jitter_of(arms.head)
    return [*(_judge_point(arms, one, tolerance) for one in groups), *(_judge_law(arms, law) for law in laws)]


def _judge_point(arms: Arms, group: str, tolerance: float) -> Finding:
    """Judge one point."""
    base, head = of_point(arms.base, group), of_point(arms.head, group)
    if lacking := max(FEWEST_BOOTS - len(base), FEWEST_BOOTS - len(head), 0):
        return Finding("instructions", group, "error", f"not measured: {lacking} of {FEWEST_BOOTS} starts did not come to it")
    before, after = middles(base), middles(head)
    old, new = statistics.median(before), statistics.median(after)
    whole = executed(base)
    allowed = tolerance * whole
    numbers = {"base": old, "head": new, "allowed": allowed, "tolerance": tolerance}
    seen = f"{count(round(old))} -> {count(round(new))} instructions{_as_change(new, old)}, tolerance {percent(tolerance)}"
    if min(after) - max(before) > allowed:
        return Finding("instructions", group, "regression", f"dearer: {seen}", numbers)
    if min(before) - max(after) > allowed:
        return Finding("instructions", group, "faster", seen, numbers)
    if max(after) - min(before) + allowed > RESOLUTION * whole:
        return Finding("instructions", group, "inconclusive", f"{seen}; cannot exclude {RESOLUTION:+.0%}", numbers)
    return Finding("instructions", group, "pass", seen, numbers)


def _as_change(new: float, old: float) -> str:
    """Return a change in percent, where there is something that it can be a percentage of."""
    if old <= 0 or new <= 0:
        return ""
    return f" ({change(new / old)})" if new < 10 * old else f" ({significant(new / old)} times)"


def steps(boots: Sequence[Boot], law: KernelLaw) -> list[float]:
    """Return what a law is about, from each size to the next; [] if a size is missing, or has no logarithm where one is needed."""
    found = [of_point(boots, group.name) for group in law.curve]
    if not all(found):
        return []
    costs = [statistics.median(middles(one)) for one in found]
    spans = [group.scenario.span for group in law.curve]
    if law.measure == "exponent":
        return local_exponents(spans, costs) if min(costs) > 0 else []
    return [(after - before) / ((longer - span) // PAGE_SIZE)
            for (before, after), (span, longer) in zip(pairwise(costs), pairwise(spans), strict=True)]  # fmt: skip


def _judge_law(arms: Arms, law: KernelLaw) -> Finding:
    """Judge one law: broken by the head alone, it is a regression; by the base alone, it is mended."""
    base, head = steps(arms.base, law), steps(arms.head, law)
    if not base or not head:
        return Finding("laws", law.what, "error", "not all of its sizes were measured")
    held = tuple(law.low < min(one) and max(one) < law.high for one in (base, head))
    said: dict[tuple[bool, ...], tuple[Verdict, str]] = {
        (True, True): ("pass", ""),
        (True, False): ("regression", "broken: "),
        (False, True): ("faster", "broken by the base alone: "),
        (False, False): ("pass", "broken by both: "),
    }
    verdict, word = said[held]
    unit = "instructions for a page more" if law.measure == "per page" else "exponent"
    allowed = f"below {law.high:g}" if math.isinf(law.low) else f"{law.low:g} .. {law.high:g}"
    text = f"{word}{_range(base)} -> {_range(head)} {unit}, law {allowed}"
    return Finding("laws", law.what, verdict, text, {"base_most": max(base), "head_most": max(head), "high": law.high})


def _range(values: Sequence[float]) -> str:
    """Return the least and the most of some values."""
    return exponent_range(min(values), max(values))
