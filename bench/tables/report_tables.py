"""The tables of what was just measured: report, sweep, the model's own speed; and the sentence that says what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from bench.analysis.budgets import Judged
from bench.analysis.report_rows import BASELINE, Row, entries_read
from bench.analysis.reported import Reported
from bench.analysis.stats import ESTIMATOR
from bench.number_format import NONE, TOO_FEW, approximate, count, interval, multiple, seconds, seconds_range, significant
from bench.runs.record import Counted
from bench.tables.table import INTERVAL, Cells, Table

MEASURED = f"The model, measured here (time: {ESTIMATOR})"
COUNTED = "The model, counted"
TOOK = ("time", INTERVAL, "processes")
FASTER = ("x faster", INTERVAL)
# Columns that a narrow table does without, first of all the first.
LESS = ("processes", "ns/page", INTERVAL, "span", "populated", "looked up")


def less_of(heads: Sequence[str]) -> tuple[str, ...]:
    """Return those of LESS that are among the heads."""
    return tuple(head for head in LESS for _ in range(list(heads).count(head)))


def report_table(rows: Sequence[Row]) -> Table:
    """Return the main table: what the model did, and how long it took here."""

    def cells(row: Row) -> Cells:
        did = count(row.nr_populated), count(row.nr_looked_up), count(row.nr_entries)
        took = *_took(row), significant(row.ns_per_page), *_faster(row)
        return row.group.split("/", 1)[1], row.implementation, approximate(row.span), *did, *took

    heads = ("span", "populated", "looked up", "entries read", *TOOK, "ns/page", *FASTER)
    sections = tuple(tuple(map(cells, group)) for _, group in groupby(rows, key=lambda row: row.group))
    return Table(MEASURED, ("scenario", "implementation"), heads, sections, less_of(heads))


def sweep_table(counted: Sequence[Counted], rows: Sequence[Row]) -> Table:
    """Return a line for every point; `rows` are their times, in the same order, or empty where nothing was timed."""

    def cells(number: int) -> Cells:
        one, point = counted[number], counted[number].point
        did = count(one.nr_populated), count(one.counters["model_pages_looked_up"]), count(entries_read(one.counters))
        return (*(point.operation, point.scenario.name, point.implementation, approximate(one.span)), *did, *took(number))

    def took(number: int) -> Cells:
        row = rows[number] if rows else None
        return (*_took(row), *_faster(row)) if row else ()

    timed = (*TOOK, *FASTER) if rows else ()
    groups = groupby(range(len(counted)), key=lambda number: counted[number].point.group)
    return Table(
        MEASURED if rows else COUNTED,
        ("call", "scenario", "implementation"),
        ("span", "populated", "looked up", "entries read", *timed),
        tuple(tuple(map(cells, numbers)) for _, numbers in groups),
        less_of(timed),
        nr_shown_once=2,
    )


def reported_table(reported: Sequence[Reported], span: int, page_size: int) -> Table:
    """Return the reporter's figures, which were not measured here."""
    rows = (
        (one.kernel, one.remark, f"{one.seconds:.3f} s", significant(one.seconds * 1e9 / (span // page_size)))
        for one in reported
    )
    title = "For scale, NOT measured here: real kernels, by the reporter, 2 TiB"
    return Table(title, ("kernel", "remark"), ("time", "ns/page"), (tuple(rows),))


def speed_table(figures: Sequence[Judged]) -> Table:
    """Return the model's own figures, each beside its budget."""
    rows = (
        (
            one.budget.what,
            significant(one.value),
            interval(one.low, one.high, significant) if one.nr_values > 1 else "",
            f"{one.budget.limit:,.12g}",
            "µs" if one.budget.unit == "us" else one.budget.unit,  # in speed.json it is ASCII
            "yes" if one.met else "NO",
        )
        for one in figures
    )
    heads = ("figure", "spread", "budget", "unit", "met")
    title = "Speed and size of the model (median; least .. most)"
    return Table(title, ("what",), heads, (tuple(rows),), ("spread",))


def _took(row: Row) -> Cells:
    """Return a row's time, its interval in the same unit, and the number of processes."""
    time = row.seconds
    ends = seconds_range(time.low, time.high, time.estimate) if time.is_known else TOO_FEW
    return seconds(time.estimate), ends, str(row.nr_processes)


def _faster(row: Row) -> Cells:
    """Return the ratio to the baseline, and its interval; the baseline's is 1 by definition."""
    if row.implementation == BASELINE or row.speedup is None:
        return _times_faster(row), ""
    return _times_faster(row), interval(row.speedup.low, row.speedup.high, multiple) if row.speedup.is_known else TOO_FEW


def _times_faster(row: Row) -> str:
    """Return the ratio to the baseline as text."""
    if row.speedup is None or row.implementation == BASELINE:
        return "1" if row.speedup is not None else NONE
    return multiple(row.speedup.estimate)


def sentence(rows: Sequence[Row]) -> str:
    """Return one sentence about the largest span that the baseline and others were measured on, or that any were."""
    groups: dict[str, dict[str, Row]] = {}
    for row in rows:
        groups.setdefault(row.group, {})[row.implementation] = row
    comparable = [group for group in groups.values() if BASELINE in group and len(group) > 1]
    group = max(comparable or groups.values(), key=_weight)
    first = next(iter(group.values()))
    did = (
        f"{row.implementation} took {seconds(row.seconds.estimate)}, {_did(row)}{_compared(row, group)}"
        for row in group.values()
    )
    same = "; all left the same state" if len(group) > 1 else ""
    return f"To unlock {approximate(first.span)} with {_pages(first.nr_populated, 'page')} in memory, {'; '.join(did)}{same}."


def _compared(row: Row, group: Mapping[str, Row]) -> str:
    """Return how a time compares with the baseline's, nothing for that itself and where it was not measured."""
    if row.speedup is None or row.implementation == BASELINE or BASELINE not in group:
        return ""
    if row.speedup.estimate < 1:
        return f", {multiple(1 / row.speedup.estimate)} times slower"
    return f", {multiple(row.speedup.estimate)} times faster"


def _weight(group: dict[str, Row]) -> tuple[bool, int]:
    """Order groups for the sentence: the reproducer before others, then by span."""
    row = next(iter(group.values()))
    return row.scenario == "report", row.span


def _pages(number: int, word: str, plural: str = "") -> str:
    """Return a number with its noun: no page, 1 page, 2,000 pages."""
    return f"{count(number)} {word if number == 1 else plural or word + 's'}" if number else f"no {word}"


def _did(row: Row) -> str:
    """Return what a call did, in a few words."""
    return f"looking up {_pages(row.nr_looked_up, 'page')} and reading {_pages(row.nr_entries, 'entry', 'entries')}"
