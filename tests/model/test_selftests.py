"""Assertions of the kernel's own tools/testing/selftests/vm (alike in Linux 5.10 and 6.1)."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from oracle import constants as c
from support.facts import BASE, PAGE, areas, error_of, forget_cap, map_anon

MakeMm = Callable[..., Any]


def is_full(vma: Any) -> bool:
    """Rss == Size, as lock_check() of mlock2-tests.c."""
    return bool(vma.rss_kb * 1024 == vma.end - vma.start)


def is_locked(mm: Any) -> bool:
    """lock_check(): VmFlags has lo, and everything is resident."""
    return all(vma.locked and is_full(vma) for vma in mm.smaps())


def is_onfault(mm: Any) -> bool:
    """onfault_check(): VmFlags has lo, and not everything is resident."""
    return all(vma.locked and not is_full(vma) for vma in mm.smaps())


def is_unlocked(mm: Any) -> bool:
    """unlock_lock_check(): no lo."""
    return not any(vma.locked for vma in mm.smaps())


@pytest.fixture
def two_pages(make_mm: MakeMm, impl: str) -> Any:
    """An address space with the two pages of most tests of mlock2-tests.c."""
    mm = make_mm(impl)
    map_anon(mm, 2)
    return mm


def test_mlock_lock(two_pages: Any) -> None:
    """mlock2-tests.c test_mlock_lock()."""
    two_pages.mlock2(BASE, 2 * PAGE, 0)
    assert is_locked(two_pages)
    two_pages.munlock(BASE, 2 * PAGE)
    assert is_unlocked(two_pages)


def test_mlock_onfault(two_pages: Any) -> None:
    """mlock2-tests.c test_mlock_onfault()."""
    two_pages.mlock2(BASE, 2 * PAGE, c.MLOCK_ONFAULT)
    two_pages.touch(BASE, 1, "write")
    assert is_onfault(two_pages)
    two_pages.munlock(BASE, 2 * PAGE)
    assert is_unlocked(two_pages)


def test_lock_onfault_of_present(two_pages: Any) -> None:
    """mlock2-tests.c test_lock_onfault_of_present()."""
    two_pages.touch(BASE, 1, "write")
    two_pages.mlock2(BASE, 2 * PAGE, c.MLOCK_ONFAULT)
    assert is_onfault(two_pages)


@pytest.mark.parametrize("flags", [c.MCL_CURRENT, c.MCL_CURRENT | c.MCL_FUTURE])
def test_munlockall(two_pages: Any, flags: int) -> None:
    """mlock2-tests.c test_munlockall(), first and third part."""
    two_pages.mlockall(flags)
    assert is_locked(two_pages)
    two_pages.munlockall()
    assert is_unlocked(two_pages)


def test_munlockall_onfault(two_pages: Any) -> None:
    """mlock2-tests.c test_munlockall(), second part."""
    two_pages.mlockall(c.MCL_CURRENT | c.MCL_ONFAULT)
    two_pages.touch(BASE, 1, "write")
    assert is_onfault(two_pages)
    two_pages.munlockall()
    assert is_unlocked(two_pages)


@pytest.mark.parametrize("call_mlock", [True, False])
def test_vma_management(make_mm: MakeMm, impl: str, call_mlock: bool) -> None:
    """mlock2-tests.c test_vma_management(): three VMAs after munlock of the middle page, one after munlock of all."""
    mm = make_mm(impl)
    if not call_mlock:
        mm.mlockall(c.MCL_CURRENT | c.MCL_ONFAULT | c.MCL_FUTURE)
    map_anon(mm, 3)
    if call_mlock:
        mm.mlock2(BASE, 3 * PAGE, c.MLOCK_ONFAULT)
    assert areas(mm) == [(0, 3, True)]
    mm.munlock(BASE + PAGE, PAGE)
    assert areas(mm) == [(0, 1, True), (1, 1, False), (2, 1, True)]
    mm.munlock(BASE, 3 * PAGE)
    assert areas(mm) == [(0, 3, False)]


LIMIT = 256 << 10


def random_mlock(mm: Any, rng: random.Random, start: int, length: int) -> str:
    """mlock() or mlock2(MLOCK_ONFAULT), by chance."""
    if rng.randrange(2):
        return error_of(lambda: mm.mlock(start, length))
    return error_of(lambda: mm.mlock2(start, length, c.MLOCK_ONFAULT))


def test_mlock_within_limit(make_mm: MakeMm, impl: str) -> None:
    """mlock-random-test.c test_mlock_within_limit()."""
    mm, rng, size = make_mm(impl), random.Random(1), 128 << 10
    map_anon(mm, size // PAGE)
    forget_cap(mm, LIMIT)
    for _ in range(100):
        start = rng.randrange(size)
        assert random_mlock(mm, rng, BASE + start, rng.randrange(size - start)) == "ok"
    assert mm.locked_vm <= size // PAGE + 1


def test_mlock_outof_limit(make_mm: MakeMm, impl: str) -> None:
    """mlock-random-test.c test_mlock_outof_limit()."""
    mm, rng, size = make_mm(impl), random.Random(2), 384 << 10
    map_anon(mm, size // PAGE)
    forget_cap(mm, LIMIT)
    for _ in range(100):
        length = LIMIT + 1 + rng.randrange(size - LIMIT - 1)
        start = rng.randrange(size - length)
        assert random_mlock(mm, rng, BASE + start, length) == "ENOMEM"
    assert mm.locked_vm == 0


def test_limit(make_mm: MakeMm, impl: str) -> None:
    """on-fault-limit.c test_limit()."""
    mm = make_mm(impl)
    forget_cap(mm, LIMIT)
    mm.mlockall(c.MCL_ONFAULT | c.MCL_FUTURE)
    populate = c.MAP_PRIVATE | c.MAP_POPULATE
    assert error_of(lambda: map_anon(mm, 2 * LIMIT // PAGE, flags=populate)) == "EAGAIN"
