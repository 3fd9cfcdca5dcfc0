"""Processes that take turns: of those that are to be compared, one works at a time, and the others wait.

What else a machine does makes everything slower, by a third or more, for
milliseconds to minutes. Turns of a few milliseconds meet much the same of it
whichever process has them, so that the ratio of neighbouring turns is free
of it. A process asks for its turn before it looks at the clock.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from bench.errors import MeasurementError

_TURN = b"."  # what is written on either pipe; an end of file is for good
_GONE = "whoever gives the turns is gone"


class Place(msgspec.Struct):
    """A process's own place among those that take turns."""

    go: int  # file descriptor to read: each byte is a turn
    done: int  # file descriptor to write: a byte says that the process waits for its turn
    calls: int  # in each turn
    left: int = 0  # of the present turn

    def wait(self) -> None:
        """Wait for the next turn if the calls of the last are made; MeasurementError if there will be none."""
        if self.left == 0:
            try:
                os.write(self.done, _TURN)
            except BrokenPipeError:
                raise MeasurementError(_GONE) from None
            if os.read(self.go, 1) != _TURN:
                raise MeasurementError(_GONE)
            self.left = self.calls
        self.left -= 1

    def words(self) -> str:
        """Return it as a command line has it."""
        return f"{self.go},{self.done},{self.calls}"

    @classmethod
    def read(cls, words: str) -> Place:
        """Return the place that words() gave."""
        return cls(*map(int, words.split(",")))


class Baton:
    """The other ends of a process's pipes."""

    def __init__(self, calls: int) -> None:
        """Open the pipes for a process with so many calls in each turn."""
        self._theirs, self._go = os.pipe()
        self._done, self._theirs_done = os.pipe()
        self.place = Place(self._theirs, self._theirs_done, calls)

    @property
    def inherited(self) -> tuple[int, int]:
        """File descriptors that the process must inherit."""
        return (self._theirs, self._theirs_done)

    def started(self) -> None:
        """Close the process's ends here: it has them now, and its end shall be seen."""
        os.close(self._theirs)
        os.close(self._theirs_done)

    def is_waiting(self) -> bool:
        """Wait until the process waits for its turn; False if it has ended."""
        return os.read(self._done, 1) == _TURN

    def turn(self) -> bool:
        """Give the process its turn and wait until it is over; False if it has ended."""
        try:
            os.write(self._go, _TURN)
        except BrokenPipeError:
            return False
        return self.is_waiting()

    def close(self) -> None:
        """Close both ends: a process that still waits gives up."""
        os.close(self._go)
        os.close(self._done)


def take_turns(batons: Sequence[Baton]) -> None:
    """Let processes work one at a time until all have ended: in this order, then in the reverse, and so on."""
    waiting = [baton for baton in batons if baton.is_waiting()]
    while waiting:
        waiting = [baton for baton in waiting if baton.turn()][::-1]
