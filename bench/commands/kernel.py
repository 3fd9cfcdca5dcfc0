"""The `kernel` command: real kernels fetched and listed here; what else is done with them is a module `kernel_*` an action."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bench.commands import kernel_conform, kernel_costs, kernel_history, kernel_measure, parser_of
from bench.kernels import doctor, images
from bench.tables import formats
from bench.tables.table import Page, Table


def _say(line: str) -> None:
    """Tell on standard error what is being done."""
    print(f"unlockall-bench: {line}", file=sys.stderr, flush=True)


def _fetch(options: argparse.Namespace) -> int:
    """Bring kernels into the cache; print where each is."""
    for word in options.version:
        images.suites_of(word)  # so that a wrong word is told before anything is fetched
    for word in options.version:
        image = images.fetch(word, show=sys.stderr.isatty(), say=_say)
        print(f"{image.word} {image.path}", flush=True)
    return 0


def _list(_options: argparse.Namespace) -> int:
    """Print the kernels of the cache."""
    rows = tuple((one.word, "user-mode Linux" if one.is_uml else "QEMU", str(one.path)) for one in images.cached())
    if not rows:
        _say("no kernel is in the cache: unlockall-bench kernel fetch 5.10 6.1")
        return 0
    formats.show(Page((Table("Kernels in the cache", ("kernel", "runs as", "file"), (), (rows,)),)), "terminal")
    return 0


def _doctor(_options: argparse.Namespace) -> int:
    """Print what there is, what is missing, and what mends it."""
    for one in doctor.findings():
        print(f"{one.what}: {one.state}" + (f"; to mend it: {one.mend}" if one.mend else ""))
    return 0


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = parser_of("kernel")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    fetch = actions.add_parser("fetch", allow_abbrev=False, help="bring prebuilt kernels into the user's cache")
    fetch.add_argument("version", nargs="+", metavar="VERSION", help="5.10, 6.1, a point release, or uml-5.10")
    fetch.set_defaults(action=_fetch)
    actions.add_parser("list", allow_abbrev=False, help="the kernels in the cache").set_defaults(action=_list)
    what = "what this machine has, what it lacks, and the command that mends it"
    actions.add_parser("doctor", allow_abbrev=False, help=what).set_defaults(action=_doctor)
    for module in (kernel_conform, kernel_history, kernel_costs, kernel_measure):
        module.add_parser(actions)
    return parser


def main(argv: Sequence[str]) -> int:
    """Do what was asked of real kernels."""
    options = _parser().parse_args(argv)
    return int(options.action(options))
