"""Lines of text from anybody, read one at a time: bounded in length and number, and every error names its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import BinaryIO, Final, NamedTuple

from bench.errors import UsageError, one_line
from bench.workloads.layout import MAX_VMAS
from mmmodel.constants import PAGE_SIZE, TASK_SIZE_5

MAX_LINE_BYTES: Final = 32 << 10  # a path has at most 4 KiB, and each of its bytes may be written as four
MAX_TEXT_BYTES: Final = 1 << 30  # smaps of a million VMAs
VSYSCALL_START: Final = 0xFFFFFFFFFF600000  # in every smaps, though it is no VMA of the process
KIB: Final = 1024
PAGE_KIB: Final = PAGE_SIZE // KIB
OTHER_PAGES_KIB: Final = (16, 64)  # of arm64, powerpc; larger ones are huge pages everywhere


class Line(NamedTuple):
    """One line, and where it stands."""

    where: str  # the name of the text
    number: int  # from 1
    text: str  # without blanks around it

    def bad(self, said: str) -> UsageError:
        """Return the error about this line."""
        return UsageError(f"{self.where}, line {self.number}: {one_line(said, 400)}")


class Region(NamedTuple):
    """A VMA as a text has it."""

    line: Line  # where it begins
    start: int  # address in bytes
    end: int  # address in bytes, exclusive
    perms: str  # as in maps
    path: str = ""
    offset: int = 0  # in the file, in bytes
    file: str = ""  # device and inode, "" where no file is mapped
    flags: tuple[str, ...] | None = None  # VmFlags; None: the text does not say
    kib: Mapping[str, int] = MappingProxyType(
        {}
    )  # what smaps says of it in kB, by the field's name; empty: the text does not say

    @property
    def nr_pages(self) -> int:
        """Length in pages."""
        return (self.end - self.start) // PAGE_SIZE

    def pages(self, field: str) -> int:
        """Return a field in pages, 0 where the text does not have it."""
        return self.kib.get(field, 0) // PAGE_KIB


def lines_of(handle: BinaryIO, where: str) -> Iterator[Line]:
    """Yield the lines of a text that are not empty. UsageError for one that is too long, or too many bytes of them."""
    nbytes = number = 0
    while line := handle.readline(MAX_LINE_BYTES + 1):
        number += 1
        nbytes += len(line)
        found = Line(where, number, line.decode("utf-8", "backslashreplace").strip())
        if len(line) > MAX_LINE_BYTES:
            raise found.bad(f"it is longer than {MAX_LINE_BYTES} bytes")
        if nbytes > MAX_TEXT_BYTES:
            raise found.bad(f"the text up to here is larger than {MAX_TEXT_BYTES >> 30} GiB")
        if "\0" in found.text:
            raise found.bad("it has a byte of value 0: this is no text of /proc or pmap")
        if found.text:
            yield found


def checked(region: Region, before: Region | None, nr_before: int) -> Region:
    """Return a VMA whose addresses and numbers can be, after the one before it."""
    line, start, end = region.line, region.start, region.end
    if start == VSYSCALL_START:
        return region
    if start % PAGE_SIZE or end % PAGE_SIZE:
        raise line.bad(f"{start:x}-{end:x} is not aligned to pages of {PAGE_SIZE} bytes")
    if end <= start:
        raise line.bad(f"the end {end:x} is not after the start {start:x}")
    if end > TASK_SIZE_5:
        raise line.bad(f"the end {end:x} is beyond the 56-bit address space")
    if before is not None and start < before.end:
        raise line.bad(f"{start:x} is before {before.end:x}, where line {before.line.number} ends; VMAs are in address order")
    if nr_before >= MAX_VMAS:
        raise line.bad(f"there are more than {MAX_VMAS} VMAs")
    return _checked_numbers(region)


def _checked_numbers(region: Region) -> Region:
    """Return a VMA whose numbers of kB can be."""
    size = (region.end - region.start) // KIB
    for name, kib in region.kib.items():
        if name in ("KernelPageSize", "MMUPageSize"):
            continue
        if kib > size:
            raise region.line.bad(f"{name} is {kib} kB, in a VMA of {size} kB")
        if name == "Size" and kib != size:
            raise region.line.bad(f"Size is {kib} kB, but the VMA has {size} kB")
        if name in ("Rss", "Swap", "AnonHugePages") and kib % PAGE_KIB:
            raise region.line.bad(f"{name} is {kib} kB, which is no whole number of pages of {PAGE_KIB} kB")
    page = region.kib.get("KernelPageSize", PAGE_KIB)
    if page < PAGE_KIB or (page in OTHER_PAGES_KIB and "ht" not in (region.flags or ())):
        raise region.line.bad(f"its pages have {page} kB; only machines whose pages have {PAGE_KIB} kB are modelled")
    huge = region.kib.get("AnonHugePages", 0)
    if huge > region.kib.get("Rss", huge):
        raise region.line.bad(f"AnonHugePages is {huge} kB, more than Rss")
    return region


def number_of(line: Line, name: str, text: str) -> int:
    """Return a number that is written in digits alone."""
    if not re.fullmatch("[0-9]{1,15}", text):
        raise line.bad(f"{name} {one_line(text, 40)!r} is no whole number in digits alone")
    return int(text)


def flags_of(line: Line, words: list[str]) -> tuple[str, ...]:
    """Return VmFlags."""
    for word in words:
        if not re.fullmatch("[a-z?0-9]{2}", word):
            raise line.bad(f"{one_line(word, 40)!r} is no flag of a VMA, which has two letters as in VmFlags")
    return tuple(words)
