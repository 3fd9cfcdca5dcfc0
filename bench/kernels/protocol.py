"""What is said to the guest program and what it answers.

The batch that it gets is text, one order a line: a letter, then numbers in base 16. `B VERSION` is the first. `S PATH TEXT`
writes a file and `W PATH` swaps to a device before the traces that follow; a trace of large folios is set to them so.
`T START END WATCH` begins a trace and `E` ends it; between them stand orders with the number of the process first: `c` a
system call by number, `t` a touch, `l` a limit, `d` a capability given up, `o` a file in memory, `f` a fork, `x` an exit, `w` a
wait, `m` words put into memory, `g` a system call whose first argument may be the process's own number and whose result may
become a descriptor, `y` a system call repeated along addresses, `r` a file read to its end, `e` another program by vfork and
exec.

The answer is lines `NUMBER TEXT *CRC32`, numbered from 0: `hello`, then for each trace `trace` and its `step`s, then `end`.
A step has the result of the call and the time stamps that went by, then ` + NAME CHANGE` for each change in vmstat and
` @ PROCESS LOCKED_KB` for each process, with ` v` for each VMA and ` r` for each run of pages, or ` =v` and ` =r` if these
are as after the step before.
"""

from __future__ import annotations

import errno
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bench.errors import one_line
from bench.kernels.errors import EarlyEndError, GarbledError, RefusedError
from bench.traces import ops
from bench.traces import trace_format as tr
from bench.traces.ops import Op, Trace, op_name
from bench.traces.replay import ADVICE, map_flags, step_of
from bench.traces.trace_format import PageRow, Result, VmaRow
from mmmodel.constants import (
    FALLOC_FL_KEEP_SIZE,
    FALLOC_FL_PUNCH_HOLE,
    MADV_DONTNEED,
    PAGE_SIZE,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
)
from mmmodel.sizes import parse_bytes

VERSION: Final = 2
WATCH_MEMORY: Final = 1  # VMAs, VmLck and pages after each step
WATCH_VMSTAT: Final = 2
FIRST_FILE: Final = 100  # descriptor of a trace's file 0
MOST_WORDS: Final = 6  # of one order
PUNCH_HOLE: Final = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
CAP_IPC_LOCK: Final = 14
RLIMIT_MEMLOCK: Final = 8
# Numbers of x86-64 system calls.
SYS: Final = {
    "close": 3,
    "mmap": 9,
    "mprotect": 10,
    "munmap": 11,
    "mremap": 25,
    "msync": 26,
    "madvise": 28,
    "ftruncate": 77,
    "mlock": 149,
    "munlock": 150,
    "mlockall": 151,
    "munlockall": 152,
    "fallocate": 285,
    "mlock2": 325,
}
_PROT: Final = {"none": PROT_NONE, "r": PROT_READ, "rw": PROT_READ | PROT_WRITE}
_NO_FILE: Final = (1 << 64) - 1
_INT: Final = (1 << 32) - 1


def system_call(name: str, *arguments: int, process: int = 0) -> str:
    """Return the order for a system call."""
    return " ".join(("c", f"{process:x}", f"{SYS[name]:x}", *(f"{one & _NO_FILE:x}" for one in arguments)))


def touch(start: int, nbytes: int, stride: int = PAGE_SIZE, write: bool = True, process: int = 0) -> str:
    """Return the order for one access every `stride` bytes of [start, start + nbytes)."""
    return f"t {process:x} {start:x} {nbytes:x} {stride:x} {int(write)}"


def memory_file(descriptor: int, nbytes: int, process: int = 0) -> str:
    """Return the order that makes a tmpfs file open under a number: at least FIRST_FILE, those below are the guest's."""
    return f"o {process:x} {descriptor:x} {nbytes:x}"


def fork(child: int, process: int = 0) -> str:
    """Return the order that forks a process; the child has the number `child`, a number that ops may have, from then on."""
    return f"f {process:x} {child:x}"


def leave(process: int) -> str:
    """Return the order that ends a process."""
    return f"x {process:x}"


def wait(nanoseconds: int, process: int = 0) -> str:
    """Return the order to sleep, whose result is how many nanoseconds went by."""
    return f"w {process:x} {nanoseconds:x}"


