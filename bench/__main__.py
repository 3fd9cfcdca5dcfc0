"""The command line: runs one command of the table, tells errors in one line."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import __version__
from bench.commands import COMMANDS
from bench.errors import (
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    EXIT_MEASUREMENT,
    EXIT_NO_READER,
    EXIT_USAGE,
    BenchError,
    UsageError,
    internal_error,
    one_line,
    told,
    unknown,
)

JUDGE = "gate"  # whose exit code 1 is a verdict, and 3 that there is none
_STANDARD_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # of a write
_LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)  # open files, memory, processes


def _overview() -> str:
    """Return the text of --help."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: unlockall-bench COMMAND [options]     (or: python -m bench COMMAND [options])",
            "",
            "Models of Linux mlock, measured: why munlockall() of memory that nobody touched took seconds.",
            "",
            "commands:",
            *lines,
            "",
            "unlockall-bench COMMAND --help tells a command's options.",
            "exit codes: 0 done, 1 differences found, 2 bad usage or input, 3 measurement cannot be trusted,",
            "70 internal error, 130 interrupted",
        ]
    )


def run(argv: Sequence[str]) -> int:
    """Run one command line; return its exit code."""
    if not argv:
        raise UsageError(f"no command; commands are {', '.join(COMMANDS)}")
    if argv[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if argv[0] == "--version":
        print("unlockall-bench", __version__)
        return 0
    if argv[0] not in COMMANDS:
        raise unknown(f"unknown command {one_line(argv[0], 60)!r}; commands are ", argv[0], COMMANDS)
    command = importlib.import_module(f"bench.commands.{argv[0]}")
    return int(command.main(list(argv[1:])))


def _drop_output() -> None:
    """Let standard output go nowhere, so that nothing is tried again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _told(error: Exception, command: str) -> int:
    """Tell an error in one line; return the exit code that it ends the command with."""
    if isinstance(error, BenchError):
        line, code = told(error), error.exit_code
    elif isinstance(error, OSError) and error.errno in _STANDARD_OUTPUT and error.filename is None:
        _drop_output()
        line, code = f"cannot write standard output: {error.strerror}", EXIT_USAGE
    elif isinstance(error, OSError) and error.errno in _LIMITS:
        line, code = f"this needs more than the system allows: {error.strerror}", EXIT_MEASUREMENT
    elif isinstance(error, MemoryError):
        line, code = "this needs more memory than there is", EXIT_MEASUREMENT
    else:
        line, code = internal_error(error), EXIT_MEASUREMENT if command == JUDGE else EXIT_INTERNAL
    print(f"unlockall-bench: {line}", file=sys.stderr)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; tell errors in one line on standard error."""
    if sys.stdout is None:  # closed by the caller
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # until the end
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an old terminal may know no µ
    words = sys.argv[1:] if argv is None else argv
    try:
        code = run(words)
        sys.stdout.flush()  # a reader that went away is noticed here, not at exit
        return code
    except SystemExit as request:  # argparse after --help
        return request.code if isinstance(request.code, int) else EXIT_USAGE
    except KeyboardInterrupt:
        print("unlockall-bench: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return EXIT_NO_READER
    except Exception as error:
        return _told(error, words[0] if words else "")


if __name__ == "__main__":
    sys.exit(main())
