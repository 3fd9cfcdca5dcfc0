"""From words of a command line to points: which scenarios, sizes, layouts, operations, implementations."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeVar, get_args

import msgspec

from bench.errors import UsageError, one_line, unknown
from bench.workloads import layout as layouts
from bench.workloads import scenario, sizes
from bench.workloads.scenario import LAYOUT, Operation, Point, Scenario

T = TypeVar("T", bound=str)
OPERATIONS: tuple[Operation, ...] = get_args(Operation)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that select points."""
    parser.add_argument("scenario", nargs="*", help="scenarios (see `list`)")
    parser.add_argument("--size", action="append", default=[], help="span: 2TiB, 512GiB, 1<<41; may be repeated")
    parser.add_argument("--levels", choices=("4", "5"), default="4", help="levels of page tables, for --size")
    parser.add_argument(
        "--impl",
        action="append",
        default=[],
        help="implementations, default all; FILE.py: an idea of your own; may be repeated",
    )
    parser.add_argument("--layout", action="append", default=[], help="layout, by name or path; may be repeated")


def add_operations(parser: argparse.ArgumentParser) -> None:
    """Add the option that selects which calls are measured."""
    known = ", ".join(OPERATIONS)
    parser.add_argument("--op", action="append", default=[], help=f"call to measure: {known}; default munlockall")


def implementations(words: Sequence[str], known: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the known implementations that are asked for, in their own order, all of them by default."""
    return _known_words(words, known, "implementation") or known


def operations(words: Sequence[str]) -> tuple[Operation, ...]:
    """Return the operations asked for, in their own order; munlockall by default."""
    return _known_words(words, OPERATIONS, "operation") or ("munlockall",)


def _known_words(words: Sequence[str], known: tuple[T, ...], what: str) -> tuple[T, ...]:
    """Return those of `known` that the comma-separated words name; raise UsageError at another."""
    asked = {name for word in words for name in word.split(",")}
    others = sorted(asked - set(known))
    if others:
        raise unknown(f"unknown {what} {one_line(others[0], 60)!r}; known are ", others[0], known)
    return tuple(name for name in known if name in asked)


def scenarios(args: argparse.Namespace) -> tuple[Scenario, ...]:
    """Return the address spaces asked for, each at each size; none if none was named."""
    levels: Literal[4, 5] = 5 if args.levels == "5" else 4
    spans = [sizes.parse_size(text, levels) for text in args.size]
    found: list[Scenario] = []
    wanted_layouts = list(args.layout)
    for name in args.scenario:
        one = scenario.find(name)
        if name != LAYOUT:
            found += [one.resized(span, levels) for span in spans or (one.span,)]
        elif not args.layout:
            wanted_layouts.append(scenario.REPORT_LAYOUT)
    if spans and not found:
        raise UsageError("--size is for scenarios; a layout has the size that it has")
    found += told_apart([layout_scenario(name) for name in wanted_layouts])
    _refuse_one_name(found)
    refuse_twice(Point(one, "").group for one in found)
    return tuple(found)


def told_apart(layouts: Sequence[Scenario]) -> list[Scenario]:
    """Return scenarios of layouts, those that are not the same but have one name with more of their paths in it.

    As little more as tells them apart: h1/app.json and h2/app.json become h1-app and h2-app.
    """
    by_name: dict[str, list[Scenario]] = {}
    for one in layouts:
        by_name.setdefault(scenario.size_part(one), []).append(one)
    return [_among(one, by_name[scenario.size_part(one)]) for one in layouts]


def _among(one: Scenario, alike: Sequence[Scenario]) -> Scenario:
    """Return a scenario of a layout with so much of its path in its name as tells it from those that have its name."""
    work = {other.layout: other.layout_digest for other in alike}
    if len(set(work.values())) == 1:
        return one
    longest = max(len(path.split("/")) for path in work)
    enough = (n for n in range(2, longest) if len({scenario.layout_name(path, n) for path in work}) == len(work))
    return msgspec.structs.replace(one, layout_parts=next(enough, 1))


def _refuse_one_name(found: Iterable[Scenario]) -> None:
    """Raise UsageError if two layouts that are not the same would go by one name."""
    first: dict[str, Scenario] = {}
    for one in found:
        other = first.setdefault(Point(one, "").group, one)
        if other.layout_digest != one.layout_digest:
            raise UsageError(
                f"{one_line(other.layout, 100)} and {one_line(one.layout, 100)} would both be named"
                f" {scenario.layout_name(one.layout)} in results: rename one, or measure them in two runs"
            )


def refuse_twice(names: Iterable[str]) -> None:
    """Raise UsageError if a group of points is named twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UsageError(f"{name.split('/', 1)[1]} is asked for twice")
        seen.add(name)


def layout_scenario(name_or_path: str) -> Scenario:
    """Return the scenario of a layout, which is read and checked here."""
    loaded = layouts.load(name_or_path)
    where = name_or_path if name_or_path in layouts.shipped_names() else str(Path(name_or_path).resolve())
    base = scenario.SCENARIOS[LAYOUT]
    return msgspec.structs.replace(base, span=loaded.span, layout=where, layout_digest=loaded.digest)