def put(address: int, words: Sequence[int], process: int = 0) -> str:
    """Return the order that puts up to MOST_WORDS words of 8 bytes into a process's memory."""
    if not 0 < len(words) <= MOST_WORDS:
        raise ValueError(f"{len(words)} words")
    return " ".join((f"m {process:x} {address:x} {len(words):x}", *(f"{one & _NO_FILE:x}" for one in words)))


def any_call(number: int, *arguments: int, own: bool = False, descriptor: int = 0, process: int = 0) -> str:
    """Return the order for a system call by its number.

    `own`: its first argument is the process's own number, whatever is given; `descriptor`: what it opens is open under this
    number afterwards, which is FIRST_FILE or greater.
    """
    return " ".join((f"g {process:x} {descriptor << 8 | own:x} {number:x}", *(f"{one & _NO_FILE:x}" for one in arguments)))


def repeated(number: int, count: int, stride: int, *arguments: int, process: int = 0) -> str:
    """Return the order for a system call made `count` times, its first argument greater by `stride` each time; five at most."""
    return " ".join((f"y {process:x} {number:x} {count:x} {stride:x}", *(f"{one & _NO_FILE:x}" for one in arguments)))


def read_to_end(descriptor: int, address: int, nbytes: int, process: int = 0) -> str:
    """Return the order to read a file to its end, always into the same memory; its result is the number of bytes."""
    return f"r {process:x} {descriptor:x} {address:x} {nbytes:x}"


def start_program(path: int, arguments: int, process: int = 0) -> str:
    """Return the order to start a program by vfork() and execve(), and wait for its end; addresses of text and of pointers."""
    return f"e {process:x} {path:x} {arguments:x}"


def order(op: Op) -> str:  # one arm an op
    """Return the order that an op of a trace becomes."""
    match op:
        case ops.Touch():
            return touch(op.start, op.nbytes, op.stride, op.access == "write", op.proc)
        case ops.RlimitMemlock():
            return f"l {op.proc:x} {RLIMIT_MEMLOCK:x} {op.bytes:x}"
        case ops.DropCapIpcLock():
            return f"d {op.proc:x} {CAP_IPC_LOCK:x}"
        case ops.Fork():
            return fork(op.child, op.proc)
        case ops.Exit():
            return leave(op.proc)
        case ops.MakeFile():
            return memory_file(FIRST_FILE + op.file, int(op.len, 16), op.proc)
        case ops.Ftruncate():
            return system_call("ftruncate", FIRST_FILE + op.file, int(op.len, 16), process=op.proc)
        case ops.PunchHole():
            place = int(op.offset, 16), int(op.len, 16)
            return system_call("fallocate", FIRST_FILE + op.file, PUNCH_HOLE, *place, process=op.proc)
        case ops.Mlockall():
            return system_call("mlockall", op.flags & _INT, process=op.proc)
        case ops.Munlockall():
            return system_call("munlockall", process=op.proc)
        case _:
            name, arguments = _range_call(op)
            return system_call(name, op.start, op.nbytes, *arguments, process=op.proc)


RangeOp = (
    ops.Mmap
    | ops.Mlock
    | ops.Mlock2
    | ops.Munlock
    | ops.Mprotect
    | ops.Munmap
    | ops.Mremap
    | ops.MadviseDontneed
    | ops.Madvise
    | ops.Msync
)


def _range_call(op: RangeOp) -> tuple[str, Sequence[int]]:
    """Return a call on a range: its name, and its arguments after address and length."""
    match op:
        case ops.Mmap():
            descriptor = _NO_FILE if op.file is None else FIRST_FILE + op.file
            return "mmap", (_PROT[op.prot], map_flags(op), descriptor, int(op.offset, 16))
        case ops.Mremap():
            return "mremap", (op.new_nbytes, op.flags & _NO_FILE, op.target)
        case ops.Mprotect():
            return "mprotect", (_PROT[op.prot],)
        case ops.MadviseDontneed():
            return "madvise", (MADV_DONTNEED,)
        case ops.Madvise():
            return "madvise", (ADVICE[op.advice],)
        case ops.Mlock2() | ops.Msync():
            return op_name(op), (op.flags & _INT,)
        case _:
            return op_name(op), ()


