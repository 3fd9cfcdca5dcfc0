"""The address space of a live process, which runs on meanwhile: bracketed by two reads of maps.

Nothing of what its memory holds is read: maps, smaps, status, pagemap, and the ioctl PAGEMAP_SCAN of pagemap.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple

import msgspec

from bench.capture import pageflags, pagemap, scan, smaps
from bench.capture.document import document, lockable
from bench.capture.placing import by_vma, too_many_runs, vma_of
from bench.capture.text import VSYSCALL_START, Region, lines_of
from bench.errors import MeasurementError, UsageError, one_line
from bench.workloads.layout import MAX_RUNS, Document, Source, Unplaced, Vma
from mmmodel.constants import HPAGE_PMD_NR

Method = Literal["auto", "PAGEMAP_SCAN", "pagemap"]
ATTEMPTS: Final = 3  # to find an address space that does not change meanwhile
MAX_COMMAND: Final = 2000  # characters
Tick = Callable[[int], None]


class Wanted(NamedTuple):
    """How to capture."""

    method: Method = "auto"
    page_flags: bool = False
    vector: int = scan.VECTOR  # regions that one ioctl may return
    tick: Tick = lambda nr_pages: None  # told of pages read from pagemap


class Placed(NamedTuple):
    """VMAs with their pages."""

    vmas: list[Vma]
    method: str  # by which they were found
    remarks: tuple[str, ...] = ()
    zero_unknown: frozenset[str] = frozenset()  # starts of VMAs of which it is not known which pages map the zero page


class Process:
    """A process's directory in /proc, held open: it stays that process's, though its number may become another's."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._directory = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ESRCH):
                raise UsageError(f"there is no process {pid}") from None
            raise

    def close(self) -> None:
        """Let the directory go."""
        os.close(self._directory)

    def open(self, name: str) -> int:
        """Return a file descriptor of one of its files."""
        with self.telling():
            return os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Turn what the kernel refuses into one line."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                raise UsageError(
                    f"process {self.pid} may not be read: it is another user's, or has privileges that this user lacks;"
                    " capture it as its own user, or as root"
                ) from None
            if error.errno in (errno.ENOENT, errno.ESRCH):
                raise MeasurementError(f"process {self.pid} ended while it was captured") from None
            raise

    def regions(self, name: str) -> list[Region]:
        """Return its VMAs, from maps or smaps."""
        with self.telling(), os.fdopen(self.open(name), "rb") as handle:
            found = list(smaps.regions(lines_of(handle, f"/proc/{self.pid}/{name}")))
        return [region for region in found if region.start != VSYSCALL_START]

    def text(self, name: str) -> str:
        """Return one of its small files; ended means what it says, a zombie's is empty."""
        with self.telling(), os.fdopen(self.open(name), "rb") as handle:
            return handle.read(1 << 20).decode("utf-8", "backslashreplace")


def capture(pid: int, wanted: Wanted | None = None) -> Document:
    """Capture a process. UsageError if there is none, it may not be read or has no memory; MeasurementError if it ends."""
    process = Process(pid)
    try:
        return _attempts(process, wanted or Wanted())
    finally:
        process.close()


def _attempts(process: Process, wanted: Wanted) -> Document:
    """Capture until nothing changed meanwhile, or often enough."""
    for attempt in range(ATTEMPTS):
        found = _once(process, wanted)
        source = found.source
        if source is None or attempt + 1 == ATTEMPTS or not (source.vmas_changed or source.pages_changed):
            return found
    raise AssertionError("no attempt was made")


def _once(process: Process, wanted: Wanted) -> Document:
    """Capture once."""
    before = process.regions("maps")
    if not before:
        raise UsageError(f"process {process.pid} has no memory of its own: it is a kernel thread, or has ended")
    regions = process.regions("smaps")
    if not regions:
        raise MeasurementError(f"process {process.pid} ended while it was captured")
    descriptor = process.open("pagemap")
    try:
        with process.telling():
            placed = _vmas(process, descriptor, regions, wanted)
            vmas = list(_with_page_flags(descriptor, placed.vmas)) if wanted.page_flags else placed.vmas
    finally:
        os.close(descriptor)
    after = process.regions("maps")
    if not after:
        raise MeasurementError(f"process {process.pid} ended while it was captured")
    changed = _changed_vmas(before, regions, after), _changed_pages(regions, placed)
    source = Source(placed.method, *changed, remarks=placed.remarks)
    status = process.text("status")
    return document(_program(status), _command(process), _kernel(), _number(status, "Threads") or 1, vmas, source)


