"""The address space of a process in words."""

from __future__ import annotations

from bench.figures.address_space.numbers import NAME, AddressSpace, KindRow
from bench.figures.words import EXACT, Words, table
from bench.number_format import approximate, count, percent
from bench.tables.table import Table

LEAST_SHARE = 0.001  # that is told


def title_words(data: AddressSpace) -> str:
    """Return the title."""
    reserved = sum(row.reserved for row in data.rows)
    return f"{data.program}: {approximate(reserved)} reserved, {in_memory(data.rows)} in memory"


def in_memory(rows: tuple[KindRow, ...]) -> str:
    """Return what is in memory of some kinds together: a size, or two where it is not known."""
    least, most = sum(row.least for row in rows), sum(row.most for row in rows)
    return approximate(least) if least == most else f"{approximate(least)} to {approximate(most)}"


def share(data: AddressSpace, row: KindRow) -> str:
    """Return the part of all look-ups that a kind has."""
    total = sum(one.looked_up for one in data.rows)
    if 0 < row.looked_up < total * LEAST_SHARE:
        return f"< {percent(LEAST_SHARE)}"
    return percent(row.looked_up / total) if row.looked_up else "none"


def tables(data: AddressSpace) -> tuple[Table, ...]:
    """Return the numbers as a table."""
    heads = ("kind of reservation", "VMAs", "reserved", "in memory", "pages looked up by 5.10", "share")
    cells = [
        (row.name, count(row.nr_vmas), approximate(row.reserved), in_memory((row,)), count(row.looked_up), share(data, row))
        for row in data.rows
    ]
    return (table("Who pays for munlockall()", heads, cells),)


def describe(data: AddressSpace) -> Words:
    """Return the figure in words."""
    columns = (
        "a column for each" if data.per_column == 1 else f"a column for {data.per_column} each, of which the largest shows"
    )
    sentences = [
        f"{row.name}: {approximate(row.reserved)} reserved, {in_memory((row,))} in memory, {share(data, row)} of the look-ups"
        for row in data.rows
    ]
    return Words(
        f"{NAME}-{data.name}",
        title_words(data),
        EXACT,
        "Lengths of reservations on a logarithmic scale, and in black what of them is in memory. Above by kind, the one first"
        " that makes munlockall() of Linux 5.10 look up most pages; below the VMAs in address order, "
        f"{columns}, with a black mark for what is in memory.",
        "; ".join(sentences) + ".",
        tables(data),
    )
