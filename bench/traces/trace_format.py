"""Traces: sequences of calls on one process, and what was seen after each call; read, checked and written.

One JSON object a line, as in `tests/data/traces`: a trace has a name, a window of addresses to look at, and ops; a
result has the name of its trace and one step an op. Files may come from anybody, so nothing in them is believed before
it was checked, and whatever is wrong ends in one line that names file, line and field. Addresses and lengths are
hexadecimal strings, in bytes: any 64-bit words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from bench.errors import UsageError, one_line
from mmmodel.constants import PAGE_SIZE, TASK_SIZE_4

MAX_LINE_BYTES: Final = 64 << 20
MAX_FILE_BYTES: Final = 1 << 30
MAX_OPS: Final = 100_000  # of one trace
MAX_ALL_OPS: Final = 1_000_000  # of one file
MAX_ACCESSES: Final = 1 << 28  # of one touch
WORDS: Final = 1 << 64  # addresses and lengths are below it
END: Final = TASK_SIZE_4 + PAGE_SIZE  # of the address space, with the guard page at its top

# Stands for the VMAs of the program that made the calls: they count in total_vm, and mlockall() locks them.
PROGRAM_START: Final = 0x400000
PROGRAM_BYTES: Final = 1 << 20

Hex = Annotated[str, Meta(pattern=r"^0x[0-9a-f]{1,16}\Z")]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")]
Flags = Annotated[int, Meta(ge=-(1 << 31), lt=1 << 31)]  # a C int
Prot = Literal["none", "r", "rw"]
MapFlag = Literal["fixed", "noreserve", "locked", "populate", "shared"]


class _Op(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", omit_defaults=True):
    """One call. The tag of a class is the word in its field `op`."""


class _SpanOp(_Op, frozen=True, forbid_unknown_fields=True, tag_field="op", omit_defaults=True):
    """A call on a range of addresses."""

    addr: Hex
    len: Hex

    @property
    def start(self) -> int:
        """Address in bytes."""
        return int(self.addr, 16)

    @property
    def nbytes(self) -> int:
        """Length in bytes."""
        return int(self.len, 16)


class Mmap(_SpanOp, frozen=True, tag="mmap"):
    """mmap(): anonymous, MAP_PRIVATE and MAP_FIXED_NOREPLACE unless flags say otherwise."""

    prot: Prot
    flags: tuple[MapFlag, ...]


class Munmap(_SpanOp, frozen=True, tag="munmap"):
    """munmap()."""


class Mlock(_SpanOp, frozen=True, tag="mlock"):
    """mlock()."""


class Munlock(_SpanOp, frozen=True, tag="munlock"):
    """munlock()."""


class Mlock2(_SpanOp, frozen=True, tag="mlock2"):
    """mlock2()."""

    flags: Flags


class Mprotect(_SpanOp, frozen=True, tag="mprotect"):
    """mprotect()."""

    prot: Prot


class Touch(_SpanOp, frozen=True, tag="touch"):
    """One access every `stride` bytes."""

    access: Literal["read", "write"]
    stride: Annotated[int, Meta(ge=1, lt=1 << 47)] = PAGE_SIZE


class MadviseDontneed(_SpanOp, frozen=True, tag="madvise_dontneed"):
    """madvise(MADV_DONTNEED)."""


class Mlockall(_Op, frozen=True, tag="mlockall"):
    """mlockall()."""

    flags: Flags


class Munlockall(_Op, frozen=True, tag="munlockall"):
    """munlockall()."""


class RlimitMemlock(_Op, frozen=True, tag="rlimit_memlock"):
    """setrlimit(RLIMIT_MEMLOCK), soft and hard limit."""

    bytes: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class DropCapIpcLock(_Op, frozen=True, tag="drop_cap_ipc_lock"):
    """CAP_IPC_LOCK is given up."""


Op = (
    Mmap
    | Munmap
    | Mlock
    | Munlock
    | Mlock2
    | Mprotect
    | Touch
    | MadviseDontneed
    | Mlockall
    | Munlockall
    | RlimitMemlock
    | DropCapIpcLock
)
_OP_CLASSES: Final[tuple[type[_Op], ...]] = Op.__args__
OP_NAMES: Final = tuple(str(one.__struct_config__.tag) for one in _OP_CLASSES)


def op_name(op: Op) -> str:
    """Return the word that an op has in its field `op`."""
    return str(op.__struct_config__.tag)


class Trace(Struct, frozen=True):
    """A sequence of calls, and the addresses [start, end) at which their effect is looked at."""

    name: Name
    window: tuple[Hex, Hex]
    ops: Annotated[tuple[Op, ...], Meta(max_length=MAX_OPS)]

    @property
    def span(self) -> tuple[int, int]:
        """The window in bytes."""
        return int(self.window[0], 16), int(self.window[1], 16)

    @property
    def locks_all(self) -> bool:
        """Whether it calls mlockall() or munlockall(), so that the program's own pages are in the figures."""
        return any(isinstance(op, Mlockall | Munlockall) for op in self.ops)


