"""The calls that are scanned: mapping, locking, processes, advice; by files, descriptors and devices: `more_calls`."""

from __future__ import annotations

from typing import Final

from bench.scan.call import Call
from bench.scan.layouts import ANON, ANONYMOUS, EVERY, PLAIN, RW, SPAN_LIMIT, TABLES, MiB
from bench.scan.more_calls import MORE
from bench.scan.steps import UNLIMITED, Abort, Emptied, Exit, Fork, Limit, StartProgram, Step, Sys, Text, Touch
from mmmodel import constants as const

POPULATED: Final = 16 * MiB  # of calls that bring every page
_BRINGS: Final = "every page is brought into memory"
_OVER: Final = const.MAP_PRIVATE | const.MAP_ANONYMOUS | const.MAP_NORESERVE | const.MAP_FIXED
_NONE, _READ = const.PROT_NONE, const.PROT_READ
_RLIMIT_CORE: Final = 4
_LOCK_ALL: Final = const.MCL_CURRENT | const.MCL_ONFAULT
_MAYMOVE, _MREMAP_FIXED, _DONTUNMAP = 1, 2, 4
_HIDDEN: Final = "page per GiB"  # 16 GiB, where a call visits them page by page: that hides what is in it
_TO_LOCK: Final = tuple(name for name in EVERY if "locked" not in name and name != _HIDDEN)
_FREE_RANGE: Final = ("none", "one page", "locked", "locked none", "huge page", "pages", "tables", "VMAs")

MAPPING: Final = (
    Call("mmap", Sys("mmap", ("target", "span", RW, ANON, -1, 0)), "of new memory", layouts=("rw",)),
    Call("mmap populate none", Sys("mmap", ("target", "span", _NONE, ANON | const.MAP_POPULATE, -1, 0)),
         "MAP_POPULATE of memory without access", layouts=("none",)),
    Call("mmap populate", Sys("mmap", ("target", "span", RW, ANON | const.MAP_POPULATE, -1, 0)),
         "MAP_POPULATE of memory read-write", layouts=("none",), most=POPULATED, nature=_BRINGS),
    Call("mmap over", Sys("mmap", ("start", "span", _NONE, _OVER, -1, 0)), "MAP_FIXED in the place of memory",
         layouts=_FREE_RANGE),
    Call("munmap", Sys("munmap", ("start", "span")), layouts=EVERY),
    Call("mprotect", Sys("mprotect", ("start", "span", _READ)), "to read-only", layouts=EVERY),
    Call("mprotect none", Sys("mprotect", ("start", "span", _NONE)), "to no access", layouts=_FREE_RANGE),
    Call("mprotect rw", Sys("mprotect", ("start", "span", RW)), "from no access to read-write", layouts=_FREE_RANGE),
    Call("mremap grow", Sys("mremap", ("start", "span", "span+span", 0)), "in its place",
         layouts=("none", "one page", "locked none", "pages", "tables")),
    Call("mremap move", Sys("mremap", ("start", "span", "span", _MAYMOVE | _MREMAP_FIXED, "target")), "to free addresses",
         layouts=tuple(name for name in EVERY if name != "VMAs")),
    Call("mremap dontunmap", Sys("mremap", ("start", "span", "span", _MAYMOVE | _MREMAP_FIXED | _DONTUNMAP, "target")),
         "the pages move, the mapping stays", layouts=("none", "one page", "pages", "tables")),
    Call("msync", Sys("msync", ("start", "span", 4)), "MS_SYNC", layouts=(*PLAIN, "shared file")),
    Call("mseal", Sys("mseal", ("start", "span", 0)), "no more changes", layouts=PLAIN),
)  # fmt: skip

LOCKING: Final = (
    Call("mlock none", Sys("mlock", ("start", "span")), "of memory without access: it fails after its work", layouts=("none",),
         fine=frozenset({"ENOMEM"})),
    Call("mlock", Sys("mlock", ("start", "span")), "of memory read-write", layouts=("rw", "pages", "VMAs"), most=POPULATED,
         nature=_BRINGS),
    Call("mlock2 onfault", Sys("mlock2", ("start", "span", 1)), "pages are locked as they come", layouts=_TO_LOCK),
    Call("munlock", Sys("munlock", ("start", "span")), layouts=EVERY),
    Call("mlockall", Sys("mlockall", (const.MCL_CURRENT,)), "of memory without access", layouts=("none",)),
    Call("mlockall onfault", Sys("mlockall", (_LOCK_ALL,)), "pages are locked as they come", layouts=_TO_LOCK),
    Call("munlockall", Sys("munlockall"), layouts=EVERY),
)  # fmt: skip

