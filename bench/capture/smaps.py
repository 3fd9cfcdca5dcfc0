"""/proc/PID/maps and /proc/PID/smaps, of any kernel from 5.10 on: fields that are not needed may be there or not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from bench.capture.text import Line, Region, checked, flags_of
from bench.errors import one_line

_HEAD: Final = re.compile(
    r"([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-][w-][x-][ps]) "  # addresses, permissions
    r"([0-9a-f]{1,16}) ([0-9a-f]{2,8}:[0-9a-f]{2,8}) ([0-9]{1,20})(?: +(.*))?"  # offset, device, inode, path
)
_FIELD: Final = re.compile(r"([A-Z][A-Za-z0-9_]*):(.*)")
# What is read of smaps; all in kB.
FIELDS: Final = ("Size", "KernelPageSize", "Rss", "Anonymous", "AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", "Swap")


def is_head(text: str) -> bool:
    """Tell whether a line may be the one that a VMA begins with."""
    return bool(re.match("[0-9a-f]+-", text))


class _Entry:
    """A VMA whose lines are being read."""

    def __init__(self, line: Line) -> None:
        match = _HEAD.fullmatch(line.text)
        if not match:
            raise line.bad(f"{one_line(line.text, 80)!r} is no line of maps, as 1000-2000 r--p 00000000 08:01 7 /path")
        self.line = line
        self.last = line
        self.match = match
        self.kib: dict[str, int] = {}
        self.flags: tuple[str, ...] | None = None

    def add(self, line: Line) -> None:
        """Take a line of smaps."""
        match = _FIELD.fullmatch(line.text)
        if not match:
            raise line.bad(f"{one_line(line.text, 80)!r} is no field of /proc/PID/smaps, as Rss: 4 kB")
        name, text = match[1], match[2].strip()
        self.last = line
        if name == "VmFlags":
            self.flags = flags_of(line, text.split())
        elif name in FIELDS:
            number = re.fullmatch(r"([0-9]{1,15}) kB", text)
            if not number:
                raise line.bad(f"{name}: {one_line(text, 40)!r} is no whole number of kB in digits alone, as 1234 kB")
            if name in self.kib:
                raise line.bad(f"{name} is there twice in one VMA: the line that the next one begins with is missing")
            self.kib[name] = int(number[1])

    def region(self) -> Region:
        """Return what was read."""
        start, end, perms, offset, device, inode, path = self.match.groups("")
        file = f"{device} {inode}" if int(inode) else ""
        return Region(self.line, int(start, 16), int(end, 16), perms, path.strip(), int(offset, 16), file, self.flags, self.kib)


def regions(lines: Iterable[Line]) -> Iterator[Region]:
    """Yield the VMAs of maps or smaps. UsageError names the line that is wrong; smaps must be whole."""
    first: Region | None = None
    before: Region | None = None
    for nr_before, entry in enumerate(_entries(lines)):
        region = entry.region()
        first = first or region
        before = checked(region, before, nr_before)
        if bool(first.kib) != bool(region.kib):
            raise entry.last.bad("smaps has fields for some VMAs and none for others: lines are missing here")
        if region.kib and "Rss" not in region.kib:
            raise entry.last.bad("the VMA that ends here has no Rss: lines are missing here")
        if (first.flags is None) != (region.flags is None):
            raise entry.last.bad("the VMA that ends here has no VmFlags, where others have: lines are missing here")
        yield region


def _entries(lines: Iterable[Line]) -> Iterator[_Entry]:
    """Yield each VMA with its lines."""
    entry: _Entry | None = None
    for line in lines:
        if entry is None or is_head(line.text):
            if entry is not None:
                yield entry
            entry = _Entry(line)
        else:
            entry.add(line)
    if entry is not None:
        yield entry
