"""An initramfs: the files that a kernel starts with, as a cpio archive in its "newc" format."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

DIRECTORY: Final = 0o040755
PROGRAM: Final = 0o100755
FILE: Final = 0o100644


class Entry(NamedTuple):
    """A file or directory."""

    name: str  # without leading slash
    mode: int
    content: bytes = b""


def _record(number: int, entry: Entry) -> bytes:
    """Return one entry: a head of 13 numbers in hexadecimal, its name, its content, each padded to 4 bytes."""
    name = entry.name.encode() + b"\0"
    links, nowhere = 1, 0
    fields = (number, entry.mode, 0, 0, links, 0, len(entry.content), 0, 0, 0, 0, len(name), nowhere)
    head = b"070701" + b"".join(b"%08x" % one for one in fields) + name
    return head + b"\0" * (-len(head) % 4) + entry.content + b"\0" * (-len(entry.content) % 4)


def archive(entries: Iterable[Entry]) -> bytes:
    """Return the archive of some entries, directories before what is in them."""
    records = [_record(number, entry) for number, entry in enumerate(entries, 1)]
    return b"".join((*records, _record(0, Entry("TRAILER!!!", 0))))
