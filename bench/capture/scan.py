"""Which pages a process has in memory, by the ioctl PAGEMAP_SCAN of /proc/PID/pagemap (Linux 6.7).

The kernel walks page tables that exist, so a reservation costs next to nothing, however large it is.
"""

from __future__ import annotations

import array
import errno
import fcntl
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

# linux/fs.h
PAGEMAP_SCAN: Final = 0xC0606610  # _IOWR('f', 16, struct pm_scan_arg)
IS_FILE, IS_PRESENT, IS_SWAPPED, IS_ZERO, IS_HUGE, IS_GUARD = 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 8
_WANTED: Final = IS_PRESENT | IS_SWAPPED
_TOLD: Final = _WANTED | IS_FILE | IS_ZERO | IS_HUGE
_ARGUMENT: Final = struct.Struct("=12Q")  # size flags start end walk_end vec vec_len max_pages inverted mask anyof return
VECTOR: Final = 1 << 16  # regions that one call may return: 1.5 MiB


class Pages(NamedTuple):
    """Neighbouring pages of one kind."""

    start: int  # address in bytes
    end: int  # address in bytes, exclusive
    kinds: int  # IS_*


class NotSupportedError(Exception):
    """The kernel has no PAGEMAP_SCAN."""


def scan(pagemap: int, start: int, end: int, vector: int = VECTOR) -> Iterator[Pages]:
    """Yield the pages in memory or in swap of a range of addresses in bytes, in order; neighbours of one kind as one.

    `pagemap`: a file descriptor of /proc/PID/pagemap. `vector`: how many regions one call may return. NotSupportedError by
    kernels before 6.7; OSError, ESRCH once the process is gone.

    A call that fills the vector is continued where the last region ends: what comes before is told whole. walk_end is not
    used, because on 6.18 it can be where an earlier part of the walk stopped.
    """
    found = array.array("Q", bytes(24 * vector))
    told = _TOLD | IS_GUARD
    pending: Pages | None = None
    while start < end:
        try:
            nr = _call(pagemap, start, end, found, vector, told)
        except OSError as error:
            if error.errno == errno.EINVAL and told & IS_GUARD:
                told &= ~IS_GUARD  # a kernel before 6.15 does not know it
                continue
            if error.errno in (errno.EINVAL, errno.ENOTTY):
                raise NotSupportedError from None
            raise
        for index in range(0, 3 * nr, 3):
            one = Pages(*found[index : index + 3])
            if one.kinds & IS_GUARD:  # told as swapped, but no page is anywhere
                continue
            if pending and pending.end == one.start and pending.kinds == one.kinds:
                pending = Pages(pending.start, one.end, one.kinds)
                continue
            if pending:
                yield pending
            pending = one
        start = found[3 * nr - 2] if nr == vector else end
    if pending:
        yield pending


def _call(pagemap: int, start: int, end: int, found: array.array[int], vector: int, told: int) -> int:
    """Return how many regions came back."""
    where, _ = found.buffer_info()
    request = bytearray(_ARGUMENT.pack(_ARGUMENT.size, 0, start, end, 0, where, vector, 0, 0, 0, _WANTED, told))
    nr: int = fcntl.ioctl(pagemap, PAGEMAP_SCAN, request)
    return nr
