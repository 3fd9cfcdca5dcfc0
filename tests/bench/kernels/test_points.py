"""Points as programs of the guest: the orders of every scenario and call, and what they lay out on the running kernel."""

from itertools import pairwise
from typing import get_args

import pytest

from bench.errors import UsageError
from bench.kernels import points
from bench.kernels.host import Host
from bench.kernels.points import program, without_span
from bench.kernels.protocol import WATCH_MEMORY
from bench.targets import kernel
from bench.traces.checks import PROGRAM_BYTES, PROGRAM_START
from bench.workloads import layout as layouts
from bench.workloads.layout import Vma
from bench.workloads.scenario import LAYOUT, SCENARIOS, MiB, Operation, Point, Scenario
from bench.workloads.selection import layout_scenario
from mmmodel.constants import PAGE_SIZE, PUD_SIZE

START, SPAN = 0x10000000000, 16 * MiB
UNLOCK_PROGRAM = "c 0 96 400000 100000"  # munlock() of what the guest itself has
MCL_ALL, MCL_ON_FAULT = 1 | 2, 2 | 4
# By numbers of arch/x86/entry/syscalls/syscall_64.tbl.
CALLS: dict[Operation, str] = {
    "munlockall": "c 0 98",
    "mlockall": f"c 0 97 {MCL_ALL:x}",
    "munlock": f"c 0 96 {START:x} {SPAN:x}",
    "munlock-part": f"c 0 96 {START + SPAN // 4:x} {SPAN // 2:x}",
    "munmap": f"c 0 b {START:x} {SPAN:x}",
    "mprotect": f"c 0 a {START:x} {SPAN:x} 1",
    "exit": "x 0",
    "touch": f"t 0 {START:x} {SPAN:x} 1000 1",
    "coredump": "g 0 1 3e 0 6",  # kill(), of the process itself, by SIGABRT
}


def point(operation: Operation = "munlockall", scenario: str = "report", span: int = SPAN) -> Point:
    return Point(SCENARIOS[scenario].resized(span), "6.1.192", operation)


@pytest.mark.parametrize("operation", CALLS)
def test_the_measured_call_is_the_last_order_and_the_guests_own_memory_is_unlocked_before(operation: Operation) -> None:
    found = program(point(operation, "dense"), START)
    assert found.orders[-2:] == (UNLOCK_PROGRAM, CALLS[operation])
    assert found.watch == 0  # looking is work of the kernel's, too


def test_every_call_is_known_here() -> None:
    assert {*CALLS, "mmap"} == {*get_args(Operation)}


def test_the_reproducer_is_one_mmap_and_one_mlockall() -> None:
    reserve, lock, *_ = program(point(), START).orders
    assert reserve.split()[:6] == ["c", "0", "9", f"{START:x}", f"{SPAN:x}", "0"]  # PROT_NONE
    assert lock == f"c 0 97 {MCL_ALL:x}"
    assert len(program(point(), START).orders) == 4


def test_pages_come_under_lock_on_fault_and_the_span_is_prot_none_then() -> None:
    lock, reserve, touch, protect, *_ = program(point(scenario="sparse-2MiB"), START).orders
    assert lock == f"c 0 97 {MCL_ON_FAULT:x}"
    assert reserve.split()[5] == "3"  # readable and writable
    assert touch == f"t 0 {START:x} {SPAN:x} {2 * MiB:x} 1"
    assert protect == f"c 0 a {START:x} {SPAN:x} 0"


def test_mlockall_finds_nothing_locked() -> None:
    orders = program(point("mlockall", "dense"), START).orders
    assert [one for one in orders if one.startswith("c 0 97")] == [CALLS["mlockall"]]


def test_mmap_finds_next_to_nothing_and_locks_what_comes() -> None:
    *_, lock, unlock, call = program(point("mmap", "dense"), START).orders
    assert (lock, unlock) == ("c 0 97 2", UNLOCK_PROGRAM)  # MCL_FUTURE
    assert call.split()[:6] == ["c", "0", "9", f"{START:x}", f"{SPAN:x}", "3"]


def test_the_same_call_without_the_span_for_those_that_work_on_all_memory() -> None:
    for operation in get_args(Operation):
        empty = without_span(point(operation, "dense"))
        assert (empty is None) == (operation not in ("munlockall", "mlockall", "exit", "coredump"))
        if empty:
            assert empty.orders[-2:] == (UNLOCK_PROGRAM, CALLS[operation])
            assert not [one for one in empty.orders if one.startswith((f"c 0 9 {START:x}", "t "))]  # no mmap, no touch
            whole = program(point(operation, "dense"), START).orders
            locks = [one for one in whole[:-1] if one.startswith("c 0 97")]
            assert [one for one in empty.orders[:-1] if one.startswith("c 0 97")] == locks


