"""The `scan` command: which calls walk what nobody touched, on real kernels."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import bench
from bench import environment
from bench.commands import parser_of
from bench.commands.kernel_figures import draw, say
from bench.errors import EXIT_DIFFERENCES, EXIT_MEASUREMENT, MeasurementError, UsageError, one_line
from bench.figures.inputs import Skipped
from bench.figures.kinds import KERNEL_KINDS
from bench.progress import progress_bar
from bench.runs import storage
from bench.runs.storage import write_atomic
from bench.scan.against_model import against_model
from bench.scan.became_linear import base_of, became_linear, names, unclear
from bench.scan.call import Call
from bench.scan.calls import CALLS
from bench.scan.machine import machines
from bench.scan.measure import LIMIT
from bench.scan.reproducer import text
from bench.scan.results import SCHEMA, KernelScan, Scan, load, save
from bench.scan.scan import chosen, layout_named, scan
from bench.scan.verdict import of_call
from bench.tables import formats
from bench.tables.scan_tables import page
from bench.targets import kernel

KEPT: Final = Path(bench.__file__).parent.parent / "results" / "records" / "scan.json"
LONGEST: Final = 600.0  # seconds of --limit


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = parser_of("scan")
    parser.add_argument("--on", action="append", default=[], metavar="KERNEL", help=f"{kernel.ALLOWED}; may be repeated")
    parser.add_argument("--only", metavar="CALL,...", help="some calls alone; --list shows all")
    parser.add_argument(
        "--limit", type=float, default=LIMIT, metavar="SECONDS", help="no size expected to take longer (default 5)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="keep what was measured, as JSON, or the reproducer")
    parser.add_argument("--show", type=Path, metavar="FILE", help="show a kept scan, measure nothing")
    parser.add_argument(
        "--against-model", action="store_true",
        help="with --show: exit code 1 if a law is not that of the model's counters",
    )  # fmt: skip
    against = "exit code 1 if a call became linear; FILE: a kept scan to compare with (default: the committed one)"
    parser.add_argument("--fail-if-linear", nargs="?", type=Path, const=KEPT, metavar="FILE", help=against)
    parser.add_argument("--layouts", metavar="NAME,...", help="some layouts alone; --list shows those of each call")
    parser.add_argument("--reproducer", metavar="CALL", help="print a C program that shows one call")
    parser.add_argument("--layout", metavar="NAME", help="of the reproducer's memory; --list shows those of a call")
    parser.add_argument("--list", action="store_true", help="list the calls, and the layouts of each")
    parser.add_argument("--details", action="store_true", help="show every call's costs")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw the figure there, as SVG and PNG")
    formats.add_option(parser)
    return parser


def read_request(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments; UsageError for those that do not go together."""
    options = _parser().parse_args(argv)
    asked = [name for name in ("on", "show", "reproducer", "list") if getattr(options, name) not in (None, [], False)]
    if len(asked) != 1:
        what = " and ".join(f"--{one}" for one in asked) or "none of them"
        raise UsageError(f"give one of --on KERNEL, --show FILE, --reproducer CALL and --list, not {what}")
    if options.layout and not options.reproducer:
        raise UsageError("--layout is of --reproducer")
    if options.output and options.list:
        raise UsageError("--list writes no file")
    if options.against_model and not options.show:
        raise UsageError("--against-model is of a kept scan: give it with --show FILE")
    for name in ("only", "layouts"):
        if getattr(options, name) and not options.on:
            raise UsageError(f"--{name} chooses what is measured: give it with --on")
    if not 0 < options.limit <= LONGEST:
        raise UsageError(f"--limit {options.limit:g}: more than 0 seconds, at most {LONGEST:g}")
    if options.output and not options.output.parent.is_dir():
        raise UsageError(f"{one_line(options.output, 120)}: there is no directory {one_line(options.output.parent, 120)}")
    if options.fail_if_linear and not options.fail_if_linear.is_file():
        raise UsageError(f"--fail-if-linear: there is no file {one_line(options.fail_if_linear, 120)}; scan -o FILE writes one")
    return options


def _list() -> int:
    """Print the calls and their layouts."""
    for call in CALLS.values():
        print(f"{call.name}{': ' * bool(call.summary)}{call.summary} ({', '.join(call.layouts)})")
    return 0


