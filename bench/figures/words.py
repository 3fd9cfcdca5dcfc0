"""What figures say: the types of their words and tables, and phrases that several use."""

from __future__ import annotations

import math

import msgspec

from bench.analysis.stats import Interval
from bench.tables.terminal import significant

EXACT = "exact counters"
TIMES = "times of this machine"
BOTH = "times of this machine, and exact counters beside them"
MINUS = "\u2212"


class Grid(msgspec.Struct, frozen=True):
    """A table. The first `nr_words` columns are words that name the row, the others numbers."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    nr_words: int = 1


class Words(msgspec.Struct, frozen=True):
    """All that is said about one figure."""

    name: str  # of its file, without a suffix
    title: str
    kind: str  # whether it shows exact counters, times of this machine, or both
    caption: str  # what is to be seen, what its points and intervals are
    alternative: str  # what it shows, for those who cannot see it
    tables: tuple[Grid, ...]


def percent(fraction: float) -> str:
    """Return a fraction as a percentage of three significant digits."""
    return f"{significant(fraction * 100)} %" if fraction >= 1e-6 else f"{fraction * 100:.1e} %"


def deviation(relative: float, digits: int = 1) -> str:
    """Return a value relative to 1 as a signed percentage."""
    return f"{(relative - 1) * 100:+.{digits}f} %".replace("-", MINUS)


def times(interval: Interval) -> str:
    """Return a ratio with its interval: 2.51 [2.4, 2.63]."""
    if math.isinf(interval.high):
        return f"{significant(interval.estimate)} (too few for an interval)"
    return f"{significant(interval.estimate)} [{significant(interval.low)}, {significant(interval.high)}]"


def left_out(nr_calls: int, why: str = "") -> str:
    """Return the sentence about calls that have no place in a figure; empty where there is none."""
    if not nr_calls:
        return ""
    calls = "1 more call" if nr_calls == 1 else f"{nr_calls:,} more calls"
    return f" {calls} of this run {'is' if nr_calls == 1 else 'are'} not shown{why}."
