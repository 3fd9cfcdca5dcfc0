"""Races explored once for all tests of a process."""

from __future__ import annotations

import functools

from bench.races.races import RACES
from bench.races.results import Result, run


@functools.cache
def raced(name: str, *without: str) -> Result:
    """Return what exploring a race without some guards gives."""
    return run(RACES[name], without)


@functools.cache
def reduced(name: str, *without: str) -> Result:
    """Return the same, with steps that nobody can come between as one."""
    return raced(name, *without) if RACES[name].reduce else run(RACES[name], without, reduce=True)
