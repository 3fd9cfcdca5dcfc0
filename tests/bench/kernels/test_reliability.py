"""Guests that panic, hang or grow, and harnesses that are killed: named errors, no process left, no file left.

Fake guests everywhere; real ones where QEMU and kernels can be had.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.kernels.build import built
from bench.kernels.errors import DeadlineError, EarlyEndError, GarbledError, MemoryLimitError, MissingError
from bench.kernels.images import find
from bench.kernels.protocol import Answer, Hello, Program, system_call, touch, wait
from bench.kernels.qemu import PROGRAM_NAME, Qemu
from bench.kernels.ring import HEAD_BYTES
from bench.kernels.session import Command, Conversation, Limits
from bench.kernels.uml import Uml, check_binary

START = 0x1000000000
SENDER = """
import mmap, os, sys, time, zlib
number = 0
def line(text):
    global number
    body = f"{number} {text}".encode()
    number += 1
    return body + b" *%08x\\n" % zlib.crc32(body)
def send(text):
    os.write(1, line(text))
HELLO = ("hello 2 kernel fake cpus 1 kpageflags 1 vmstat 1", "trace", "step 0 0 5", "trace")
"""
RING = (
    SENDER
    + f"memory = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 0)\nHEAD = {HEAD_BYTES}\n"
    + (
        """
def store(data):
    written = int.from_bytes(memory[:8], "little")
    memory[HEAD + written : HEAD + written + len(data)] = data
    memory[:8] = (written + len(data)).to_bytes(8, "little")
for text in HELLO:
    store(line(text))
"""
    )
)


def image(word: str) -> Path:
    """Return a kernel of the cache, or skip the test."""
    try:
        path = find(word).path
        if word.startswith("uml-"):
            check_binary(path)
    except MissingError as error:
        pytest.skip(str(error))
    if not word.startswith("uml-") and shutil.which(PROGRAM_NAME) is None:
        pytest.skip("QEMU is not installed")
    return path


def said(script: str, limits: Limits) -> Conversation:
    """Start a fake guest that has sent the answers to the first of two programs."""
    command = Command([sys.executable, "-c", SENDER + "for text in HELLO: send(text)\n" + script])
    return Conversation(lambda directory: command, 2, lambda hello: None, limits)


def shared(script: str, limits: Limits) -> Conversation:
    """Start a fake guest that does the same through memory."""

    def prepare(directory: Path) -> Command:
        ring = directory / "ring"
        return Command([sys.executable, "-c", RING + script, str(ring)], ring=ring)

    return Conversation(prepare, 2, lambda hello: None, limits)


Speak = Callable[[str, Limits], Conversation]
SPEAKS = pytest.mark.parametrize("speak", [said, shared])
MUCH = Limits(60, 60, 1024)


@SPEAKS
def test_a_guest_that_grows_is_ended(speak: Speak) -> None:
    guest = speak("time.sleep(1); held = b'x' * (400 << 20); time.sleep(600)", MUCH._replace(memory_mib=200))
    assert len(next(guest)) == 1
    with pytest.raises(MemoryLimitError, match="more than 200 MiB"):
        next(guest)


def test_a_child_of_the_guest_that_grows_is_noticed() -> None:
    child = "held = b'x' * (400 << 20); import time; time.sleep(600)"
    guest = said(f"import subprocess; subprocess.run([sys.executable, '-c', {child!r}])", MUCH._replace(memory_mib=200))
    with pytest.raises(MemoryLimitError):
        list(guest)


@SPEAKS
def test_a_guest_that_falls_silent_is_ended_long_before_its_deadline(speak: Speak) -> None:
    guest = speak("time.sleep(600)", MUCH._replace(silence=1))
    began = time.monotonic()
    assert len(next(guest)) == 1
    with pytest.raises(DeadlineError, match="said nothing for 1 s"):
        next(guest)
    assert time.monotonic() - began < 30


def test_what_was_stored_before_a_crash_is_there() -> None:
    guest = shared("store(line('step 0 0 7')); store(line('end')); os.kill(os.getpid(), 9)", MUCH)
    assert [[one.cycles for one in answers] for answers in guest] == [[5], [7]]
    guest = shared("store(line('step 0 0 7')); os.abort()", MUCH)
    assert len(next(guest)) == 1
    with pytest.raises(EarlyEndError, match="after 1 of 2"):
        next(guest)


@pytest.mark.parametrize(
    "script",
    ["store(b'rubbish\\n')", "store(line('step 0 0 7')[:-4])", "memory[:8] = b'\\xff' * 8", "os.write(1, b'rubbish\\n')"],
)
def test_memory_with_rubbish_in_it(script: str) -> None:
    with pytest.raises(GarbledError):
        [*shared(script + "; time.sleep(2)", MUCH)]


def test_a_line_without_end_is_no_reason_to_wait() -> None:
    with pytest.raises(GarbledError):
        [*said("while True: os.write(1, b'x' * 65536)", MUCH)]


def test_files_are_there_as_long_as_the_guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def prepare(directory: Path) -> Command:
        (directory / "inner").mkdir()
        (directory / "inner" / "file").touch()
        console = directory / "console"
        console.write_text("Kernel panic - not syncing: seen\n")
        return Command([sys.executable, "-c", "pass"], console)

    with pytest.raises(EarlyEndError, match="Kernel panic - not syncing: seen"):
        [*Conversation(prepare, 1, lambda hello: None, MUCH)]
    assert not [*tmp_path.iterdir()]


def programs(*orders: str) -> list[Program]:
    """Return a program of these orders, and an empty one after it."""
    return [Program(START, START + (1 << 40), orders, 0), Program(START, START + 4096, (), 0)]


@pytest.mark.parametrize("word", ["6.1", "5.10"])
def test_a_kernel_that_is_made_to_panic(word: str) -> None:
    heard: list[Hello] = []
    kernel = Qemu(image(word), settings={"/proc/sysrq-trigger": "c"})
    with pytest.raises(EarlyEndError, match="Kernel panic - not syncing: sysrq triggered crash") as caught:
        [*kernel.run(programs(), heard.append)]
    assert len(heard) == 1  # it had come up
    assert len(caught.value.console) > 10


def test_a_kernel_that_panics_when_memory_runs_out() -> None:
    flood = (system_call("mmap", START, 1 << 30, 3, 0x104022, -1, 0), touch(START, 1 << 30))
    kernel = Qemu(image("6.1"), memory_mib=256, settings={"/proc/sys/vm/panic_on_oom": "1"})
    with pytest.raises(EarlyEndError, match="Kernel panic - not syncing: Out of memory"):
        [*kernel.run(programs(*flood), lambda hello: None)]


def test_a_user_mode_linux_that_hangs() -> None:
    got: list[list[Answer]] = []
    guest = Uml(image("uml-6.1")).run(programs()[1:] + programs(wait(1 << 40)), lambda hello: None, 8)
    with pytest.raises(DeadlineError, match="8 s"):
        got.extend(guest)
    assert len(got) == 1


def processes(mark: str) -> list[int]:
    """Return the processes with a mark in their environment or command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (path / "environ").read_bytes() + (path / "cmdline").read_bytes():
                found.append(int(path.name))
        except OSError:
            continue  # it has ended, or is another user's
    return found


