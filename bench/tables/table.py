"""A table of text, whatever it is about and however it will be shown."""

from __future__ import annotations

import msgspec

from bench.analysis.stats import CONFIDENCE

INTERVAL = f"{CONFIDENCE:.0%} interval".replace("%", " %")  # head of a column
Cells = tuple[str, ...]  # a row: a cell for each column


class Table(msgspec.Struct, frozen=True):
    """A table of text. Cells may hold anything that a file had."""

    title: str
    words: tuple[str, ...]  # heads of the first columns, which hold words
    numbers: tuple[str, ...]  # heads of the others, which hold numbers
    sections: tuple[tuple[Cells, ...], ...]  # rows; those of a section belong together
    nr_shown_once: int = 1  # first columns that a reader need not see again where they repeat the row above

    @property
    def heads(self) -> tuple[str, ...]:
        """Heads of all columns."""
        return (*self.words, *self.numbers)

    @property
    def rows(self) -> tuple[Cells, ...]:
        """All rows."""
        return tuple(row for section in self.sections for row in section)


class Page(msgspec.Struct, frozen=True):
    """What a command shows: warnings first, then tables, then remarks."""

    tables: tuple[Table, ...]
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
