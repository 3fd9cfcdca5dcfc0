"""Carry out a trace on the model: each op as a call, and after it what the recorded kernels were asked.

Everything here works on any object with the calls of `mmmodel.Mm`, so that tests hold an independent model to the same traces.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.traces import trace_format as tr
from bench.traces.trace_format import FIELDS, PageRow, Step, Trace, VmaRow
from mmmodel.constants import (
    MADV_DONTNEED,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_LOCKED,
    MAP_NORESERVE,
    MAP_POPULATE,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
)

if TYPE_CHECKING:
    from mmmodel import Mm

RECORDED_RAM: Final = 960 << 20  # MemTotal of the recording machine, about; only single huge requests depend on it
_PROT: Final = {"none": PROT_NONE, "r": PROT_READ, "rw": PROT_READ | PROT_WRITE}
_MAP_FLAGS: Final = {"noreserve": MAP_NORESERVE, "locked": MAP_LOCKED, "populate": MAP_POPULATE}


def map_flags(words: tuple[str, ...]) -> int:
    """Return the flags of an mmap op as mmap() takes them."""
    flags = MAP_ANONYMOUS | (MAP_SHARED if "shared" in words else MAP_PRIVATE)
    flags |= MAP_FIXED if "fixed" in words else MAP_FIXED_NOREPLACE
    for word in words:
        flags |= _MAP_FLAGS.get(word, 0)
    return flags


def carry_out(mm: Mm, op: tr.Op) -> None:  # noqa: C901  # one arm an op
    """Make the call that an op stands for; OSError as the call gives it."""
    match op:
        case tr.Mmap():
            mm.mmap(op.start, op.nbytes, _PROT[op.prot], map_flags(op.flags))
        case tr.Touch():
            mm.touch(op.start, op.nbytes, op.access, op.stride)
        case tr.Mlock():
            mm.mlock(op.start, op.nbytes)
        case tr.Mlock2():
            mm.mlock2(op.start, op.nbytes, op.flags)
        case tr.Munlock():
            mm.munlock(op.start, op.nbytes)
        case tr.Mprotect():
            mm.mprotect(op.start, op.nbytes, _PROT[op.prot])
        case tr.Munmap():
            mm.munmap(op.start, op.nbytes)
        case tr.MadviseDontneed():
            mm.madvise(op.start, op.nbytes, MADV_DONTNEED)
        case tr.Mlockall():
            mm.mlockall(op.flags)
        case tr.Munlockall():
            mm.munlockall()
        case tr.RlimitMemlock():
            mm.setrlimit_memlock(op.bytes)
        case tr.DropCapIpcLock():
            mm.drop_cap_ipc_lock()


def outcome(mm: Mm, op: tr.Op) -> int | str:
    """Make a call; return 0 or the name of its error, En where number n has none (an address that passes for one)."""
    try:
        carry_out(mm, op)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, f"E{error.errno}")
    return 0


def observe(mm: Mm, window: tuple[int, int]) -> tuple[int, list[VmaRow], list[PageRow]]:
    """Return what a step records but errno and vmstat: locked_vm in kB without VMAs outside, VMAs, pages of the window."""
    start, end = window
    rows: list[VmaRow] = []
    outside = 0
    for vma in mm.smaps():
        if start <= vma.start < end:
            rows.append((hex(vma.start), hex(vma.end), vma.perms, vma.locked, vma.rss_kb, vma.locked_kb))
        elif vma.locked:
            outside += vma.end - vma.start
    return mm.locked_vm * 4 - outside // 1024, rows, [*mm.pagemap(start, end)]


def replay(mm: Mm, trace: Trace) -> Iterator[Step]:
    """Carry out a trace on a fresh address space, one step after the other; vmstat of every one."""
    window = trace.span
    mm.mmap(tr.PROGRAM_START, tr.PROGRAM_BYTES, PROT_NONE, map_flags(()))
    before = mm.vmstat()
    for op in trace.ops:
        error = outcome(mm, op)
        mm.lru_add_drain_all()
        after = mm.vmstat()
        changes = {name: after[name] - value for name, value in before.items() if after[name] != value}
        before = after
        locked_vm_kb, vmas, pages = observe(mm, window)
        yield Step(error, locked_vm_kb, vmas, pages, changes)


class FieldDifference(NamedTuple):
    """One field of one step that is not as expected."""

    field: str
    expected: object
    got: object


def differences(expected: Step, got: Step) -> list[FieldDifference]:
    """Return the fields that differ; what was not recorded is not compared."""
    pairs = ((field, getattr(expected, field), getattr(got, field)) for field in FIELDS)
    return [FieldDifference(*pair) for pair in pairs if pair[1] is not None and pair[1] != pair[2]]
