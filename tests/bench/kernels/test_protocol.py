"""The guest's protocol: what it is told, and that nothing it answers is believed that is not whole."""

import zlib
from collections.abc import Sequence

import pytest

from bench.kernels.errors import EarlyEndError, GarbledError, GuestError, RefusedError
from bench.kernels.protocol import Answer, Hello, Program, answers, batch, order, program, result
from bench.traces import ops
from bench.traces.ops import DropCapIpcLock, Mlock2, Mmap, RlimitMemlock, Touch, Trace
from bench.traces.trace_format import Memory, Step

HELLO = "hello 2 kernel 6.1.0-50-cloud-amd64 cpus 1 kpageflags 1 vmstat 1"
STEP = "step 0 0 120 + nr_mlock 2 @ 0 8 v 1000 3000 rw-p 1 8 8 r 0 2 PMU"
GOOD = (HELLO, "trace", STEP, "step 1 -12 90 @ 0 8 =v =r", "end")


def sent(texts: Sequence[str]) -> list[bytes]:
    """Return lines as a guest sends them."""
    bodies = [f"{number} {text}".encode() for number, text in enumerate(texts)]
    return [b"%s *%08x\n" % (body, zlib.crc32(body)) for body in bodies]


def read(lines: Sequence[bytes], wanted: int = 1) -> list[list[Answer]]:
    """Return all answers."""
    return [*answers(lines, wanted, lambda hello: None)]


def test_a_conversation() -> None:
    heard: list[Hello] = []
    ((first, second),) = answers(sent(GOOD), 1, heard.append)
    assert heard == [Hello("6.1.0-50-cloud-amd64", 1, True, True)]
    assert (first.result, first.cycles, first.errno, first.vmstat) == (0, 120, 0, {"nr_mlock": 2})
    assert first.memory[0].locked_kb == 8
    assert first.memory[0].vmas == [("0x1000", "0x3000", "rw-p", True, 8, 8)]
    assert first.memory[0].pages == [(0, 2, "PMU")]
    assert second.errno == "ENOMEM"
    assert second.memory == first.memory
    assert second.vmstat == {}


def test_two_processes_and_the_end_of_one() -> None:
    steps = (
        "step 0 55 9 @ 0 0 v 1000 2000 rw-p 0 4 0 @ 1 4 v 1000 2000 rw-p 1 4 2",
        "step 1 died 9 77 @ 0 0 =v",
        "step 2 nobody @ 0 0 =v",
    )
    ((fork, kill, gone),) = read(sent((HELLO, "trace", *steps, "end")))
    assert [fork.memory[who].locked_kb for who in (0, 1)] == [0, 4]
    assert fork.memory[1].vmas == [("0x1000", "0x2000", "rw-p", True, 4, 2)]
    assert (kill.errno, kill.died, [*kill.memory]) == ("SIG9", 9, [0])
    assert gone.errno == "ESRCH"


