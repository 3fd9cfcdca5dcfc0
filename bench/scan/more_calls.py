"""The calls that are scanned, of files, descriptors, other processes and devices."""

from __future__ import annotations

from typing import Final

from bench.scan.call import Call
from bench.scan.layouts import FILE, FIXED, PLAIN, RW, GiB, MiB
from bench.scan.steps import File, Put, ReadAll, Sys, Text, Touch
from mmmodel import constants as const

# Descriptors of the guest's program; those of files in memory come first.
PROC, PIDFD, UFFD, SWAP = 110, 111, 112, 113
SWAP_DEVICE: Final = "/dev/nvme0n1"
_RDONLY, _WRONLY = 0, 1
_PM_SCAN: Final = 0xC0606610  # PAGEMAP_SCAN, linux/fs.h
_UFFD_API, _UFFD_REGISTER, _UFFD_UNREGISTER, _UFFD_PROTECT = 0xC018AA3F, 0xC020AA00, 0x8010AA01, 0xC018AA06
_API, _MISSING, _WP = 0xAA, 1, 2
_WP_UNPOPULATED: Final = 1 << 13  # a feature: absent pages are write-protected, too
_PR_ANON_NAME, _PR_MERGE = 0x53564D41, 67
_BIND, _MOVE = 2, 2
_REGISTERED: Final = ("none", "one page", "pages", "tables", "VMAs")
_FREE_ADDRESS: Final = ("rw", "one page", "pages", "tables")
SEEN: Final = ("none", "one page", "locked", "shared file", "pages", "tables", "VMAs")
WALKED: Final = ("none", "one page", "pages", "tables", "VMAs")
_BUFFER: Final = 4096  # offset in the scratch memory of what calls write
_FILE_CUT: Final = File(FILE, "span+4096"), Sys("mmap", ("target", "span+4096", RW, const.MAP_SHARED | FIXED, FILE, 0))
_KSM: Final = "/sys/kernel/mm/ksm/run"


def _proc(name: str, *flags: int) -> tuple[Text, Sys]:
    """Return the steps that open a file of the process's own in /proc."""
    return Text(0, f"/proc/self/{name}"), Sys("open", ("scratch", *(flags or (_RDONLY,))), PROC)


def _reading(name: str, layouts: tuple[str, ...] = SEEN) -> Call:
    """Return the call that reads such a file to its end."""
    return Call(name, ReadAll(PROC), f"/proc/PID/{name} read to its end", _proc(name), layouts=layouts)


_PIDFD: Final = Sys("pidfd_open", (0, 0), PIDFD, own=True)
_MOST_IOVEC: Final = 3 * GiB // 2  # a call takes less than 2 GiB of an iovec
_IOVEC: Final = Put(_BUFFER, ("start", "span"))


def _process_advice(name: str, number: int) -> Call:
    """Return the call that gives advice by a descriptor of the process."""
    advise = Sys("process_madvise", (PIDFD, f"scratch+{_BUFFER}", 1, number, 0))
    return Call(
        f"process_madvise {name}",
        advise,
        "by a pidfd",
        (_PIDFD, _IOVEC),
        most=_MOST_IOVEC,
        layouts=("none", *_FREE_ADDRESS, "VMAs"),
    )


PROC_FILES: Final = (
    _reading("smaps"),
    _reading("smaps_rollup"),
    _reading("numa_maps"),
    _reading("maps", PLAIN),
    _reading("status", PLAIN),
    Call("pagemap", Sys("pread64", (PROC, f"scratch+{_BUFFER}", "pages*8", "start/4096*8")), "read of the whole span",
         _proc("pagemap"), layouts=("none", "one page", "pages"), most=4 * GiB, nature="a word is returned for every page"),
    Call("pagemap_scan", Sys("ioctl", (PROC, _PM_SCAN, "scratch")), "of pages that are present",
         (*_proc("pagemap"), Put(0, (96, 0, "start", "start+span", 0, f"scratch+{_BUFFER}", 1 << 16, 0, 0, 8, 0, 8))),
         layouts=WALKED),
    Call("clear_refs", Sys("write", (PROC, "scratch", 1)), "the accessed bits of all memory",
         (*_proc("clear_refs", _WRONLY), Text(0, "1")), layouts=SEEN),
    Call("clear_refs soft-dirty", Sys("write", (PROC, "scratch", 1)), "the soft-dirty bits of all memory",
         (*_proc("clear_refs", _WRONLY), Text(0, "4")), layouts=("none", "one page", "pages", "tables", "VMAs")),
)  # fmt: skip