VmaRow = tuple[str, str, str, bool, int, int]  # start, end, perms, locked, rss_kb, locked_kb
PageRow = tuple[int, int, str]  # first page from the window's start, pages, state letters


class Step(Struct, frozen=True):
    """What was seen after one op; None where it was not recorded."""

    errno: int | str | None  # 0, or the name of the error
    locked_vm_kb: int | None
    vmas: list[VmaRow] | None
    pages: list[PageRow] | None
    vmstat: dict[str, int] | None


FIELDS: Final = Step.__struct_fields__


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
        return _where(self.what, self.path, self.lines[name])


_TRACES: Final = msgspec.json.Decoder(Trace)
_RESULTS: Final = msgspec.json.Decoder(Result)
_PATH: Final = re.compile(r"^(.*?)(?: - at `(?:key in )?\$\.?(.*)`)?\Z", re.DOTALL)


def _where(what: str, path: Path, number: int) -> str:
    """Return file and line as text."""
    return f"{what} {one_line(path, 120)}, line {number}"


def _lines(path: Path, what: str) -> Iterator[tuple[int, bytes]]:
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
                    raise UsageError(f"{_where(what, path, number)}: longer than {MAX_LINE_BYTES >> 20} MiB")
                if nbytes > MAX_FILE_BYTES:
                    raise UsageError(f"{_where(what, path, number)}: the file is larger than {MAX_FILE_BYTES >> 20} MiB")
                if line.strip():
                    yield number, line
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {shown}: {reason}") from None


def _explain(error: Exception) -> str:
    """Return what a decoder complains of, the field in front: `ops[3].addr: Expected ...`."""
    message, field = _PATH.fullmatch(str(error)).groups()  # type: ignore[union-attr]  # it matches everything
    if field is not None and field.endswith(".op"):
        message += f"; known are {', '.join(OP_NAMES)}"
    return f"{field}: {message}" if field else str(message)


def _load(
    path: Path, what: str, decoder: msgspec.json.Decoder[T], size: Callable[[T], int], check: Callable[[T], str]
) -> Loaded[T]:
    """Read a file whose lines have names; `size`: ops of a line; `check`: what is wrong with one, "" if nothing is."""
    found: dict[str, T] = {}
    numbers: dict[str, int] = {}
    ops = 0
    for number, line in _lines(path, what):
        where = _where(what, path, number)
        try:
            one = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"{where}: {one_line(_explain(error), 500)}") from None
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


def trace_problem(trace: Trace) -> str:
    """Return what is wrong first with a trace of the right form, the field in front; "" if nothing is."""
    start, end = trace.span
    if start % PAGE_SIZE or end % PAGE_SIZE:
        return "window: not page-aligned"
    if start >= end:
        return "window: its end is not after its start"
    if end > END:
        return f"window: ends beyond the address space, {END:#x}"
    if _overlaps(start, end):
        return f"window: overlaps the program's own memory, {_program()}"
    for number, op in enumerate(trace.ops):
        if isinstance(op, _SpanOp) and (problem := _span_problem(op)):
            return f"ops[{number}].{problem}"
    return ""


def _program() -> str:
    """Return the range of the program's own memory as text."""
    return f"{PROGRAM_START:#x} to {PROGRAM_START + PROGRAM_BYTES:#x}"


def _overlaps(start: int, end: int) -> bool:
    """Tell whether a range has a byte in common with the program's own memory."""
    return start < PROGRAM_START + PROGRAM_BYTES and end > PROGRAM_START


def _span_problem(op: _SpanOp) -> str:
    """Return what is wrong with the range of an op, the field in front; "" if nothing is.

    Any two 64-bit words are a range that a program may ask for, those too whose sum wraps: every call refuses these, or takes
    none or one page for them, before it looks at what is mapped.
    """
    end = op.start + op.nbytes
    if end < WORDS and _overlaps(op.start, end):
        return f"addr: {op.addr} + {op.len} overlaps the program's own memory, {_program()}"
    if isinstance(op, Touch) and op.nbytes > op.stride * MAX_ACCESSES:
        return f"len: {op.len} at a stride of {op.stride} is more than {MAX_ACCESSES:,} accesses"
    return ""


def encode_lines(lines: Sequence[Trace] | Sequence[Result]) -> bytes:
    """Return traces or results as the lines of a file."""
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