_TO_DUMP: Final = (Limit(_RLIMIT_CORE, UNLIMITED), Emptied("core"))
_DUMPED: Final = tuple(name for name in ANONYMOUS if name != _HIDDEN)
PROCESSES: Final = (
    Call("fork", Fork(), layouts=EVERY),
    Call("vfork + exec", StartProgram(0), "another program, until its end", (Text(0, "/proc/self/exe"),), layouts=PLAIN),
    Call("exec", Sys("execve", ("scratch", 0, 0)), "in the place of this program", (Text(0, "/proc/self/exe"),),
         layouts=_FREE_RANGE, dies=True),
    Call("exit", Exit(), layouts=EVERY, dies=True),
    Call("core dump", Abort(), "the end by SIGABRT, into a file", _TO_DUMP,
         layouts=_DUMPED, dies=True, lasts=True, only_in="core file"),
    Call("core dump mapped", Abort(), "of a file in memory that is mapped", _TO_DUMP,
         layouts=("shared file", "private file"), most=POPULATED, nature=f"{_BRINGS} and written",
         dies=True, lasts=True, only_in="core file"),
)  # fmt: skip


def _advice(
    name: str,
    number: int,
    layouts: tuple[str, ...],
    *,
    before: tuple[Step, ...] = (),
    most: int = SPAN_LIMIT,
    nature: str = "",
    fine: frozenset[str] = frozenset(),
    most_tables: int = TABLES[-1],
) -> Call:
    """Return the call that gives one advice: a kernel that knows it takes it of nothing, too."""
    measured, exists = (Sys("madvise", ("start", nbytes, number)) for nbytes in ("span", 0))
    return Call(f"madvise {name}", measured, "", before, (exists,), layouts, most, most_tables, nature, fine)


FLAGS: Final = ("none", "one page", "VMAs")  # of a call that changes flags of VMAs
_UNLOCKED: Final = ("none", "one page", "huge page", "pages", "tables", "VMAs")
_WRITTEN: Final = Touch("start", 4096)  # or it would be the page of zeros, which all processes share
_ONE_PAGE: Final = Sys("madvise", ("start", 4096, 101))
ADVICE: Final = (
    _advice("normal", 0, FLAGS),
    _advice("random", 1, FLAGS),
    _advice("sequential", 2, FLAGS),
    _advice("willneed", 3, (*PLAIN, "shared file", "private file")),
    _advice("dontneed", 4, (*_UNLOCKED, "shared file", "private file")),
    _advice("free", 8, _UNLOCKED),
    _advice("remove", 9, ("shared file",)),
    _advice("dontfork", 10, FLAGS),
    _advice("dofork", 11, FLAGS),
    _advice("mergeable", 12, _UNLOCKED),
    _advice("unmergeable", 13, _UNLOCKED, before=(Sys("madvise", ("start", "span", 12)),)),
    _advice("hugepage", 14, FLAGS),
    _advice("nohugepage", 15, FLAGS),
    _advice("dontdump", 16, FLAGS),
    _advice("dodump", 17, FLAGS),
    _advice("wipeonfork", 18, FLAGS),
    _advice("keeponfork", 19, FLAGS),
    _advice("cold", 20, _UNLOCKED),
    _advice("pageout", 21, _UNLOCKED),
    _advice("populate_read none", 22, ("none",), fine=frozenset({"EFAULT", "ENOMEM", "EINVAL"})),
    _advice("populate_read", 22, ("rw",), most=POPULATED, nature=_BRINGS),
    _advice("populate_write", 23, ("rw",), most=POPULATED, nature=_BRINGS),
    _advice("dontneed_locked", 24, ("locked", "locked none", "locked pages", "tables")),
    # A huge page is made for each table: 128 MiB.
    _advice("collapse", 25, _UNLOCKED, fine=frozenset({"EINVAL", "EAGAIN", "ENOMEM", "EBUSY"}), most_tables=64),
    _advice("guard_install", 102, ("rw",), most=POPULATED, nature="an entry is written for every page"),
    _advice("guard_remove", 103, ("one page", "pages", "tables")),
    Call("madvise soft_offline", _ONE_PAGE, "one page is taken out of use", (_WRITTEN,),
         exists=(Sys("madvise", ("start", 0, 101)),), layouts=("one page", "VMAs"), needs="CAP_SYS_ADMIN", only_in="guest",
         fine=frozenset({"EBUSY", "EIO"})),
    Call("madvise hwpoison", Sys("madvise", ("start", 4096, 100)), "one page fails", (_WRITTEN,),
         exists=(Sys("madvise", ("start", 0, 100)),), layouts=("one page", "VMAs"), needs="CAP_SYS_ADMIN", only_in="guest",
         fine=frozenset({"EBUSY", "EIO"})),
)  # fmt: skip

CALLS: Final = {one.name: one for one in (*MAPPING, *LOCKING, *PROCESSES, *ADVICE, *MORE)}
