"""Judging counters: what was counted, twice, against what is expected."""

from __future__ import annotations

from collections.abc import Mapping

from bench.analysis.counter_diff import differences
from bench.gate.expectation import Expected
from bench.gate.verdict import Finding
from bench.tables.changes import differences_text


def judge(
    expected: Mapping[str, Expected], first: Mapping[str, Expected | str], second: Mapping[str, Expected | str]
) -> list[Finding]:
    """Return a finding for each benchmark of either side; a string in the worker_end of a count is why there is none."""
    names = [*expected, *(name for name in first if name not in expected)]
    return [_judge_one(name, expected.get(name), first.get(name), second.get(name)) for name in names]


def _judge_one(name: str, expected: Expected | None, first: Expected | str | None, second: Expected | str | None) -> Finding:
    """Judge one benchmark."""
    for got in (first, second):
        if isinstance(got, str):
            return Finding("counters", name, "error", got)
    if not isinstance(first, Expected) or not isinstance(second, Expected):
        return Finding("counters", name, "error", "expected, but missing in this tree's suite or not counted")
    if first != second:
        differing = differences_text(differences(first.counters, second.counters))
        return Finding("counters", name, "error", f"two runs of the same call differ: {differing or 'its preparation'}")
    if expected is None:
        return Finding("counters", name, "error", "not in the expectation; `gate --accept` adds it")
    if expected.digest != first.digest:
        return Finding("counters", name, "error", "the name is expected with other parameters: not the same benchmark")
    if (expected.nr_vmas, expected.nr_populated) != (first.nr_vmas, first.nr_populated):
        return Finding(
            "counters", name, "regression",
            f"prepared otherwise: {expected.nr_vmas:,} -> {first.nr_vmas:,} VMAs,"
            f" {expected.nr_populated:,} -> {first.nr_populated:,} pages in memory",
        )  # fmt: skip
    if found := differences(expected.counters, first.counters):
        return Finding("counters", name, "regression", differences_text(found), {"differing": len(found)})
    return Finding("counters", name, "pass", f"{len(first.counters)} counters as expected")
