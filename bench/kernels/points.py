"""A point as a program of the guest: the calls that lay out its address space, then the measured one, which is the last order.

The guest's own memory must not count. munlockall(), mlockall() and exit() work on it, too: what the same call costs without
the point's memory is measured by a program of its own, `without_span()`, and taken off where costs are exact. Before a call
that unlocks, the guest's own memory is unlocked already.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Final

from bench.errors import UsageError
from bench.kernels.protocol import Program, any_call, leave, memory_file, order, put, system_call, touch
from bench.traces.checks import PROGRAM_BYTES, PROGRAM_START
from bench.traces.ops import Mlockall
from bench.workloads import layout as layouts
from bench.workloads import setup
from bench.workloads.layout import Layout, Vma
from bench.workloads.scenario import LAYOUT, Operation, Point
from mmmodel import constants as const
from mmmodel.constants import PAGE_SIZE

# Calls on all of an address space, from which what they cost the guest itself is taken off.
ON_ALL_MEMORY: Final[tuple[Operation, ...]] = ("munlockall", "mlockall", "exit", "coredump")
CORE_FILE: Final = "/core"  # of the guest, as its core_pattern has it
FIRST_DESCRIPTOR: Final = 100  # of files; below are the guest's
FREE_DESCRIPTOR: Final = 99  # of a file that one VMA maps
_NO_WATCH: Final = 0
_PROGRAM_END: Final = PROGRAM_START + PROGRAM_BYTES
_ALL: Final = const.MCL_CURRENT | const.MCL_FUTURE
_RESERVE: Final = const.MAP_PRIVATE | const.MAP_ANONYMOUS | const.MAP_NORESERVE | const.MAP_FIXED_NOREPLACE
_READ_WRITE: Final = const.PROT_READ | const.PROT_WRITE
_NO_FILE: Final = -1
_NAME_START: Final = 1 << 32  # of a page for the name of the core file, which is gone before the point's memory comes
_OPEN, _KILL = 2, 62  # numbers of x86-64 system calls
_RLIMIT_CORE, _UNLIMITED = 4, (1 << 64) - 1


def program(point: Point, start: int | None = None) -> Program:
    """Return the orders of a point; `start`: address of its span, where it is not the usual one.

    UsageError if its address space cannot be laid out by a program.
    """
    if point.scenario.name == LAYOUT:
        orders = list(_layout_orders(layouts.load(point.scenario.layout)))
        start = 0
    else:
        before = setup.before(point)
        start = setup.place(point.scenario) if start is None else start
        first = start if before is point.scenario or point.operation != "mmap" else start + point.scenario.span
        orders = [order(one) for one in setup.calls(before, first)]
        if point.operation == "mmap":
            orders.append(order(Mlockall(const.MCL_FUTURE)))
    return _watched([*_prepared(point), *orders, _UNLOCK_PROGRAM, _measured(point, start)])


def without_span(point: Point) -> Program | None:
    """Return the same call without the memory of its point, None where it does not work on the guest's own."""
    if point.operation not in ON_ALL_MEMORY:
        return None
    if point.scenario.name == LAYOUT:
        locks = [order(_lock_of(layouts.load(point.scenario.layout)))]
    else:
        locks = [order(one) for one in setup.calls(setup.before(point), 0) if isinstance(one, Mlockall)]
    return _watched([*_prepared(point), *locks, _UNLOCK_PROGRAM, _measured(point, 0)])


def _prepared(point: Point) -> list[str]:
    """Return what comes before a point's memory. A core dump: an empty file, as emptying one would be work of the call's."""
    if point.operation != "coredump":
        return []
    name = int.from_bytes(CORE_FILE.encode("ascii").ljust(8, b"\0"), "little")
    return [
        f"l 0 {_RLIMIT_CORE:x} {_UNLIMITED:x}",
        system_call("mmap", _NAME_START, PAGE_SIZE, _READ_WRITE, _RESERVE, _NO_FILE, 0),
        put(_NAME_START, [name]),
        any_call(_OPEN, _NAME_START, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600, descriptor=FIRST_DESCRIPTOR),
        system_call("close", FIRST_DESCRIPTOR),
        system_call("munmap", _NAME_START, PAGE_SIZE),
    ]


_UNLOCK_PROGRAM: Final = system_call("munlock", PROGRAM_START, PROGRAM_BYTES)


def _watched(orders: list[str]) -> Program:
    """Return the program of some orders; nothing is looked at between them, which would be work of the kernel's, too."""
    return Program(PROGRAM_START, _PROGRAM_END, tuple(orders), _NO_WATCH)


