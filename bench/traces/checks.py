"""What is wrong with a trace of the right form: ranges that no trace may touch, processes and files that are not there."""

from __future__ import annotations

from typing import Final

from bench.traces.ops import Exit, Fork, Ftruncate, MakeFile, Mmap, Mremap, Op, PunchHole, SpanOp, Touch, Trace
from mmmodel.constants import PAGE_SIZE, TASK_SIZE_4
from mmmodel.modelled import LARGEST_FILE

MAX_ACCESSES: Final = 1 << 28  # of one touch
WORDS: Final = 1 << 64  # addresses and lengths are below it
END: Final = TASK_SIZE_4 + PAGE_SIZE  # of the address space, with the guard page at its top

# Stands for the VMAs of the program that made the calls: they count in total_vm, and mlockall() locks them.
PROGRAM_START: Final = 0x400000
PROGRAM_BYTES: Final = 1 << 20


def trace_problem(trace: Trace) -> str:
    """Return what is wrong first with a trace of the right form, the field in front; "" if nothing is."""
    start, end = trace.span
    if start % PAGE_SIZE or end % PAGE_SIZE:
        return "window: not page-aligned"
    if start >= end:
        return "window: its end is not after its start"
    if end > END:
        return f"window: ends beyond the address space, {END:#x}"
    if _overlaps(start, end):
        return f"window: overlaps the program's own memory, {_program()}"
    there = _There()
    for number, op in enumerate(trace.ops):
        if problem := there.problem(op) or (_span_problem(op) if isinstance(op, SpanOp) else ""):
            return f"ops[{number}].{problem}"
    return ""


def _program() -> str:
    """Return the range of the program's own memory as text."""
    return f"{PROGRAM_START:#x} to {PROGRAM_START + PROGRAM_BYTES:#x}"


def _overlaps(start: int, end: int) -> bool:
    """Tell whether a range has a byte in common with the program's own memory."""
    return start < PROGRAM_START + PROGRAM_BYTES and end > PROGRAM_START


def _span_problem(op: SpanOp) -> str:
    """Return what is wrong with the range of an op, the field in front; "" if nothing is.

    Any two 64-bit words are a range that a program may ask for, those too whose sum wraps: every call refuses these, or takes
    none or one page for them, before it looks at what is mapped.
    """
    ranges = [("addr", op.addr, op.start, op.len, op.nbytes)]
    if isinstance(op, Mremap):
        ranges.append(("to", op.to, op.target, op.new_len, op.new_nbytes))
    for field, addr, start, length, nbytes in ranges:
        if start + nbytes < WORDS and _overlaps(start, start + nbytes):
            return f"{field}: {addr} + {length} overlaps the program's own memory, {_program()}"
    if isinstance(op, Touch) and op.nbytes > op.stride * MAX_ACCESSES:
        return f"len: {op.len} at a stride of {op.stride} is more than {MAX_ACCESSES:,} accesses"
    return ""


class _There:
    """The processes and files that there are before an op."""

    def __init__(self) -> None:
        self.files: dict[int, frozenset[int]] = {0: frozenset()}  # those that a process has open, by process
        self.ended: set[int] = set()
        self.made: set[int] = set()  # files, those included that no process has any more

    def problem(self, op: Op) -> str:
        """Return what is wrong with the process and the file of an op, the field in front; else "", and note what it does."""
        if op.proc in self.ended:
            return f"proc: process {op.proc} has ended"
        if op.proc not in self.files:
            return f"proc: there is no process {op.proc} yet"
        match op:
            case Fork():
                if op.child in self.files or op.child in self.ended:
                    return f"child: {op.child} is the number of an earlier process"
                self.files[op.child] = self.files[op.proc]
            case Exit():
                if len(self.files) == 1:
                    return f"proc: process {op.proc} is the last one, and there must be one to look at"
                del self.files[op.proc]
                self.ended.add(op.proc)
            case MakeFile() | Ftruncate() | PunchHole() | Mmap():
                return self._file_problem(op)
        return ""

    def _file_problem(self, op: MakeFile | Ftruncate | PunchHole | Mmap) -> str:
        """Do it for an op that may have a file."""
        if op.file is None:
            return "offset: there is no file" if isinstance(op, Mmap) and int(op.offset, 16) else ""
        if isinstance(op, MakeFile | Ftruncate) and int(op.len, 16) > LARGEST_FILE:
            return f"len: {op.len} is more than a file may have here, {LARGEST_FILE:#x}"
        if isinstance(op, MakeFile):
            if op.file in self.made:
                return f"file: {op.file} is the number of an earlier file"
            self.made.add(op.file)
            self.files[op.proc] |= {op.file}
        elif op.file not in self.files[op.proc]:
            return f"file: process {op.proc} has no file {op.file}"
        return ""
