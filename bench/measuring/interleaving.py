"""Interleaved processes: of those that are to be compared, one works at a time for a slice of some calls, and the others wait.

What else a machine does makes everything slower, by a third or more, for
milliseconds to minutes. Slices of a few milliseconds meet much the same of it
whichever process has them, so that the ratio of neighbouring slices is free
of it. A process waits for its slice before it looks at the clock.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from bench.errors import MeasurementError

_SLICE = b"."  # what is written on either pipe; an end of file is for good
_GONE = "the process that schedules the slices is gone"


class WorkerEnd(msgspec.Struct):
    """A process's own ends of its two pipes to the scheduler."""

    go: int  # file descriptor to read: each byte is a slice
    done: int  # file descriptor to write: a byte says that the process waits for its next slice
    calls: int  # in each slice
    left: int = 0  # of the present slice

    def wait(self) -> None:
        """Wait for the next slice if the calls of the last are made; MeasurementError if there will be none."""
        if self.left == 0:
            try:
                os.write(self.done, _SLICE)
            except BrokenPipeError:
                raise MeasurementError(_GONE) from None
            if os.read(self.go, 1) != _SLICE:
                raise MeasurementError(_GONE)
            self.left = self.calls
        self.left -= 1

    def words(self) -> str:
        """Return it as a command line has it."""
        return f"{self.go},{self.done},{self.calls}"

    @classmethod
    def read(cls, words: str) -> WorkerEnd:
        """Return what words() gave."""
        return cls(*map(int, words.split(",")))


class SchedulerEnd:
    """The scheduler's ends of one process's pipes."""

    def __init__(self, calls: int) -> None:
        """Open the pipes for a process with so many calls in each slice."""
        self._theirs, self._go = os.pipe()
        self._done, self._theirs_done = os.pipe()
        self.worker_end = WorkerEnd(self._theirs, self._theirs_done, calls)

    @property
    def inherited(self) -> tuple[int, int]:
        """File descriptors that the process must inherit."""
        return (self._theirs, self._theirs_done)

    def started(self) -> None:
        """Close the process's ends here: it has them now, and its end shall be seen."""
        os.close(self._theirs)
        os.close(self._theirs_done)

    def is_waiting(self) -> bool:
        """Wait until the process waits for its slice; False if it has ended."""
        return os.read(self._done, 1) == _SLICE

    def run_slice(self) -> bool:
        """Give the process a slice and wait until it is over; False if it has ended."""
        try:
            os.write(self._go, _SLICE)
        except BrokenPipeError:
            return False
        return self.is_waiting()

    def close(self) -> None:
        """Close both ends: a process that still waits gives up."""
        os.close(self._go)
        os.close(self._done)


def interleave(ends: Sequence[SchedulerEnd]) -> None:
    """Let processes work one at a time until all have ended: in this order, then in the reverse, and so on."""
    waiting = [end for end in ends if end.is_waiting()]
    while waiting:
        waiting = [end for end in waiting if end.run_slice()][::-1]
