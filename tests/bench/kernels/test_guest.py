"""The guest program on the running kernel: what any Linux answers, whoever asks."""

import os
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from bench.kernels import ring
from bench.kernels.build import built
from bench.kernels.host import Host
from bench.kernels.protocol import (
    WATCH_MEMORY,
    Answer,
    Program,
    any_call,
    batch,
    fork,
    leave,
    memory_file,
    order,
    program,
    put,
    read_to_end,
    repeated,
    start_program,
    system_call,
    touch,
)
from bench.kernels.session import Command, Conversation, Limits
from bench.traces.checks import PROGRAM_BYTES, PROGRAM_START
from bench.traces.generate import random_traces
from bench.traces.ops import DropCapIpcLock, Mlockall, RlimitMemlock

START = 0x1000000000
END = START + (1 << 30)
PAGE = 4096
MAP = (3, 0x100022, -1, 0)  # read and write, private, anonymous, not over what is there
IS_ROOT = os.geteuid() == 0


def carried_out(*orders: str) -> list[Answer]:
    """Return the answers of the running kernel."""
    (got,) = Host().run([Program(START, END, orders, WATCH_MEMORY)], lambda hello: None, 60)
    return got


def errors(answers: Sequence[Answer]) -> list[int | str]:
    """Return what the calls said."""
    return [one.errno for one in answers]


def test_the_process_has_all_of_the_programs_memory_and_nothing_else() -> None:
    whole = Program(0, 1 << 47, (touch(START, 0),), WATCH_MEMORY)
    ((answer,),) = Host().run([whole], lambda hello: None, 60)
    ranges = [(int(row[0], 16), int(row[1], 16)) for row in answer.memory[0].vmas]
    assert (ranges[0][0], ranges[-1][1]) == (PROGRAM_START, PROGRAM_START + PROGRAM_BYTES)
    assert all(before[1] == after[0] for before, after in pairwise(ranges))


def test_mlockall_counts_the_programs_memory_as_the_model_does() -> None:
    for limit, outcome in ((PROGRAM_BYTES, 0), (PROGRAM_BYTES - PAGE, "ENOMEM")):
        limited = (order(DropCapIpcLock()), order(RlimitMemlock(limit)), order(Mlockall(1)))
        assert errors(carried_out(*limited)) == [0, 0, outcome]
    future = carried_out(
        order(DropCapIpcLock()),
        order(RlimitMemlock(PROGRAM_BYTES + PAGE)),
        order(Mlockall(3)),
        system_call("mmap", START, 2 * PAGE, *MAP),
        system_call("mmap", START, PAGE, *MAP),
    )
    assert errors(future) == [0, 0, 0, "EAGAIN", 0]


def test_a_mapping_locked_and_unlocked() -> None:
    # 2 pages are little enough for any limit on locked memory
    got = carried_out(
        system_call("mmap", START, 4 * PAGE, *MAP),
        touch(START, PAGE),
        system_call("mlock", START + PAGE, 2 * PAGE),
        system_call("munlock", START + PAGE, PAGE),
        system_call("munmap", START, 4 * PAGE),
    )
    assert errors(got) == [0, 0, 0, 0, 0]
    assert [one.memory[0].locked_kb for one in got] == [0, 0, 8, 4, 0]
    assert got[1].memory[0].vmas == [(hex(START), hex(START + 4 * PAGE), "rw-p", False, 4, 0)]
    assert got[2].memory[0].vmas == [
        (hex(START), hex(START + PAGE), "rw-p", False, 4, 0),
        (hex(START + PAGE), hex(START + 3 * PAGE), "rw-p", True, 8, 8),
        (hex(START + 3 * PAGE), hex(START + 4 * PAGE), "rw-p", False, 0, 0),
    ]
    assert [page for first, pages, _ in got[2].memory[0].pages for page in range(first, first + pages)] == [0, 1, 2]
    assert got[4].memory[0] == type(got[4].memory[0])(0, [], [])


@pytest.mark.skipif(not IS_ROOT, reason="only root may read kpageflags and have vmstat added up")
def test_root_sees_the_flags_of_pages() -> None:
    got = carried_out(
        system_call("mmap", START, 4 * PAGE, *MAP),
        touch(START, PAGE, write=False),
        touch(START + PAGE, PAGE),
        system_call("mlock", START + 2 * PAGE, PAGE),
    )
    assert got[3].memory[0].pages == [(0, 1, "PZ"), (1, 1, "P"), (2, 1, "PMU")]