class Program(NamedTuple):
    """What the guest carries out in one process: orders, and the addresses [start, end) that it looks at."""

    start: int
    end: int
    orders: tuple[str, ...]
    watch: int = WATCH_MEMORY | WATCH_VMSTAT
    mthp: tuple[ops.FolioSize, ...] = ()  # sizes of large anonymous folios that the kernel may use for it


def program(trace: Trace) -> Program:
    """Return a trace as the guest gets it; vmstat is not looked at where the program's own pages are in it."""
    watch = WATCH_MEMORY if trace.locks_all else WATCH_MEMORY | WATCH_VMSTAT
    return Program(*trace.span, tuple(map(order, trace.ops)), watch, trace.mthp)


def folio_setting(size: ops.FolioSize) -> str:
    """Return the file in which a kernel has whether it uses anonymous folios of a size: 6.8 and later."""
    return f"/sys/kernel/mm/transparent_hugepage/hugepages-{parse_bytes(size) >> 10}kB/enabled"


def batch(programs: Iterable[Program], settings: Mapping[str, str], swap: str | None = None) -> bytes:
    """Return the batch: `settings` are files of /proc/sys and /sys with what is written to them first, `swap` a device."""
    lines = [f"B {VERSION}", *(f"S {path} {text}" for path, text in settings.items())]
    lines += [f"W {swap}"] if swap else []
    allowed: set[ops.FolioSize] = set()
    for one in programs:
        for size in sorted(allowed.symmetric_difference(one.mthp), key=parse_bytes):
            lines.append(f"S {folio_setting(size)} {'always' if size in one.mthp else 'never'}")
        allowed = set(one.mthp)
        lines += [f"T {one.start:x} {one.end:x} {one.watch:x}", *one.orders, "E"]
    return "".join(line + "\n" for line in lines).encode("ascii")


class Hello(NamedTuple):
    """What the guest says of itself first."""

    kernel: str  # as uname -r
    cpus: int
    kpageflags: bool  # whether it may read them: without, no page is known to be mlocked
    vmstat: bool  # whether it may have the CPUs' differences added up: without, changes are not known


class Memory(NamedTuple):
    """One process's memory in the window after a step."""

    locked_kb: int  # VmLck without the locked VMAs outside the window
    vmas: list[VmaRow]
    pages: list[PageRow]


@dataclass
class Answer:
    """What the guest says of one order."""

    result: int  # what the call returned, or -errno
    cycles: int  # time stamps between entering and leaving the call; of the last one, until its process's end was known
    died: int | None  # the status that wait4() gave, if the process ended
    memory: dict[int, Memory] = field(default_factory=dict)  # by process
    vmstat: dict[str, int] = field(default_factory=dict)  # changes since the step before

    @property
    def errno(self) -> int | str:
        """0 or the name of the error; the signal's number as SIGn if the call ended the process."""
        if self.died is not None:
            return f"SIG{self.died & 127}" if self.died & 127 else 0
        return errno.errorcode.get(-self.result, f"E{-self.result}") if -4096 < self.result < 0 else 0


def checked(line: bytes, number: int) -> str:
    """Return the text of a line of the guest's, which must be whole and have the number; GarbledError if not."""
    body, star, checksum = line.rpartition(b" *")
    if not line.endswith(b"\n") or not star or checksum.strip() != b"%08x" % zlib.crc32(body):
        raise GarbledError(f"the guest's line {number} is not whole: {one_line(line[:80].decode('ascii', 'replace'), 80)!r}")
    head, _, text = body.decode("ascii").partition(" ")
    if head != str(number):
        raise GarbledError(f"the guest's line {number} is missing: line {one_line(head, 20)} came in its place")
    return text


def _hello(text: str) -> Hello:
    """Read the guest's first line."""
    words = text.split(" ")
    if words[:1] != ["hello"] or words[1:2] != [str(VERSION)]:
        raise GarbledError(f"the guest's first line is {one_line(text, 80)!r}, not a hello of protocol {VERSION}")
    said = dict(zip(words[2::2], words[3::2], strict=True))
    return Hello(said["kernel"], int(said["cpus"]), said["kpageflags"] == "1", said["vmstat"] == "1")