MEMORY: Final = (
    Call("mincore", Sys("mincore", ("start", "span", f"scratch+{_BUFFER}")), layouts=("none", "one page", "pages", "tables"),
         most=4 * GiB, nature="a byte is returned for every page"),
    Call("process_vm_readv", Sys("process_vm_readv", (0, "scratch", 1, "scratch+16", 1, 0), own=True), "of memory read-write",
         (Put(0, ("target", "span", "start", "span")),
          Sys("mmap", ("target", "span", RW, const.MAP_PRIVATE | const.MAP_ANONYMOUS | FIXED, -1, 0))),
         layouts=("rw",), most=16 * MiB, nature="every page is copied"),
    Call("process_vm_readv none", Sys("process_vm_readv", (0, "scratch", 1, "scratch+16", 1, 0), own=True),
         "of memory without access", (Put(0, ("target", "span", "start", "span")),), layouts=("none",), most=GiB,
         fine=frozenset({"EFAULT"})),
    Call("mbind", Sys("mbind", ("start", "span", _BIND, "scratch", 64, _MOVE)), "to a node, moving pages", (Put(0, (1,)),),
         layouts=WALKED),
    Call("move_pages", Sys("move_pages", (0, "pages", f"scratch+{_BUFFER}", 0, f"scratch+{1 << 25}", 0)),
         "asked for where pages are", layouts=("one page",), most=GiB, nature="a word is returned for every page"),
    Call("migrate_pages", Sys("migrate_pages", (0, 64, "scratch", "scratch+8")), "of this process, to the other node",
         (Put(0, (1, 2)),), layouts=WALKED, only_in="nodes"),
    _process_advice("cold", 20),
    _process_advice("pageout", 21),
    Call("prctl anon_name", Sys("prctl", (_PR_ANON_NAME, 0, "start", "span", "scratch")), "a name for memory",
         (Text(0, "name"),), layouts=PLAIN),
    Call("prctl memory_merge off", Sys("prctl", (_PR_MERGE, 0, 0, 0, 0)), "KSM for a whole process, no more",
         (Sys("prctl", (_PR_MERGE, 1, 0, 0, 0)),), layouts=PLAIN, needs="CAP_SYS_RESOURCE"),
    Call("ksm unmerge", Sys("write", (PROC, "scratch", 1)), "2 written to /sys/kernel/mm/ksm/run",
         (Sys("madvise", ("start", "span", 12)), Text(0, _KSM), Sys("open", ("scratch", _WRONLY), PROC), Text(0, "2")),
         layouts=PLAIN, needs="root", only_in="guest"),
)  # fmt: skip

_UFFD_OPEN: Final = (
    Sys("userfaultfd", (0,), UFFD),
    Put(0, (_API, _WP_UNPOPULATED, 0)),
    Sys("ioctl", (UFFD, _UFFD_API, "scratch")),
)
_UFFD_OPEN_PLAIN: Final = (Sys("userfaultfd", (0,), UFFD), Put(0, (_API, 0, 0)), Sys("ioctl", (UFFD, _UFFD_API, "scratch")))
_REGISTER_WP: Final = (Put(0, ("start", "span", _WP, 0)), Sys("ioctl", (UFFD, _UFFD_REGISTER, "scratch")))
_PROTECT: Final = Sys("ioctl", (UFFD, _UFFD_PROTECT, "scratch"))
_PRIVILEGE: Final = "CAP_SYS_PTRACE"
DESCRIPTORS: Final = (
    Call("userfaultfd register", Sys("ioctl", (UFFD, _UFFD_REGISTER, "scratch")), "for missing pages",
         (*_UFFD_OPEN_PLAIN, Put(0, ("start", "span", _MISSING, 0))), layouts=_REGISTERED, needs=_PRIVILEGE),
    Call("userfaultfd unregister", Sys("ioctl", (UFFD, _UFFD_UNREGISTER, "scratch")), "",
         (*_UFFD_OPEN_PLAIN, *_REGISTER_WP, Put(0, ("start", "span"))), layouts=_REGISTERED, needs=_PRIVILEGE),
    Call("userfaultfd protect", _PROTECT, "write-protects what is there",
         (*_UFFD_OPEN_PLAIN, *_REGISTER_WP, Put(0, ("start", "span", 1))), layouts=_FREE_ADDRESS, needs=_PRIVILEGE),
    Call("userfaultfd protect all", _PROTECT, "and what is not there",
         (*_UFFD_OPEN, *_REGISTER_WP, Put(0, ("start", "span", 1))), layouts=_FREE_ADDRESS, most=64 * MiB, needs=_PRIVILEGE,
         nature="an entry is written for every page"),
)  # fmt: skip

FILES: Final = (
    Call("ftruncate", Sys("ftruncate", (FILE, 4096)), "of a sparse file that is mapped",
         (*_FILE_CUT, Touch("target", 4096)), layouts=("none",)),
    Call("fallocate punch", Sys("fallocate", (FILE, 3, 4096, "span")), "a hole in a sparse file that is mapped",
         (*_FILE_CUT, Touch("target", 4096)), layouts=("none",)),
    Call("swapoff", Sys("swapoff", ("scratch",)), "with one page of the process in swap",
         (Text(0, SWAP_DEVICE), Sys("swapon", ("scratch", 0)), Sys("madvise", ("start", 4096, 21))),
         layouts=("one page", "tables", "VMAs"), needs="CAP_SYS_ADMIN", only_in="swap"),
    Call("cgroup reclaim", Sys("write", (PROC, f"scratch+{_BUFFER}", 2)), "memory.reclaim of its group, one page",
         (Text(0, "none"), Text(64, "/group"), Text(128, "cgroup2"), Sys("mkdir", ("scratch+64", 0o755)),
          Sys("mount", ("scratch", "scratch+64", "scratch+128", 0, 0)),
          Text(0, "/group/cgroup.subtree_control"), Sys("open", ("scratch", _WRONLY), PROC), Text(0, "+memory"),
          Sys("write", (PROC, "scratch", 7)), Text(0, "/group/one"), Sys("mkdir", ("scratch", 0o755)),
          Text(0, "/group/one/cgroup.procs"), Sys("open", ("scratch", _WRONLY), PROC), Text(0, "0"),
          Sys("write", (PROC, "scratch", 1)), Text(0, "/group/one/memory.reclaim"), Sys("open", ("scratch", _WRONLY), PROC),
          Text(_BUFFER, "4K")),
         layouts=("none", "one page", "pages", "tables", "VMAs"), fine=frozenset({"EAGAIN"}), needs="root", only_in="guest"),
)  # fmt: skip

MORE: Final = (*PROC_FILES, *MEMORY, *DESCRIPTORS, *FILES)
