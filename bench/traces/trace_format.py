"""Traces: sequences of calls, and what was seen after each call; read, checked and written.

One JSON object a line, as in `tests/data/traces`: a trace has a name, a window of addresses to look at, and ops; a
result has the name of its trace and one step an op. Files may come from anybody, so nothing in them is believed before
it was checked, and whatever is wrong ends in one line that names file, line and field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Generic, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct

from bench.errors import UsageError, one_line
from bench.traces.checks import trace_problem
from bench.traces.ops import MAX_OPS, OP_NAMES, Advice, Name, Op, Process, Trace, op_name

__all__ = [
    "FIELDS",
    "OP_NAMES",
    "Loaded",
    "Memory",
    "Op",
    "PageRow",
    "Result",
    "Step",
    "Trace",
    "VmaRow",
    "encode_lines",
    "explain",
    "lines_of",
    "load_results",
    "load_traces",
    "located",
    "op_name",
    "trace_problem",
]

MAX_LINE_BYTES: Final = 64 << 20
MAX_FILE_BYTES: Final = 1 << 30
MAX_ALL_OPS: Final = 1_000_000  # of one file


VmaRow = tuple[str, str, str, bool, int, int]  # start, end, perms, locked, rss_kb, locked_kb
PageRow = tuple[int, int, str]  # first page from the window's start, pages, state letters


class Memory(Struct, frozen=True):
    """What was seen of one process; None where it was not recorded, or the process has ended."""

    locked_vm_kb: int | None
    vmas: list[VmaRow] | None
    pages: list[PageRow] | None


class Step(Struct, frozen=True, omit_defaults=True):
    """What was seen after one op; None where it was not recorded."""

    errno: int | str | None  # 0, or the name of the error
    locked_vm_kb: int | None  # this and the next two are process 0's
    vmas: list[VmaRow] | None
    pages: list[PageRow] | None
    vmstat: dict[str, int] | None
    others: dict[Process, Memory] | None = None  # the other living processes, in traces that fork


FIELDS: Final = ("errno", *Memory.__struct_fields__, "vmstat")  # of every step


class Result(Struct, frozen=True):
    """The steps of one trace on one kernel."""

    name: Name
    kernel: str
    steps: Annotated[tuple[Step, ...], Meta(max_length=MAX_OPS)]


T = TypeVar("T", Trace, Result)


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """What a file holds: traces or results by name in its order, and the line of each, to tell where something is wrong."""

    what: str
    path: Path
    by_name: dict[str, T]
    lines: dict[str, int]

    def where(self, name: str) -> str:
        """Return file and line of one of them, for messages."""
        return located(self.what, self.path, self.lines[name])


_TRACES: Final = msgspec.json.Decoder(Trace)
_RESULTS: Final = msgspec.json.Decoder(Result)
_PATH: Final = re.compile(r"^(.*?)(?: - at (?:`key` in )?`\$\.?(.*)`)?\Z", re.DOTALL)


def located(what: str, path: Path, number: int) -> str:
    """Return file and line as text."""
    return f"{what} {one_line(path, 120)}, line {number}"


def lines_of(path: Path, what: str) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a regular file that hold anything, numbered from 1."""
    shown = f"{what} {one_line(path, 120)}"
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{shown} is not a regular file")
        with path.open("rb") as handle:
            number = nbytes = 0
            while line := handle.readline(MAX_LINE_BYTES + 1):
                number += 1
                nbytes += len(line)
                if len(line) > MAX_LINE_BYTES:
                    raise UsageError(f"{located(what, path, number)}: longer than {MAX_LINE_BYTES >> 20} MiB")
                if nbytes > MAX_FILE_BYTES:
                    raise UsageError(f"{located(what, path, number)}: the file is larger than {MAX_FILE_BYTES >> 20} MiB")
                if line.strip():
                    yield number, line
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {shown}: {reason}") from None


def explain(error: Exception) -> str:
    """Return what a decoder complains of, the field in front: `ops[3].addr: Expected ...`."""
    message, field = _PATH.fullmatch(str(error)).groups()  # type: ignore[union-attr]  # it matches everything
    if field is not None and field.endswith(".op"):
        message += f"; known are {', '.join(OP_NAMES)}"
    if field is not None and field.endswith(".advice"):
        message += f"; known are {', '.join(get_args(Advice))}"
    return f"{field}: {message}" if field else str(message)


def _load(
    path: Path, what: str, decoder: msgspec.json.Decoder[T], size: Callable[[T], int], check: Callable[[T], str]
) -> Loaded[T]:
    """Read a file whose lines have names; `size`: ops of a line; `check`: what is wrong with one, "" if nothing is."""
    found: dict[str, T] = {}
    numbers: dict[str, int] = {}
    ops = 0
    for number, line in lines_of(path, what):
        where = located(what, path, number)
        try:
            one = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"{where}: {one_line(explain(error), 500)}") from None
        ops += size(one)
        if ops > MAX_ALL_OPS:
            raise UsageError(f"{where}: more than {MAX_ALL_OPS:,} ops in one file")
        problem = f"name: {one.name!r} is the name of an earlier line too" if one.name in found else check(one)
        if problem:
            raise UsageError(f"{where}: {one_line(problem, 500)}")
        found[one.name] = one
        numbers[one.name] = number
    if not found:
        raise UsageError(f"{what} {one_line(path, 120)} is empty")
    return Loaded(what, path, found, numbers)


def load_traces(path: Path) -> Loaded[Trace]:
    """Read and check a file of traces."""
    return _load(path, "trace file", _TRACES, lambda trace: len(trace.ops), trace_problem)


def load_results(path: Path) -> Loaded[Result]:
    """Read and check a file of results."""
    return _load(path, "results file", _RESULTS, lambda result: len(result.steps), lambda result: "")


def encode_lines(lines: Sequence[Trace] | Sequence[Result]) -> bytes:
    """Return traces or results as the lines of a file."""
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
