"""Where an address space comes from: a live process, a layout, or a text that somebody pasted; told apart by looking."""

from __future__ import annotations

import itertools
import os
import stat
import sys
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Final

from bench.capture import document, live, pmap, smaps
from bench.capture.text import Region, lines_of
from bench.errors import UsageError, one_line
from bench.workloads import layout
from bench.workloads.layout import MAX_FILE_BYTES, Layout
from bench.workloads.scenario import layout_name

STDIN: Final = "-"
_GZIP: Final = b"\x1f\x8b"
NOT_KNOWN: Final = (
    "this is none of what can be read: a layout (JSON, maybe packed by gzip), /proc/PID/smaps, /proc/PID/maps,"
    " or what pmap -X, -XX or -x prints"
)


def read(word: str, wanted: live.Wanted | None = None) -> Layout:
    """Return an address space: of a process by its number, of standard input (-), of a shipped layout by name, or of a file.

    Of a text it is not known which pages are in memory: VMAs then have `unplaced`. UsageError names what is wrong, with the
    line of a text; MeasurementError if a process ends while it is captured.
    """
    if word.isascii() and word.isdigit():
        return _live(word, wanted)
    if word == STDIN:
        if sys.stdin is None:
            raise UsageError("there is no standard input")
        with os.fdopen(os.dup(sys.stdin.fileno()), "rb") as handle:
            return read_stream(handle, "standard input", "stdin")
    if word in layout.shipped_names() or not Path(word).exists():
        return layout.load(word, placed=False)  # which also says what is wrong with a name
    return _file(Path(word))


def _live(word: str, wanted: live.Wanted | None) -> Layout:
    """Return the address space of a live process."""
    if len(word) > 10 or int(word) == 0:
        raise UsageError(f"there is no process {one_line(word, 40)}")
    made = live.capture(int(word), wanted)
    return document.layout_of(made, layout_name(f"{made.program}-{int(word)}"))


def _file(path: Path) -> Layout:
    """Return the address space of a file; one of /proc is read as it is."""
    where = one_line(path, 120)
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as handle:
            if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
                raise UsageError(f"{where} is not a regular file; to read a pipe, give - and redirect it")
            return read_stream(handle, where, layout_name(path.name.removesuffix(".txt")))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {where}: {reason}") from None


def read_stream(handle: BufferedReader, where: str, name: str) -> Layout:
    """Return the address space of a stream of bytes; `where` names it in messages, `name` the layout."""
    if handle.peek(64).lstrip().startswith((_GZIP, b"{", b"[")):
        packed = handle.read(MAX_FILE_BYTES + 1)
        if len(packed) > MAX_FILE_BYTES:
            raise UsageError(f"{where} is larger than {MAX_FILE_BYTES >> 20} MiB")
        return layout.decode(packed, where, name)
    lines = lines_of(handle, where)
    first = next(lines, None)
    if first is None:
        raise UsageError(f"{where} is empty")
    every = itertools.chain([first], lines)
    if pmap.is_title(first.text):
        return _of_text(pmap.regions(every), "pmap", where, name)
    if smaps.is_head(first.text):
        return _of_text(smaps.regions(every), "smaps", where, name)
    raise first.bad(f"{one_line(first.text, 60)!r}: {NOT_KNOWN}")


def _of_text(regions: Iterator[Region], method: str, where: str, name: str) -> Layout:
    """Return the layout of a text."""
    found = list(regions)
    if not found:
        raise UsageError(f"{where} has no VMA")
    method = "maps" if not found[0].kib else method
    return document.layout_of(document.from_text(found, method, name), name)
