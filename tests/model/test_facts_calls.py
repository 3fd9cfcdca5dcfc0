"""Return values observed on booted Linux 5.10 and 6.1 kernels, one CPU, root unless it is said.

`of()`: as in test_facts_events.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from mmmodel.kernels import LINUX_6_12, kernel_of
from oracle import constants as c
from support.facts import BASE, NONE, PAGE, areas, error_of, forget_cap, map_anon, of, rss_pages

MakeMm = Callable[..., Any]


# return values


def test_rounding_and_wrapping(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 4)
    top = 2**64 - 1
    expected = {(0, 0): 0, (1, 0): 1, (4095, 2): 2, (0, top): 0}
    for (offset, length), nr_pages in expected.items():
        mm.mlock(BASE + offset, length)
        assert mm.locked_vm == nr_pages
        mm.munlock(BASE, 4 * PAGE)
    mm.mlock(0x5000, 0)  # nothing is mapped there
    mm.munlock(BASE, top)
    for length, offset in ((top - 4095, 0), (top - 4096, 1)):
        assert error_of(partial(mm.mlock, BASE + offset, length)) == "EINVAL"
    assert error_of(lambda: mm.munlock(BASE, top - 4095)) == "EINVAL"


def test_mlock_over_a_hole(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 2)
    map_anon(mm, 3, at=BASE + 3 * PAGE)
    assert error_of(lambda: mm.mlock(BASE, 6 * PAGE)) == "ENOMEM"
    assert areas(mm) == [(0, 2, True), (3, 3, False)]
    assert (rss_pages(mm), mm.locked_vm) == (0, 2)
    assert error_of(lambda: mm.munlock(BASE, 6 * PAGE)) == "ENOMEM"
    assert areas(mm) == [(0, 2, False), (3, 3, False)]
    assert error_of(lambda: mm.mlock(BASE + 2 * PAGE, 4 * PAGE)) == "ENOMEM"
    assert areas(mm) == [(0, 2, False), (3, 3, False)]


def test_mlock_of_prot_none(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 4, NONE)
    assert error_of(lambda: mm.mlock(BASE, 4 * PAGE)) == "ENOMEM"
    assert (areas(mm), mm.locked_vm) == ([(0, 4, True)], 4)
    mm.munlock(BASE, 4 * PAGE)
    result = error_of(lambda: mm.mlock2(BASE, 4 * PAGE, c.MLOCK_ONFAULT))
    assert result == of(impl, "ENOMEM", "ok")
    assert (areas(mm), mm.locked_vm) == ([(0, 4, True)], 4)


def test_mlock_stops_populating_at_prot_none(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 6)
    mm.mprotect(BASE + 2 * PAGE, 2 * PAGE, NONE)
    assert error_of(lambda: mm.mlock(BASE, 6 * PAGE)) == "ENOMEM"
    assert mm.locked_vm == 6
    assert mm.pagemap(BASE, BASE + 6 * PAGE)[0][:2] == (0, 2)
    assert rss_pages(mm) == 2


def test_limit_of_sixteen_pages(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 32)
    forget_cap(mm, 16 * PAGE + 1)
    assert error_of(lambda: mm.mlock(BASE, 17 * PAGE)) == "ENOMEM"
    mm.mlock(BASE, 16 * PAGE)
    assert error_of(lambda: mm.mlock(BASE + 8 * PAGE, 9 * PAGE)) == "ENOMEM"
    mm.mlock(BASE, 16 * PAGE)
    mm.mlock(BASE + 3 * PAGE, 8 * PAGE)
    assert mm.locked_vm == 16


def test_limit_of_zero(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 4)
    forget_cap(mm, 0)
    assert error_of(lambda: mm.mlock(BASE, PAGE)) == "EPERM"
    assert error_of(lambda: mm.mlock(BASE, 0)) == "EPERM"
    assert error_of(lambda: mm.mlockall(c.MCL_FUTURE)) == "EPERM"
    assert error_of(lambda: mm.mlockall(0)) == "EINVAL"
    assert error_of(lambda: mm.mlock2(BASE, PAGE, 2)) == "EINVAL"
    assert error_of(lambda: map_anon(mm, 1, at=BASE + 8 * PAGE, flags=c.MAP_PRIVATE | c.MAP_LOCKED)) == "EPERM"
    mm.munlock(BASE, PAGE)
    mm.munlockall()


def test_mcl_future_and_the_limit(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    forget_cap(mm, 16 * PAGE)
    mm.mlockall(c.MCL_FUTURE)
    assert error_of(lambda: map_anon(mm, 17)) == "EAGAIN"
    map_anon(mm, 16, NONE)
    assert (mm.locked_vm, rss_pages(mm)) == (16, 0)


def test_mlockall_compares_total_vm(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 17)
    forget_cap(mm, 16 * PAGE)
    assert error_of(lambda: mm.mlockall(c.MCL_CURRENT)) == "ENOMEM"
    assert error_of(lambda: mm.mlockall(c.MCL_FUTURE)) == "ok"
    for flags in (c.MCL_ONFAULT, 8, c.MCL_CURRENT | 8):
        assert error_of(partial(mm.mlockall, flags)) == "EINVAL"


def test_mlockall_current_ends_future(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    mm.mlockall(c.MCL_FUTURE)
    map_anon(mm, 2)
    mm.mlockall(c.MCL_CURRENT)
    map_anon(mm, 2, at=BASE + 8 * PAGE)
    assert areas(mm) == [(0, 2, True), (8, 2, False)]


def test_mlockall_ignores_prot_none(make_mm: MakeMm, impl: str) -> None:
    mm = make_mm(impl)
    map_anon(mm, 2, NONE)
    map_anon(mm, 2, at=BASE + 8 * PAGE)
    mm.mlockall(c.MCL_CURRENT)
    assert areas(mm) == [(0, 2, True), (8, 2, True)]
    assert rss_pages(mm) == 2


def test_locked_vm_goes_through_a_c_int(make_mm: MakeMm, impl: str) -> None:
    """Since 6.2 through a long."""
    through_int = ((42, 1 << 30, 0), (43, -(1 << 31), -(1 << 32)), (45, 0, 0))
    through_long = ((42, 1 << 30, 0), (43, 1 << 31, 0), (45, 1 << 33, 0))
    for order, after_lock, after_unlock in through_long if kernel_of(impl) == LINUX_6_12 else through_int:
        mm = make_mm(impl)
        map_anon(mm, 1 << (order - 12), NONE)
        assert error_of(partial(mm.mlock, BASE, 1 << order)) == "ENOMEM"
        assert mm.locked_vm % 2**64 == after_lock % 2**64
        if impl != "per-page":  # which looks at every page of the area
            mm.munlock(BASE, 1 << order)
            assert mm.locked_vm % 2**64 == after_unlock % 2**64
