"""The `capture` command: the address space of a live process, or of a text, as a layout file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from bench.capture import document, schema, sources
from bench.capture.anonymise import anonymise
from bench.capture.live import Method, Wanted
from bench.commands import OneLineParser, parser_of
from bench.commands.kernel_figures import draw
from bench.errors import MeasurementError, UsageError, one_line
from bench.figures.kind import Prepared
from bench.figures.kinds import LAYOUT_KINDS
from bench.number_format import approximate, count
from bench.progress import progress_bar
from bench.runs import storage
from bench.workloads.layout import SUFFIX, Document, Layout


def _parser() -> OneLineParser:
    """Return the parser of the command's arguments."""
    parser = parser_of("capture")
    parser.add_argument(
        "source",
        nargs="?",
        metavar="PID|FILE|-",
        help="a process; or a text to read: smaps, maps, what pmap -X prints, or another layout; - is standard input",
    )
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help=f"write the layout there; packed if it ends in {SUFFIX}")
    parser.add_argument("--anonymise", action="store_true", help="leave out names, paths and the command line")
    parser.add_argument("--method", choices=get_args(Method), default="auto", help="how pages are found (default auto)")
    parser.add_argument("--page-flags", action="store_true", help="tell parts of large folios apart; needs CAP_SYS_ADMIN")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw a picture of the address space there, as SVG and PNG")
    parser.add_argument("--schema", action="store_true", help="print the JSON schema of layout files, and do nothing else")
    return parser


def _read_request(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments; UsageError for those that do not go together."""
    options = _parser().parse_args(argv)
    if options.schema == (options.source is not None):
        raise UsageError("give a process, a file or -, or --schema alone (try unlockall-bench capture --help)")
    live = options.source is not None and options.source.isascii() and options.source.isdigit()
    if not live and (options.method != "auto" or options.page_flags):
        raise UsageError("--method and --page-flags are for a live process")
    if options.plots:
        storage.make_directory(options.plots)
    if options.out is not None and not options.out.parent.is_dir():
        raise UsageError(f"cannot write {one_line(options.out, 120)}: its directory is not there")
    return options


def main(argv: Sequence[str]) -> int:
    """Capture, and write a layout to a file or to standard output."""
    options = _read_request(argv)
    if options.schema:
        sys.stdout.write(schema.text())
        return 0
    with progress_bar() as progress:
        task = progress.add_task("reading pagemap, in pages of the span", total=None)
        wanted = Wanted(options.method, options.page_flags, tick=lambda nr: progress.advance(task, nr))
        found = sources.read(options.source, wanted)
    made = anonymise(found.document) if options.anonymise else found.document
    _write(made, options.out)
    print(f"unlockall-bench: {summary(made)}", file=sys.stderr)
    if options.plots:
        _draw(document.layout_of(made, made.program if options.anonymise else found.name), options.plots)
    return 0


def _draw(layout: Layout, plots: Path) -> None:
    """Draw the address space."""
    (prepared,) = LAYOUT_KINDS["address_space"].prepared(layout)
    if isinstance(prepared, Prepared):
        draw(prepared, plots)


def _write(made: Document, out: Path | None) -> None:
    """Write a layout, as a whole or not at all."""
    data = document.encode(made)
    if out is None:
        sys.stdout.write(data.decode())
        return
    try:
        storage.write_atomic(out, document.pack(data) if out.name.endswith(SUFFIX) else data)
    except MeasurementError as error:
        raise UsageError(str(error)) from None


def summary(made: Document) -> str:
    """Return in a sentence what was captured, and whether it changed meanwhile."""
    vmas = made.vmas
    span = approximate(sum(vma.last - vma.first for vma in vmas))
    nr_present = sum(nr for vma in vmas for _, nr in vma.present)
    found = f"{count(len(vmas))} VMAs, {span} reserved, "
    if some := [vma.unplaced for vma in vmas if vma.unplaced]:
        least, most = (nr_present + sum(few) for few in ((one.least for one in some), (one.most for one in some)))
        pages = count(least) if least == most else f"{count(least)} to {count(most)}"
        found += f"{pages} pages in memory, in {count(len(some))} VMAs not known which"
    else:
        found += f"{count(nr_present)} pages in memory"
    return "; ".join([found, *_remarks(made)])


def _remarks(made: Document) -> list[str]:
    """Return what else is to be said of a capture."""
    source = made.source
    if source is None:
        return []
    if source.vmas_changed or source.pages_changed:
        changed = f"{count(source.vmas_changed or 0)} VMAs and at least {count(source.pages_changed or 0)} pages"
        return [f"by {source.method}; it changed meanwhile: {changed}", *source.remarks]
    return [f"by {source.method}" + ("; it did not change meanwhile" if source.vmas_changed == 0 else ""), *source.remarks]
