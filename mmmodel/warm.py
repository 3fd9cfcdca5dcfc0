"""Compile everything, or load it from the cache, before anything is timed."""

from __future__ import annotations

import time

from mmmodel import jit
from mmmodel.constants import MAP_ANONYMOUS, MAP_PRIVATE, PAGE_SIZE, PROT_READ, PROT_WRITE
from mmmodel.mm import Mm


def warm_up(progress: jit.Progress | None = None) -> float:
    """Make all compiled code ready: the seconds it took.  ``progress(done, total, name)`` is called before each piece."""
    started = time.perf_counter()
    jit.load_units(progress)
    mm = Mm()
    address = mm.mmap(None, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    mm.touch(address, 1, "write")
    mm.observable_state()
    mm.coredump()
    mm.fork().exit()
    mm.exit()
    return time.perf_counter() - started
