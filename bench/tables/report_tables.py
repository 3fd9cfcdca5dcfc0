"""The tables of what was just measured: report, sweep, the model's own speed; and the sentence that says what happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TypeVar

from bench.analysis.budgets import Judged
from bench.analysis.report_rows import BASELINE, Prediction, Row, entries_read, predictions
from bench.analysis.reported import Reported
from bench.analysis.stats import ESTIMATOR, Interval
from bench.number_format import NONE, TOO_FEW, approximate, count, interval, multiple, seconds, seconds_range, significant
from bench.runs.record import Counted
from bench.tables.table import INTERVAL, Cells, Table

T = TypeVar("T")
MEASURED = f"The model, measured here (time: {ESTIMATOR})"
COUNTED = "The model, counted"
WITH_KERNELS = f"The model and real kernels, measured here (time: {ESTIMATOR}; instructions: the median of all calls)"
MODEL = "model"  # in the place where rows of kernels say how they run
TOOK = ("time", INTERVAL, "processes")
FASTER = ("x faster", INTERVAL)
# Columns that a narrow table does without, first of all the first.
LESS = ("processes", "ns/page", INTERVAL, "span", "populated", "looked up")


# The same of a table that has real kernels, too.
LESS_WITH_KERNELS = ("processes", INTERVAL, "span", "populated", "looked up", "entries read", "per page")


def less_of(heads: Sequence[str], less: Sequence[str] = LESS) -> tuple[str, ...]:
    """Return those of `less` that are among the heads."""
    return tuple(head for head in less for _ in range(list(heads).count(head)))


def report_table(rows: Sequence[Row]) -> Table:
    """Return the main table: what the model did, how long it took here, and what real kernels took."""
    if any(row.kernel for row in rows):
        return _table_with_kernels(rows)

    def cells(row: Row) -> Cells:
        took = *_took(row), _maybe(significant, row.ns_per_page), *_faster(row)
        did = _counted(row)
        return row.group.split("/", 1)[1], row.implementation, approximate(row.span), *did, *took

    heads = ("span", "populated", "looked up", "entries read", *TOOK, "ns/page", *FASTER)
    sections = tuple(tuple(map(cells, group)) for _, group in groupby(rows, key=lambda row: row.group))
    return Table(MEASURED, ("scenario", "implementation"), heads, sections, less_of(heads))


def _table_with_kernels(rows: Sequence[Row], nr_parts: int = 1) -> Table:
    """Return the table of the model and of real kernels together, which says of each row which it is.

    `nr_parts`: 1 for a table of one call, 0 where rows say which call they are of.
    """

    def cells(row: Row) -> Cells:
        what = "/".join(row.group.split("/")[nr_parts:])
        is_on = row.kernel.runs_as if row.kernel else MODEL
        instructions = count(row.instructions.typical) if row.instructions else NONE
        took = *_took(row), instructions, _per_page(row), *_faster(row)
        return what, row.implementation, is_on, approximate(row.span), *_counted(row), *took

    heads = ("span", "populated", "looked up", "entries read", *TOOK, "instructions", "per page", *FASTER)
    sections = tuple(tuple(map(cells, group)) for _, group in groupby(rows, key=lambda row: row.group))
    return Table(WITH_KERNELS, ("scenario", "target", "runs as"), heads, sections, less_of(heads, LESS_WITH_KERNELS))


def ratios_table(predicted: Sequence[Prediction]) -> Table:
    """Return how far apart two real kernels are beside how far apart the implementations are that model them."""

    def cells(one: Prediction) -> Cells:
        runs_as = one.old.kernel.runs_as if one.old.kernel else MODEL
        kernels = f"{one.old.implementation} / {one.new.implementation}"
        measured, modelled = ((one.measured, one.measured_interval), (one.modelled, one.modelled_interval))
        numbers = (cell for value, ends in (measured, modelled) for cell in (multiple(value), _ends(ends)))
        return one.new.group.split("/", 1)[1], kernels, runs_as, *numbers, multiple(one.off_by)

    heads = ("measured", INTERVAL, "modelled", INTERVAL, "model / kernel")
    title = "How far apart: two real kernels (in their unit), and the models of both (in time)"
    return Table(title, ("scenario", "kernels", "runs as"), heads, (tuple(map(cells, predicted)),), (INTERVAL, INTERVAL))


def _ends(ends: Interval | None) -> str:
    """Return the ends of a ratio's interval as text, nothing of one that is exact."""
    if ends is None or not ends.is_known:
        return TOO_FEW
    return "exact" if ends.low == ends.high else interval(ends.low, ends.high, multiple)


def _counted(row: Row) -> Cells:
    """Return the cells of what is exact: pages in memory; of the model what it looked at."""
    return _maybe(count, row.nr_populated), _maybe(count, row.nr_looked_up), _maybe(count, row.nr_entries)


