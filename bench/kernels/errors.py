"""How a guest can fail. Each is told in one line; what the guest had answered before is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.errors import MeasurementError, UsageError, one_line

if TYPE_CHECKING:
    from bench.kernels.protocol import Answer

CONSOLE_LINES = 60  # of a guest that failed, kept
SHOWN_LINES = 4  # of them, in the message
_TELLING = ("Kernel panic", "BUG:", "Oops", "Out of memory", "general protection", "error:", "qemu")


class KernelError(MeasurementError):
    """Base: a kernel could not be had, started or believed."""


class MissingError(UsageError):
    """Something is not installed or not fetched; the message says what mends it."""


class GuestError(KernelError):
    """A guest that failed, with the last lines of its console."""

    def __init__(self, message: str, console: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.console = console

    def add_console(self, text: str) -> None:
        """Keep the last lines of what the guest's console said."""
        self.console = tuple(one_line(line, 200) for line in text.splitlines()[-CONSOLE_LINES:])

    def telling(self) -> tuple[str, ...]:
        """Return the lines of the console that say what happened, the last lines if none does: stacks follow a panic."""
        found = tuple(line for line in self.console if any(word in line for word in _TELLING))
        return (found or self.console)[-SHOWN_LINES:]

    def __str__(self) -> str:
        """Return the message, and in the same line what the console said."""
        shown = f"; its console: {' | '.join(self.telling())}" if self.console else ""
        return super().__str__() + shown


class GarbledError(GuestError):
    """A line of the protocol is not as it was sent: half of it, a wrong number or checksum."""


class DeadlineError(GuestError):
    """The guest had not ended when its time was up, or has said nothing for too long."""


class MemoryLimitError(GuestError):
    """A process of the guest's had more memory than it may have."""


class EarlyEndError(GuestError):
    """The guest ended before it had carried out everything: a panic, no memory, a crash."""

    def __init__(self, message: str, console: tuple[str, ...] = (), answered: Sequence[Answer] | None = None) -> None:
        super().__init__(message, console)
        self.answered = answered  # of the program that it was at; None if it was at none


class RefusedError(GuestError):
    """The guest itself says that it cannot go on."""
