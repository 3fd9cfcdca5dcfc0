"""A table of text, whatever it is about and however it will be shown."""

from __future__ import annotations

from collections.abc import Collection

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
    less: tuple[str, ...] = ()  # heads of columns that may be left out where there is little room, the first of them first
    nr_shown_once: int = 1  # first columns that a reader need not see again where they repeat the row above

    def of_columns(self, kept: Collection[int]) -> Table:
        """Return the table with these of its columns alone, by their index."""
        nr_words = len(self.words)

        def some(cells: Cells, first: int = 0) -> Cells:
            return tuple(cell for index, cell in enumerate(cells, first) if index in kept)

        sections = tuple(tuple(map(some, rows)) for rows in self.sections)
        return msgspec.structs.replace(
            self, words=some(self.words), numbers=some(self.numbers, nr_words), sections=sections, less=()
        )

    @property
    def less_columns(self) -> list[int]:
        """Indexes of the columns that may be left out, the first of them first; of columns with one head the last first."""
        found: list[int] = []
        for head in self.less:
            found.append(max(index for index, one in enumerate(self.heads) if one == head and index not in found))
        return found

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
