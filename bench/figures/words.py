"""What figures say: the types of their words and tables, and phrases that several use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from bench.analysis.stats import ESTIMATOR, Interval
from bench.number_format import TOO_FEW, change, seconds, significant
from bench.tables.table import INTERVAL, Cells, Table

EXACT = "exact counters"
TIMES = "times of this machine"
BOTH = "times of this machine, and exact counters beside them"
MINUS = "\u2212"
POINTS = f"points are the {ESTIMATOR}, vertical lines their {INTERVAL}s; where there are too few processes for one, no line"


class Words(msgspec.Struct, frozen=True):
    """All that is said about one figure."""

    name: str  # of its file, without a suffix
    title: str
    kind: str  # whether it shows exact counters, times of this machine, or both
    caption: str  # what is to be seen, what its points and intervals are
    alternative: str  # what it shows, for those who cannot see it
    tables: tuple[Table, ...]


def table(title: str, heads: Sequence[str], rows: Iterable[Cells], nr_words: int = 1) -> Table:
    """Return a table whose first `nr_words` columns are words that name the row, the others numbers."""
    return Table(title, tuple(heads[:nr_words]), tuple(heads[nr_words:]), (tuple(rows),))


def deviation(relative: float) -> str:
    """Return a value relative to 1 as a signed percentage."""
    return change(relative).replace("-", MINUS)


def times(interval: Interval) -> str:
    """Return a ratio with its interval: 2.51 [2.4, 2.63]."""
    if not interval.is_known:
        return f"{significant(interval.estimate)} ({TOO_FEW} for an interval)"
    return f"{significant(interval.estimate)} [{significant(interval.low)}, {significant(interval.high)}]"


def time_ends(interval: Interval) -> str:
    """Return the ends of the interval of a time: 478 ms .. 502 ms."""
    return f"{seconds(interval.low)} .. {seconds(interval.high)}" if interval.is_known else TOO_FEW


def left_out(nr_calls: int, why: str = "") -> str:
    """Return the sentence about calls that have no place in a figure; empty where there is none."""
    if not nr_calls:
        return ""
    calls = "1 more call" if nr_calls == 1 else f"{nr_calls:,} more calls"
    return f" {calls} of this run {'is' if nr_calls == 1 else 'are'} not shown{why}."
