"""Carry out a trace on the model: each op as a call, and after it what the recorded kernels were asked.

Everything here works on any object with the calls of `mmmodel.Mm`, so that tests hold an independent model to the same traces.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, get_args

from bench.traces import ops
from bench.traces.checks import PROGRAM_BYTES, PROGRAM_START
from bench.traces.ops import Advice, Op, Trace
from bench.traces.trace_format import FIELDS, Memory, Step, VmaRow
from mmmodel import constants
from mmmodel.constants import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
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
    from mmmodel import File, Mm

RECORDED_RAM: Final = 960 << 20  # MemTotal of the recording machine, about; only single huge requests depend on it
_PROT: Final = {"none": PROT_NONE, "r": PROT_READ, "rw": PROT_READ | PROT_WRITE}
_MAP_FLAGS: Final = {"noreserve": MAP_NORESERVE, "locked": MAP_LOCKED, "populate": MAP_POPULATE}
ADVICE: Final[dict[str, int]] = {word: getattr(constants, f"MADV_{word.upper()}") for word in get_args(Advice)}


def map_flags(op: ops.Mmap) -> int:
    """Return the flags of an mmap op as mmap() takes them."""
    flags = MAP_SHARED if "shared" in op.flags else MAP_PRIVATE
    flags |= MAP_FIXED if "fixed" in op.flags else MAP_FIXED_NOREPLACE
    flags |= MAP_ANONYMOUS if op.file is None else 0
    for word in op.flags:
        flags |= _MAP_FLAGS.get(word, 0)
    return flags


def refusal(number: int) -> OSError:
    """Return the error of that number, as a call raises it."""
    return OSError(number, os.strerror(number))


class Machine:
    """The living processes of a trace, and the files that each has open, by number."""

    def __init__(self, mm: Mm) -> None:
        """`mm`: the first process, with nothing mapped."""
        self.first = mm
        self.processes = {0: mm}
        self.files: dict[int, dict[int, File]] = {0: {}}  # by process

    def outcome(self, op: Op) -> int | str:
        """Make the call that an op stands for; return 0 or the name of its error.

        En where number n has no name (an address that passes for an error). A process that never came about, for its fork
        failed, gives ESRCH, and a file that was not made EBADF. NotModelled for what only a kernel can do.
        """
        try:
            if op.proc not in self.processes:
                raise refusal(errno.ESRCH)
            if isinstance(op, ops.Fork):
                self._fork(op)
            elif isinstance(op, ops.Exit):
                self._exit(op.proc)
            elif isinstance(op, ops.MakeFile):
                self.files[op.proc][op.file] = self.processes[op.proc].create_file(int(op.len, 16))
            elif isinstance(op, ops.Ftruncate | ops.PunchHole):
                self._change(self._file(op.proc, op.file), op)
            else:
                file = self._file(op.proc, op.file) if isinstance(op, ops.Mmap) and op.file is not None else None
                carry_out(self.processes[op.proc], op, file)
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, f"E{error.errno}")
        return 0

    def _file(self, process: int, number: int) -> File:
        """Return a file that a process has open."""
        if number not in self.files[process]:
            raise refusal(errno.EBADF)
        return self.files[process][number]

    def _fork(self, op: ops.Fork) -> None:
        """Make a child, which has its parent's files."""
        self.processes[op.child] = self.processes[op.proc].fork()
        self.files[op.child] = dict(self.files[op.proc])

    def _exit(self, process: int) -> None:
        """End a process; a file that nobody has open any more, and so nobody maps, loses its pages."""
        self.processes.pop(process).exit()
        closed = self.files.pop(process)
        for number, file in closed.items():
            if not any(number in files for files in self.files.values()):
                file.truncate(0)

    @staticmethod
    def _change(file: File, op: ops.Ftruncate | ops.PunchHole) -> None:
        """Change a file, mapped or not."""
        if isinstance(op, ops.Ftruncate):
            file.truncate(int(op.len, 16))
        else:
            file.fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, int(op.offset, 16), int(op.len, 16))


CallOp = (
    ops.Mmap
    | ops.Touch
    | ops.Mlock
    | ops.Mlock2
    | ops.Munlock
    | ops.Mprotect
    | ops.Munmap
    | ops.Mremap
    | ops.MadviseDontneed
    | ops.Madvise
    | ops.Msync
    | ops.Mlockall
    | ops.Munlockall
    | ops.RlimitMemlock
    | ops.DropCapIpcLock
)