def test_accesses_that_are_refused() -> None:
    got = carried_out(
        system_call("mmap", START, 2 * PAGE, *MAP),
        touch(START, 3 * PAGE),  # the last is SIGSEGV; those before have happened
        memory_file(100, PAGE),
        system_call("mmap", START + (1 << 21), 2 * PAGE, 3, 0x100001, 100, 0),
        touch(START + (1 << 21) + PAGE, PAGE),  # SIGBUS
        touch(START + (1 << 46), 1),
        touch(START, PAGE, write=False),
    )
    assert errors(got) == [0, "EFAULT", 0, 0, "EFAULT", "EFAULT", 0]
    assert got[1].memory[0].vmas == [(hex(START), hex(START + 2 * PAGE), "rw-p", False, 8, 0)]


def test_limit_and_capability() -> None:
    got = carried_out(
        order(DropCapIpcLock()),
        order(RlimitMemlock(PAGE)),
        system_call("mmap", START, 4 * PAGE, *MAP),
        system_call("mlock", START, 2 * PAGE),
        system_call("mlock", START, PAGE),
        order(RlimitMemlock(0)),
        system_call("mlock", START, PAGE),
    )
    assert errors(got) == [0, 0, 0, "ENOMEM", 0, 0, "EPERM"]


def test_a_fork_and_what_both_then_see() -> None:
    got = carried_out(
        system_call("mmap", START, 2 * PAGE, *MAP),
        system_call("mlock", START, 2 * PAGE),
        fork(1),
        system_call("munmap", START, PAGE, process=1),
        leave(1),
        system_call("munlock", START, PAGE, process=1),
    )
    assert errors(got) == [0, 0, 0, 0, 0, "ESRCH"]
    assert [*got[2].memory] == [0, 1]
    assert got[2].memory[1].vmas == [(hex(START), hex(START + 2 * PAGE), "rw-p", False, 8, 0)]
    assert got[3].memory[1].vmas == [(hex(START + PAGE), hex(START + 2 * PAGE), "rw-p", False, 4, 0)]
    assert got[3].memory[0] == got[2].memory[0]._replace(vmas=got[3].memory[0].vmas)  # the child's munmap is its own
    assert [*got[4].memory] == [0]


def test_a_fork_and_an_order_right_after_it() -> None:
    # Processes of the lowest class: who gives orders runs before a child that has just been made, and the next one is there.
    idle = (system_call("mmap", START, PAGE, *MAP), f"c 0 90 0 5 {START:x}")  # sched_setscheduler(0, SCHED_IDLE, {0})
    calls = [word for child in range(1, 8) for word in (fork(child), touch(START, 0), leave(child))]
    for got in Host().run([Program(START, END, (*idle, *calls), 0)] * 3, lambda hello: None, 60):
        assert errors(got) == [0] * (2 + len(calls))
        assert [one.died for one in got[2:]] == [None, None, 0] * 7  # it is the child that left


def test_a_file_truncated_and_punched() -> None:
    got = carried_out(
        memory_file(100, 4 * PAGE),
        system_call("mmap", START, 4 * PAGE, 3, 0x100001, 100, 0),
        touch(START, 4 * PAGE),
        system_call("fallocate", 100, 3, PAGE, PAGE),
        system_call("ftruncate", 100, 3 * PAGE),
        touch(START + 3 * PAGE, 1),
    )
    assert errors(got) == [0, 0, 0, 0, 0, "EFAULT"]
    assert [one.memory[0].vmas[0][4] for one in got[1:]] == [0, 16, 12, 8, 8]


def test_a_process_that_dies_is_told_and_the_next_trace_goes_on() -> None:
    deadly = Program(START, END, ("c 0 e7 9", touch(START, 1)), WATCH_MEMORY)  # exit_group()
    well = Program(START, END, (system_call("mmap", START, PAGE, *MAP),), WATCH_MEMORY)
    first, last = Host().run([deadly, well], lambda hello: None, 60)
    assert [one.died for one in first] == [9 << 8, None]
    assert errors(first) == [0, "ESRCH"]
    assert errors(last) == [0]


OPEN, READ, LSEEK, KILL, GETPGID = 2, 0, 8, 62, 121  # numbers of system calls