@pytest.mark.parametrize("number", range(len(GOOD)))
@pytest.mark.parametrize("harm", ["checksum", "half", "garbage", "missing", "twice"])
def test_a_line_that_is_not_as_it_was_sent(number: int, harm: str) -> None:
    lines = sent(GOOD)
    match harm:
        case "checksum":
            middle = len(lines[number]) // 2
            lines[number] = lines[number][:middle] + bytes([lines[number][middle] ^ 1]) + lines[number][middle + 1 :]
        case "half":
            lines[number] = lines[number][: len(lines[number]) // 2]
            del lines[number + 1 :]
        case "garbage":
            lines[number] = b"\xff\x00[    1.0] BUG: soft lockup\n"
        case "missing":
            del lines[number]
        case "twice":
            lines.insert(number, lines[number])
    if harm == "missing" and number == len(GOOD) - 1:
        with pytest.raises(EarlyEndError, match="after 0 of 1 traces"):
            read(lines)
    elif harm == "twice" and number == len(GOOD) - 1:
        assert len(read(lines)) == 1  # nobody listens after the end
    else:
        with pytest.raises(GarbledError, match=f"line {number}|line {number + 1}"):
            read(lines)


@pytest.mark.parametrize("kept", range(len(GOOD)))
def test_a_guest_that_ends_early(kept: int) -> None:
    with pytest.raises(EarlyEndError):
        read(sent(GOOD[:kept]))


def test_what_came_before_is_kept() -> None:
    got = []
    with pytest.raises(GuestError):
        for one in answers(sent((HELLO, "trace", STEP, "trace", STEP)), 2, lambda hello: None):
            got.append(one)  # a list made in one go would be lost
    assert len(got) == 1


@pytest.mark.parametrize("steps", [0, 1])
def test_what_was_answered_of_the_program_at_which_the_guest_ended_is_kept(steps: int) -> None:
    with pytest.raises(EarlyEndError) as caught:
        [*answers(sent((HELLO, "trace", STEP, "trace", *(STEP,) * steps)), 3, lambda hello: None)]
    assert caught.value.answered is not None
    assert [one.result for one in caught.value.answered] == [0] * steps
    with pytest.raises(EarlyEndError) as caught:
        [*answers(sent((HELLO,)), 3, lambda hello: None)]
    assert caught.value.answered is None


def test_fewer_traces_than_asked_for() -> None:
    with pytest.raises(EarlyEndError, match="1 of 2"):
        read(sent(GOOD), 2)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("error fork -11", RefusedError),
        ("step 0 0 5 @ 0 0 ! smaps -3", RefusedError),
        ("step 0 0 5 ! anything", RefusedError),
        ("step 0 many 5", GarbledError),
        ("step 1 0 5", GarbledError),
        ("step 0 0 5 @ 0 0 v 1000", GarbledError),
        ("step", GarbledError),
        ("sing", GarbledError),
    ],
)
def test_lines_that_are_whole_and_say_what_nobody_asked(text: str, error: type[GuestError]) -> None:
    with pytest.raises(error):
        read(sent((HELLO, "trace", text)))


@pytest.mark.parametrize(
    "hello", ["hello 3 kernel x cpus 1 kpageflags 1 vmstat 1", "hello 2 kernel x", "trace", "hello 2 cpus"]
)
def test_a_guest_of_another_protocol(hello: str) -> None:
    with pytest.raises(GarbledError):
        read(sent((hello, "trace", STEP, "end")))


def test_orders() -> None:
    ops = (
        Mmap("0x1000000000", "0x2000", "rw", ("locked",)),
        Mlock2("0x1000000000", "0x1000", -1),
        Touch("0x1000000000", "0x2000", "write", 8192),
        RlimitMemlock(65536),
        DropCapIpcLock(),
    )
    trace = Trace("t", ("0x1000000000", "0x2000000000"), ops)
    assert program(trace) == Program(
        0x1000000000,
        0x2000000000,
        (
            "c 0 9 1000000000 2000 3 102022 ffffffffffffffff 0",
            "c 0 145 1000000000 1000 ffffffff",
            "t 0 1000000000 2000 2000 1",
            "l 0 8 10000",
            "d 0 e",
        ),
    )
    assert (
        batch([program(trace)._replace(orders=("x 0",))], {"/sys/a": "b"})
        == b"B 2\nS /sys/a b\nT 1000000000 2000000000 3\nx 0\nE\n"
    )