def _measured(point: Point, start: int) -> str:
    """Return the order of the measured call."""
    span = point.scenario.span
    match point.operation:
        case "munlockall":
            return system_call("munlockall")
        case "mlockall":
            return system_call("mlockall", _ALL)
        case "exit":
            return leave(0)
        case "munlock":
            return system_call("munlock", start, span)
        case "munlock-part":
            return system_call("munlock", *setup.part(start, span))
        case "munmap":
            return system_call("munmap", start, span)
        case "mmap":
            return system_call("mmap", start, span, _READ_WRITE, _RESERVE, _NO_FILE, 0)
        case "mprotect":
            return system_call("mprotect", start, span, const.PROT_READ)
        case "touch":
            return touch(start, span)
        case "coredump":
            return any_call(_KILL, 0, signal.SIGABRT, own=True)


# ---- layouts ----


def _lock_of(captured: Layout) -> Mlockall:
    """Return how a layout is locked: as it was captured, else on fault, which leaves its pages as they are."""
    return Mlockall(const.MCL_CURRENT | (const.MCL_FUTURE if captured.locked else const.MCL_ONFAULT))


def _layout_orders(captured: Layout) -> Iterator[str]:
    """Yield the orders that lay out a real program's address space, VMA by VMA, without the kernel's own mappings.

    Its files become files in memory, and what the guest itself needs of the address space is put elsewhere.
    """
    vmas = [vma for vma in captured.vmas if vma.lockable]
    moved = _moved(vmas)
    files: dict[str, int] = {}
    for vma in vmas:
        descriptor = _NO_FILE
        if vma.inode and vma.inode not in files:
            same = [one for one in vmas if one.inode == vma.inode]
            files[vma.inode] = FIRST_DESCRIPTOR + len(files)
            yield memory_file(files[vma.inode], max(one.file_offset + one.last - one.first for one in same))
        if vma.inode:
            descriptor = files[vma.inode]
        elif vma.file or vma.path.startswith("/") or vma.perms[3] == "s":
            descriptor = FREE_DESCRIPTOR
            yield memory_file(descriptor, vma.last - vma.first)
        yield from _vma_orders(vma, moved.get(vma.first, vma.first), descriptor)
        if descriptor == FREE_DESCRIPTOR:
            yield system_call("close", descriptor)
    yield order(_lock_of(captured))


def _vma_orders(vma: Vma, start: int, descriptor: int) -> Iterator[str]:
    """Yield the orders that map one VMA and bring its pages: what is written to is private, what is read is of the file."""
    nbytes, protection = vma.last - vma.first, vma.protection
    written = protection | (_READ_WRITE if vma.present else const.PROT_WRITE if vma.once_writable else 0)
    flags = const.MAP_FIXED_NOREPLACE | (const.MAP_SHARED if vma.perms[3] == "s" else const.MAP_PRIVATE)
    flags |= const.MAP_NORESERVE if "nr" in vma.vm_flags else 0
    flags |= const.MAP_ANONYMOUS if descriptor == _NO_FILE else 0
    yield system_call("mmap", start, nbytes, written, flags, descriptor, vma.file_offset)
    kinds = layouts.page_kinds(vma)
    if any(kind.startswith("thp") for kind, _, _ in kinds):
        yield system_call("madvise", start, nbytes, const.MADV_NOHUGEPAGE)
    yield from (_bring(start, one) for one in kinds if not one[0].startswith("thp"))
    if any(kind.startswith("thp") for kind, _, _ in kinds):
        yield system_call("madvise", start, nbytes, const.MADV_HUGEPAGE)
        yield from (_bring(start, one) for one in kinds if one[0].startswith("thp"))
    if written != protection:
        yield system_call("mprotect", start, nbytes, protection)
    yield from (system_call("madvise", start, nbytes, advice) for advice in vma.advice)


def _bring(start: int, pages: tuple[str, int, int]) -> str:
    """Return the order that brings a run of pages of one kind into memory."""
    kind, first, nr = pages
    return touch(start + first * PAGE_SIZE, nr * PAGE_SIZE, write=kind not in ("file", "zero"))


def _moved(vmas: list[Vma]) -> dict[int, int]:
    """Return new addresses, by the old ones, of VMAs that lie where the guest program does.

    They move by whole entries of a page table's third level, so that each keeps its place within the tables.
    """
    moved: dict[int, int] = {}
    taken = [(vma.first, vma.last) for vma in vmas]
    for vma in vmas:
        if vma.first < _PROGRAM_END and vma.last > PROGRAM_START:
            by = next(
                by
                for by in range(const.PUD_SIZE, const.TASK_SIZE_4, const.PUD_SIZE)
                if not any(vma.first + by < end and start < vma.last + by for start, end in taken)
            )
            if vma.last + by > const.TASK_SIZE_4:
                raise UsageError("the layout leaves no room for the guest program")
            moved[vma.first] = vma.first + by
            taken.append((vma.first + by, vma.last + by))
    return moved
