"""Traces of several processes and of files, carried out on the model and on its oracle: what each process then sees."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from bench.traces import ops
from bench.traces.ops import Op, Trace
from bench.traces.replay import FieldDifference, Machine, differences, replay
from bench.traces.trace_format import Memory, Step, trace_problem
from mmmodel import Mm
from mmmodel.kernels import IMPLEMENTATIONS, V6_1, kernel_of
from oracle import OracleMm

AT, PAGE = "0x1000000000", "0x1000"
END = {1: "0x1000001000", 2: "0x1000002000", 4: "0x1000004000"}
WINDOW = (AT, "0x1000200000")


def steps(made: tuple[Op, ...], make: Any = Mm, impl: str = "page-walk") -> list[Step]:
    """The steps of a trace that would be accepted."""
    trace = Trace("t", WINDOW, made)
    assert not trace_problem(trace)
    return [*replay(make(impl), trace)]


SUBJECTS = [pytest.param(make, impl, id=f"{make.__name__}-{impl}") for make in (Mm, OracleMm) for impl in IMPLEMENTATIONS]


@pytest.mark.parametrize(("make", "impl"), SUBJECTS)
def test_a_fork_and_what_both_then_see(make: Any, impl: str) -> None:
    got = steps(
        (
            ops.Mmap(AT, "0x2000", "rw", ("locked",)),
            ops.Fork(1),
            ops.Munmap(AT, PAGE, proc=1),
            ops.Fork(2, proc=1),
            ops.Exit(),
            ops.Exit(proc=2),
        ),
        make,
        impl,
    )
    assert [step.errno for step in got] == [0] * 6
    assert got[0] == Step(0, 8, [(AT, END[2], "rw-p", True, 8, 8)], [(0, 2, "PMU")], got[0].vmstat, {})
    shared = (AT, END[2], "rw-p", True, 8, 4)  # a page that two map is half of each one's
    assert got[1].vmas == [shared]
    assert got[1].others == {1: Memory(0, [(AT, END[2], "rw-p", False, 8, 0)], [(0, 2, "PMU")])}  # locks are not inherited
    assert got[2].vmas == [(AT, END[2], "rw-p", True, 8, 6)]
    half = Memory(0, [(END[1], END[2], "rw-p", False, 4, 0)], [(1, 1, "PMU")])
    assert got[2].others == {1: half}
    assert got[3].others == {1: half, 2: half}
    assert (got[4].locked_vm_kb, got[4].vmas, got[4].pages) == (None, None, None)
    assert [*(got[4].others or {})] == [1, 2]
    assert [*(got[5].others or {})] == [1]


@pytest.mark.parametrize(("make", "impl"), SUBJECTS)
def test_a_file_that_two_processes_map(make: Any, impl: str) -> None:
    got = steps(
        (
            ops.MakeFile(0, "0x4000"),
            ops.Mmap(AT, "0x4000", "rw", ("shared",), 0),
            ops.Touch(AT, "0x4000", "write"),
            ops.Fork(1),
            ops.Mmap(AT, PAGE, "rw", ("fixed", "locked"), 0, "0x3000", proc=1),
            ops.PunchHole(0, PAGE, PAGE),
            ops.Ftruncate(0, "0x3000", proc=1),
            ops.Touch(AT, "0x4000", "read"),
            ops.Touch(AT, PAGE, "read", proc=1),
        ),
        make,
        impl,
    )
    assert [step.errno for step in got] == [0, 0, 0, 0, 0, 0, 0, "EFAULT", "EFAULT"]
    rss = [[row[4] for row in step.vmas or []] for step in got]
    assert rss == [[], [0], [16], [16], [16], [12], [8], [12], [12]]
    child = [step.others[1] for step in got[4:] if step.others]
    assert [one.vmas[0] for one in child if one.vmas] == [
        (AT, END[1], "rw-p", True, 4, 4),  # a copy, made at once
        (AT, END[1], "rw-p", True, 4, 4),
        *[(AT, END[1], "rw-p", True, 0, 0)] * 3,  # truncation takes copies too
    ]


@pytest.mark.parametrize(("make", "impl"), SUBJECTS)
def test_memory_moved_synced_and_advised(make: Any, impl: str) -> None:
    got = steps(
        (
            ops.Mmap(AT, "0x2000", "rw", ("locked",)),
            ops.Msync(AT, PAGE, 2),
            ops.Mremap(AT, "0x2000", "0x2000", 3, "0x1000100000"),
            ops.Mremap("0x1000100000", "0x2000", "0x4000", 0),
            ops.Madvise("0x1000100000", "0x4000", "dontneed_locked"),
            ops.Madvise("0x1000100000", PAGE, "dontfork"),
            ops.Fork(1),
            ops.Mremap("0x1000101000", PAGE, PAGE, 2),
        ),
        make,
        impl,
    )
    knows = kernel_of(impl).version >= V6_1  # MADV_DONTNEED_LOCKED is of 5.18
    assert [step.errno for step in got] == [0, "EBUSY", 0, 0, 0 if knows else "EINVAL", 0, 0, "EINVAL"]
    assert got[2].vmas == [("0x1000100000", "0x1000102000", "rw-p", True, 8, 8)]
    assert got[3].vmas == [("0x1000100000", "0x1000104000", "rw-p", True, 16, 16)]
    assert (got[4].pages == []) is knows
    assert [row[:2] for row in got[6].others[1].vmas or []] == [("0x1000101000", "0x1000104000")] if got[6].others else False


class Full(OracleMm):
    """A machine that has no room for another process."""

    def fork(self) -> OracleMm:
        raise OSError(errno.ENOMEM, "no room")


def test_a_process_that_did_not_come_about_and_a_file_that_it_would_have_made() -> None:
    made = (ops.Fork(1), ops.MakeFile(0, PAGE, proc=1), ops.Mlock(AT, PAGE, proc=1), ops.Fork(2, proc=1), ops.Exit(proc=1))
    got = steps(made, Full)
    assert [step.errno for step in got] == ["ENOMEM", "ESRCH", "ESRCH", "ESRCH", "ESRCH"]
    assert [step.others for step in got] == [{}] * 5
    shrunk = Trace("t", WINDOW, (ops.Ftruncate(0, PAGE), ops.Mmap(AT, PAGE, "rw", (), 0)))  # as what reduces traces may try
    assert [step.errno for step in replay(Mm("page-walk"), shrunk)] == ["EBADF", "EBADF"]


def test_what_differs_in_another_process_is_named() -> None:
    memory = Memory(0, [], [])
    one = Step(0, 0, [], [], {}, {1: memory, 2: memory})
    assert differences(one, Step(0, 0, [], [], {}, {1: Memory(4, [], []), 2: Memory(0, [], [(0, 1, "P")])})) == [
        FieldDifference("others[1].locked_vm_kb", 0, 4),
        FieldDifference("others[2].pages", [], [(0, 1, "P")]),
    ]
    assert differences(one, Step(0, 0, [], [], {}, {1: memory})) == [FieldDifference("others", [1, 2], [1])]
    assert not differences(Step(0, 0, [], [], {}, None), one)
    assert not differences(Step(0, 0, [], [], {}, {1: Memory(0, None, None)}), Step(0, 0, [], [], {}, {1: memory}))


def test_a_file_that_nobody_has_open_any_more_loses_its_pages() -> None:
    first: Any = OracleMm("page-walk")
    machine = Machine(first)
    made: list[Op] = [ops.MakeFile(0, "0x2000"), ops.Fork(1), ops.MakeFile(1, "0x2000", proc=1)]
    made += [ops.Mmap(at, "0x2000", "rw", ("shared", "populate"), file, proc=1) for file, at in enumerate((AT, "0x1000100000"))]
    assert [machine.outcome(op) for op in made] == [0] * 5
    files: list[Any] = [machine.files[1][number] for number in (0, 1)]
    assert [len(one.file.cache) for one in files] == [2, 2]
    assert machine.outcome(ops.Exit(proc=1)) == 0
    assert [len(one.file.cache) for one in files] == [2, 0]
