"""Ideas of one's own in commands: checked before anything else is done with them, and how one differs told as a trace."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from rich.progress import Progress

from bench.errors import UsageError, one_line
from bench.measuring import ideas
from bench.measuring.idea_checks import Task
from bench.runs.storage import write_atomic
from bench.targets import registry
from bench.traces.trace_format import Op, encode_lines, op_name
from bench.workloads.scenario import Point

WIDTH = 80


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that keeps the trace by which an idea was caught."""
    parser.add_argument(
        "--counterexample", type=Path, metavar="FILE", help="where a trace goes on which an idea (--impl FILE.py) is wrong"
    )


def load(
    names: Sequence[str], progress: Progress, asked: Sequence[Point] | Task = (), counterexample: Path | None = None
) -> None:
    """Load implementations, those first that come with the model; then check the ideas among them, and load them, too.

    `asked`: the points that will be measured, or all that is to be checked.

    What is wrong with one is printed, and kept if there is a file for it, before the error goes on.
    """
    own = [name for name in names if name not in registry.names()]
    registry.load([*(name for name in names if name not in own), *registry.names()[: bool(own)]], progress)
    try:
        ideas.check(own, progress, asked if isinstance(asked, Task) else Task(points=tuple(asked)))
    except ideas.WrongIdeaError as error:
        progress.stop()
        print("\n".join(_told(error)))
        if counterexample is not None and error.wrong.trace is not None:
            _keep(counterexample, encode_lines([error.wrong.trace]))
            print(f"kept: {counterexample}")
        raise
    registry.load(own, progress)


def _keep(path: Path, data: bytes) -> None:
    """Write the trace, as a whole or not at all."""
    try:
        write_atomic(path, data)
    except OSError as error:
        raise UsageError(f"cannot write {one_line(path, 120)}: {error.strerror}") from None


def _told(error: ideas.WrongIdeaError) -> Iterator[str]:
    """Yield the lines that tell how an idea differs."""
    wrong = error.wrong
    yield from _wrapped(f"{error.name} is not {error.baseline}: {wrong.what}", "")
    width = max(map(len, (error.name, error.baseline)))
    for name, value in ((error.baseline, wrong.expected), (error.name, wrong.got)):
        if value:
            yield from _wrapped(f"{name:{width}}  {one_line(value, 600)}", "  ", width + 2)
    if wrong.trace is None:
        return
    yield f"The smallest trace that shows it, {len(wrong.trace.ops)} of {wrong.nr_ops} calls of {wrong.trace.name}:"
    for number, op in enumerate(wrong.trace.ops, 1):
        yield from _wrapped(f"{number:3}  {_op_words(op)}", "", 5)
    if wrong.thp != "never":
        yield f"on a machine with huge pages, --thp {wrong.thp}"


def _wrapped(text: str, before: str, hanging: int = 2) -> list[str]:
    """Return a text as lines of the usual width."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=before, subsequent_indent=before + " " * hanging, break_on_hyphens=False,
        drop_whitespace=True, replace_whitespace=False,
    )  # fmt: skip


def _op_words(op: Op) -> str:
    """Return an op with those of its fields that say something."""
    usual = {one.name: one.default for one in msgspec.structs.fields(op)}
    shown = []
    for name in op.__struct_fields__:
        value = getattr(op, name)
        if value not in (usual[name], ()):
            shown.append(f"{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}")
    return " ".join([op_name(op), *shown])
