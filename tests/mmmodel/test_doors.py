"""What reaches the model from Python is checked at the door: one line that names the argument, and nothing has happened."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from mmmodel import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_PRIVATE,
    MCL_CURRENT,
    MCL_FUTURE,
    PROT_READ,
    PROT_WRITE,
    VM_DONTEXPAND,
    VM_IO,
    VM_LOCKED,
    VM_PFNMAP,
    Mm,
    check_mm,
)

RW = PROT_READ | PROT_WRITE
PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS
PAGE = 4096
BASE = 0x10_0000_0000
NOT_NUMBERS = (1.5, 2.0, math.nan, math.inf, True, np.True_, np.float64(1), "page", None, b"1", [1], 1j)


@pytest.fixture
def mm(impl: str) -> Mm:
    """Four pages at BASE, two of them present."""
    mm = Mm(impl)
    mm.mmap(BASE, 4 * PAGE, RW, PRIVATE | MAP_FIXED)
    mm.touch(BASE, 2 * PAGE, "write")
    return mm


CALLS: dict[str, tuple[str, ...]] = {
    "mmap": ("addr", "length", "prot", "flags"),
    "munmap": ("addr", "length"),
    "mprotect": ("addr", "length", "prot"),
    "mremap": ("old_address", "old_size", "new_size", "flags", "new_address"),
    "madvise": ("addr", "length", "advice"),
    "msync": ("addr", "length", "flags"),
    "mlock": ("addr", "length"),
    "mlock2": ("addr", "length", "flags"),
    "munlock": ("addr", "length"),
    "mlockall": ("flags",),
    "touch": ("addr", "length"),
    "setrlimit_memlock": ("nbytes",),
    "create_file": ("nbytes",),
    "install_special_mapping": ("addr", "length", "prot", "vm_flags"),
    "swap_out": ("addr", "length"),
    "pagemap": ("start", "end"),
}
SIZES = {"length", "old_size", "new_size", "nbytes", "offset", "stride"}
EVERY = [(call, argument) for call, arguments in CALLS.items() for argument in arguments]


def refused(mm: Mm, call: Callable[[], object], *errors: type[Exception]) -> str:
    """Return the line of a call that is refused and changes nothing."""
    before = mm.observable_state(), mm.vmstat(), mm.total_vm
    with pytest.raises(errors) as caught:
        call()
    assert (mm.observable_state(), mm.vmstat(), mm.total_vm) == before
    check_mm(mm)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
    return str(caught.value)


@pytest.mark.parametrize(("call", "argument"), EVERY)
def test_what_is_no_number_is_a_type_error_that_names_the_argument(mm: Mm, call: str, argument: str) -> None:
    for value in NOT_NUMBERS:
        if (call, argument, value) == ("mmap", "addr", None):
            continue
        arguments: dict[str, Any] = {**dict.fromkeys(CALLS[call], PAGE), argument: value}
        as_text = argument in SIZES and isinstance(value, str)
        line = refused(mm, partial(getattr(mm, call), **arguments), ValueError if as_text else TypeError)
        assert line.startswith(f"{argument}: "), line


@pytest.mark.parametrize(("call", "argument"), EVERY)
def test_what_no_register_holds_names_the_argument(mm: Mm, call: str, argument: str) -> None:
    arguments = {**dict.fromkeys(CALLS[call], PAGE), argument: 10**5000}
    if (call, argument) == ("setrlimit_memlock", "nbytes"):
        mm.setrlimit_memlock(10**5000)  # as RLIM_INFINITY
        return
    errors = (OSError,) if call == "touch" and argument == "addr" else (ValueError,)
    if (call, argument) == ("touch", "length"):
        errors = (OSError,)  # there is nothing behind the first page
    with pytest.raises(errors):
        getattr(mm, call)(**arguments)
    check_mm(mm)


def test_sizes_as_text_and_numbers_of_numpy(mm: Mm) -> None:
    address = mm.mmap(None, "2GiB", RW, PRIVATE)
    assert mm.total_vm == (1 << 19) + 4
    mm.mlock2(np.uint64(address), "1<<31", np.int8(1))
    assert mm.locked_vm == 1 << 19
    mm.munlock(address, "2 GiB")
    mm.munmap(np.int64(address), np.int64(1) << np.int64(31))
    assert (mm.total_vm, mm.locked_vm) == (4, 0)
    assert mm.create_file("1.5MiB").nbytes == 3 << 19
    mm.touch(BASE, "4 KiB", "write", stride="0x1000")
    assert Mm(mm.impl, ram="1GiB").machine.ctl is not None
    line = refused(mm, lambda: mm.mmap(None, "1 parsec", RW, PRIVATE), ValueError)
    assert line.startswith("length: size '1 parsec' has an unknown unit")


def test_addresses_are_not_sizes(mm: Mm) -> None:
    text: Any = "4096"
    assert "addr" in refused(mm, lambda: mm.munlock(text, PAGE), TypeError)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"levels": 4.0}, "levels"),
        ({"levels": 3}, "levels"),
        ({"nr_cpus": True}, "nr_cpus"),
        ({"nr_cpus": 0}, "CPUs"),
        ({"ram": -1}, "ram"),
        ({"ram": math.nan}, "ram"),
        ({"max_map_count": 0}, "max_map_count"),
        ({"max_map_count": 1 << 40}, "max_map_count"),
        ({"thp": "sometimes"}, "thp"),
        ({"mthp": [4096.0]}, "mthp"),
        ({"mthp": "64KiB"}, "mthp"),
        ({"mthp": ["many"]}, "mthp"),
        ({"impl": "per-book"}, "per-book"),
    ],
)
def test_machines_that_cannot_be(options: dict[str, Any], named: str) -> None:
    with pytest.raises((TypeError, ValueError), match=named):
        Mm(**options)


# ---- states that no call makes by itself ----

TASK_SIZE = (1 << 47) - PAGE
BAD_RANGES = {
    "overlapping": (BASE + 3 * PAGE, 2 * PAGE),
    "inside": (BASE + PAGE, PAGE),
    "around": (BASE - PAGE, 6 * PAGE),
    "unaligned": (BASE + 10 * PAGE + 1, PAGE),
    "part of a page": (BASE + 10 * PAGE, PAGE - 1),
    "empty": (BASE + 10 * PAGE, 0),
    "reversed": (BASE + 12 * PAGE, -PAGE),
    "below": (-PAGE, PAGE),
    "too high": (TASK_SIZE, PAGE),
    "across the end": (TASK_SIZE - PAGE, 2 * PAGE),
    "around the end": ((1 << 64) - PAGE, PAGE),
    "no register": (1 << 70, PAGE),
}
OF_OTHERS = {"overlapping", "inside", "around"}  # good for what needs a VMA


@pytest.mark.parametrize("name", BAD_RANGES)
def test_special_mappings_only_at_free_places(mm: Mm, name: str) -> None:
    addr, length = BAD_RANGES[name]
    refused(mm, lambda: mm.install_special_mapping(addr, length, PROT_READ, VM_DONTEXPAND), ValueError)


@pytest.mark.parametrize("name", sorted(BAD_RANGES.keys() - OF_OTHERS))
def test_ranges_of_pages(mm: Mm, name: str) -> None:
    addr, length = BAD_RANGES[name]
    for call in (lambda: mm.install_pages(addr, length, "anon"), lambda: mm.swap_out(addr, length)):
        refused(mm, call, ValueError)
    if length:  # the guard page at the top may be looked at
        refused(mm, lambda: mm.pagemap(addr, addr + length + (PAGE if length > 0 else 0)), ValueError)


@pytest.mark.parametrize(
    ("prot", "vm_flags"), [(8, VM_IO), (-1, VM_IO), (PROT_READ, 0), (PROT_READ, VM_IO | VM_LOCKED), (PROT_READ, 1 << 62)]
)
def test_flags_that_no_special_mapping_has(mm: Mm, prot: int, vm_flags: int) -> None:
    refused(mm, lambda: mm.install_special_mapping(BASE - PAGE, PAGE, prot, vm_flags), ValueError)


def test_a_special_mapping_beside_others_keeps_the_count(mm: Mm) -> None:
    """What the unchecked one lost: 171 pages of per-page's mlock."""
    mm.mmap(BASE + 4 * PAGE, 171 * PAGE, RW, PRIVATE | MAP_FIXED)
    refused(mm, lambda: mm.install_special_mapping(BASE + 2 * PAGE, 100 * PAGE, PROT_READ, VM_IO | VM_PFNMAP), ValueError)
    mm.install_special_mapping(BASE - PAGE, PAGE, PROT_READ, VM_IO | VM_PFNMAP)
    mm.mlockall(MCL_CURRENT | MCL_FUTURE)
    check_mm(mm)
    assert mm.call_counters()["nr_mlock"] == 175


