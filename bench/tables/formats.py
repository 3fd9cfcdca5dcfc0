"""Tables of text in the formats that people paste elsewhere: terminal, Markdown, LaTeX; and CSV and JSON for programs.

In the terminal they are as wide as that, and elsewhere PIPED_WIDTH: a table that is wider does without the columns that
it says are worth less. Knows nothing of what the tables are about. Cells may hold anything that a
file had: each format escapes what it would take for its own.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final, Literal, get_args

import msgspec
import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table as RichTable

from bench.tables.table import Cells, Page, Table

Format = Literal["terminal", "markdown", "csv", "json", "latex"]
FORMATS: tuple[Format, ...] = get_args(Format)
FOR_PROGRAMS: tuple[Format, ...] = ("csv", "json")
JSON_SCHEMA: Final = 1  # of what show_frames() prints; 1: the first
PIPED_WIDTH = 80  # columns, whatever the terminal has: what is piped is compared, and mailed
WIDEST = 1000  # columns
# Columns that names and other words are left before columns are left out, and after that; what is longer folds.
NAMES_WIDTH, WORDS_WIDTH, LEAST_WIDTH = 40, 24, 8
GAP = 2  # columns between columns
# A rule of ASCII under the heads, an empty line between sections, nothing else.
_PLAIN = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "µ": r"\textmu{}",
        **{char: "\\" + char for char in "&%$#_{}"},
    }
)
_MARKDOWN = str.maketrans({char: "\\" + char for char in "\\`*[]<>|"})


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add the option of commands that show tables in the terminal."""
    parser.add_argument("--wide", action="store_true", help="show every column, however wide a table is")


def show(page: Page, form: Format = "terminal", *, wide: bool = False) -> None:
    """Print a page in a format for people; `wide`: in the terminal every column, however wide."""
    if form == "terminal":
        _terminal(page, wide)
    else:
        renderers: dict[str, Callable[[Page], None]] = {"markdown": _markdown, "latex": _latex}
        renderers[form](page)
    sys.stdout.flush()


def show_text(text: str) -> None:
    """Print a paragraph that is no wider than the terminal."""
    print(_wrapped(text, console().width))


def _wrapped(text: str, width: int) -> str:
    """Return text in lines of a width; a word that is longer stays whole, so that a path can be copied."""
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def show_frames(frames: Mapping[str, pd.DataFrame], form: Format, page: Page) -> None:
    """Print frames for a program: as CSV the first of them, as JSON all of them by name, with what the page says of them."""
    if form == "csv":
        show_csv(next(iter(frames.values())), page)
        return
    named = {name: [_plain_row(row) for row in frame.to_dict("records")] for name, frame in frames.items()}
    said = {"warnings": page.warnings, "remarks": page.remarks}
    print(msgspec.json.format(msgspec.json.encode({"schema": JSON_SCHEMA, **said, **named}), indent=1).decode())
    sys.stdout.flush()


def _plain_row(row: Mapping[Hashable, object]) -> dict[str, object]:
    """Return a row of a frame with null where there is nothing."""
    return {str(name): None if pd.isna(value) else value for name, value in row.items()}  # type: ignore[call-overload]


def show_csv(frame: pd.DataFrame, page: Page) -> None:
    """Print a frame's raw numbers, empty where there is none; what people must know of them goes to standard error."""
    print(frame.to_csv(index=False, lineterminator="\n"), end="")
    sys.stdout.flush()
    for text in page.warnings:
        print(f"WARNING: {text}", file=sys.stderr)


def console() -> Console:
    """Return standard output: colours and its own width on a terminal, plain text of PIPED_WIDTH elsewhere."""
    if not sys.stdout.isatty():
        return Console(width=PIPED_WIDTH, color_system=None)
    return Console(color_system=None if os.environ.get("NO_COLOR") else "auto")


def _terminal(page: Page, wide: bool) -> None:
    """Print a page for the eye."""
    width = console().width
    for text in page.warnings:
        print(_wrapped(f"WARNING: {text}", width))
    for number, table in enumerate(page.tables):
        if number:
            print()
        shown, left_out = (table, []) if wide else fitted(table, width)
        print(_wrapped(table.title, width))
        _print_table(console(), shown, wide)
        if left_out:
            print(_wrapped(f"Not shown for lack of room: {', '.join(left_out)}. --wide shows every column.", width))
    if page.tables and page.remarks:
        print()
    for text in page.remarks:
        print(_wrapped(text, width))


def fitted(table: Table, width: int) -> tuple[Table, list[str]]:
    """Return a table with as many columns as fit, and the heads of those that it does without."""
    every = set(range(len(table.heads)))
    dropped: list[int] = []
    for index in table.less_columns:
        if _least_width(table.of_columns(every - set(dropped))) <= width:
            break
        dropped.append(index)
    for index in dropped[::-1]:  # a wide one may have made room for narrow ones that went before it
        fewer = set(dropped) - {index}
        if _least_width(table.of_columns(every - fewer)) <= width:
            dropped.remove(index)
    return table.of_columns(every - set(dropped)), list(dict.fromkeys(table.heads[index] for index in sorted(dropped)))


def _least_width(table: Table, names: int = NAMES_WIDTH, words: int = WORDS_WIDTH) -> int:
    """Return how wide a table must be for numbers to stand in one line, and names and words in enough."""
    widths = _least_widths(table, names, words)
    return sum(widths) + GAP * (len(widths) - 1)


