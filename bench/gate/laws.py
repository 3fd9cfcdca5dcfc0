"""Judging laws: how each implementation's cost grows, and how far apart the implementations are at full scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.analysis import stats
from bench.analysis.report_rows import entries_read
from bench.gate.checks import Floor, Law, Quantity
from bench.gate.expectation import Expected
from bench.gate.verdict import Finding, Verdict


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
        entries = {name: [entries_read(counted[name].counters)] for name in sizes}
        found.append(_judge_law(law, "entries", sizes, entries, law.low, law.high))
        if times is not None:
            found.append(_judge_law(law, "seconds", sizes, times, law.low - law.slack, law.high + law.slack))
    return found


def _judge_law(
    law: Law, quantity: Quantity, sizes: Mapping[str, int], values: Mapping[str, Sequence[float]], low: float, high: float
) -> Finding:
    """Judge one law by one quantity: broken only if the whole interval is outside the band."""
    name = f"{law.what} ({'entries read' if quantity == 'entries' else 'time'})"
    missing = len(law.curve) - sum(1 for one in sizes if values.get(one))
    if missing:
        return Finding("laws", name, "error", f"{missing} of its {len(law.curve)} sizes were not measured")
    at = [sizes[one] for one in sizes for _ in values[one]]
    found = stats.exponent(at, [value for one in sizes for value in values[one]])
    if low <= found.low and found.high <= high:
        verdict: Verdict = "pass"
    else:
        verdict = "regression" if found.low > high or found.high < low else "inconclusive"
    text = f"exponent {found.estimate:.3f} [{found.low:.3f}, {found.high:.3f}], law {low:g} .. {high:g}"
    numbers = {"exponent": found.estimate, "interval_low": found.low, "interval_high": found.high, "low": low, "high": high}
    return Finding("laws", name, verdict, text, numbers)


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
        found.append(_judge_floor(f"{what} (entries read)", stats.Interval(*[most / max(least, 1)] * 3), floor.entries))
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
    text = f"ratio {ratio.estimate:,.0f} [{ratio.low:,.0f}, {ratio.high:,.0f}], floor {floor:,.0f}"
    return Finding("floors", name, verdict, text, {"ratio": ratio.estimate, "interval_low": ratio.low, "floor": floor})
