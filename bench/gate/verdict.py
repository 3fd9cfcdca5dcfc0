"""What a check can find, and what a gate's findings come to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from bench.errors import EXIT_MEASUREMENT

Verdict = Literal["pass", "faster", "regression", "error", "inconclusive"]
EXIT_PASS, EXIT_REGRESSION, EXIT_INCONCLUSIVE = 0, 1, 4
EXIT_CODES: dict[Verdict, int] = {
    "pass": EXIT_PASS,
    "faster": EXIT_PASS,  # of two real kernels; the model's times say it in their text
    "regression": EXIT_REGRESSION,
    "error": EXIT_MEASUREMENT,
    "inconclusive": EXIT_INCONCLUSIVE,
}
# The first of these that was found is the gate's. A measurement that failed comes first: what it hid is not known.
WORST_FIRST: tuple[Verdict, ...] = ("error", "regression", "inconclusive", "pass", "faster")
Part = Literal["counters", "laws", "floors", "times", "instructions"]


class Finding(msgspec.Struct, frozen=True):
    """What one check found."""

    part: Part
    name: str  # of the benchmark, the law or the floor
    verdict: Verdict
    text: str  # one line: what was seen, beside what was allowed
    numbers: dict[str, float] = {}


def overall(findings: Iterable[Finding]) -> Verdict:
    """Return the gate's verdict. No finding at all is an error: a gate that compared nothing has nothing to say."""
    found = {finding.verdict for finding in findings}
    return next((verdict for verdict in WORST_FIRST if verdict in found), "error")
