"""Calls as data: steps whose arguments are numbers or words, made into orders of the guest program and into C.

A word names something of the program that is carried out: `start`, `span`, `half` of it, `n` (what is varied), `target` (free
addresses), `scratch` (memory for what calls read and write), `pages` of the span. Words may be joined by `+`, and have a
factor or divisor: `n*4096`. C has variables of the same names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from bench.kernels import protocol
from mmmodel import constants as const
from mmmodel.constants import PAGE_SIZE

Word = int | str
SCRATCH_BYTES: Final = 1 << 26
UNLIMITED: Final = (1 << 64) - 1
# Numbers of x86-64 system calls.
NUMBERS: Final = {
    **protocol.SYS,
    "read": 0,
    "write": 1,
    "open": 2,
    "ioctl": 16,
    "pread64": 17,
    "mincore": 27,
    "execve": 59,
    "kill": 62,
    "mkdir": 83,
    "prctl": 157,
    "mount": 165,
    "swapon": 167,
    "swapoff": 168,
    "mbind": 237,
    "migrate_pages": 256,
    "move_pages": 279,
    "process_vm_readv": 310,
    "userfaultfd": 323,
    "pidfd_open": 434,
    "process_madvise": 440,
    "mseal": 462,
}
_ABORT: Final = 6
_EMPTIED: Final = 114  # descriptor of a file while it is emptied


class Spot(NamedTuple):
    """Where a program is carried out, and on how much."""

    start: int
    span: int  # bytes
    n: int  # what is varied
    target: int
    scratch: int

    def value(self, word: Word) -> int:
        """Return what a word stands for."""
        if isinstance(word, int):
            return word
        return sum(map(self._part, word.split("+")))

    def _part(self, part: str) -> int:
        """Return what a part of a word stands for: a number, a name, or one with a factor or divisor."""
        name, times, by = part.partition("*")
        name, over, divisor = name.partition("/")
        names = {**self._asdict(), "half": self.span // 2, "pages": self.span // PAGE_SIZE}
        found = int(name, 0) if name[0].isdigit() else int(names[name])
        return found // (int(divisor) if over else 1) * (int(by) if times else 1)


class Sys(NamedTuple):
    """A system call; `arguments` are C, too."""

    name: str
    arguments: tuple[Word, ...] = ()
    descriptor: int = 0  # that what it opens becomes
    own: bool = False  # its first argument is the process's own number

    def orders(self, spot: Spot) -> Iterator[str]:
        """Yield the order."""
        arguments = [spot.value(one) for one in self.arguments]
        if self.own or self.descriptor:
            yield protocol.any_call(NUMBERS[self.name], *arguments, own=self.own, descriptor=self.descriptor)
        else:
            yield " ".join(("c", "0", f"{NUMBERS[self.name]:x}", *(f"{one % (1 << 64):x}" for one in arguments)))

    def c(self) -> str:
        """Return the statement."""
        given = ["getpid()" if self.own and not index else _c(one) for index, one in enumerate(self.arguments)]
        call = f"syscall({', '.join([f'{NUMBERS[self.name]} /* {self.name} */', *given])})"
        return f"dup2({call}, {self.descriptor});" if self.descriptor else f"{call};"


SCRATCH: Final = Sys(  # memory for what calls read and write
    "mmap",
    ("scratch", SCRATCH_BYTES, const.PROT_READ | const.PROT_WRITE,
     const.MAP_PRIVATE | const.MAP_ANONYMOUS | const.MAP_NORESERVE | const.MAP_FIXED_NOREPLACE, -1, 0),
)  # fmt: skip


class Again(NamedTuple):
    """A system call made so many times, its first argument greater by `stride` each time."""

    name: str
    times: Word
    stride: int
    arguments: tuple[Word, ...]

    def orders(self, spot: Spot) -> Iterator[str]:
        """Yield the order."""
        arguments = [spot.value(one) for one in self.arguments]
        yield protocol.repeated(NUMBERS[self.name], spot.value(self.times), self.stride, *arguments)

    def c(self) -> str:
        """Return the statement."""
        first, *others = map(_c, self.arguments)
        call = f"syscall({', '.join([f'{NUMBERS[self.name]} /* {self.name} */', f'{first} + i * {self.stride}L', *others])})"
        return f"for (long i = 0; i < {_c(self.times)}; i++) {call};"


class Put(NamedTuple):
    """Words put into the scratch memory."""

    offset: int
    words: tuple[Word, ...]

    def orders(self, spot: Spot) -> Iterator[str]:
        """Yield the orders."""
        for at in range(0, len(self.words), protocol.MOST_WORDS):
            some = [spot.value(one) for one in self.words[at : at + protocol.MOST_WORDS]]
            yield protocol.put(spot.scratch + self.offset + at * 8, some)

    def c(self) -> str:
        """Return the statement."""
        return (
            f"memcpy((void *)(scratch + {self.offset}), (long[]){{{', '.join(map(_c, self.words))}}}, {8 * len(self.words)});"
        )


class Text(NamedTuple):
    """Text put into the scratch memory, with a 0 behind it."""

    offset: int
    text: str

    def orders(self, spot: Spot) -> Iterator[str]:
        """Yield the orders."""
        data = self.text.encode("ascii") + b"\0"
        data += b"\0" * (-len(data) % 8)
        words = tuple(int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8))
        yield from Put(self.offset, words).orders(spot)

    def c(self) -> str:
        """Return the statement."""
        return f'strcpy((char *)(scratch + {self.offset}), "{self.text}");'


class Touch(NamedTuple):
    """One access every `stride` bytes of some memory."""

    start: Word
    nbytes: Word
    stride: int = PAGE_SIZE

    def orders(self, spot: Spot) -> Iterator[str]:
        """Yield the order."""
        yield protocol.touch(spot.value(self.start), spot.value(self.nbytes), self.stride)

    def c(self) -> str:
        """Return the statement."""
        if self.nbytes == self.stride:
            return f"*(volatile char *){_c(self.start)} = 1;"
        return f"for (long i = 0; i < {_c(self.nbytes)}; i += {self.stride}) *(volatile char *)({_c(self.start)} + i) = 1;"


class File(NamedTuple):
    """A file in memory."""

    descriptor: int
    nbytes: Word

    def orders(self, spot: Spot) -> Iterator[str]:
        """Yield the order."""
        yield protocol.memory_file(self.descriptor, spot.value(self.nbytes))

    def c(self) -> str:
        """Return the statement."""
        return f'dup2(memfd_create("file", 0), {self.descriptor}); ftruncate({self.descriptor}, {_c(self.nbytes)});'


class Emptied(NamedTuple):
    """A file that has nothing in it, if there is one: to empty it would be work of the call's that writes it."""

    name: str

    def orders(self, spot: Spot) -> Iterator[str]:
        """Yield the orders; its name is in the scratch memory, which is there no longer than it takes."""
        yield from SCRATCH.orders(spot)
        yield from Text(0, self.name).orders(spot)
        yield from Sys("open", ("scratch", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), _EMPTIED).orders(spot)
        yield from Sys("close", (_EMPTIED,)).orders(spot)
        yield from Sys("munmap", ("scratch", SCRATCH_BYTES)).orders(spot)

    def c(self) -> str:
        """Return the statement."""
        return f'truncate("{self.name}", 0);'


