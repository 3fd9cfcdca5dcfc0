"""Text about many points: the table of a sweep, and what changed in a reference."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from bench.analysis.counter_diff import Change
from bench.analysis.report_rows import Row, entries_read
from bench.runs.record import Counted
from bench.tables.terminal import new_table, seconds, spread, times_faster
from bench.workloads.sizes import approximate

SHOWN = 4  # counters of one changed point


def sweep_table(counted: Sequence[Counted], rows: Sequence[Row]) -> Table:
    """Return a line for every point; `rows` are their times, in the same order, or empty where nothing was timed."""
    timed = ("time", "spread", "values", "x faster") if rows else ()
    title = "The model, measured here (median; least .. most of all timed values)" if rows else "The model, counted"
    table = new_table(title, ("call", "scenario", "implementation"), ("span", "populated", "looked up", "entries read", *timed))
    previous = None
    for index, one in enumerate(counted):
        point = one.point
        new_group = point.group != previous
        if previous and new_group:
            table.add_section()
        table.add_row(
            point.operation if new_group else "",
            point.scenario.name if new_group else "",
            point.implementation,
            approximate(one.span),
            f"{one.nr_populated:,}",
            f"{one.counters['model_pages_looked_up']:,}",
            f"{entries_read(one.counters):,}",
            *(_times(rows[index]) if rows else ()),
        )
        previous = point.group
    return table


def _times(row: Row) -> tuple[str, ...]:
    """Return the cells about time."""
    return seconds(row.seconds), spread(row), str(row.nr_values), times_faster(row)


def change_lines(found: Sequence[Change]) -> list[str]:
    """Return a line for every point that changed, then their number."""
    numbers = {kind: sum(one.kind == kind for one in found) for kind in ("added", "removed", "changed")}
    total = ", ".join(f"{number} {kind}" for kind, number in numbers.items())
    return [*(_change_line(one) for one in found), f"counters: {total}"]


def _change_line(one: Change) -> str:
    """Return the line of one point."""
    shown = "; ".join(f"{what}: {_value(old)} -> {_value(new)}" for what, old, new in one.differing[:SHOWN])
    more = f"; and {len(one.differing) - SHOWN} more" if len(one.differing) > SHOWN else ""
    return f"{one.kind:8} {one.name}" + (f": {shown}{more}" if shown else "")


def _value(value: int | str | None) -> str:
    """Return a counter's value as text."""
    if value is None:
        return "absent"
    return value if isinstance(value, str) else f"{value:,}"