def test_orders_of_several_processes_and_files() -> None:
    at, page = "0x1000000000", "0x1000"
    made: dict[ops.Op, str] = {
        ops.MakeFile(0, "0x3000"): "o 0 64 3000",
        ops.Fork(2): "f 0 2",
        ops.Mmap(at, page, "r", ("fixed", "shared"), 1, "0x2000", proc=2): "c 2 9 1000000000 1000 1 11 65 2000",
        ops.Ftruncate(1, "0x1001", proc=2): "c 2 4d 65 1001",
        ops.PunchHole(0, page, "0x2000"): "c 0 11d 64 3 1000 2000",
        ops.Mremap(at, page, "0x2000", 3, "0x2000000000", proc=1): "c 1 19 1000000000 1000 2000 3 2000000000",
        ops.Msync(at, page, 6, proc=1): "c 1 1a 1000000000 1000 6",
        ops.Madvise(at, page, "dontneed_locked"): "c 0 1c 1000000000 1000 18",
        ops.Madvise(at, page, "hugepage", proc=3): "c 3 1c 1000000000 1000 e",
        ops.MadviseDontneed(at, page, proc=1): "c 1 1c 1000000000 1000 4",
        ops.Mprotect(at, page, "none", proc=1): "c 1 a 1000000000 1000 0",
        ops.Munmap(at, page, proc=1): "c 1 b 1000000000 1000",
        ops.Mlock(at, page, proc=1): "c 1 95 1000000000 1000",
        ops.Mlockall(1, proc=1): "c 1 97 1",
        ops.Munlockall(proc=1): "c 1 98",
        ops.Touch(at, page, "read", proc=1): "t 1 1000000000 1000 1000 0",
        ops.RlimitMemlock(4096, proc=1): "l 1 8 1000",
        ops.DropCapIpcLock(proc=1): "d 1 e",
        ops.Exit(proc=2): "x 2",
    }
    assert {op: order(op) for op in made} == made


def test_a_result_of_several_processes() -> None:
    steps = (
        "step 0 55 9 @ 0 0 v 1000 2000 rw-p 0 4 0 r 0 1 P @ 1 4 v 1000 2000 rw-p 1 4 2 r 0 1 PMU",
        "step 1 died 0 7 @ 1 4 =v =r",
    )
    (got,) = read(sent((HELLO, "trace", *steps, "end")))
    child = Memory(4, [("0x1000", "0x2000", "rw-p", True, 4, 2)], [(0, 1, "PMU")])
    forks = Trace("t", ("0x1000", "0x3000"), (ops.Fork(1), ops.Exit()))
    first, last = result(forks, "k", Hello("6.1", 1, True, True), got).steps
    assert first == Step(0, 0, [("0x1000", "0x2000", "rw-p", False, 4, 0)], [(0, 1, "P")], {}, {1: child})
    assert last == Step(0, None, None, None, {}, {1: child})
    alone = Trace("t", ("0x1000", "0x3000"), (ops.Munlockall(),))
    assert result(alone, "k", Hello("6.1", 1, True, True), got[:1]).steps[0].others is None


def test_a_result_says_nothing_of_what_the_guest_may_not_see() -> None:
    trace = Trace("t", ("0x1000", "0x3000"), ())
    ((answer, _),) = read(sent(GOOD))
    seen = result(trace, "k", Hello("6.1", 1, True, True), [answer]).steps[0]
    assert seen == Step(0, 8, [("0x1000", "0x3000", "rw-p", True, 8, 8)], [(0, 2, "PMU")], {"nr_mlock": 2})
    blind = result(trace, "k", Hello("6.1", 1, False, False), [answer]).steps[0]
    assert (blind.pages, blind.vmstat, blind.vmas) == (None, None, seen.vmas)
    answer.memory[0].pages[0] = (0, 2, "P?")
    assert result(trace, "k", Hello("6.1", 1, True, True), [answer]).steps[0].pages is None


def test_each_trace_is_set_to_its_large_folios() -> None:
    window, made = ("0x1000", "0x3000"), (ops.Munlockall(),)
    traces = [Trace("a", window, made, sizes) for sizes in ((), ("64KiB", "1MiB"), ("1MiB",), ())]
    lines = batch([*map(program, traces)], {}).decode().splitlines()
    path = "/sys/kernel/mm/transparent_hugepage/hugepages-{}kB/enabled"
    assert [line for line in lines if line[0] in "ST"] == [
        "T 1000 3000 1",
        f"S {path.format(64)} always",
        f"S {path.format(1024)} always",
        "T 1000 3000 1",
        f"S {path.format(64)} never",
        "T 1000 3000 1",
        f"S {path.format(1024)} never",
        "T 1000 3000 1",
    ]


def test_a_process_that_is_gone_has_no_memory_to_tell_of() -> None:
    trace = Trace("t", ("0x1000", "0x3000"), ())
    ((answer,),) = read(sent((HELLO, "trace", "step 0 nobody", "end")))
    assert result(trace, "k", Hello("6.1", 1, True, True), [answer]).steps == (Step("ESRCH", None, None, None, {}),)
