"""Assertions of the Linux Test Project about the mlock family: testcases/kernel/syscalls and open_posix."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from oracle import constants as c
from support.facts import BASE, PAGE, READ, RW, error_of, forget_cap, map_anon, map_file, rss_pages

MakeMm = Callable[..., Any]
SIZES = [1, 1024, 1 << 20, 10 << 20]


@pytest.fixture
def mm(make_mm: MakeMm, impl: str) -> Any:
    """An empty address space."""
    return make_mm(impl)


@pytest.mark.parametrize("length", SIZES)
def test_mlock01_munlock01(mm: Any, length: int) -> None:
    """mlock01, munlock01: both return 0 for root."""
    map_anon(mm, -(-length // PAGE))
    mm.mlock(BASE, length)
    assert mm.locked_vm == -(-length // PAGE)
    mm.munlock(BASE, length)
    assert mm.locked_vm == 0


def test_mlock02(mm: Any) -> None:
    """mlock02: not mapped; beyond the limit; a limit of 0."""
    assert error_of(lambda: mm.mlock(BASE, PAGE)) == "ENOMEM"
    map_anon(mm, 1)
    forget_cap(mm, PAGE - 1)
    assert error_of(lambda: mm.mlock(BASE, PAGE)) == "ENOMEM"
    mm.setrlimit_memlock(0)
    assert error_of(lambda: mm.mlock(BASE, PAGE)) == "EPERM"


def test_mlock03(mm: Any) -> None:
    """mlock03: mlock and munlock of every mapping does not shrink any."""
    for i, prot in enumerate((READ, RW, 0, RW)):
        map_anon(mm, 3, prot, at=BASE + 4 * i * PAGE)
    before = [(vma.start, vma.end) for vma in mm.smaps()]
    for start, end in before:
        error_of(partial(mm.mlock, start, end - start))
        error_of(partial(mm.munlock, start, end - start))
    assert [(vma.start, vma.end) for vma in mm.smaps()] == before


def test_mlock04(mm: Any) -> None:
    """mlock04: a shared file mapping that may only be written."""
    map_file(mm, mm.create_file(40960), 10, c.PROT_WRITE)
    mm.mlock(BASE, 40960)
    assert rss_pages(mm) == 10
    mm.munlock(BASE, 40960)


def test_mlock05(mm: Any) -> None:
    """mlock05: PROT_WRITE memory is all resident and all Locked."""
    map_anon(mm, 256, c.PROT_WRITE)
    mm.mlock(BASE, 1 << 20)
    assert [(vma.rss_kb, vma.locked_kb) for vma in mm.smaps()] == [(1024, 1024)]


@pytest.mark.parametrize(
    ("touched", "length", "flags", "nr_locked", "present"),
    [
        (0, PAGE, 0, 1, 1),
        (0, 8 * PAGE, 0, 8, 8),
        (0, 2 * PAGE + 1, 0, 3, 3),
        (0, 2 * PAGE - 1, 0, 2, 2),
        (0, PAGE, c.MLOCK_ONFAULT, 1, 0),
        (4, 8 * PAGE, c.MLOCK_ONFAULT, 8, 4),
        (1, 4 * PAGE + 1, c.MLOCK_ONFAULT, 5, 1),
        (4, 4 * PAGE - 1, c.MLOCK_ONFAULT, 4, 4),
    ],
)
def test_mlock201(mm: Any, touched: int, length: int, flags: int, nr_locked: int, present: int) -> None:
    """mlock201: VmLck and present pages of eight shared anonymous pages."""
    map_anon(mm, 8, flags=c.MAP_SHARED)
    if touched:
        mm.touch(BASE, touched * PAGE, "write")
    mm.mlock2(BASE, length, flags)
    assert (mm.locked_vm, rss_pages(mm)) == (nr_locked, present)


def test_mlock202(mm: Any) -> None:
    """mlock202: unknown flags; not mapped; beyond the limit; a limit of 0."""
    map_anon(mm, 1)
    assert error_of(lambda: mm.mlock2(BASE, PAGE, -1)) == "EINVAL"
    assert error_of(lambda: mm.mlock2(BASE + PAGE, PAGE, 0)) == "ENOMEM"
    forget_cap(mm, 4095)
    assert error_of(lambda: mm.mlock2(BASE, PAGE, 0)) == "ENOMEM"
    mm.setrlimit_memlock(0)
    assert error_of(lambda: mm.mlock2(BASE, PAGE, 0)) == "EPERM"


def test_mlock203(mm: Any) -> None:
    """mlock203: ONFAULT counts in VmLck, a plain lock on top of it adds nothing."""
    map_anon(mm, 1)
    for flags in (c.MLOCK_ONFAULT, 0):
        mm.mlock2(BASE, PAGE, flags)
        assert mm.locked_vm == 1


@pytest.mark.parametrize("flags", [c.MCL_CURRENT, c.MCL_FUTURE, c.MCL_CURRENT | c.MCL_FUTURE])
def test_mlockall01(mm: Any, flags: int) -> None:
    """mlockall01: returns 0 for root."""
    map_anon(mm, 4)
    mm.mlockall(flags)


def test_mlockall02_mlockall03(mm: Any) -> None:
    """mlockall02, mlockall03: beyond the limit; a limit of 0; no flags; unknown flags."""
    map_anon(mm, 4)
    assert error_of(lambda: mm.mlockall(0)) == "EINVAL"
    assert error_of(lambda: mm.mlockall(~(c.MCL_CURRENT | c.MCL_FUTURE))) == "EINVAL"
    forget_cap(mm, 7)
    assert error_of(lambda: mm.mlockall(c.MCL_CURRENT)) == "ENOMEM"
    mm.setrlimit_memlock(0)
    assert error_of(lambda: mm.mlockall(c.MCL_CURRENT)) == "EPERM"


def test_munlock02(mm: Any) -> None:
    """munlock02: starting in a hole."""
    map_anon(mm, 8)
    mm.mlock(BASE, 8 * PAGE)
    mm.munmap(BASE + 2 * PAGE, 4 * PAGE)
    assert error_of(lambda: mm.munlock(BASE + 2 * PAGE, 8 * PAGE)) == "ENOMEM"


def test_munlockall01(mm: Any) -> None:
    """munlockall01: VmLck is 0, more than 0, and 0 again."""
    map_anon(mm, 4)
    assert mm.locked_vm == 0
    mm.mlockall(c.MCL_CURRENT | c.MCL_FUTURE)
    assert mm.locked_vm > 0
    mm.munlockall()
    assert mm.locked_vm == 0


def test_mmap14(mm: Any) -> None:
    """mmap14: MAP_LOCKED raises VmLck by the size of the mapping."""
    map_anon(mm, 256, flags=c.MAP_PRIVATE | c.MAP_LOCKED)
    assert mm.locked_vm == 256


def test_msync03(mm: Any) -> None:
    """msync03: MS_INVALIDATE of a MAP_LOCKED mapping is EBUSY; wrong flags, not aligned, not mapped."""
    map_file(mm, mm.create_file(4 * PAGE), 4, flags=c.MAP_SHARED | c.MAP_LOCKED)
    assert error_of(lambda: mm.msync(BASE, 4 * PAGE, c.MS_INVALIDATE)) == "EBUSY"
    assert error_of(lambda: mm.msync(BASE, 4 * PAGE, c.MS_SYNC)) == "ok"
    assert error_of(lambda: mm.msync(BASE, 4 * PAGE, c.MS_ASYNC | c.MS_SYNC)) == "EINVAL"
    assert error_of(lambda: mm.msync(BASE, 4 * PAGE, 8)) == "EINVAL"
    assert error_of(lambda: mm.msync(BASE + 1, 4 * PAGE, c.MS_SYNC)) == "EINVAL"
    assert error_of(lambda: mm.msync(BASE + 8 * PAGE, PAGE, c.MS_SYNC)) == "ENOMEM"


@pytest.mark.parametrize("by_mmap", [True, False])
def test_memcg_stat_test(mm: Any, by_mmap: bool) -> None:
    """memcg_stat_test 3 and 4: unevictable is the size of what was locked (once the batches are empty)."""
    map_anon(mm, 33, flags=c.MAP_PRIVATE | (c.MAP_LOCKED if by_mmap else 0))
    if not by_mmap:
        mm.mlock(BASE, 33 * PAGE)
    mm.lru_add_drain_all()
    assert mm.vmstat()["nr_unevictable"] == 33


LONG_MAX_PAGE = (2**63 - 1) & ~(PAGE - 1)


def test_open_posix_mlock(mm: Any) -> None:
    """open_posix mlock 5-1, 8-1, 10-1, 12-1."""
    map_anon(mm, 1)
    mm.mlock(BASE, PAGE)
    assert error_of(lambda: mm.mlock(LONG_MAX_PAGE, 8)) == "ENOMEM"
    assert error_of(lambda: mm.mlock(BASE + 1, PAGE - 1)) in ("ok", "EINVAL")
    forget_cap(mm, 0)
    assert error_of(lambda: mm.mlock(BASE, PAGE)) == "EPERM"


@pytest.mark.parametrize("shm", [True, False])
def test_open_posix_mlockall_and_msync(mm: Any, shm: bool) -> None:
    """open_posix mlockall 3-6 (shared memory) and 3-7 (a file): what is locked cannot be invalidated."""
    if shm:
        map_anon(mm, 1, flags=c.MAP_SHARED)
    else:
        map_file(mm, mm.create_file(PAGE), 1)
    mm.msync(BASE, PAGE, c.MS_SYNC | c.MS_INVALIDATE)
    mm.mlockall(c.MCL_CURRENT)
    assert error_of(lambda: mm.msync(BASE, PAGE, c.MS_SYNC | c.MS_INVALIDATE)) == "EBUSY"


def test_open_posix_munlock(mm: Any) -> None:
    """open_posix munlock 7-1, 10-1, 11-1."""
    map_anon(mm, 1)
    mm.munlock(BASE, PAGE)
    assert error_of(lambda: mm.munlock(LONG_MAX_PAGE, 8)) == "ENOMEM"
    assert error_of(lambda: mm.munlock(BASE + 1, PAGE - 1)) in ("ok", "EINVAL")


def test_open_posix_mlockall(mm: Any) -> None:
    """open_posix mlockall 8-1, 13-1, 13-2, 15-1, munlockall 5-1."""
    mm.mlockall(c.MCL_CURRENT)
    assert error_of(lambda: mm.mlockall(0)) == "EINVAL"
    assert error_of(lambda: mm.mlockall(~(c.MCL_CURRENT | c.MCL_FUTURE))) == "EINVAL"
    mm.munlockall()
    forget_cap(mm, 0)
    assert error_of(lambda: mm.mlockall(c.MCL_CURRENT)) == "EPERM"
