"""Real processes with known address spaces, and what /proc says of them, read by other code than bench.capture's."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from bench.workloads.layout import Document, PageRange

PAGE = 4096
PROGRAM = Path(__file__).with_name("captured_child.py")


@dataclass
class Child:
    """A process that maps what it is told to; addresses are in bytes, pages are numbers from an area's start."""

    pid: int
    process: subprocess.Popen[str]
    areas: dict[str, dict[str, Any]] = field(default_factory=dict)

    def ask(self, *words: object) -> dict[str, Any]:
        """Have it do something; return what it says."""
        stdin, stdout = self._pipes()
        stdin.write(json.dumps(words) + "\n")
        stdin.flush()
        return json.loads(stdout.readline())  # type: ignore[no-any-return]

    def area(self, name: str, *words: object) -> None:
        """Have it map an area."""
        self.areas[name] = self.ask(*words)

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self.process.stdin is not None and self.process.stdout is not None
        return self.process.stdin, self.process.stdout


@contextmanager
def child() -> Iterator[Child]:
    """A child that waits for words, and ends here."""
    with subprocess.Popen([sys.executable, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            one = Child(process.pid, process)
            one.ask("ready")  # it has started, and changes no more by itself
            yield one
        finally:
            process.kill()


def pages_of(runs: tuple[PageRange, ...]) -> set[int]:
    """Return the numbers of all pages of runs."""
    return {page for first, nr in runs for page in range(first, first + nr)}


def pagemap(pid: int, start: int, nr_pages: int) -> list[int]:
    """Return the entries of /proc/PID/pagemap."""
    with Path(f"/proc/{pid}/pagemap").open("rb") as handle:
        handle.seek(start // PAGE * 8)
        data = handle.read(8 * nr_pages)
    return [entry for (entry,) in struct.iter_unpack("=Q", data)]


def smaps(pid: int) -> dict[int, dict[str, int]]:
    """Return all numbers of smaps in kB, by the address that a VMA begins at."""
    found: dict[int, dict[str, int]] = {}
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if head := re.match(r"([0-9a-f]+)-[0-9a-f]+ ", line):
            numbers = found.setdefault(int(head[1], 16), {})
        elif number := re.match(r"(\w+): +(\d+) kB", line):
            numbers[number[1]] = int(number[2])
    return found


def hold_to_proc(made: Document, pid: int, unread_above: int = 1 << 34, *, zero_told: bool = True) -> None:
    """Compare every page of every VMA with pagemap, and sums with smaps.

    Of VMAs above a length in bytes with smaps alone. `zero_told`: whether all pages that map the zero page must be told.
    """
    sums = smaps(pid)
    for vma in made.vmas:
        present, zero, thp = pages_of(vma.present), pages_of(vma.zero), pages_of(vma.thp)
        said = sums[vma.first]
        if vma.lockable:
            unlike = len(present) - len(zero) - said["Rss"] // 4
            assert unlike == 0 or (unlike > 0 and not zero_told), vma.path
            assert len(thp) == (said["AnonHugePages"] + said["ShmemPmdMapped"] + said["FilePmdMapped"]) // 4, vma.path
        if vma.last - vma.first <= unread_above and "pf" not in vma.vm_flags:
            entries = pagemap(pid, vma.first, vma.nr_pages)
            assert present == {page for page, entry in enumerate(entries) if entry >> 63}, vma.path
            files = {page for page, entry in enumerate(entries) if entry >> 63 and entry >> 61 & 1}
            assert pages_of(vma.file) == files, vma.path
