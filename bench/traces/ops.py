"""The ops of traces: one call each, of one of several processes.

Addresses and lengths are hexadecimal strings, in bytes: any 64-bit words. Flags are numbers, as the call takes them, but for
mmap's, which are words.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from mmmodel.constants import PAGE_SIZE
from mmmodel.sizes import parse_bytes

MAX_OPS: Final = 100_000  # of one trace
MAX_PROCESSES: Final = 8  # of one trace, those included that have ended
MAX_FILES: Final = 16

Hex = Annotated[str, Meta(pattern=r"^0x[0-9a-f]{1,16}\Z")]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")]
Flags = Annotated[int, Meta(ge=-(1 << 31), lt=1 << 31)]  # a C int
Process = Annotated[int, Meta(ge=0, lt=MAX_PROCESSES)]
FileNumber = Annotated[int, Meta(ge=0, lt=MAX_FILES)]
Prot = Literal["none", "r", "rw"]
MapFlag = Literal["fixed", "noreserve", "locked", "populate", "shared"]
# Sizes of large anonymous folios below a huge page (mTHP), each of which a kernel may be allowed to use.
FolioSize = Literal["16KiB", "32KiB", "64KiB", "128KiB", "256KiB", "512KiB", "1MiB"]
# Advice that the model has; what it refuses has no word here.
Advice = Literal[
    "normal",
    "random",
    "sequential",
    "willneed",
    "dontneed",
    "free",
    "remove",
    "dontfork",
    "dofork",
    "mergeable",
    "unmergeable",
    "hugepage",
    "nohugepage",
    "dontdump",
    "dodump",
    "wipeonfork",
    "keeponfork",
    "dontneed_locked",
]


class _Op(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", omit_defaults=True, kw_only=True):
    """One call. The tag of a class is the word in its field `op`."""

    proc: Process = 0  # who calls; 0 is there from the start, the others are forked


class SpanOp(_Op, frozen=True, forbid_unknown_fields=True, tag_field="op", omit_defaults=True):
    """A call on a range of addresses."""

    addr: Hex
    len: Hex

    @property
    def start(self) -> int:
        """Address in bytes."""
        return int(self.addr, 16)

    @property
    def nbytes(self) -> int:
        """Length in bytes."""
        return int(self.len, 16)


class Mmap(SpanOp, frozen=True, tag="mmap"):
    """mmap(): MAP_PRIVATE and MAP_FIXED_NOREPLACE unless flags say otherwise; anonymous, or `file` from a place in it on."""

    prot: Prot
    flags: tuple[MapFlag, ...]
    file: FileNumber | None = None
    offset: Hex = "0x0"


class Munmap(SpanOp, frozen=True, tag="munmap"):
    """munmap()."""


class Mlock(SpanOp, frozen=True, tag="mlock"):
    """mlock()."""


class Munlock(SpanOp, frozen=True, tag="munlock"):
    """munlock()."""


class Mlock2(SpanOp, frozen=True, tag="mlock2"):
    """mlock2()."""

    flags: Flags


class Mprotect(SpanOp, frozen=True, tag="mprotect"):
    """mprotect()."""

    prot: Prot


class Mremap(SpanOp, frozen=True, tag="mremap"):
    """mremap(): to `to` where flags have MREMAP_FIXED."""

    new_len: Hex
    flags: Flags
    to: Hex = "0x0"

    @property
    def new_nbytes(self) -> int:
        """New length in bytes."""
        return int(self.new_len, 16)

    @property
    def target(self) -> int:
        """New address in bytes."""
        return int(self.to, 16)


class Touch(SpanOp, frozen=True, tag="touch"):
    """One access every `stride` bytes."""

    access: Literal["read", "write"]
    stride: Annotated[int, Meta(ge=1, lt=1 << 47)] = PAGE_SIZE


class MadviseDontneed(SpanOp, frozen=True, tag="madvise_dontneed"):
    """madvise(MADV_DONTNEED)."""


class Madvise(SpanOp, frozen=True, tag="madvise"):
    """madvise() with the advice of that name."""

    advice: Advice


class Msync(SpanOp, frozen=True, tag="msync"):
    """msync()."""

    flags: Flags


class Mlockall(_Op, frozen=True, tag="mlockall"):
    """mlockall()."""

    flags: Flags


class Munlockall(_Op, frozen=True, tag="munlockall"):
    """munlockall()."""


class RlimitMemlock(_Op, frozen=True, tag="rlimit_memlock"):
    """setrlimit(RLIMIT_MEMLOCK), soft and hard limit."""

    bytes: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class DropCapIpcLock(_Op, frozen=True, tag="drop_cap_ipc_lock"):
    """CAP_IPC_LOCK is given up."""


class Fork(_Op, frozen=True, tag="fork"):
    """fork(): the child has this number from then on."""

    child: Annotated[int, Meta(ge=1, lt=MAX_PROCESSES)]


class Exit(_Op, frozen=True, tag="exit"):
    """exit(): the process ends."""


class _FileOp(_Op, frozen=True, forbid_unknown_fields=True, tag_field="op", omit_defaults=True):
    """A call on a file that the process has open."""

    file: FileNumber


class MakeFile(_FileOp, frozen=True, tag="file"):
    """A file in memory, of tmpfs, is made; its process has it open, and so has what that forks from then on."""

    len: Hex


class Ftruncate(_FileOp, frozen=True, tag="ftruncate"):
    """ftruncate()."""

    len: Hex


class PunchHole(_FileOp, frozen=True, tag="punch_hole"):
    """fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)."""

    offset: Hex
    len: Hex


Op = (
    Mmap
    | Munmap
    | Mlock
    | Munlock
    | Mlock2
    | Mprotect
    | Touch
    | MadviseDontneed
    | Mlockall
    | Munlockall
    | RlimitMemlock
    | DropCapIpcLock
    | Mremap
    | Madvise
    | Msync
    | Fork
    | Exit
    | MakeFile
    | Ftruncate
    | PunchHole
)
_OP_CLASSES: Final[tuple[type[_Op], ...]] = Op.__args__
OP_NAMES: Final = tuple(str(one.__struct_config__.tag) for one in _OP_CLASSES)


def op_name(op: Op) -> str:
    """Return the word that an op has in its field `op`."""
    return str(op.__struct_config__.tag)


class Trace(Struct, frozen=True, omit_defaults=True):
    """A sequence of calls, and the addresses [start, end) at which their effect is looked at."""

    name: Name
    window: tuple[Hex, Hex]
    ops: Annotated[tuple[Op, ...], Meta(max_length=MAX_OPS)]
    mthp: tuple[FolioSize, ...] = ()  # sizes of large anonymous folios that the machine is set to use, beside --thp

    @property
    def folio_bytes(self) -> tuple[int, ...]:
        """The sizes of `mthp` in bytes."""
        return tuple(map(parse_bytes, self.mthp))

    @property
    def span(self) -> tuple[int, int]:
        """The window in bytes."""
        return int(self.window[0], 16), int(self.window[1], 16)

    @property
    def locks_all(self) -> bool:
        """Whether it calls mlockall() or munlockall(), so that the program's own pages are in the figures."""
        return any(isinstance(op, Mlockall | Munlockall) for op in self.ops)

    @property
    def forks(self) -> bool:
        """Whether there is ever more than one process."""
        return any(isinstance(op, Fork) for op in self.ops)
