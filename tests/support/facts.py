"""Words that the tests of kernel facts are written in, for any object with the public API of the model."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from mmmodel.kernels import V6_1, V6_12, kernel_of
from oracle import constants as c

PAGE = c.PAGE_SIZE
BASE = 0x10_0000_0000  # 2 MiB aligned
RW, READ, NONE = c.PROT_READ | c.PROT_WRITE, c.PROT_READ, 0
FIXED = c.MAP_FIXED_NOREPLACE
EVENT = {
    "mlock": "nr_mlock",
    "unev": "nr_unevictable",
    **{name: f"unevictable_pgs_{name}" for name in ("culled", "rescued", "mlocked", "munlocked", "cleared", "stranded")},
}


def map_anon(mm: Any, nr_pages: int, prot: int = RW, *, at: int = BASE, flags: int = c.MAP_PRIVATE) -> int:
    """Anonymous memory at a page boundary; returns its address."""
    return int(mm.mmap(at, nr_pages * PAGE, prot, flags | FIXED | c.MAP_ANONYMOUS))


def map_file(mm: Any, file: Any, nr_pages: int, prot: int = RW, *, at: int = BASE, flags: int = c.MAP_SHARED) -> int:
    """The first pages of a file; returns the address."""
    return int(mm.mmap(at, nr_pages * PAGE, prot, flags | FIXED, file=file))


def changes(mm: Any, *calls: Callable[[], object]) -> dict[str, int]:
    """What the calls add to vmstat, under the short names of EVENT, zeros left out. They may fail."""
    before = mm.vmstat()
    for call in calls:
        try:
            call()
        except OSError:
            continue
    after = mm.vmstat()
    return {short: after[name] - before[name] for short, name in EVENT.items() if after[name] != before[name]}


def error_of(call: Callable[[], object]) -> str:
    """Name of the error that a call gives, or 'ok'."""
    try:
        call()
    except OSError as exc:
        return errno.errorcode[exc.errno or 0]
    return "ok"


def areas(mm: Any, start: int = BASE) -> list[tuple[int, int, bool]]:
    """VMAs as (first page from `start`, pages, locked)."""
    return [((v.start - start) // PAGE, (v.end - v.start) // PAGE, v.locked) for v in mm.smaps()]


def rss_pages(mm: Any) -> int:
    """Resident pages, zero pages not among them."""
    return int(sum(vma.rss_kb for vma in mm.smaps()) // 4)


def forget_cap(mm: Any, nbytes: int) -> None:
    """An ordinary program with that RLIMIT_MEMLOCK."""
    mm.setrlimit_memlock(nbytes)
    mm.drop_cap_ipc_lock()


# columns of kernel facts, and event vectors

Vector = dict[str, int]


def of(impl: str, old: Any, new: Any, *newest: Any) -> Any:
    """The column of the kernel that `impl` behaves like: 5.10, 6.1, and 6.12 where that has one of its own."""
    if newest and kernel_of(impl).version >= V6_12:
        return newest[0]
    return new if kernel_of(impl).version >= V6_1 else old


def all_of(nr: int, *names: str) -> Vector:
    """The same change of several counters."""
    return dict.fromkeys(names, nr)


def locked(nr: int) -> Vector:
    """Pages newly mlocked and culled."""
    return all_of(nr, "mlock", "unev", "culled", "mlocked")


def locked_huge_page(impl: str) -> list[tuple[int, int, str]]:
    """What kpageflags shows of an mlocked huge page: 6.12 the flags of the folio at each page, the others at its head."""
    return list(of(impl, *2 * ([(0, 1, "PMUT"), (1, 511, "PT")],), [(0, 512, "PMUT")]))


def unlocked(nr: int) -> Vector:
    """Pages munlocked and rescued."""
    return {"mlock": -nr, "unev": -nr, "rescued": nr, "munlocked": nr}
