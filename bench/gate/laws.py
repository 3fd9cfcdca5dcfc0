"""Judging laws: how each implementation's cost grows, and how far apart the implementations are at full scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.analysis import stats
from bench.analysis.report_rows import entries_read
from bench.gate.checks import Bound, Floor, Law, top_level_entries
from bench.gate.expectation import Expected
from bench.gate.verdict import Finding, Verdict
from bench.number_format import TOO_FEW, exponent_range
from bench.workloads.suite import Group


def _sizes(law: Law, counted: Mapping[str, Expected]) -> dict[str, int]:
    """Return the size that a law's cost grows with at each of its points, by name."""
    points = [point for group in law.curve for point in group.points([law.implementation])]
    return {
        point.name: point.scenario.span if law.axis == "span" else counted[point.name].nr_populated
        for point in points
        if point.name in counted
    }


def judge_laws(
    laws: Sequence[Law], counted: Mapping[str, Expected], times: Mapping[str, Sequence[float]] | None
) -> list[Finding]:
    """Return a finding for each law by counters, and by `times` (seconds, one per process) if they were taken."""
    found = []
    for law in laws:
        sizes = _sizes(law, counted)
        found.append(_judge_entries(law, sizes, {name: entries_read(counted[name].counters) for name in sizes}))
        if times is not None:
            found.append(_judge_times(law, sizes, times))
    return found


def _missing(name: str, curve: Sequence[Group], nr_measured: int) -> Finding:
    """Return that a law cannot be judged."""
    return Finding("laws", name, "error", f"{len(curve) - nr_measured} of its {len(curve)} sizes were not measured")


def _judge_entries(law: Law, sizes: Mapping[str, int], entries: Mapping[str, int]) -> Finding:
    """Judge one law by what was counted, exactly: from each size to the next the exponent must be within the band."""
    name = f"{law.what} (entries read)"
    if len(entries) < len(law.curve):
        return _missing(name, law.curve, len(entries))
    local = stats.local_exponents(list(sizes.values()), [entries[one] for one in sizes])
    least, most = min(local), max(local)
    text = f"exponent {exponent_range(least, most)} from size to size, law {law.low:g} .. {law.high:g}"
    numbers = {"exponent_least": least, "exponent_most": most, "low": law.low, "high": law.high}
    return Finding("laws", name, "pass" if law.low <= least and most <= law.high else "regression", text, numbers)


def _judge_times(law: Law, sizes: Mapping[str, int], times: Mapping[str, Sequence[float]]) -> Finding:
    """Judge one law by times: broken only if the whole interval of the exponent is outside the band."""
    name, low, high = f"{law.what} (time)", law.low - law.slack, law.high + law.slack
    measured = sum(1 for one in sizes if times.get(one))
    if measured < len(law.curve):
        return _missing(name, law.curve, measured)
    at = [sizes[one] for one in sizes for _ in times[one]]
    found = stats.exponent(at, [value for one in sizes for value in times[one]]).fitted
    if low <= found.low and found.high <= high:
        verdict: Verdict = "pass"
    else:
        verdict = "regression" if found.low > high or found.high < low else "inconclusive"
    ends = f"[{found.low:.3f}, {found.high:.3f}]" if found.is_known else f"({TOO_FEW} for an interval)"
    text = f"exponent {found.estimate:.3f} {ends}, law {low:g} .. {high:g}"
    numbers = {"exponent": found.estimate, "interval_low": found.low, "interval_high": found.high, "low": low, "high": high}
    return Finding("laws", name, verdict, text, numbers)


def judge_bounds(bounds: Sequence[Bound], counted: Mapping[str, Expected]) -> list[Finding]:
    """Return a finding for each bound; what was counted is exact, so it holds at every size or is broken."""
    return [_judge_bound(one, counted) for one in bounds]


def _judge_bound(bound: Bound, counted: Mapping[str, Expected]) -> Finding:
    """Judge one bound by the size that uses most of what it may."""
    name = f"{bound.what} (entries read)"
    points = [point for group in bound.curve for point in group.points([bound.implementation]) if point.name in counted]
    if len(points) < len(bound.curve):
        return _missing(name, bound.curve, len(points))
    read = {point: entries_read(counted[point.name].counters) for point in points}
    worst = max(points, key=lambda point: read[point] / top_level_entries(point.scenario))
    most = top_level_entries(worst.scenario)
    text = f"{read[worst]:,} read on {worst.group}, at most {most:,} allowed"
    numbers: dict[str, float] = {"entries": read[worst], "bound": most}
    return Finding("laws", name, "pass" if read[worst] <= most else "regression", text, numbers)


def judge_floors(
    floors: Sequence[Floor], counted: Mapping[str, Expected], times: Mapping[str, Sequence[float]] | None
) -> list[Finding]:
    """Return a finding for each floor by counters, and by `times` if they were taken."""
    found = []
    for floor in floors:
        base, other = (point.name for point in floor.group.points([floor.baseline, floor.implementation]))
        what = f"{floor.baseline} / {floor.implementation}, {floor.group.name}"
        if base not in counted or other not in counted:
            found.append(Finding("floors", what, "error", "not counted"))
            continue
        least, most = (entries_read(counted[name].counters) for name in (other, base))
        exact = most / max(least, 1)
        text = f"ratio {exact:,.0f}, exactly; floor {floor.entries:,.0f}"
        held: Verdict = "pass" if exact >= floor.entries else "regression"
        found.append(Finding("floors", f"{what} (entries read)", held, text, {"ratio": exact, "floor": floor.entries}))
        if times is not None:
            if not times.get(base) or not times.get(other):
                found.append(Finding("floors", what, "error", "not timed"))
                continue
            found.append(_judge_floor(f"{what} (time)", stats.ratio(times[base], times[other]), floor.seconds))
    return found


def _judge_floor(name: str, ratio: stats.Interval, floor: float) -> Finding:
    """Judge one ratio: below its floor only if the whole interval is."""
    if ratio.low >= floor:
        verdict: Verdict = "pass"
    else:
        verdict = "regression" if ratio.high < floor else "inconclusive"
    ends = f"[{ratio.low:,.0f}, {ratio.high:,.0f}]" if ratio.is_known else f"({TOO_FEW} for an interval)"
    text = f"ratio {ratio.estimate:,.0f} {ends}, floor {floor:,.0f}"
    return Finding("floors", name, verdict, text, {"ratio": ratio.estimate, "interval_low": ratio.low, "floor": floor})
