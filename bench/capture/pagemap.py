"""Which pages a process has in memory, from /proc/PID/pagemap: eight bytes for each page of the span, there or not.

For kernels without PAGEMAP_SCAN. smaps says how many pages of a VMA are in memory: none are looked for where there are
none, and when all were found the rest of a long VMA is left unread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from bench.capture.document import huge_pages
from bench.capture.scan import IS_FILE, IS_HUGE, IS_PRESENT, IS_SWAPPED, IS_ZERO, Pages
from bench.capture.text import Region
from mmmodel.constants import HPAGE_PMD_NR, PAGE_SIZE

# Documentation/admin-guide/mm/pagemap.rst
_PRESENT, _SWAPPED, _FILE, _GUARD, _EXCLUSIVE = 1 << 63, 1 << 62, 1 << 61, 1 << 58, 1 << 56
PFN_MASK: Final = (1 << 55) - 1
CHUNK_PAGES: Final = 1 << 17  # pages read at once: 1 MiB of pagemap, 512 MiB of the span
READ_ON_PAGES: Final = 1 << 18  # what is read of a VMA after all pages that smaps counts were found
IS_SHARED: Final = 1 << 16  # anonymous and mapped more than once, or the zero page: an entry does not tell these apart


class Found(NamedTuple):
    """What was read of one VMA."""

    pages: list[Pages]
    nr_unread: int  # pages of the span behind the last one that smaps counts
    huge_known: bool  # False: which of them are mapped by huge pages is not known
    zero_known: bool  # False: which of them map the zero page is not known


def read_vma(pagemap: int, region: Region, tick: Callable[[int], None] = lambda nr_pages: None) -> Found:
    """Return the pages of a VMA. OSError, ESRCH once the process is gone. `tick` is told of every chunk, in pages."""
    nr_pages, rss, swap = region.nr_pages, region.pages("Rss"), region.pages("Swap")
    certain = swapped = position = 0
    first = region.start // PAGE_SIZE
    pages: list[Pages] = []
    while position < nr_pages:
        if certain >= rss and swapped >= swap and nr_pages - position > READ_ON_PAGES:
            break
        nr = min(CHUNK_PAGES, nr_pages - position)
        data = os.pread(pagemap, 8 * nr, 8 * (first + position))
        nr = len(data) // 8
        if not nr:  # the VMA went away
            break
        for one in _runs(np.frombuffer(data, dtype="<u8", count=nr), (first + position) * PAGE_SIZE):
            _append(pages, one)
            length = (one.end - one.start) // PAGE_SIZE
            certain += length if one.kinds & IS_PRESENT and not one.kinds & IS_SHARED else 0
            swapped += length if one.kinds & IS_SWAPPED else 0
        position += nr
        tick(nr)
    zero_known = _tell_zero_pages(pages, rss)
    pages, huge_known = _with_huge_pages(pages, region)
    return Found(_merged(pages), nr_pages - position, huge_known, zero_known)


def _runs(entries: np.ndarray[tuple[int], np.dtype[np.uint64]], start: int) -> Iterator[Pages]:
    """Yield the runs of entries of one kind; `start`: the address of the first, in bytes."""
    told = entries & np.uint64(_PRESENT | _SWAPPED | _FILE | _GUARD | _EXCLUSIVE)
    ends = np.append(np.flatnonzero(told[1:] != told[:-1]) + 1, len(told))
    first = 0
    for end in map(int, ends):
        entry = int(told[first])
        kinds = IS_FILE if entry & _FILE else 0
        if entry & _PRESENT:
            kinds |= IS_PRESENT | (0 if entry & (_EXCLUSIVE | _FILE) else IS_SHARED)
        elif entry & _SWAPPED and not entry & _GUARD:
            kinds |= IS_SWAPPED
        if kinds & (IS_PRESENT | IS_SWAPPED):
            yield Pages(start + first * PAGE_SIZE, start + end * PAGE_SIZE, kinds)
        first = end


def _append(pages: list[Pages], one: Pages) -> None:
    """Add a run, to the last one if that is its neighbour of the same kind."""
    if pages and pages[-1].end == one.start and pages[-1].kinds == one.kinds:
        pages[-1] = Pages(pages[-1].start, one.end, one.kinds)
    else:
        pages.append(one)


def _merged(pages: Sequence[Pages]) -> list[Pages]:
    """Return runs without what only this module knows."""
    merged: list[Pages] = []
    for one in pages:
        _append(merged, one._replace(kinds=one.kinds & ~IS_SHARED))
    return merged


def nr_of(pages: Sequence[Pages], kind: int) -> int:
    """Return how many pages are of a kind."""
    return sum(one.end - one.start for one in pages if one.kinds & kind) // PAGE_SIZE


def _tell_zero_pages(pages: list[Pages], rss: int) -> bool:
    """Mark the pages that map the zero page, where their number tells them; return whether they are known.

    They are in no Rss. An entry does not tell them from anonymous pages that several processes map. Where there are more
    pages than Rss has, and than these can explain, others came meanwhile.
    """
    nr_zero, nr_shared = nr_of(pages, IS_PRESENT) - rss, nr_of(pages, IS_SHARED)
    if nr_zero == nr_shared:
        pages[:] = [one._replace(kinds=one.kinds | IS_ZERO) if one.kinds & IS_SHARED else one for one in pages]
    return nr_zero <= 0 or nr_zero >= nr_shared


def _with_huge_pages(pages: list[Pages], region: Region) -> tuple[list[Pages], bool]:
    """Return runs of which those are marked that huge pages map, where their number tells them, and whether it does."""
    wanted = sum(region.pages(field) for field in ("AnonHugePages", "ShmemPmdMapped", "FilePmdMapped"))
    if not wanted or huge_pages(region) < wanted:
        return pages, not wanted
    divided: list[Pages] = []
    huge = HPAGE_PMD_NR * PAGE_SIZE
    for one in pages:
        start, end = -(-one.start // huge) * huge, one.end // huge * huge
        if start >= end or not one.kinds & IS_PRESENT or one.kinds & IS_ZERO:
            divided.append(one)
            continue
        parts = (Pages(one.start, start, one.kinds), Pages(start, end, one.kinds | IS_HUGE), Pages(end, one.end, one.kinds))
        divided += [part for part in parts if part.start < part.end]
    return (divided, True) if nr_of(divided, IS_HUGE) == wanted else (pages, False)