def _per_page(row: Row) -> str:
    """Return what a call cost by all pages of its span, in its unit."""
    if row.instructions:
        return f"{significant(row.instructions.per_page)} instr."
    return _maybe(lambda value: f"{significant(value)} ns", row.ns_per_page)


def _maybe(text: Callable[[T], str], value: T | None) -> str:
    """Return a value as text, or that there is none."""
    return NONE if value is None else text(value)


def kernels_table(rows: Sequence[Row]) -> Table:
    """Return the table of calls of any kind, each row with its call."""
    return _table_with_kernels(rows, 0)


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
    if time is None:
        return NONE, "", ""
    ends = seconds_range(time.low, time.high, time.estimate) if time.is_known else TOO_FEW
    return seconds(time.estimate), ends, str(row.nr_processes)


def _faster(row: Row) -> Cells:
    """Return the ratio to the baseline, and its interval; the baseline's is 1 by definition."""
    if row.implementation == BASELINE or row.speedup is None or row.instructions:
        return _times_faster(row), ""
    return _times_faster(row), interval(row.speedup.low, row.speedup.high, multiple) if row.speedup.is_known else TOO_FEW


def _times_faster(row: Row) -> str:
    """Return the ratio to the baseline as text."""
    if row.speedup is None or row.implementation == BASELINE:
        return "1" if row.speedup is not None else NONE
    return multiple(row.speedup.estimate)


def sentence(rows: Sequence[Row]) -> str:
    """Return one sentence about the largest span that the baseline and others were measured on, or that any were.

    What real kernels took is a sentence of its own.
    """
    modelled = _main_group([row for row in rows if row.kernel is None])
    real = _main_group([row for row in rows if row.kernel])
    every = [row for row in rows if real and row.group == real[0].group]
    return " ".join(filter(None, (_of_the_model(modelled), _of_kernels(real, predictions(every)))))


def _of_the_model(group: Sequence[Row]) -> str:
    """Return the sentence about the implementations, "" if there is none."""
    if not group:
        return ""
    did = (
        f"{row.implementation} took {seconds(row.cost)}, {_did(row)}{_compared(row, [one.implementation for one in group])}"
        for row in group
    )
    same = "; all left the same state" if len(group) > 1 else ""
    return f"{_to_do(group[0])}, {'; '.join(did)}{same}."


def _of_kernels(group: Sequence[Row], predicted: Sequence[Prediction]) -> str:
    """Return the sentences about real kernels, and how far the model's ratios are from theirs; "" if there are none."""
    if not group:
        return ""
    took = "; ".join(f"{row.implementation} took {_cost(row)}" for row in group)
    said = [f"{_to_do(group[0])}, measured on real kernels: {took}."]
    for one in predicted:
        models = f"{one.modelled_old.implementation} against {one.modelled_new.implementation}"
        said.append(
            f"{one.old.implementation} took {multiple(one.measured)} times what {one.new.implementation} took;"
            f" the model predicted {multiple(one.modelled)} times ({models})."
        )
    return " ".join(said)


def _cost(row: Row) -> str:
    """Return what a call cost on a real kernel, and how that runs."""
    on = row.kernel.runs_as if row.kernel else MODEL
    return f"{count(row.instructions.typical)} instructions ({on})" if row.instructions else f"{seconds(row.cost)} ({on})"


def _to_do(row: Row) -> str:
    """Return the beginning of a sentence about a group."""
    inside = "" if row.nr_populated is None else f" with {_pages(row.nr_populated, 'page')} in memory"
    operation = row.group.partition("/")[0]
    what = "To unlock" if operation == "munlockall" else f"For {operation} on"
    return f"{what} {approximate(row.span)}{inside}"


def _main_group(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the group that a sentence is about: with the baseline and others if possible, then the largest."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    comparable = [group for group in groups.values() if len(group) > 1 and BASELINE in {row.implementation for row in group}]
    return max(comparable or groups.values(), key=lambda group: (group[0].scenario == "report", group[0].span), default=[])


def _compared(row: Row, names: Sequence[str]) -> str:
    """Return how a time compares with the baseline's, nothing for that itself and where it was not measured."""
    if row.speedup is None or row.implementation == BASELINE or BASELINE not in names:
        return ""
    if row.speedup.estimate < 1:
        return f", {multiple(1 / row.speedup.estimate)} times slower"
    return f", {multiple(row.speedup.estimate)} times faster"


def _pages(number: int, word: str, plural: str = "") -> str:
    """Return a number with its noun: no page, 1 page, 2,000 pages."""
    return f"{count(number)} {word if number == 1 else plural or word + 's'}" if number else f"no {word}"


def _did(row: Row) -> str:
    """Return what a call did, in a few words."""
    looked_up, entries = _pages(row.nr_looked_up or 0, "page"), _pages(row.nr_entries or 0, "entry", "entries")
    return f"looking up {looked_up} and reading {entries}"