def test_a_core_dump_finds_an_empty_file_and_nothing_locked() -> None:
    orders = program(point("coredump", "one-page"), START).orders
    limit, name, text, opened, closed, gone = orders[:6]
    assert limit == f"l 0 4 {(1 << 64) - 1:x}"  # RLIMIT_CORE
    assert text.split()[-1] == f"{int.from_bytes(b'/core', 'little'):x}"
    address = name.split()[3]
    assert opened == f"g 0 6400 2 {address} 241 180"  # open() for writing, made and emptied, as descriptor 100
    assert (closed, gone) == ("c 0 3 64", f"c 0 b {address} 1000")
    assert not [one for one in orders if one.startswith("c 0 97")]
    without = without_span(point("coredump", "one-page"))
    assert without is not None and without.orders[:6] == orders[:6]


@pytest.mark.parametrize("name", layouts.shipped_names())
def test_a_layout_is_mapped_vma_by_vma_clear_of_the_guest_program(name: str) -> None:
    captured = layouts.load(name)
    orders = [one.split() for one in program(Point(layout_scenario(name), "6.1.192")).orders]
    maps = sorted((int(one[3], 16), int(one[4], 16)) for one in orders if one[:3] == ["c", "0", "9"])
    assert len(maps) == sum(vma.lockable for vma in captured.vmas)
    assert all(start + nbytes <= after for (start, nbytes), (after, _) in pairwise(maps))
    assert not [start for start, nbytes in maps if start < 0x500000 and start + nbytes > 0x400000]


SMALL = [one.resized(min(one.span, SPAN)) for one in SCENARIOS.values() if one.name != LAYOUT]


@pytest.mark.parametrize("scenario", SMALL, ids=lambda one: one.name)
def test_the_running_kernel_lays_out_what_a_scenario_says(scenario: Scenario) -> None:
    target = kernel.find("host")
    try:
        target.check(Point(scenario, "host"))
    except UsageError as error:
        pytest.skip(str(error))
    made = program(Point(scenario, "host"), START)
    looked_at = made._replace(start=START, end=START + scenario.span, orders=made.orders[:-2], watch=WATCH_MEMORY)
    (answers,) = Host().run([looked_at], lambda hello: None)
    assert [one.errno for one in answers if one.errno] == []
    vmas = answers[-1].memory[0].vmas
    assert len(vmas) == (-(-scenario.span // scenario.vma_bytes) if scenario.vma_bytes else 1)
    assert sum(vma[4] for vma in vmas) * 1024 == scenario.populate.nr_pages(scenario.span) * 4096  # Rss
    assert {vma[3] for vma in vmas} == {scenario.locked}
    if scenario.prot_none and not scenario.vma_bytes:
        assert {vma[2][:3] for vma in vmas} == {"---"}


# Where the VMAs of a layout come to lie: the guest program has a place of its own.
PROGRAM_END = PROGRAM_START + PROGRAM_BYTES


def vma(first: int, last: int) -> Vma:
    return Vma(hex(first), hex(last), "rw-p", ("rd", "wr"), ())


@pytest.mark.parametrize(
    ("first", "last", "moves"),
    [
        (PROGRAM_START - PAGE_SIZE, PROGRAM_START, False),  # up to it
        (PROGRAM_END, PROGRAM_END + PAGE_SIZE, False),  # right behind it
        (PROGRAM_START - PAGE_SIZE, PROGRAM_START + PAGE_SIZE, True),
        (PROGRAM_END - PAGE_SIZE, PROGRAM_END + PAGE_SIZE, True),
        (PROGRAM_START, PROGRAM_END, True),
        (PROGRAM_START - PAGE_SIZE, PROGRAM_END + PAGE_SIZE, True),
    ],
)
def test_what_lies_in_the_programs_place_moves(first: int, last: int, moves: bool) -> None:
    assert points._moved([vma(first, last)]) == ({first: first + PUD_SIZE} if moves else {})


def test_it_moves_to_where_nothing_lies() -> None:
    own = vma(PROGRAM_START, PROGRAM_END)
    behind = vma(PROGRAM_START + PUD_SIZE + PROGRAM_BYTES - PAGE_SIZE, PROGRAM_START + PUD_SIZE + PROGRAM_BYTES)
    assert points._moved([own, behind]) == {PROGRAM_START: PROGRAM_START + 2 * PUD_SIZE}
    beside = vma(PROGRAM_END + PUD_SIZE, PROGRAM_END + PUD_SIZE + PAGE_SIZE)  # its end is where that begins
    assert points._moved([own, beside]) == {PROGRAM_START: PROGRAM_START + PUD_SIZE}