def _layout_of(call: Call, asked: str | None) -> str:
    """Return the layout of a reproducer: as asked, else on which the committed scan has the call linear, else the first."""
    if asked is not None:
        name = layout_named(asked)
        if name not in call.layouts:
            raise UsageError(f"{call.name} is not scanned on {name!r}; its layouts are {', '.join(call.layouts)}")
        return name
    if KEPT.is_file():
        for one in load(KEPT).kernels[::-1]:
            for found in one.calls:
                verdict = of_call(found, one.unit)
                if found.name == call.name and verdict.answer in ("span", "output"):
                    return verdict.layout
    return call.layouts[0]


def _reproduce(options: argparse.Namespace) -> int:
    """Print or write a C program."""
    (call,) = chosen(options.reproducer.replace(",", " "))
    program = text(call, call.on(_layout_of(call, options.layout)))
    if options.output:
        write_atomic(options.output, program.encode())
    else:
        print(program, end="")
    return 0


def _measure(options: argparse.Namespace) -> Scan:
    """Scan kernels."""
    calls = chosen(options.only, options.layouts)
    found = machines([kernel.find(word) for word in options.on])
    if options.plots:
        storage.make_directory(options.plots)
    with progress_bar() as progress:
        task = progress.add_task(f"scanning {', '.join(one.name for one in found)}", total=None)

        def on_shot(done: int, known: int) -> None:
            progress.update(task, completed=done, total=known)

        def keep(done: Sequence[KernelScan]) -> None:
            if options.output:
                save(options.output, _scan_of(done))

        return _scan_of(scan(found, calls, say, on_shot, options.limit, keep))


def _scan_of(kernels: Sequence[KernelScan]) -> Scan:
    """Return the scan of some kernels, made now."""
    return Scan(SCHEMA, "scan", environment.command_line(), storage.now(), environment.machine_facts(), kernels)


def _draw(found: Scan, directory: Path) -> None:
    """Draw the figure."""
    (prepared,) = KERNEL_KINDS["scan"].prepared(found)
    if isinstance(prepared, Skipped):
        raise MeasurementError(f"no figure: {prepared.reason}")
    storage.make_directory(directory)
    draw(prepared, directory)


def _judge(kept: Scan, kernels: Sequence[KernelScan]) -> int:
    """Tell which calls became linear; return the exit code."""
    code = 0
    for one in kernels:
        base = base_of(kept, one.release)
        changes = became_linear(base, one)
        for change in changes:
            say(f"{one.name}: {change.call} on {change.layout} became linear in the span: {change.before} in {base.release}")
        if doubtful := unclear(base, one):
            say(f"{one.name}: not clear, and of no span in {base.release}: {', '.join(doubtful)}")
        said = f"{len(names(changes))} calls" if changes else "no call"
        say(f"{one.name} against {base.release}: {said} became linear")
        code = EXIT_DIFFERENCES if changes else code
    return code


def _hold_against_model(kernels: Sequence[KernelScan]) -> int:
    """Tell which laws are not those of the model's counters; return the exit code."""
    wrong = 0
    with progress_bar() as progress:
        task = progress.add_task("counting by the model", total=len(kernels))
        found = []
        for one in kernels:
            found.append(against_model(one))
            progress.advance(task)
    for result in found:
        for held in result.wrong:
            name = f"{result.kernel}: {held.call} on {held.layout}"
            say(f"{name}: measured {held.measured}; {result.implementation}: {held.modelled}")
        for line in result.left_out:
            say(f"{result.kernel}: left out: {line}")
        same = len(result.held) - len(result.wrong)
        say(f"{result.kernel} against {result.implementation or 'no model'}: {same} of {len(result.held)} laws are the model's")
        wrong += len(result.wrong)
    return EXIT_DIFFERENCES if wrong else 0


def main(argv: Sequence[str]) -> int:
    """Scan kernels, show a kept scan, or write a reproducer."""
    options = read_request(argv)
    if options.list:
        return _list()
    if options.reproducer:
        return _reproduce(options)
    kept = load(options.fail_if_linear) if options.fail_if_linear else None
    found = load(options.show) if options.show else _measure(options)
    if options.against_model:
        return _hold_against_model(found.kernels)
    if options.output:
        save(options.output, found)
    formats.show(page(found.kernels, details=options.details), wide=options.wide)
    if options.plots:
        _draw(found, options.plots)
    failed = [one for one in found.kernels if one.error]
    if kept is not None and (code := _judge(kept, [one for one in found.kernels if not one.error])):
        return code
    return EXIT_MEASUREMENT if failed else 0
