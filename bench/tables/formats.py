"""Tables of text in the formats that people paste elsewhere: terminal, Markdown, LaTeX; and CSV for programs.

Knows nothing of what the tables are about. Cells may hold anything that a
file had: each format escapes what it would take for its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import msgspec
import pandas as pd
from rich.markup import escape
from rich.measure import Measurement

from bench.tables.terminal import console, new_table

Format = Literal["terminal", "markdown", "csv", "latex"]
FORMATS: tuple[Format, ...] = get_args(Format)
WIDEST = 1000  # columns

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        **{char: "\\" + char for char in "&%$#_{}"},
    }
)
_MARKDOWN = str.maketrans({char: "\\" + char for char in "\\`*[]<>|"})


class Sheet(msgspec.Struct, frozen=True):
    """A table of text."""

    title: str
    left: tuple[str, ...]  # heads of columns of words
    right: tuple[str, ...]  # heads of columns of numbers
    sections: tuple[tuple[tuple[str, ...], ...], ...]  # rows; those of a section belong together

    @property
    def heads(self) -> tuple[str, ...]:
        """Heads of all columns."""
        return (*self.left, *self.right)


class Page(msgspec.Struct, frozen=True):
    """What a command shows: warnings first, then tables, then remarks."""

    sheets: tuple[Sheet, ...]
    warnings: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def show(page: Page, form: Format) -> None:
    """Print a page in a format for people."""
    renderers: dict[str, Callable[[Page], None]] = {"terminal": _terminal, "markdown": _markdown, "latex": _latex}
    renderers[form](page)
    sys.stdout.flush()


def show_csv(frame: pd.DataFrame, page: Page) -> None:
    """Print a frame's raw numbers, empty where there is none; what people must know of them goes to standard error."""
    print(frame.to_csv(index=False, lineterminator="\n"), end="")
    sys.stdout.flush()
    for text in page.warnings:
        print(f"WARNING: {text}", file=sys.stderr)


def _terminal(page: Page) -> None:
    """Print a page for the eye."""
    out = console()
    for text in page.warnings:
        print(f"WARNING: {text}")
    for sheet in page.sheets:
        table = new_table(escape(sheet.title), [escape(one) for one in sheet.left], [escape(one) for one in sheet.right])
        for rows in sheet.sections:
            above = ""
            for row in rows:
                first = row[0] if row[0] != above else ""
                table.add_row(escape(first), *map(escape, row[1:]))
                above = row[0]
            table.add_section()
        # Wider than the terminal rather than cut: figures without their last digits are of no use.
        out.width = max(out.width, Measurement.get(out, out.options.update(width=WIDEST), table).maximum)
        out.print(table)
    for text in page.remarks:
        print(text)


def _markdown(page: Page) -> None:
    """Print a page as Markdown of the kind that GitHub shows."""
    blocks = [f"> **WARNING**: {_md(text)}" for text in page.warnings]
    for sheet in page.sheets:
        rules = ["---"] * len(sheet.left) + ["---:"] * len(sheet.right)
        rows = [[_md(cell) for cell in row] for section in sheet.sections for row in section]
        lines = [_md_line([_md(head) for head in sheet.heads]), _md_line(rules), *map(_md_line, rows)]
        blocks += [f"### {_md(sheet.title)}", "\n".join(lines)]
    if page.remarks:
        blocks.append("\n".join(f"- {_md(text)}" for text in page.remarks))
    print("\n\n".join(blocks))


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
    for sheet in page.sheets:
        columns = "l" * len(sheet.left) + "r" * len(sheet.right)
        lines += [r"\begin{table}", r"\centering", rf"\caption{{{_tex(sheet.title)}}}", rf"\begin{{tabular}}{{{columns}}}"]
        lines += [r"\toprule", _tex_line(sheet.heads), r"\midrule"]
        for number, rows in enumerate(sheet.sections):
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