def carry_out(mm: Mm, op: CallOp, file: File | None = None) -> None:  # noqa: C901  # one arm an op
    """Make a call of one process; `file`: that an mmap op maps. OSError as the call gives it."""
    match op:
        case ops.Mmap():
            mm.mmap(op.start, op.nbytes, _PROT[op.prot], map_flags(op), file, int(op.offset, 16))
        case ops.Touch():
            mm.touch(op.start, op.nbytes, op.access, op.stride)
        case ops.Mlock():
            mm.mlock(op.start, op.nbytes)
        case ops.Mlock2():
            mm.mlock2(op.start, op.nbytes, op.flags)
        case ops.Munlock():
            mm.munlock(op.start, op.nbytes)
        case ops.Mprotect():
            mm.mprotect(op.start, op.nbytes, _PROT[op.prot])
        case ops.Munmap():
            mm.munmap(op.start, op.nbytes)
        case ops.Mremap():
            mm.mremap(op.start, op.nbytes, op.new_nbytes, op.flags, op.target)
        case ops.MadviseDontneed():
            mm.madvise(op.start, op.nbytes, MADV_DONTNEED)
        case ops.Madvise():
            mm.madvise(op.start, op.nbytes, ADVICE[op.advice])
        case ops.Msync():
            mm.msync(op.start, op.nbytes, op.flags)
        case ops.Mlockall():
            mm.mlockall(op.flags)
        case ops.Munlockall():
            mm.munlockall()
        case ops.RlimitMemlock():
            mm.setrlimit_memlock(op.bytes)
        case ops.DropCapIpcLock():
            mm.drop_cap_ipc_lock()


def observe(mm: Mm, window: tuple[int, int]) -> Memory:
    """Return what is seen of a process: locked_vm in kB without VMAs outside, VMAs, pages of the window."""
    start, end = window
    rows: list[VmaRow] = []
    outside = 0
    for vma in mm.smaps():
        if start <= vma.start < end:
            rows.append((hex(vma.start), hex(vma.end), vma.perms, vma.locked, vma.rss_kb, vma.locked_kb))
        elif vma.locked:
            outside += vma.end - vma.start
    return Memory(mm.locked_vm * 4 - outside // 1024, rows, [*mm.pagemap(start, end)])


def step_of(errno: int | str, vmstat: dict[str, int] | None, seen: dict[int, Memory], forks: bool) -> Step:
    """Return a step of what was seen of the living processes; `forks`: whether the trace may have several."""
    first = seen.get(0, Memory(None, None, None))
    others = {number: memory for number, memory in seen.items() if number} if forks else None
    return Step(errno, first.locked_vm_kb, first.vmas, first.pages, vmstat, others)


def replay(mm: Mm, trace: Trace) -> Iterator[Step]:
    """Carry out a trace on a fresh address space, one step after the other; vmstat of every one."""
    window, forks = trace.span, trace.forks
    machine = Machine(mm)
    mm.mmap(PROGRAM_START, PROGRAM_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE)
    before = mm.vmstat()
    for op in trace.ops:
        error = machine.outcome(op)
        mm.lru_add_drain_all()
        after = mm.vmstat()
        changes = {name: after[name] - value for name, value in before.items() if after[name] != value}
        before = after
        yield step_of(error, changes, {number: observe(one, window) for number, one in machine.processes.items()}, forks)


class FieldDifference(NamedTuple):
    """One field of one step that is not as expected."""

    field: str
    expected: object
    got: object


def differences(expected: Step, got: Step) -> list[FieldDifference]:
    """Return the fields that differ; what was not recorded is not compared.

    Those of process n, which is not the first, are called `others[n].vmas` and so on; `others` is that there are other ones.
    """
    found = _differing(expected, got, FIELDS, "")
    if expected.others is None or got.others is None:
        return found
    if expected.others.keys() != got.others.keys():
        return [*found, FieldDifference("others", [*expected.others], [*got.others])]
    for number, memory in expected.others.items():
        found += _differing(memory, got.others[number], Memory.__struct_fields__, f"others[{number}].")
    return found


def _differing(expected: Step | Memory, got: Step | Memory, fields: Sequence[str], where: str) -> list[FieldDifference]:
    """Return those of some fields that differ; `where`: in front of their names."""
    pairs = ((where + field, getattr(expected, field), getattr(got, field)) for field in fields)
    return [FieldDifference(*pair) for pair in pairs if pair[1] is not None and pair[1] != pair[2]]
