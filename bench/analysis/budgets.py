"""The bars that the model's own speed and size are held to, and the verdict on each."""

from __future__ import annotations

from typing import Literal

import msgspec

from bench.errors import MeasurementError

Unit = Literal["ns/page", "us", "s", "bytes/page", "bytes", "%"]


class Bar(msgspec.Struct, frozen=True):
    """One bar: a value above `limit` misses it."""

    key: str
    what: str
    limit: float
    unit: Unit


class Judged(msgspec.Struct, frozen=True):
    """A measured value beside its bar."""

    bar: Bar
    value: float  # median, in the bar's unit
    low: float  # least of all values
    high: float  # most
    nr_values: int
    met: bool


BARS = {
    bar.key: bar
    for bar in (
        Bar("per-page", "per-page munlockall(), 2 TiB untouched", 1.1, "ns/page"),
        Bar("page-walk", "page-walk munlockall(), 2 TiB untouched", 10, "us"),
        Bar("page-walk-64TiB", "page-walk munlockall(), 64 TiB untouched", 10, "us"),
        Bar("dense-per-page", "per-page munlock(), 1 GiB of order-0 pages", 12, "ns/page"),
        Bar("dense-page-walk", "page-walk munlock(), 1 GiB of order-0 pages", 8, "ns/page"),
        Bar("touch", "touching 2^20 pages, tables and pages included", 0.15, "s"),
        Bar("memory", "memory for a populated page with its tables", 48, "bytes/page"),
        Bar("reserve", "memory for a reservation of 128 TiB", 1 << 20, "bytes"),
        Bar("help", "--help, warm", 0.3, "s"),
        Bar("compile", "compilation in the first run, all of it", 30, "s"),
        Bar("counting-untouched", "cost of counting, per-page munlockall() of 8 GiB untouched", 5, "%"),
        Bar("counting-dense-per-page", "cost of counting, per-page munlock() of 128 MiB of order-0 pages", 5, "%"),
        Bar("counting-dense-page-walk", "cost of counting, page-walk munlock() of 128 MiB of order-0 pages", 5, "%"),
    )
}


def judge(key: str, values: list[float]) -> Judged:
    """Hold the median of `values`, in the bar's unit, against the bar."""
    if not values or not all(value == value for value in values):
        raise MeasurementError(f"nothing was measured for {BARS[key].what}")
    ordered = sorted(values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return Judged(BARS[key], median, ordered[0], ordered[-1], len(ordered), median <= BARS[key].limit)
