"""Rendering for the terminal: tables, and the sentence that says what happened."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from bench.analysis.budgets import Judged
from bench.analysis.report_rows import BASELINE, Row
from bench.analysis.reported import Reported
from bench.workloads.sizes import approximate

PIPED_WIDTH = 200  # columns; what reads a pipe does not wrap
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def console() -> Console:
    """Return standard output: colours and its own width on a terminal, plain wide text elsewhere."""
    return Console() if sys.stdout.isatty() else Console(width=PIPED_WIDTH, color_system=None)


def new_table(title: str, left: Sequence[str], right: Sequence[str] = ()) -> Table:
    """Return an empty table: columns of words on the left, of numbers on the right."""
    style = box.SIMPLE_HEAD if sys.stdout.isatty() else box.ASCII2
    table = Table(title=title, title_justify="left", title_style="bold", box=style, pad_edge=False)
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def significant(value: float, digits: int = 3) -> str:
    """Return a number with `digits` significant digits, without an exponent where that is readable."""
    text = f"{value:.{digits}g}"
    return text if "e" not in text or abs(value) < 1 else f"{value:,.0f}"


def seconds(value: float) -> str:
    """Return a duration in the unit that suits it, three significant digits."""
    scale, unit = next((pair for pair in _UNITS if value >= pair[0]), _UNITS[-1])
    return f"{significant(value / scale)} {unit}"


def spread(row: Row) -> str:
    """Return the least and most of a row's times in one unit."""
    scale, unit = next((pair for pair in _UNITS if row.seconds >= pair[0]), _UNITS[-1])
    return f"{significant(row.low / scale)} .. {significant(row.high / scale)} {unit}"


def times_faster(row: Row) -> str:
    """Return the ratio to the baseline as text."""
    if row.speedup is None or row.implementation == BASELINE:
        return "1" if row.speedup is not None else "-"
    return significant(row.speedup) if row.speedup < 1000 else f"{row.speedup:,.0f}"


def report_table(rows: Sequence[Row]) -> Table:
    """Return the main table: what the model did, and how long it took here."""
    table = new_table(
        "The model, measured here (median; least .. most of all timed values)",
        ("scenario", "implementation"),
        ("span", "populated", "looked up", "entries read", "time", "spread", "values", "ns/page", "x faster"),
    )
    previous = ""
    for row in rows:
        if previous and row.group != previous:
            table.add_section()
        table.add_row(
            row.group.split("/", 1)[1] if row.group != previous else "",
            row.implementation,
            approximate(row.span),
            f"{row.nr_populated:,}",
            f"{row.nr_looked_up:,}",
            f"{row.nr_entries:,}",
            seconds(row.seconds),
            spread(row),
            str(row.nr_values),
            significant(row.ns_per_page),
            times_faster(row),
        )
        previous = row.group
    return table


def reported_table(reported: Sequence[Reported], span: int, page_size: int) -> Table:
    """Return the reporter's figures, which were not measured here."""
    table = new_table(
        "For scale, NOT measured here: real kernels, by the reporter, 2 TiB",
        ("kernel", "remark"),
        ("time", "ns/page"),
    )
    for one in reported:
        table.add_row(one.kernel, one.remark, f"{one.seconds:.3f} s", significant(one.seconds * 1e9 / (span // page_size)))
    return table


def speed_table(figures: Sequence[Judged]) -> Table:
    """Return the model's own figures, each beside its bar."""
    table = new_table(
        "Speed and size of the model (median; least .. most)", ("what",), ("figure", "spread", "bar", "unit", "met")
    )
    for one in figures:
        table.add_row(
            one.bar.what,
            significant(one.value),
            f"{significant(one.low)} .. {significant(one.high)}" if one.nr_values > 1 else "",
            f"{one.bar.limit:,.12g}",
            one.bar.unit,
            "yes" if one.met else "NO",
        )
    return table


def sentence(rows: Sequence[Row]) -> str:
    """Return one sentence about the largest span that the baseline and others were measured on."""
    groups: dict[str, dict[str, Row]] = {}
    for row in rows:
        groups.setdefault(row.group, {})[row.implementation] = row
    comparable = [group for group in groups.values() if BASELINE in group and len(group) > 1]
    if not comparable:
        row = max(rows, key=lambda one: one.span)
        return f"{row.implementation} took {seconds(row.seconds)} for {approximate(row.span)}, {_did(row)}."
    group = max((one for one in comparable), key=_weight)
    base = group[BASELINE]
    rest = "; ".join(
        f"{row.implementation} took {seconds(row.seconds)}, {_did(row)}, {times_faster(row)} times faster"
        for name, row in group.items()
        if name != BASELINE
    )
    return (
        f"To unlock {approximate(base.span)} with {_pages(base.nr_populated, 'page')} in memory, {BASELINE} took"
        f" {seconds(base.seconds)}, {_did(base)}; {rest}; all left the same state."
    )


def _weight(group: dict[str, Row]) -> tuple[bool, int]:
    """Order groups for the sentence: the reproducer before others, then by span."""
    row = group[BASELINE]
    return row.scenario == "report", row.span


def _pages(number: int, word: str, plural: str = "") -> str:
    """Return a number with its noun: no page, 1 page, 2,000 pages."""
    return f"{number:,} {word if number == 1 else plural or word + 's'}" if number else f"no {word}"


def _did(row: Row) -> str:
    """Return what a call did, in a few words."""
    return f"looking up {_pages(row.nr_looked_up, 'page')} and reading {_pages(row.nr_entries, 'entry', 'entries')}"
