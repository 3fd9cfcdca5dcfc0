"""What ends a command: errors with an exit code and one line for the user."""

from __future__ import annotations

import difflib
import os
import tempfile
import traceback
from collections.abc import Iterable

EXIT_DIFFERENCES = 1  # a comparison that was asked for found some
EXIT_USAGE = 2
EXIT_MEASUREMENT = 3
EXIT_INTERNAL = 70  # EX_SOFTWARE of sysexits.h: this program is at fault, and nothing else is said by that code
EXIT_NO_READER = 141  # as a shell reports a process that SIGPIPE ended
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


def unknown(said: str, word: str, known: Iterable[str], listed: str = "") -> UsageError:
    """Return the error about a word that is not among those known: what was said, what there is, and what may be meant.

    `listed`: the known words as text, where that is more than their names.
    """
    names = list(known)
    close = difflib.get_close_matches(word.lower(), names, 1)
    meant = f"; did you mean {close[0]}?" if close else ""
    return UsageError(f"{said}{listed or ', '.join(names)}{meant}")


def told(error: BaseException) -> str:
    """Return an error as one line, with the notes that were added to it on its way."""
    return "; ".join([one_line(error, 1000), *(one_line(note) for note in getattr(error, "__notes__", ()))])


def internal_error(error: BaseException) -> str:
    """Return the one line about an error that nothing foresaw; its traceback goes to a file, which the line names."""
    lines = "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace")
    line = f"internal error: {type(error).__name__}: {told(error)}"
    try:
        descriptor, name = tempfile.mkstemp(prefix="unlockall-bench-", suffix=".traceback")
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(lines)
    except OSError as unwritten:
        return f"{line}; its traceback could not be kept: {unwritten.strerror}"
    return f"{line}; its traceback is in {name}"