def words(text: str) -> list[int]:
    """Return text with a 0 behind it as words of 8 bytes."""
    data = text.encode() + b"\0" * (8 - len(text) % 8)
    return [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]


def test_words_are_put_into_memory_and_only_where_there_is_some() -> None:
    path = words("/proc/self/status")
    got = carried_out(
        system_call("mmap", START, PAGE, *MAP),
        put(START, path),
        any_call(OPEN, START, 0, descriptor=100),  # the path was there as a whole, or this fails
        put(START + PAGE - 8, path),  # the second word lies behind the memory
        put(START + PAGE, path),
    )
    assert errors(got) == [0, 0, 0, "EFAULT", "EFAULT"]
    with pytest.raises(ValueError, match="7 words"):
        put(START, [0] * 7)


def test_what_a_call_opens_becomes_a_descriptor_and_a_file_is_read_to_its_end() -> None:
    got = carried_out(
        system_call("mmap", START, PAGE, *MAP),
        memory_file(100, 100_000),
        put(START, words("/proc/self/fd/100")),
        any_call(OPEN, START, 0, descriptor=101),
        read_to_end(101, START, PAGE),  # in 25 pieces
        any_call(LSEEK, 101, 0, 1),
        any_call(OPEN, START + PAGE, 0, descriptor=102),
        any_call(READ, 102, START, 1),
    )
    assert [one.result for one in got[3:6]] == [0, 100_000, 100_000]
    assert errors(got)[6:] == ["EFAULT", "EBADF"]


def test_a_process_names_itself() -> None:
    got = carried_out(any_call(GETPGID, 1 << 20, own=True), any_call(KILL, 1 << 20, 9, own=True), touch(START, 0))
    assert got[0].result > 0
    assert (got[1].died, got[2].errno) == (9, "ESRCH")


def test_a_call_is_repeated_until_it_fails() -> None:
    got = carried_out(
        system_call("mmap", START, 8 * PAGE, *MAP),
        repeated(10, 2, 4 * PAGE, START, PAGE, 1),  # mprotect() of pages 0 and 4
        repeated(10, 9, PAGE, START, PAGE, 1),
    )
    assert errors(got) == [0, 0, "ENOMEM"]
    assert [row[2] for row in got[1].memory[0].vmas] == ["r--p", "rw-p", "r--p", "rw-p"]
    assert [row[2] for row in got[2].memory[0].vmas] == ["r--p"]


def test_a_program_is_started_and_ends() -> None:
    got = carried_out(
        system_call("mmap", START, PAGE, *MAP),
        put(START, words("/proc/self/exe")),
        start_program(START, 0),
        put(START, words("/proc/self/status")),  # no program
        start_program(START, 0),
        touch(START, PAGE),
    )
    assert errors(got) == [0, 0, 0, 0, "ENOEXEC", 0]


def test_a_batch_of_nothing() -> None:
    assert [*Host().run([], lambda hello: None, 60)] == []


def test_answers_through_a_small_ring_are_those_of_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guest program maps `resource2` of the directory it is given, as of a device: here a file that it fills many times."""
    monkeypatch.setattr(ring, "RING_BYTES", ring.HEAD_BYTES + 32749)
    programs = [program(trace) for trace in random_traces(13, 40).values()]

    def seen(answers: Sequence[Answer]) -> list[tuple[object, ...]]:
        return [(one.errno, one.memory[0].locked_kb, one.memory[0].vmas) for one in answers if one.memory]

    def prepare(directory: Path) -> Command:
        (directory / "batch").write_bytes(batch(programs, {}))
        command = [str(built("guest")), str(directory / "batch"), "-", str(directory)]
        return Command(command, ring=directory / "resource2")

    nbytes = 0

    def counted(self: ring.Ring) -> bytes:
        nonlocal nbytes
        time.sleep(0.05)  # the guest must wait for room
        data = take(self)
        nbytes += len(data)
        return data

    take = ring.Ring.take
    monkeypatch.setattr(ring.Ring, "take", counted)
    through = [seen(one) for one in Conversation(prepare, len(programs), lambda hello: None, Limits(60, 60, 1024))]
    assert through == [seen(one) for one in Host().run(programs, lambda hello: None)]
    assert nbytes > 3 * ring.RING_BYTES
