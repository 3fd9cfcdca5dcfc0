"""One run of a guest: started under the keeper, its answers read as they come, its console kept, nothing of it left behind."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench.errors import one_line
from bench.kernels.build import built
from bench.kernels.errors import DeadlineError, GuestError, KernelError, MemoryLimitError
from bench.kernels.protocol import Answer, Hello, answers
from bench.kernels.ring import Ring

PREFIX: Final = "unlockall-bench-"  # of temporary directories; the keeper removes no other
TIME_IS_UP: Final = 124  # the keeper's exit codes
TOO_LARGE: Final = 123
CANNOT_START: Final = 127
MAX_LINE: Final = 8 << 20  # bytes of a line of the guest's; half a line is noticed by its checksum
CONSOLE_BYTES: Final = 8192  # of its end
PIPE_BYTES: Final = 1 << 20  # so that a guest can go on while another's answers are read
LOOK_MS: Final = 10  # between two looks at what the guest has written


class Command(NamedTuple):
    """How a guest is started: its standard output is the protocol's, its console a file or standard error."""

    arguments: Sequence[str]  # the program with its whole path first
    console: Path | None = None  # where the guest's console is written
    ring: Path | None = None  # a file to be made, whose memory the guest shares: lines come there too
    directory: Path | None = None  # that it starts in, None for this program's: a core file would be written there


class Limits(NamedTuple):
    """What ends a guest."""

    seconds: int  # from its start
    silence: float  # seconds without a line
    memory_mib: int  # resident, of any one of its processes


def patience() -> float:
    """Return how many times as long as on an idle machine work takes on this one now, at least 1."""
    return max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))


def _end_of(path: Path | None) -> str:
    """Return the end of a console's text, "" if there is none."""
    if path is None:
        return ""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - CONSOLE_BYTES))
            return handle.read().decode("utf-8", "replace")
    except OSError:
        return ""


class Conversation(Iterator[list[Answer]]):
    """A guest that was started, as an iterator of its answers to each program, in order.

    GuestError, with the console's end, for a guest that failed; what came before is good. When it ends, whichever way,
    or is closed, no process and no file of the guest is left.
    """

    def __init__(self, prepare: Callable[[Path], Command], wanted: int, hello: Callable[[Hello], None], limits: Limits) -> None:
        """Start a guest.

        `prepare` writes its files into a directory, which exists as long as the guest, and says how it is started;
        `wanted`: programs that it is given; `hello` is told what it is.
        """
        self._limits = limits
        with contextlib.ExitStack() as cleanup:
            directory = cleanup.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX))
            self._command = prepare(Path(directory))
            ring = self._command.ring
            self._ring = cleanup.enter_context(contextlib.closing(Ring(ring))) if ring else None
            self._noise = cleanup.enter_context(tempfile.TemporaryFile())
            self._process = self._started(directory)
            cleanup.callback(self._stop)
            self._answers = answers(self._lines(), wanted, hello)
            self._cleanup = cleanup.pop_all()

    def _started(self, directory: str) -> subprocess.Popen[bytes]:
        """Start the keeper, and by it the guest."""
        limits = (str(self._limits.seconds), str(self._limits.memory_mib), directory)
        try:
            process = subprocess.Popen(
                [built("keeper"), *limits, *self._command.arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._noise,
                cwd=self._command.directory,
            )
        except OSError as error:
            raise KernelError(f"cannot start {one_line(self._command.arguments[0], 120)}: {error.strerror}") from None
        assert process.stdout is not None
        with contextlib.suppress(OSError):  # more than this user may have: it goes on with what the pipe has
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        return process

    def _lines(self) -> Iterator[bytes]:
        """Yield what the guest says, line by line, of both ways that it can come."""
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(output, select.POLLIN)
        heard, rest = time.monotonic(), bytearray()
        while True:
            piece = os.read(output, PIPE_BYTES) if poll.poll(LOOK_MS) else None
            shared = self._ring.take() if self._ring else b""
            rest += piece or b""
            end = len(rest) if piece == b"" or len(rest) > MAX_LINE else rest.rfind(b"\n") + 1
            text = shared + rest[:end]
            del rest[:end]
            if text:
                yield from io.BytesIO(text)
                heard = time.monotonic()
            elif time.monotonic() - heard > self._limits.silence:
                raise DeadlineError(f"the guest has said nothing for {self._limits.silence:g} s")
            if piece == b"":
                return

    def __next__(self) -> list[Answer]:
        """Return the answers to the next program."""
        try:
            return next(self._answers)
        except GuestError as error:
            failure = self._failure(error)
            self.close()
            raise failure from None
        except BaseException:  # the end of it, or an interruption
            self.close()
            raise

    def _failure(self, error: GuestError) -> KernelError:
        """Return what is to be told of a guest that failed, which is ended first."""
        console = _end_of(self._command.console)
        code = self._stop()
        self._noise.seek(0)
        error.add_console(console + self._noise.read().decode("utf-8", "replace"))
        if code == CANNOT_START:
            return KernelError(f"cannot start {one_line(self._command.arguments[0], 120)}: {error}")
        if code == TIME_IS_UP:
            return DeadlineError(f"the guest had not ended after {self._limits.seconds} s", error.console)
        if code == TOO_LARGE:
            return MemoryLimitError(f"the guest had more than {self._limits.memory_mib} MiB of memory", error.console)
        return error

    def _stop(self) -> int:
        """Close the keeper's pipe, on which it kills everything; return its exit code, also when called again."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        code = self._process.wait()
        self._process.stdout.close()
        return code

    def close(self) -> None:
        """End the guest, if it has not ended; harmless when called again."""
        self._cleanup.close()

    def __del__(self) -> None:
        """End the guest of an iterator that nobody has any more."""
        if hasattr(self, "_cleanup"):  # it was started
            self.close()


def converse(
    command: Command, wanted: int, seconds: int, hello: Callable[[Hello], None], memory_mib: int = 1024
) -> Conversation:
    """Start a guest that needs no files, with `seconds` for everything."""
    return Conversation(lambda directory: command, wanted, hello, Limits(seconds, seconds, memory_mib))
