"""One run of a guest: started under the keeper, its answers read as they come, its console kept, nothing of it left behind."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench.errors import one_line
from bench.kernels.build import built
from bench.kernels.errors import DeadlineError, GuestError, KernelError
from bench.kernels.protocol import Answer, Hello, answers

TIME_IS_UP: Final = 124  # the keeper's exit code
CANNOT_START: Final = 127
MAX_LINE: Final = 8 << 20  # bytes of a line of the guest's; half a line is noticed by its checksum
CONSOLE_BYTES: Final = 8192  # of its end


class Command(NamedTuple):
    """How a guest is started: its standard output is the protocol's, its console a file or standard error."""

    arguments: Sequence[str]  # the program with its whole path first
    console: Path | None = None  # where the guest's console is written


def _lines(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Yield what the guest says, line by line."""
    assert process.stdout is not None
    while line := process.stdout.readline(MAX_LINE):
        yield line


def _end_of(path: Path) -> str:
    """Return the end of a console's text, "" if there is none."""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - CONSOLE_BYTES))
            return handle.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _stop(process: subprocess.Popen[bytes]) -> int:
    """Close the keeper's pipe, on which it kills everything; return its exit code, also when called again."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    code = process.wait()
    process.stdout.close()
    return code


def converse(
    command: Command, wanted: int, seconds: int, hello: Callable[[Hello], None]
) -> Generator[list[Answer], None, None]:
    """Start a guest and yield its answers to each of `wanted` programs as they come; `hello` is told what the guest is.

    At the end, whichever it is, no process of the guest is left. GuestError, with the console's end, for a guest that
    failed; what was yielded before is good. DeadlineError after `seconds`.
    """
    with tempfile.TemporaryFile() as noise:
        try:
            process = subprocess.Popen(
                [built("keeper"), str(seconds), *command.arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noise
            )
        except OSError as error:
            raise KernelError(f"cannot start {one_line(command.arguments[0], 120)}: {error.strerror}") from None
        try:
            yield from answers(_lines(process), wanted, hello)
        except GuestError as error:
            code = _stop(process)
            noise.seek(0)
            said = noise.read().decode("utf-8", "replace")
            error.add_console((_end_of(command.console) if command.console else "") + said)
            if code == CANNOT_START:
                raise KernelError(f"cannot start {one_line(command.arguments[0], 120)}: {error}") from None
            if code == TIME_IS_UP:
                raise DeadlineError(f"the guest had not ended after {seconds} s", error.console) from None
            raise
        finally:
            _stop(process)