def _least_widths(table: Table, names: int, words: int) -> list[int]:
    """Return how wide the columns must be: numbers in one line, single words up to `names`, several up to `words` columns."""
    found = []
    for index, cells in enumerate(zip(table.heads, *table.rows, strict=True)):
        width = max(map(cell_len, cells))
        if index < len(table.words):
            least = max(words, min(names, _longest_word(cells))) if any(" " in cell for cell in cells[1:]) else names
            width = min(width, least)
        found.append(width)
    return found


def _longest_word(cells: Sequence[str]) -> int:
    """Return the width of the longest word of a column."""
    return max(cell_len(word) for cell in cells for word in (cell.split() or [""]))


def _name_widths(table: Table, width: int) -> dict[int, int]:
    """Return the columns, by index, that need a width of their own lest names fold where a part of them does not end.

    Where there is room for it: numbers keep theirs, and several words WORDS_WIDTH.
    """
    columns = list(zip(table.heads, *table.rows, strict=True))
    least = _least_widths(table, LEAST_WIDTH, WORDS_WIDTH)
    if sum(max(map(cell_len, cells)) for cells in columns) + GAP * (len(columns) - 1) <= width:
        return {}
    found = {}
    room = width - sum(least) - GAP * (len(least) - 1)
    lacking = {index: _longest_word(cells) - least[index] for index, cells in enumerate(columns[: len(table.words)])}
    for index in sorted(lacking, key=lambda one: lacking[one]):  # short names whole, before a long one takes all
        more = min(lacking[index], room)
        if more > 0:
            found[index] = least[index] + more
            room -= more
    return found


def _at_slashes(text: str, width: int) -> str:
    """Return text whose words that are longer than `width` continue on a new line behind one of their slashes."""
    lines = [""]
    for word in text.split(" "):
        for part in re.split("(?<=/)", word) if cell_len(word) > width else [word]:
            if lines[-1] and cell_len(lines[-1] + part) > width:
                lines.append("")
            lines[-1] += part
        lines[-1] += " "
    return "\n".join(line.rstrip() for line in lines)


def _print_table(out: Console, table: Table, wide: bool) -> None:
    """Print a table without its title; no line ends with blanks."""
    needed = Measurement.get(out, out.options.update(width=WIDEST), _rich(table)).maximum
    # Wider than the terminal rather than cut: figures without their last digits are of no use. Words fold, there.
    out.width = needed if wide else min(needed, max(out.width, _least_width(table, LEAST_WIDTH, LEAST_WIDTH)))
    with out.capture() as captured:
        out.print(_rich(table, _name_widths(table, out.width)))
    for line in captured.get().splitlines():
        print(line.rstrip())


def _rich(table: Table, widths: Mapping[int, int] | None = None) -> RichTable:
    """Return a table as the library for terminals has it; `widths` of those columns, by index, that do not get theirs by it."""
    widths = widths or {}
    style = box.SIMPLE_HEAD if sys.stdout.isatty() else _PLAIN
    shown = RichTable(box=style, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for index, head in enumerate(table.words):
        shown.add_column(escape(head), overflow="fold", width=widths.get(index))
    for head in table.numbers:
        shown.add_column(escape(head), justify="right", no_wrap=True)
    for section in table.sections:
        above: Cells = ()
        for row in section:
            same = table.nr_shown_once if row[: table.nr_shown_once] == above[: table.nr_shown_once] else 0
            cells = (_at_slashes(cell, widths[index]) if index in widths else cell for index, cell in enumerate(row))
            shown.add_row(*[""] * same, *map(escape, [*cells][same:]))
            above = row
        shown.add_section()
    return shown


def _markdown(page: Page) -> None:
    """Print a page as Markdown of the kind that GitHub shows."""
    blocks = [f"> **WARNING**: {_md(text)}" for text in page.warnings]
    for table in page.tables:
        blocks += [f"### {_md(table.title)}", markdown_table(table)]
    if page.remarks:
        blocks.append("\n".join(f"- {_md(text)}" for text in page.remarks))
    print("\n\n".join(blocks))


def markdown_table(table: Table) -> str:
    """Return a table without its title, as Markdown."""
    rules = ["---"] * len(table.words) + ["---:"] * len(table.numbers)
    rows = [_md_line(list(map(_md, row))) for row in table.rows]
    return "\n".join([_md_line(list(map(_md, table.heads))), _md_line(rules), *rows])


def _md(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return text.translate(_MARKDOWN)


def _md_line(cells: Sequence[str]) -> str:
    """Return one line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def _latex(page: Page) -> None:
    """Print a page's tables for a document that uses the package booktabs; warnings and remarks are comments."""
    lines = [r"% needs \usepackage{booktabs}"]
    lines += [f"% {text}" for text in (*(f"WARNING: {one}" for one in page.warnings), *page.remarks)]
    for table in page.tables:
        columns = "l" * len(table.words) + "r" * len(table.numbers)
        lines += [r"\begin{table}", r"\centering", rf"\caption{{{_tex(table.title)}}}", rf"\begin{{tabular}}{{{columns}}}"]
        lines += [r"\toprule", _tex_line(table.heads), r"\midrule"]
        for number, rows in enumerate(table.sections):
            lines += [r"\midrule"] * (number > 0)
            lines += map(_tex_line, rows)
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    print("\n".join(lines))


def _tex(text: str) -> str:
    """Return text that LaTeX sets as it is."""
    return text.translate(_LATEX)


def _tex_line(cells: Sequence[str]) -> str:
    """Return one row of a LaTeX table."""
    return " & ".join(map(_tex, cells)) + r" \\"
