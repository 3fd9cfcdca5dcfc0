"""A kept scan: the file that `scan -o` writes, with every value that was measured; laws are judged from it when it is read."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from bench.errors import MeasurementError, one_line
from bench.runs.storage import load_json, write_atomic
from bench.scan.calls import CALLS
from bench.scan.law import Law, judge
from bench.scan.layouts import LAYOUTS
from bench.targets.kernel import Unit

SCHEMA: Final = 1


class Sized(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The call on one size."""

    n: int  # bytes, pages, tables or VMAs
    values: tuple[int | float, ...]  # of each call, in order


class Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One call on one layout, whose size was varied."""

    layout: str
    sizes: tuple[Sized, ...] = ()  # smallest first
    stopped: str = ""  # why there are no larger ones, if that is not as it should be
    fate: str = "done"  # of the shot that ended it, where one did

    def law(self, unit: Unit) -> Law | None:
        """Return how the cost, in its unit, depends on what was varied; None if nothing was measured."""
        return _law_of(self, unit)


@functools.cache
def _law_of(series: Series, unit: Unit) -> Law | None:
    """Return the law of a series, which is asked for more than once."""
    values = {one.n: one.values for one in series.sizes}
    return judge(LAYOUTS[series.layout].axis, values, unit, is_whole=not series.stopped) if values else None


class CallScan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One call on one kernel."""

    name: str
    series: tuple[Series, ...] = ()
    missing: str = ""  # why it was not scanned


class KernelScan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kernel."""

    name: str
    release: str  # as uname -r
    unit: Unit
    calls: tuple[CallScan, ...]
    error: str = ""  # why it ended before all was scanned


class Scan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of the file."""

    schema: Literal[1]
    kind: Literal["scan"]
    command: str
    created: str  # UTC, ISO 8601
    machine: dict[str, str | int]
    kernels: Sequence[KernelScan]  # in the order asked for


def load(path: Path) -> Scan:
    """Read and check such a file; MeasurementError if it is none, or names what this version does not know."""
    scan = load_json(path, Scan)
    for kernel in scan.kernels:
        for call in kernel.calls:
            problem = "" if call.name in CALLS else "is not known"
            for one in call.series:
                numbers = [sized.n for sized in one.sizes]
                if one.layout not in LAYOUTS:
                    problem = f"has the layout {one_line(one.layout, 40)}, which is not known"
                elif numbers != sorted(set(numbers)) or not all(sized.values for sized in one.sizes):
                    problem = "has sizes that do not ascend, or without values"
                elif any(value <= 0 for sized in one.sizes for value in sized.values):
                    problem = "has a value that is not above zero"
            if problem:
                raise MeasurementError(f"{one_line(path, 120)}: the call {one_line(call.name, 80)} {problem}")
    return scan


def save(path: Path, scan: Scan) -> None:
    """Write the file, as a whole or not at all."""
    write_atomic(path, msgspec.json.encode(scan) + b"\n")  # on one line: it has a value for each of some ten thousand calls
