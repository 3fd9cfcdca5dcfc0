"""Which pages are parts of large folios, from /proc/kpageflags. Needs CAP_SYS_ADMIN, which tells frame numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import numpy as np

from bench.capture.pagemap import CHUNK_PAGES, PFN_MASK
from bench.errors import UsageError
from bench.workloads.layout import PageRange, Vma, without
from mmmodel.constants import HPAGE_PMD_NR, PAGE_SIZE

_HEAD, _TAIL = 1 << 15, 1 << 16  # include/uapi/linux/kernel-page-flags.h
MOST_BLOCKS: Final = 1 << 12  # of 4 KiB, that are remembered
KPAGEFLAGS: Final = "/proc/kpageflags"
_U64 = np.ndarray[tuple[int], np.dtype[np.uint64]]


def open_flags() -> int:
    """Return a file descriptor of the flags of all frames; UsageError without the right to read them."""
    try:
        return os.open(KPAGEFLAGS, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"page flags need CAP_SYS_ADMIN: {KPAGEFLAGS}: {error.strerror}") from None


def large_pages(pagemap: int, kpageflags: int, vma: Vma) -> tuple[tuple[PageRange, ...], tuple[PageRange, ...]]:
    """Return the runs of pages that are part of a huge page but mapped by PTEs, and of those in other large folios."""
    huge: list[PageRange] = []
    large: list[PageRange] = []
    blocks: dict[int, _U64] = {}  # flags of 512 frames each, of those looked at last
    for first, nr in without(without(vma.present, vma.thp), vma.zero):
        for page, frame in _frames(pagemap, vma.first // PAGE_SIZE + first, nr):
            block, place = divmod(frame, HPAGE_PMD_NR)
            if block not in blocks:
                if len(blocks) >= MOST_BLOCKS:
                    blocks.clear()
                blocks[block] = _flags(kpageflags, block * HPAGE_PMD_NR)
            flags = blocks[block]
            if _is_huge(flags):
                _add(huge, page - vma.first // PAGE_SIZE)
            elif place < len(flags) and int(flags[place]) & (_HEAD | _TAIL):
                _add(large, page - vma.first // PAGE_SIZE)
    return tuple(huge), tuple(large)


def _frames(pagemap: int, first: int, nr: int) -> Iterator[tuple[int, int]]:
    """Yield number and frame of each page of a run; UsageError if frames are hidden from this user."""
    for start in range(first, first + nr, CHUNK_PAGES):
        data = os.pread(pagemap, 8 * min(CHUNK_PAGES, first + nr - start), 8 * start)
        for index, entry in enumerate(np.frombuffer(data, dtype="<u8", count=len(data) // 8)):
            if int(entry) >> 63:
                if not int(entry) & PFN_MASK:
                    raise UsageError("page flags need CAP_SYS_ADMIN: /proc/PID/pagemap hides the numbers of frames")
                yield start + index, int(entry) & PFN_MASK


def _flags(kpageflags: int, frame: int) -> _U64:
    """Return the flags of the 512 frames from one on; fewer where memory ends."""
    data = os.pread(kpageflags, 8 * HPAGE_PMD_NR, 8 * frame)
    return np.frombuffer(data, dtype="<u8", count=len(data) // 8)


def _is_huge(flags: _U64) -> bool:
    """Tell whether 512 frames are one huge page."""
    whole = len(flags) == HPAGE_PMD_NR and int(flags[0]) & _HEAD and int(flags[-1]) & _TAIL
    return bool(whole) and bool(np.all(flags[1:] & np.uint64(_TAIL)))


def _add(runs: list[PageRange], page: int) -> None:
    """Add a page behind all others."""
    if runs and sum(runs[-1]) == page:
        runs[-1] = (runs[-1][0], runs[-1][1] + 1)
    else:
        runs.append((page, 1))
