"""The way into compiled code: one function, one number per call.

All calls share one compiled function, so that what they have in common is compiled and cached once.  Arguments and results are
the kernel's: 0 or an address, or -errno.
"""

from __future__ import annotations

from typing import Final

from mmmodel.errno_codes import EINVAL
from mmmodel.fault import touch
from mmmodel.filemap import alloc_file, put_file
from mmmodel.fork import dup_mmap
from mmmodel.gup import mm_populate
from mmmodel.install import install_pages, swap_out
from mmmodel.jit import exported
from mmmodel.madvise import do_madvise, madvise_is_left_out
from mmmodel.mlock import apply_mlockall_flags, do_mlock, do_mlockall, do_munlock
from mmmodel.mlock_batch import lru_add_drain_cpu
from mmmodel.mmap import do_mmap, do_munmap, exit_mmap, install_special_mapping
from mmmodel.mprotect import do_mprotect
from mmmodel.mremap import do_mremap
from mmmodel.msync import do_msync
from mmmodel.state import State
from mmmodel.zap import do_truncate, punch_hole

MMAP: Final = 0
MUNMAP: Final = 1
MPROTECT: Final = 2
MREMAP: Final = 3
MADVISE: Final = 4
MLOCK: Final = 5
MUNLOCK: Final = 6
MLOCKALL: Final = 7
MUNLOCKALL: Final = 8
POPULATE: Final = 9
TOUCH: Final = 10
EXIT: Final = 11
DRAIN_CPU: Final = 12
CREATE_FILE: Final = 13
TRUNCATE: Final = 14
CLOSE_FILE: Final = 15
INSTALL: Final = 16
SPECIAL_MAPPING: Final = 17
SWAP_OUT: Final = 18
MSYNC: Final = 19
MADVISE_LEFT_OUT: Final = 20
PUNCH_HOLE: Final = 21


@exported
def system_call(s: State, mm: int, number: int, a: int, b: int, c: int, d: int, e: int, f: int) -> int:
    """Run one call on address space ``mm``: its result, or -errno."""
    if number == MUNLOCKALL:
        apply_mlockall_flags(s, mm, 0)
        return 0
    if number == MUNLOCK:
        return do_munlock(s, mm, a, b)
    if number == MLOCK:
        return do_mlock(s, mm, a, b, c)
    if number == MLOCKALL:
        return do_mlockall(s, mm, a)
    if number == POPULATE:
        return mm_populate(s, mm, a, b, c != 0)
    if number == TOUCH:
        return touch(s, mm, a, b, c, d != 0)
    if number == MMAP:
        return do_mmap(s, mm, a, b, c, d, e, f)
    if number == MUNMAP:
        return do_munmap(s, mm, a, b)
    if number == MPROTECT:
        return do_mprotect(s, mm, a, b, c)
    if number == MREMAP:
        return do_mremap(s, mm, a, b, c, d, e)
    if number == MADVISE:
        return do_madvise(s, mm, a, b, c)
    if number == MADVISE_LEFT_OUT:
        return madvise_is_left_out(s, mm, a, b, c)
    if number == MSYNC:
        return do_msync(s, mm, a, b, c)
    if number == DRAIN_CPU:
        lru_add_drain_cpu(s, a)
        return 0
    if number == INSTALL:
        return install_pages(s, mm, a, b, c)
    if number == SWAP_OUT:
        return swap_out(s, mm, a, b)
    if number == SPECIAL_MAPPING:
        return install_special_mapping(s, mm, a, b, c)
    if number == CREATE_FILE:
        file = alloc_file(s, a, 0)
        s.files[file]["refs"] = 1
        return file
    if number == TRUNCATE:
        do_truncate(s, a, b)
        return 0
    if number == PUNCH_HOLE:
        punch_hole(s, a, b, c)
        return 0
    if number == CLOSE_FILE:
        s.files[a]["refs"] -= 1
        put_file(s, a)
        return 0
    if number == EXIT:
        exit_mmap(s, mm)
        return 0
    return -EINVAL


@exported
def fork_call(s: State, mm: int, other: State, child: int) -> int:
    """Fill the address space ``child``, which sees the machine as ``other``, from ``mm``: 0 or -errno."""
    return dup_mmap(s, mm, other, child)
