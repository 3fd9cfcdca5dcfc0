"""What this computer cannot hold is refused, and nothing has happened."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

from mmmodel import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_LOCKED,
    MAP_POPULATE,
    MAP_PRIVATE,
    MCL_FUTURE,
    PROT_READ,
    PROT_WRITE,
    Mm,
    check_mm,
)
from mmmodel.constants import PAGE_SIZE as PAGE
from mmmodel.constants import VM_LOCKED, VM_LOCKONFAULT
from mmmodel.estimate import pages_to_populate

RW = PROT_READ | PROT_WRITE
PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS
BASE = 1 << 32
SIZE = 1 << 30


@pytest.fixture
def mm(impl: str) -> Mm:
    """An address space with locked pages at BASE."""
    mm = Mm(impl)
    mm.mmap(BASE, 1 << 20, RW, PRIVATE | MAP_FIXED)
    mm.touch(BASE, 1 << 20, "write")
    mm.mlock(BASE + 4096, 1 << 19)
    return mm


def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave 64 MiB."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=64 << 20))


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(one.shared[field], other.shared[field]) for field in one.shared) and all(
        np.array_equal(one.orders[mm], other.orders[mm]) for mm in one.orders
    )


@pytest.mark.parametrize("flags", [MAP_FIXED | MAP_POPULATE, MAP_FIXED | MAP_LOCKED, MAP_POPULATE])
def test_a_mapping_that_is_refused_takes_nothing_away(mm: Mm, flags: int, monkeypatch: pytest.MonkeyPatch) -> None:
    short_of_memory(monkeypatch)
    mm._make_room()
    mm.machine.ensure(tables=64)
    before, seen = mm.snapshot(), mm.observable_state()
    with pytest.raises(MemoryError, match="mmap of"):
        mm.mmap(BASE, 8 * SIZE, RW, PRIVATE | flags)
    assert same(mm.snapshot(), before)
    assert mm.observable_state() == seen
    mm.touch(BASE, 1 << 20)


def test_under_mcl_future_too(mm: Mm, monkeypatch: pytest.MonkeyPatch) -> None:
    mm.mlockall(MCL_FUTURE)
    short_of_memory(monkeypatch)
    seen = mm.observable_state()
    with pytest.raises(MemoryError, match="mmap of"):
        mm.mmap(BASE, 8 * SIZE, RW, PRIVATE | MAP_FIXED)
    assert mm.observable_state() == seen


def test_a_call_that_the_kernel_refuses_keeps_its_error(mm: Mm, monkeypatch: pytest.MonkeyPatch) -> None:
    short_of_memory(monkeypatch)
    with pytest.raises(OSError, match="mmap"):
        mm.mmap(BASE + 1, 8 * SIZE, RW, PRIVATE | MAP_FIXED | MAP_POPULATE)
    with pytest.raises(OSError, match="mmap"):
        mm.mmap(BASE, 8 * SIZE, RW, MAP_ANONYMOUS | MAP_POPULATE)  # neither shared nor private


def test_what_is_not_populated_is_not_refused(mm: Mm, monkeypatch: pytest.MonkeyPatch) -> None:
    short_of_memory(monkeypatch)
    mm.mmap(None, 8 * SIZE, 0, PRIVATE | MAP_POPULATE)
    mm.mmap(None, 8 * SIZE, RW, PRIVATE)


def test_the_frames_that_populating_could_take() -> None:
    """Ten pages: two are zero pages, three were written to, five were never touched."""
    space = Mm("page-walk")
    space.mmap(BASE, 10 * PAGE, RW, PRIVATE | MAP_FIXED)
    space.touch(BASE, 2 * PAGE, "read")
    space.touch(BASE + 2 * PAGE, 3 * PAGE, "write")

    def frames(lock_flags: int) -> int:
        return int(pages_to_populate(space.state, space._mm, BASE, BASE + 10 * PAGE, lock_flags))

    assert frames(VM_LOCKED) == 5 + 2  # written to: what is a zero page takes one, too
    assert frames(VM_LOCKED | VM_LOCKONFAULT) == 0
    space.mprotect(BASE, 10 * PAGE, PROT_READ)
    assert frames(VM_LOCKED) == 5  # read
    space.mprotect(BASE, 10 * PAGE, 0)
    assert frames(VM_LOCKED) == 0


def test_a_top_table_that_is_used_again_is_cleared_alone(impl: str) -> None:
    mm = Mm(impl)
    mm.mmap(BASE, 3 * PAGE, RW, PRIVATE | MAP_FIXED)
    mm.touch(BASE, 3 * PAGE, "write")
    first = [mm.fork() for _ in range(3)]
    for child in first[:2]:
        child.exit()
    processes = [mm, first[2], *(mm.fork() for _ in range(3))]
    check_mm(mm)
    assert [[tuple(run) for run in one.pagemap(BASE, BASE + 3 * PAGE)] for one in processes] == [[(0, 3, "P")]] * 5
