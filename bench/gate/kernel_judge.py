"""Judging what calls cost two real kernels, in instructions, by how far each kernel is from itself.

The value of a start is the median of its rounds. How far apart a kernel's own values would let such medians be is its jitter
at a point. A point is held to the jitter of every point of the same call: one that executes less is taken as it is, one that
executes more in proportion. The tolerance is the sum of both kernels' jitters. A point is dearer if every start of the one
kernel was dearer by more than that than every start of the other.
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
from bench.number_format import change, count, exponent_range, significant
from mmmodel.constants import PAGE_SIZE

RESOLUTION: Final = 0.10  # a run that cannot exclude a slowdown of this much says nothing
FEWEST_BOOTS: Final = 2  # of each kernel: how far it is from itself is not known of fewer


class Arms(msgspec.Struct, frozen=True):
    """The starts of both kernels."""

    base: Sequence[Boot]
    head: Sequence[Boot]


def of_point(boots: Sequence[Boot], group: str) -> list[Cost]:
    """Return what a point cost in each start that has it."""
    return [boot.costs[group] for boot in boots if group in boot.costs]


def middles(costs: Sequence[Cost]) -> list[float]:
    """Return the value of each start: the median of its rounds."""
    return [statistics.median(one.values) for one in costs]


def executed(costs: Sequence[Cost]) -> float:
    """Return what the whole call executes, what is taken off for the guest's own memory included."""
    return max(1.0, statistics.median([middle + one.taken_off for middle, one in zip(middles(costs), costs, strict=True)]))


def jitter(costs: Sequence[Cost]) -> float:
    """Return how far apart two medians of as many rounds can be that are taken from one point's values, in instructions.

    A median of three is no lower than the second lowest of all values, and no higher than the second highest: one
    value that something else disturbed, and it alone, is no jitter.
    """
    values = sorted(value for one in costs for value in one.values)
    beyond = (min(len(one.values) for one in costs) - 1) // 2
    return values[-1 - beyond] - values[beyond]


def tolerance(boots: Sequence[Boot], group: str) -> float:
    """Return how far one kernel may be from itself at a point, in instructions: the most that any point of the call says."""
    call, whole = group.partition("/")[0], executed(of_point(boots, group))
    names = dict.fromkeys(name for boot in boots for name in boot.costs if name.partition("/")[0] == call)
    every = [of_point(boots, name) for name in names]
    return max(jitter(costs) * min(1.0, whole / executed(costs)) for costs in every)


def judge(arms: Arms, groups: Sequence[str], laws: Sequence[KernelLaw]) -> list[Finding]:
    """Return a finding for each of the points that were asked for, and for each law."""
    lacking = {one: _lacking(arms, one) for one in groups}
    allowed = {
        one: tolerance(arms.base, one) + tolerance(arms.head, one) for one, problem in lacking.items() if problem is None
    }
    typical = statistics.median(allowed.values()) if allowed else 0.0
    points = (lacking[one] or _judge_point(arms, one, allowed[one], typical) for one in groups)
    return [*points, *(_judge_law(arms, law) for law in laws)]


def _lacking(arms: Arms, group: str) -> Finding | None:
    """Return that a point cannot be judged, None if it can."""
    nr_base, nr_head = (len(of_point(boots, group)) for boots in (arms.base, arms.head))
    if min(nr_base, nr_head) >= FEWEST_BOOTS:
        return None
    text = f"measured in {nr_base} starts of the base and {nr_head} of the head, {FEWEST_BOOTS} of each are needed"
    return Finding("instructions", group, "error", text)


def _judge_point(arms: Arms, group: str, allowed: float, typical: float) -> Finding:
    """Judge one point; `allowed`: its tolerance, `typical`: that of half the points, in instructions."""
    base, head = of_point(arms.base, group), of_point(arms.head, group)
    before, after = middles(base), middles(head)
    old, new = statistics.median(before), statistics.median(after)
    numbers = {"base": old, "head": new, "allowed": allowed}
    relative = f" ({_change(new, old)})" if min(old, new) > allowed else ""
    seen = f"{count(round(old))} -> {count(round(new))} instructions{relative}, tolerance {count(round(allowed))}"
    if min(after) - max(before) > allowed:
        return Finding("instructions", group, "regression", f"dearer: {seen}", numbers)
    if min(before) - max(after) > allowed:
        return Finding("instructions", group, "faster", seen, numbers)
    # Nobody misses what is no more than unrelated work, nor a percentage of what is mostly the guest's own memory.
    most = max(after) - min(before) + jitter(base) + jitter(head)  # by its own values, which other points say nothing of
    if most > max(RESOLUTION * old, typical) and old > base[0].taken_off:
        return Finding("instructions", group, "inconclusive", f"{seen}; cannot exclude {RESOLUTION:+.0%}", numbers)
    return Finding("instructions", group, "pass", seen, numbers)


def _change(new: float, old: float) -> str:
    """Return a change in percent, a large one as a multiple."""
    return change(new / old) if new < 10 * old else f"{significant(new / old)} times"


def steps(boots: Sequence[Boot], law: KernelLaw) -> list[float]:
    """Return what a law is about, from each size to the next; [] if a size is missing, or has no logarithm."""
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
