"""Memory that a guest shares with its host, as a ring of whole lines: `guest/ring.h` tells its layout.

Each byte of an emulated serial port leaves the guest; a store to memory does not. What the guest has stored is there, whatever
becomes of the guest.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final

from bench.kernels.errors import GarbledError

HEAD_BYTES: Final = 4096
RING_BYTES: Final = 16 << 20  # of the file, a power of 2: more than the longest line
_WRITTEN, _READ = 0, 8  # counters, as words of 64 bits


class Ring:
    """The host's end of a ring."""

    def __init__(self, path: Path) -> None:
        """Make the file that the guest's memory is."""
        with path.open("xb+") as handle:
            handle.truncate(RING_BYTES)
            self._memory = mmap.mmap(handle.fileno(), RING_BYTES)
        self._counters = memoryview(self._memory)[:HEAD_BYTES].cast("Q")

    def take(self) -> bytes:
        """Return what the guest has written since the last call, and make room for more; GarbledError if that cannot be."""
        size = RING_BYTES - HEAD_BYTES
        written, read = self._counters[_WRITTEN], self._counters[_READ]
        if not 0 <= written - read <= size:
            raise GarbledError(f"the guest's ring has {written} bytes written and {read} read")
        first, nbytes = read % size, written - read
        there = self._memory[HEAD_BYTES + first : HEAD_BYTES + min(first + nbytes, size)]
        there += self._memory[HEAD_BYTES : HEAD_BYTES + nbytes - len(there)]
        self._counters[_READ] = written
        return there

    def close(self) -> None:
        """Unmap it."""
        self._counters.release()
        self._memory.close()
