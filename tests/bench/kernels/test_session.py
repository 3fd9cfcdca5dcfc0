"""Guests that hang, crash, print garbage or outlive their harness, as small scripts in a real guest's place."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.kernels.errors import SHOWN_LINES, DeadlineError, EarlyEndError, GarbledError, KernelError
from bench.kernels.protocol import Answer
from bench.kernels.session import Command, converse

SENDER = """
import sys, time, os, signal, zlib
number = 0
def send(text):
    global number
    body = f"{number} {text}".encode()
    sys.stdout.buffer.write(body + b" *%08x\\n" % zlib.crc32(body))
    sys.stdout.flush()
    number += 1
send("hello 2 kernel fake cpus 1 kpageflags 1 vmstat 1")
send("trace")
send("step 0 0 5")
send("trace")
"""


def talk(script: str, seconds: int = 20, console: Path | None = None) -> list[list[Answer]]:
    """Run a script as a guest of two traces, the first of which it has carried out; return all it answers."""
    command = Command([sys.executable, "-c", SENDER + script], console)
    return [*converse(command, 2, seconds, lambda hello: None)]


def alive(mark: str) -> list[int]:
    """Return the processes whose command line has a mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue  # it has ended meanwhile
    return found


def test_all_well() -> None:
    assert len(talk("send('step 0 0 5'); send('end')")) == 2


def test_a_guest_that_hangs_is_ended_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineError, match="1 s"):
        talk("time.sleep(600)", seconds=1)
    assert time.monotonic() - began < 10


def test_a_guest_that_hangs_and_ignores_everything() -> None:
    with pytest.raises(DeadlineError):
        talk("[signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 13, 15)]; time.sleep(600)", seconds=1)


@pytest.mark.parametrize("script", ["sys.exit(3)", "os.abort()", "os.kill(os.getpid(), 9)", "", "raise MemoryError"])
def test_a_guest_that_ends_early(script: str) -> None:
    with pytest.raises(EarlyEndError, match="after 1 of 2 traces"):
        talk(script)


@pytest.mark.parametrize(
    "script", ["print('rubbish')", "sys.stdout.write('4 step 0 0')", "send('step 0 0 5'[:-3]); number = 9; send('end')"]
)
def test_a_guest_that_talks_rubbish(script: str) -> None:
    with pytest.raises(GarbledError):
        talk(script)


def test_the_last_words_of_console_and_program_are_kept(tmp_path: Path) -> None:
    console = tmp_path / "console"
    console.write_text("".join(f"line {number}\n" for number in range(100)) + "Kernel panic - not syncing: \x1b[31mno init\n")
    with pytest.raises(EarlyEndError) as caught:
        talk("print('qemu: out of memory', file=sys.stderr); sys.exit(1)", console=console)
    assert caught.value.console[-2:] == ("Kernel panic - not syncing: ?[31mno init", "qemu: out of memory")
    assert len(caught.value.console) == 60
    assert str(caught.value).endswith("; its console: Kernel panic - not syncing: ?[31mno init | qemu: out of memory")
    assert "\n" not in str(caught.value)


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(KernelError):
        [*converse(Command(["/nonexistent/kernel"]), 1, 5, lambda hello: None)]


def test_a_reader_that_stops_leaves_nothing_behind() -> None:
    mark = f"survivor-{os.getpid()}-reader"
    script = (
        SENDER + f"'{mark}'\nimport subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True); time.sleep(600)"
    )
    conversation = converse(Command([sys.executable, "-c", script]), 2, 600, lambda hello: None)
    next(conversation)
    assert alive(mark)
    conversation.close()
    assert not alive(mark)


@pytest.mark.parametrize("after", [0.3, 0.5, 0.8, 1.2])
def test_a_harness_that_is_killed_leaves_nothing_behind(after: float) -> None:
    mark = f"survivor-{os.getpid()}-{after}"
    child = f"import time; '{mark}'; time.sleep(600)"
    guest = (
        SENDER
        + f"import subprocess; subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True)\ntime.sleep(600)"
    )
    harness = (
        "import sys; from bench.kernels.session import Command, converse\n"
        f"[*converse(Command([sys.executable, '-c', {guest!r}]), 2, 600, lambda hello: print('up', flush=True))]"
    )
    process = subprocess.Popen([sys.executable, "-c", harness], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    until = time.monotonic() + 10
    while alive(mark) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(mark)


def test_without_a_word_of_what_happened_the_last_lines_are_told(tmp_path: Path) -> None:
    console = tmp_path / "console"
    console.write_text("".join(f"line {number}\n" for number in range(100)))
    with pytest.raises(EarlyEndError) as caught:
        talk("sys.exit(1)", console=console)
    last = [f"line {number}" for number in range(100 - SHOWN_LINES, 100)]
    assert str(caught.value).endswith("; its console: " + " | ".join(last))
