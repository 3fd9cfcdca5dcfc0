"""plots/index.html: figures with their captions, words and tables, for a browser that reads it from disk.

The page needs nothing but itself and the figures beside it: no network, no
script. Whatever comes out of files is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import msgspec

from bench.errors import one_line
from bench.figures.inputs import Skipped
from bench.figures.words import Words
from bench.runs.loaded import LoadedRun
from bench.runs.storage import write_atomic
from bench.tables.table import Table
from bench.workloads import participants

INDEX = "index.html"
_CSS = """\
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --dim: #555; --rule: #ccc; --band: #f4f4f4; --link: #004c7a }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --paper: #181818; --dim: #aaa; --rule: #444; --band: #222; --link: #56b4e9 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word }
a { color: var(--link) }
h1, h2, h3 { line-height: 1.25 }
section { border-top: 2px solid var(--rule); margin-top: 2rem }
article { border-top: 1px solid var(--rule); margin-top: 2rem }
figure { margin: 0 }
figcaption, .kind { max-width: 46rem }
.kind, .note { color: var(--dim) }
.wide { overflow-x: auto; margin: 1rem 0 }
.wide:focus-visible { outline: 2px solid var(--link) }
img { display: block; width: 100%; min-width: 36rem; max-width: 52rem; height: auto; background: #fff; padding: .5rem }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums }
caption { text-align: left; font-weight: 600; padding-bottom: .25rem }
th, td { padding: .15rem .75rem .15rem 0; text-align: right; vertical-align: top; white-space: nowrap }
th[scope=row], th.word, table.facts td { text-align: left; font-weight: normal }
table.facts td { white-space: normal; overflow-wrap: anywhere }
thead th { border-bottom: 1px solid var(--rule); color: var(--dim); font-weight: normal }
tbody tr:nth-child(even) { background: var(--band) }
@media (max-width: 40rem) {
  th[scope=row] { white-space: normal; overflow-wrap: anywhere; min-width: 5rem }
}
@media print {
  :root { color-scheme: light; --ink: #000; --paper: #fff; --dim: #444; --band: #fff; --link: #000 }
  body { max-width: none; padding: 0; font-size: 10pt }
  .wide { overflow: visible }
  img { min-width: 0; max-width: 100%; padding: 0 }
  table { font-size: 7.5pt }
  figure, tr { break-inside: avoid }
  nav, .files { display: none }
}
"""
# Says to the browser what the page promises: nothing is loaded but pictures beside it.
_POLICY = "default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'"


class Shown(msgspec.Struct, frozen=True):
    """One figure as it was written."""

    words: Words
    svg: str  # path relative to the page


class Section(msgspec.Struct, frozen=True):
    """One run with its figures."""

    run: LoadedRun
    figures: tuple[Shown, ...]
    skipped: tuple[Skipped, ...]


def write_page(plots: Path, sections: Sequence[Section]) -> Path:
    """Write the page of these runs and return its path."""
    path = plots / INDEX
    write_atomic(path, render(sections).encode())
    return path


def render(sections: Sequence[Section]) -> str:
    """Return the page."""
    names = ", ".join(section.run.name for section in sections)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_text(_POLICY)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>unlockall-bench: figures of {_text(names)}</title>",
            f"<style>\n{_CSS}</style>",
            "</head>",
            "<body>",
            "<header>",
            f"<h1>unlockall-bench: figures of {_text(names)}</h1>",
            "<p>What <code>munlockall()</code> and its relatives cost, run in a model of Linux\u2019s mlock, by"
            " implementation:</p>",
            "<ul>",
            *(f"<li><b>{_text(one.name)}</b> \u2013 {_text(one.summary)}</li>" for one in participants.every()),
            "</ul>",
            "<p>Each figure says whether it shows exact counters, which are the same on every machine, or times, which are of"
            " the machine named with the run.</p>",
            *_contents(sections),
            "</header>",
            "<main>",
            *(line for section in sections for line in _section(section)),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _text(value: object) -> str:
    """Return anything as text of the page: printable, on one line, escaped."""
    return escape(one_line(value, 20_000))


def _contents(sections: Sequence[Section]) -> Iterable[str]:
    """Yield the list of figures."""
    yield '<nav aria-label="Figures">'
    yield "<ul>"
    for section in sections:
        yield f"<li>{_text(section.run.name)}"
        yield "<ul>"
        for shown in section.figures:
            yield f'<li><a href="#{_anchor(section, shown)}">{_text(shown.words.title)}</a></li>'
        yield "</ul></li>"
    yield "</ul>"
    yield "</nav>"


def _anchor(section: Section, shown: Shown) -> str:
    """Return the id of a figure in the page."""
    return _text(f"{section.run.slug}--{shown.words.name}")


def _section(section: Section) -> Iterable[str]:
    """Yield one run."""
    run = section.run
    heading = f"run-{_text(run.slug)}"
    yield f'<section aria-labelledby="{heading}">'
    yield f'<h2 id="{heading}">Run {_text(run.name)}</h2>'
    yield from _facts(run)
    if run.nr_foreign:
        yield f'<p class="note">{run.nr_foreign} timed calls have no counters in this run, and are left out.</p>'
    if section.skipped:
        yield '<p class="note">Figures that this run cannot have:</p>'
        yield '<ul class="note">'
        for one in section.skipped:
            yield f"<li>{_text(one.name)}: {_text(one.reason)}</li>"
        yield "</ul>"
    for shown in section.figures:
        yield from _figure(section, shown)
    yield "</section>"


def _facts(run: LoadedRun) -> Iterable[str]:
    """Yield what the run was made with."""
    nr_processes = sum(len(one.processes) for one in run.timed_points)
    told = run.machine or run.facts
    facts = {
        "command": run.command,
        "counted": f"{run.created + ', ' if run.created else ''}{len(run.counted_points):,} calls",
        "timed": f"{len(run.timed_points):,} calls in {nr_processes:,} processes",
        **({"real kernels": "; ".join(one.title for one in run.kernels.values())} if run.kernels else {}),
        **{key.replace("_", " "): f"{value:,}" if isinstance(value, int) else value for key, value in told.items()},
    }
    yield '<div class="wide" tabindex="0" role="region" aria-label="Facts of the run">'
    yield '<table class="facts"><caption>Command and machine</caption>'
    yield "<tbody>"
    for key, value in facts.items():
        shown = f"<code>{_text(value)}</code>" if key == "command" else _text(value)
        yield f'<tr><th scope="row">{_text(key)}</th><td>{shown}</td></tr>'
    yield "</tbody></table></div>"


def _figure(section: Section, shown: Shown) -> Iterable[str]:
    """Yield one figure with all that belongs to it."""
    words, anchor = shown.words, _anchor(section, shown)
    yield f'<article id="{anchor}" aria-labelledby="{anchor}-title">'
    yield f'<h3 id="{anchor}-title">{_text(words.title)}</h3>'
    yield f'<p class="kind">Shows {_text(words.kind)}.</p>'
    yield "<figure>"
    yield f'<div class="wide" tabindex="0" role="region" aria-label="{_text("Figure: " + words.title)}">'
    alternative = f"{words.title}. What it shows follows in words and tables."
    yield f'<img src="{_text(shown.svg)}" alt="{_text(alternative)}" aria-describedby="{anchor}-words">'
    yield "</div>"
    yield f"<figcaption>{_text(words.caption)}</figcaption>"
    yield "</figure>"
    yield f'<p class="files"><a href="{_text(shown.svg)}">the figure alone (SVG)</a></p>'
    yield f'<details><summary>In words</summary><p id="{anchor}-words">{_text(words.alternative)}</p></details>'
    yield "<details open><summary>In numbers</summary>"
    for table in words.tables:
        yield from _table(table)
    yield "</details>"
    yield "</article>"


def _table(table: Table) -> Iterable[str]:
    """Yield a table in a box that scrolls by itself where the screen is narrow."""
    yield f'<div class="wide" tabindex="0" role="region" aria-label="{_text(table.title)}">'
    yield f"<table><caption>{_text(table.title)}</caption>"
    heads = [f'<th scope="col" class="word">{_text(name)}</th>' for name in table.words]
    heads += [f'<th scope="col">{_text(name)}</th>' for name in table.numbers]
    yield f"<thead><tr>{''.join(heads)}</tr></thead>"
    yield "<tbody>"
    for row in table.rows:
        names = (f'<th scope="row">{_text(cell)}</th>' for cell in row[: len(table.words)])
        yield f"<tr>{''.join(names)}{''.join(f'<td>{_text(cell)}</td>' for cell in row[len(table.words) :])}</tr>"
    yield "</tbody></table></div>"