def _vmas(process: Process, descriptor: int, regions: Sequence[Region], wanted: Wanted) -> Placed:
    """Return the VMAs with their pages."""
    if wanted.method != "pagemap":
        try:
            pages = scan.scan(descriptor, regions[0].start, regions[-1].end, wanted.vector)
            return Placed([vma_of(*one) for one in by_vma(regions, pages)], "PAGEMAP_SCAN")
        except scan.NotSupportedError:
            if wanted.method == "PAGEMAP_SCAN":
                raise UsageError("the running kernel has no PAGEMAP_SCAN, which Linux 6.7 and later have") from None
    # A page table maps 512 pages, and the zero page is in no Rss: this is how many pages may map it and not be seen.
    most_zero = _number(process.text("status"), "VmPTE") // 4 * HPAGE_PMD_NR
    vmas: list[Vma] = []
    zero_unknown: set[str] = set()
    nr_huge = nr_runs = 0
    for region in regions:
        found = pagemap.read_vma(descriptor, region, wanted.tick)
        nr_runs += len(found.pages)
        if nr_runs > MAX_RUNS:
            raise too_many_runs()
        vma = vma_of(*next(by_vma([region], found.pages)))
        nr_huge += not found.huge_known
        zero_unknown |= set() if found.zero_known else {vma.start}
        unread = min(found.nr_unread, most_zero) if not region.file and region.perms[3] == "p" and lockable(region) else 0
        vmas.append(msgspec.structs.replace(vma, unplaced=Unplaced(0, unread)) if unread else vma)
    remarks = [f"in {nr_huge} VMAs it is not known which pages huge pages map: none are marked"] if nr_huge else []
    if zero_unknown:
        remarks.append(f"in {len(zero_unknown)} VMAs it is not known which pages map the zero page: none are marked")
    return Placed(vmas, "pagemap", tuple(remarks), frozenset(zero_unknown))


def _with_page_flags(descriptor: int, vmas: Sequence[Vma]) -> Iterator[Vma]:
    """Yield the VMAs with the pages that are part of large folios."""
    flags = pageflags.open_flags()
    try:
        for vma in vmas:
            huge, large = pageflags.large_pages(descriptor, flags, vma) if vma.lockable else ((), ())
            yield msgspec.structs.replace(vma, thp_pte=huge, large=large)
    finally:
        os.close(flags)


def _changed_vmas(*reads: Sequence[Region]) -> int:
    """Return how many VMAs are not in all reads of them, address by address."""
    seen: list[set[object]] = [
        {(one.start, one.end, one.perms, one.path, one.offset, one.file) for one in read} for read in reads
    ]
    return len(set.union(*seen) - set.intersection(*seen))


def _changed_pages(regions: Sequence[Region], placed: Placed) -> int:
    """Return by how many pages what was found differs from what smaps counts, of VMAs that can be locked.

    smaps counts the swapped pages of a whole shared file, mapped or not: only private ones are compared.
    """
    total = 0
    for region, vma in zip(regions, placed.vmas, strict=True):
        if vma.lockable and vma.start not in placed.zero_unknown:
            total += abs(sum(nr for _, nr in vma.present) - sum(nr for _, nr in vma.zero) - region.pages("Rss"))
            if region.perms[3] == "p" and not region.file:
                total += abs(sum(nr for _, nr in vma.swapped) - region.pages("Swap"))
    return total


def _program(status: str) -> str:
    """Return a process's name, with what the kernel wrote as escapes."""
    match = re.match(r"Name:\t(.*)", status)
    return one_line(match[1], 60) if match else "unknown"


def _command(process: Process) -> str:
    """Return the command line that a process shows."""
    words = process.text("cmdline").rstrip("\0").split("\0")
    return one_line(shlex.join(words), MAX_COMMAND)


def _kernel() -> str:
    """Return the running kernel's name and version."""
    return f"Linux {os.uname().release}"


def _number(status: str, field: str) -> int:
    """Return a number of /proc/PID/status, 0 where it does not have it."""
    match = re.search(rf"^{field}:\s+([0-9]+)", status, re.MULTILINE)
    return int(match[1]) if match else 0