KILLED = """
import sys
from pathlib import Path
from bench.kernels.host import Host
from bench.kernels.qemu import Qemu
from bench.kernels.uml import Uml
from bench.kernels.protocol import program
from bench.traces.generate import random_traces
kernel = Host() if sys.argv[1] == "host" else Uml(Path(sys.argv[2])) if sys.argv[1] == "uml" else Qemu(Path(sys.argv[2]))
programs = [program(one) for one in random_traces(1, 100).values()]
while True:
    print("start", flush=True)
    guest = kernel.run(programs, lambda hello: None)
    print("started", flush=True)
    for answers in guest:
        pass
"""


@pytest.mark.parametrize(("kind", "times", "longest"), [("host", 8, 1.0), ("uml", 8, 2.0), ("qemu", 6, 6.0)])
def test_a_harness_that_is_killed_leaves_nothing(kind: str, times: int, longest: float, tmp_path: Path) -> None:
    kernel = "" if kind == "host" else str(image({"uml": "uml-6.1", "qemu": "6.1"}[kind]))
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # shown when this fails
    draw = random.Random(seed)
    for number in range(times):
        place = tmp_path / f"{kind}{number}"
        place.mkdir()
        environment = os.environ | {"TMPDIR": str(place)}
        harness = subprocess.Popen([sys.executable, "-c", KILLED, kind, kernel], stdout=subprocess.PIPE, env=environment)
        assert harness.stdout is not None
        assert harness.stdout.readline() == b"start\n"
        time.sleep(draw.uniform(0, longest))
        harness.send_signal(signal.SIGKILL)
        harness.wait()
        last = re.split(rb"\n", harness.stdout.read())[-2:-1]
        harness.stdout.close()
        until = time.monotonic() + 20
        while processes(str(place)) and time.monotonic() < until:
            time.sleep(0.05)
        assert processes(str(place)) == []
        # Between making its directory and starting the keeper nobody can remove it; nothing uses it again.
        assert last != [b"started"] or [*place.iterdir()] == []


def test_the_keeper_removes_no_other_directory(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    subprocess.run([built("keeper"), "10", "100", str(other), "/bin/true"], input=b"", check=False)
    assert (other / "file").exists()
