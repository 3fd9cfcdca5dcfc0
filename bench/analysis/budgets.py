"""The budgets that the model's own speed and size are held to, and the verdict on each."""

from __future__ import annotations

from typing import Literal

import msgspec

from bench.analysis.report_rows import BASELINE
from bench.errors import MeasurementError
from mmmodel.kernels import DEFAULT_IMPLEMENTATION

NEWEST = DEFAULT_IMPLEMENTATION
Unit = Literal["ns/page", "us", "s", "bytes/page", "bytes", "%"]


class Budget(msgspec.Struct, frozen=True):
    """One budget: a value above `limit` exceeds it."""

    key: str
    what: str
    limit: float
    unit: Unit


class Judged(msgspec.Struct, frozen=True, rename={"budget": "bar"}):  # as speed.json calls it
    """A measured value beside its budget."""

    budget: Budget
    value: float  # median, in the budget's unit
    low: float  # least of all values
    high: float  # most
    nr_values: int
    met: bool


BUDGETS = {
    one.key: one
    for one in (
        Budget(BASELINE, f"{BASELINE} munlockall(), 2 TiB untouched", 1.1, "ns/page"),
        Budget(NEWEST, f"{NEWEST} munlockall(), 2 TiB untouched", 10, "us"),
        Budget(f"{NEWEST}-64TiB", f"{NEWEST} munlockall(), 64 TiB untouched", 10, "us"),
        Budget(f"dense-{BASELINE}", f"{BASELINE} munlock(), 1 GiB of order-0 pages", 12, "ns/page"),
        Budget(f"dense-{NEWEST}", f"{NEWEST} munlock(), 1 GiB of order-0 pages", 8, "ns/page"),
        Budget("touch", "touching 2^20 pages, tables and pages included", 0.15, "s"),
        Budget("memory", "memory for a populated page with its tables", 48, "bytes/page"),
        Budget("reserve", "memory for a reservation of 128 TiB", 1 << 20, "bytes"),
        Budget("help", "--help, warm", 0.3, "s"),
        Budget("compile", "compilation in the first run, all of it", 30, "s"),
        Budget("counting-untouched", f"cost of counting, {BASELINE} munlockall() of 8 GiB untouched", 5, "%"),
        Budget(f"counting-dense-{BASELINE}", f"cost of counting, {BASELINE} munlock() of 128 MiB of order-0 pages", 5, "%"),
        Budget(f"counting-dense-{NEWEST}", f"cost of counting, {NEWEST} munlock() of 128 MiB of order-0 pages", 5, "%"),
    )
}


def judge(key: str, values: list[float]) -> Judged:
    """Hold the median of `values`, in the budget's unit, against the budget."""
    if not values or not all(value == value for value in values):
        raise MeasurementError(f"nothing was measured for {BUDGETS[key].what}")
    ordered = sorted(values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return Judged(BUDGETS[key], median, ordered[0], ordered[-1], len(ordered), median <= BUDGETS[key].limit)