def _section(words: list[str], at: int, before: dict[int, Memory], answer: Answer) -> int:
    """Read what a step says of one process, from the word after its `@`; return where it ends."""
    process = int(words[at])
    last = before.get(process, Memory(0, [], []))
    vmas: list[VmaRow] = []
    pages: list[PageRow] = []
    locked_kb, at = int(words[at + 1]), at + 2
    while at < len(words) and words[at] not in ("@", "+"):
        match words[at]:
            case "v":
                start, end, perms, locked, rss, locked_rss = words[at + 1 : at + 7]
                vmas.append((f"0x{start}", f"0x{end}", perms, locked == "1", int(rss), int(locked_rss)))
                at += 7
            case "r":
                pages.append((int(words[at + 1]), int(words[at + 2]), words[at + 3]))
                at += 4
            case "=v":
                vmas = last.vmas
                at += 1
            case "=r":
                pages = last.pages
                at += 1
            case _:
                raise RefusedError(f"the guest could not look at process {process}: {one_line(' '.join(words[at:]), 80)}")
    answer.memory[process] = Memory(locked_kb, vmas, pages)
    return at


def _answer(words: list[str], before: dict[int, Memory]) -> Answer:
    """Read a step, from the word after its number; `before`: the processes' memory after the step before."""
    if words[0] == "nobody":
        return Answer(-errno.ESRCH, 0, None)
    ended = words[0] == "died"
    answer = Answer(0, int(words[2]), int(words[1])) if ended else Answer(int(words[0]), int(words[1]), None)
    at = 3 if ended else 2
    while at < len(words):
        if words[at] == "+":
            answer.vmstat[words[at + 1]] = int(words[at + 2])
            at += 3
        elif words[at] == "@":
            at = _section(words, at + 1, before, answer)
        else:
            raise RefusedError(f"the guest could not look: {one_line(' '.join(words[at:]), 80)}")
    return answer


def answers(lines: Iterable[bytes], wanted: int, hello: Callable[[Hello], None]) -> Iterator[list[Answer]]:
    """Yield the answers to each of `wanted` programs as soon as they are complete.

    GuestError if a line is not as it was sent, or if they end before the guest said that it is done; what was yielded
    before is good.
    """
    open_program: list[Answer] | None = None
    done = 0
    for number, line in enumerate(lines):
        text = checked(line, number)
        words = text.split(" ")
        try:
            if number == 0:
                hello(_hello(text))
            elif words[0] in ("trace", "end"):
                if open_program is not None:
                    done += 1
                    yield open_program
                open_program = []
                if words[0] == "end":
                    if done != wanted:
                        raise EarlyEndError(f"the guest carried out {done} of {wanted} traces")
                    return
            elif words[0] == "step" and open_program is not None and words[1] == str(len(open_program)):
                open_program.append(_answer(words[2:], open_program[-1].memory if open_program else {}))
            else:
                kind = RefusedError if words[0] == "error" else GarbledError
                raise kind(f"the guest says {one_line(text, 120)!r}")
        except (ValueError, IndexError, KeyError):
            raise GarbledError(f"the guest's line {number} makes no sense: {one_line(text, 80)!r}") from None
    raise EarlyEndError(f"the guest ended after {done} of {wanted} traces", answered=open_program)


def result(trace: Trace, kernel: str, hello: Hello, got: list[Answer]) -> Result:
    """Return a trace's answers as a results file has them; None for what the guest may not see."""
    shows_vmstat, forks = hello.vmstat and not trace.locks_all, trace.forks
    steps = []
    for one in got:
        seen = {number: _shown(memory, hello) for number, memory in one.memory.items()}
        steps.append(step_of(one.errno, one.vmstat if shows_vmstat else None, seen, forks))
    return Result(trace.name, kernel, tuple(steps))


def _shown(memory: Memory, hello: Hello) -> tr.Memory:
    """Return what was seen of a process; pages only if all their flags could be read."""
    unread = not hello.kpageflags or any("?" in state for _, _, state in memory.pages)
    return tr.Memory(memory.locked_kb, memory.vmas, None if unread else memory.pages)