class Limit(NamedTuple):
    """A resource limit."""

    resource: int
    nbytes: int

    def orders(self, spot: Spot) -> Iterator[str]:
        """Yield the order."""
        yield f"l 0 {self.resource:x} {self.nbytes:x}"

    def c(self) -> str:
        """Return the statement."""
        most = "RLIM_INFINITY" if self.nbytes == UNLIMITED else f"{self.nbytes}UL"
        return f"setrlimit({self.resource}, &(struct rlimit){{{most}, {most}}});"


class ReadAll(NamedTuple):
    """A file read to its end."""

    descriptor: int

    def orders(self, spot: Spot) -> Iterator[str]:
        """Yield the order."""
        yield protocol.read_to_end(self.descriptor, spot.scratch + PAGE_SIZE, SCRATCH_BYTES - PAGE_SIZE)

    def c(self) -> str:
        """Return the statement."""
        return f"while (read({self.descriptor}, (void *)(scratch + {PAGE_SIZE}), {SCRATCH_BYTES - PAGE_SIZE}) > 0);"


class Fork(NamedTuple):
    """A fork."""

    def orders(self, spot: Spot) -> Iterator[str]:
        """Yield the order."""
        yield protocol.fork(1)

    def c(self) -> str:
        """Return the statement."""
        return "if (fork() == 0) _exit(0);"


class Exit(NamedTuple):
    """The process's end."""

    def orders(self, spot: Spot) -> Iterator[str]:
        """Yield the order."""
        yield protocol.leave(0)

    def c(self) -> str:
        """Return the statement."""
        return "_exit(0);"


class Abort(NamedTuple):
    """The process's end by a signal that dumps core."""

    def orders(self, spot: Spot) -> Iterator[str]:
        """Yield the order."""
        yield protocol.any_call(NUMBERS["kill"], 0, _ABORT, own=True)

    def c(self) -> str:
        """Return the statement."""
        return "abort();"


class StartProgram(NamedTuple):
    """A program started by vfork and exec, and its end: this one's own, which ends at once without arguments."""

    path: int  # offset of its name in the scratch memory

    def orders(self, spot: Spot) -> Iterator[str]:
        """Yield the order."""
        yield protocol.start_program(spot.scratch + self.path, 0)

    def c(self) -> str:
        """Return the statement."""
        return 'if (vfork() == 0) { execl("/bin/true", "true", NULL); _exit(1); } wait(NULL);'


Step = Sys | Again | Put | Text | Touch | File | Emptied | Limit | ReadAll | Fork | Exit | Abort | StartProgram


def uses(steps: Sequence[Step], word: str) -> bool:
    """Tell whether steps name something."""
    return any(word in step.c() for step in steps)


def orders(steps: Sequence[Step], spot: Spot) -> Iterator[str]:
    """Yield the orders of steps, one after the other."""
    for step in steps:
        yield from step.orders(spot)


def _c(word: Word) -> str:
    """Return an argument as C."""
    if isinstance(word, str):
        return re.sub(r"([+*/])", r" \1 ", word)
    if PAGE_SIZE < word < 1 << 32 and word & (word - 1):
        return f"{word:#x}L"  # flags
    return f"{word}L" if -(1 << 63) <= word < 1 << 63 else f"{word}UL"
