"""The `plot` command: figures of runs that are there, and the page that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench import environment
from bench.commands import parser_of
from bench.errors import UsageError, one_line, unknown
from bench.figures import inputs, kinds, page
from bench.figures.kind import Prepared
from bench.progress import progress_bar
from bench.runs import storage
from bench.runs.loaded import LoadedRun, of_targets


class Request(msgspec.Struct, frozen=True):
    """A checked command line."""

    runs: tuple[Path, ...]
    plots: Path
    kinds: tuple[str, ...]
    targets: tuple[str, ...]  # words of --on


def read_request(argv: Sequence[str]) -> Request:
    """Read a command line and check what its words mean."""
    known = ", ".join(kinds.KINDS)
    parser = parser_of("plot")
    parser.add_argument("run", nargs="*", type=Path, help="runs, by path or name; default the reference, else the newest")
    parser.add_argument("--results", type=Path, help="directory of runs, default results/")
    where = "directory for figures and page, default plots/ for all of the reference's, else figures/ in the (first) run"
    parser.add_argument("--plots", type=Path, help=where)
    parser.add_argument("--only", action="append", default=[], help=f"figures, separated by commas: {known}; default all")
    targets = "only these implementations or real kernels; may be repeated, and then --plots is needed"
    parser.add_argument("--on", action="append", default=[], metavar="TARGET", help=targets)
    args = parser.parse_args(argv)
    if args.on and not args.plots:
        raise UsageError("--on draws a part of a run: say by --plots where its figures go")
    asked = {name for word in args.only for name in word.split(",")}
    if others := sorted(asked - set(kinds.KINDS)):
        raise unknown(f"unknown figure {one_line(others[0], 60)!r}; known are ", others[0], kinds.KINDS)
    runs = tuple(inputs.find_runs(args.run, environment.results_directories(args.results)))
    return Request(
        runs=runs,
        plots=args.plots or inputs.figures_directory(runs, not asked),
        kinds=tuple(name for name in kinds.KINDS if not asked or name in asked),
        targets=tuple(args.on),
    )


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    request = read_request(argv)
    runs = [of_targets(inputs.load_run(path), request.targets) for path in request.runs]
    slugs = [run.slug for run in runs]
    if twice := next((slug for slug in slugs if slugs.count(slug) > 1), None):
        raise UsageError(f"two runs are named {twice}: their figures would take each other's place")
    prepared = [kinds.prepare(run, request.kinds) for run in runs]
    if all(isinstance(one, inputs.Skipped) for found in prepared for one in found):
        reasons = "; ".join(f"{one.name}: {one.reason}" for one in prepared[0] if isinstance(one, inputs.Skipped))
        raise UsageError(f"no figure can be made of {one_line(runs[0].name, 80)}: {reasons}")
    storage.make_directory(request.plots)
    sections = [_draw(run, found, request.plots) for run, found in zip(runs, prepared, strict=True)]
    index = page.write_page(request.plots, sections)
    for section in sections:
        for shown in section.figures:
            print(f"figure:  {request.plots / shown.svg}, .png")
        for one in section.skipped:
            print(f"skipped: {one.name} of {one_line(section.run.name, 80)}: {one.reason}")
    print(f"page:    {index}")
    return 0


def _draw(run: LoadedRun, prepared: Sequence[Prepared[Any] | inputs.Skipped], plots: Path) -> page.Section:
    """Draw one run's figures into a directory of its own."""
    from bench.figures.style import save  # here, because it loads matplotlib, which bad input need not wait for

    storage.make_directory(plots / run.slug)
    drawn = [one for one in prepared if not isinstance(one, inputs.Skipped)]
    shown = []
    with progress_bar() as progress:
        task = progress.add_task(f"drawing {one_line(run.name, 60)}", total=len(drawn))
        for one in drawn:
            words = one.words()
            svg, _ = save(one.draw(), plots / run.slug / words.name, words.title, words.alternative)
            shown.append(page.Shown(words, svg.relative_to(plots).as_posix()))
            progress.advance(task)
    return page.Section(run, tuple(shown), tuple(one for one in prepared if isinstance(one, inputs.Skipped)))
