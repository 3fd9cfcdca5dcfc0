"""What ends a command: errors with an exit code and one line for the user."""

from __future__ import annotations

EXIT_DIFFERENCES = 1  # a comparison that was asked for found some
EXIT_USAGE = 2
EXIT_MEASUREMENT = 3
EXIT_INTERRUPTED = 130  # as a shell reports a process that SIGINT ended


class BenchError(Exception):
    """Base of errors that are told to the user in one line, without a traceback."""

    exit_code = EXIT_MEASUREMENT


class UsageError(BenchError):
    """The request is wrong: a name, a size, a file, a directory."""

    exit_code = EXIT_USAGE


class MeasurementError(BenchError):
    """The request was right, but its measurement cannot be trusted or did not come about."""


def one_line(text: object, limit: int = 300) -> str:
    """Return printable text on one line, cut to `limit` characters.

    Names that come out of files may hold anything, terminal control codes too.
    """
    shown = "".join(char if char.isprintable() else "?" for char in " ".join(str(text).split()))
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."