def test_special_mappings_count_towards_the_limit_of_vmas(impl: str) -> None:
    mm = Mm(impl, max_map_count=2)
    for place in range(2):
        mm.install_special_mapping(BASE + 2 * place * PAGE, PAGE, PROT_READ, VM_DONTEXPAND)
    with pytest.raises(OSError, match="install_special_mapping"):
        mm.install_special_mapping(BASE + 8 * PAGE, PAGE, PROT_READ, VM_DONTEXPAND)
    assert mm.map_count == 2


def test_special_mappings_have_no_pages(mm: Mm) -> None:
    mm.install_special_mapping(BASE - PAGE, PAGE, RW, VM_IO | VM_PFNMAP)
    refused(mm, lambda: mm.install_pages(BASE - PAGE, PAGE, "anon"), OSError)


# ---- other machines, other times ----


def test_files_belong_to_a_machine(mm: Mm, impl: str) -> None:
    other = Mm(impl).create_file(PAGE)
    mm.create_file(PAGE)
    assert "another machine" in refused(mm, lambda: mm.mmap(None, PAGE, RW, MAP_PRIVATE, file=other), ValueError)
    assert mm.fork().mmap(None, PAGE, RW, MAP_PRIVATE, file=mm.create_file(PAGE))  # a child's is the parent's


