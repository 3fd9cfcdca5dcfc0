"""Tables of text in the formats that people paste elsewhere: terminal, Markdown, LaTeX; and CSV for programs.

Knows nothing of what the tables are about. Cells may hold anything that a
file had: each format escapes what it would take for its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table as RichTable

from bench.tables.table import Cells, Page, Table

Format = Literal["terminal", "markdown", "csv", "latex"]
FORMATS: tuple[Format, ...] = get_args(Format)
PIPED_WIDTH = 200  # columns, or as many as a table needs; what reads a pipe does not wrap
WIDEST = 1000  # columns

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


def console() -> Console:
    """Return standard output: colours and its own width on a terminal, plain wide text elsewhere."""
    return Console() if sys.stdout.isatty() else Console(width=PIPED_WIDTH, color_system=None)


def _terminal(page: Page) -> None:
    """Print a page for the eye."""
    out = console()
    for text in page.warnings:
        print(f"WARNING: {text}")
    for table in page.tables:
        shown = _rich(table)
        needed = Measurement.get(out, out.options.update(width=WIDEST), shown)
        # Wider than the terminal rather than cut: figures without their last digits are of no use. Words fold, there.
        out.width = max(out.width, needed.minimum if out.is_terminal else needed.maximum)
        out.print(shown)
    for text in page.remarks:
        print(text)


def _rich(table: Table) -> RichTable:
    """Return a table as the library for terminals has it."""
    style = box.SIMPLE_HEAD if sys.stdout.isatty() else box.ASCII2
    shown = RichTable(title=escape(table.title), title_justify="left", title_style="bold", box=style, pad_edge=False)
    for head in table.words:
        shown.add_column(escape(head), overflow="fold")
    for head in table.numbers:
        shown.add_column(escape(head), justify="right", no_wrap=True)
    for section in table.sections:
        above: Cells = ()
        for row in section:
            same = table.nr_shown_once if row[: table.nr_shown_once] == above[: table.nr_shown_once] else 0
            shown.add_row(*[""] * same, *map(escape, row[same:]))
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