def test_snapshots_belong_to_a_machine(mm: Mm, impl: str) -> None:
    assert "another machine" in refused(mm, lambda: mm.restore(Mm(impl).snapshot()), ValueError)


def test_what_a_restored_machine_has_forgotten(mm: Mm) -> None:
    before = mm.snapshot()
    child, file = mm.fork(), mm.create_file(PAGE)
    mm.restore(before)
    for use in (child.munlockall, child.smaps, lambda: child.mmap(None, PAGE, RW, PRIVATE), lambda: child.locked_vm):
        assert "no more" in refused(mm, use, ValueError)
    assert "restored" in refused(mm, lambda: file.truncate(0), ValueError)
    assert "restored" in refused(mm, lambda: mm.mmap(None, PAGE, RW, MAP_PRIVATE, file=file), ValueError)
    again = mm.fork()
    assert "no more" in refused(mm, child.munlockall, ValueError)
    again.munlockall()


def test_who_has_exited_maps_nothing(mm: Mm) -> None:
    child = mm.fork()
    child.exit()
    for use in (
        lambda: child.mmap(None, PAGE, RW, PRIVATE),
        lambda: child.install_special_mapping(BASE, PAGE, 1, VM_IO),
        child.fork,
    ):
        refused(mm, use, ProcessLookupError)
    assert child.smaps() == []
    child.munlockall()


@pytest.mark.parametrize("nbytes", [-1, 1 << 63, 1 << 70])
def test_file_sizes(mm: Mm, nbytes: int) -> None:
    assert "nbytes" in refused(mm, lambda: mm.create_file(nbytes), ValueError)
    file = mm.create_file(PAGE)
    refused(mm, lambda: file.truncate(nbytes), OSError)


@pytest.mark.parametrize("cpu", [-1, 1, 0.0, True])
def test_cpus(mm: Mm, cpu: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"(?i)cpu"):
        mm.cpu = cpu


@pytest.mark.parametrize("words", [{"length": -1}, {"length": 4096, "stride": 0}, {"length": 4096, "stride": -1}])
def test_accesses_go_forward(words: dict[str, int]) -> None:
    mm = Mm("page-walk")
    mm.mmap(1 << 32, 4096, 3, 0x32)
    with pytest.raises(ValueError, match="not negative, and at least 1"):
        mm.touch(1 << 32, access="read", **words)
