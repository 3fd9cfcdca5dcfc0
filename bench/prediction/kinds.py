"""Kinds of pages that no layout of a cost file has, as measured calls: `kernel costs` has them, two sizes of each."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Final

from bench.errors import MeasurementError
from bench.kernels.page_kinds import KINDS, PageKind
from bench.kernels.protocol import SYS
from bench.prediction.counted import with_program
from bench.prediction.fitting import Row
from bench.prediction.weights import implementation_of
from bench.runs.kernel_costs import KernelCosts

# The others are in cost files, of the very build that these weights are for.
WANTED: Final = ("no PGD entry", "huge page", "huge page by PTEs")


def rows_of_kinds(costs: KernelCosts, series: str, source: int) -> list[Row]:
    """Return munlock() of each kind on the kernels of a series, with its counters."""
    known = {kind.name: kind for kind in KINDS}
    found = []
    for one in costs.kinds:
        for kernel, sizes in one.costs.items():
            if one.name in WANTED and kernel.split(".")[:2] == series.split("."):
                for sized in sizes:
                    counters = _counters(known[one.name], sized.nr_pages, implementation_of(series))
                    measured = statistics.median_low(sized.values)
                    found.append(Row(source, f"{one.name}/{sized.nr_pages}", 0, "munlock", counters, measured))
    return found


def _counters(kind: PageKind, nr_pages: int, implementation: str) -> dict[str, int]:
    """Return the counters of the measured call, the last order of a kind's program."""
    space = with_program(implementation, kind.thp)
    names: Mapping[int, str] = {number: name for name, number in SYS.items()}
    for order in kind.program(nr_pages).orders:
        letter, _, *words = order.split()
        numbers = [int(word, 16) for word in words]
        space.lru_add_drain_all()
        if letter == "t":
            start, length, stride, write = numbers
            space.touch(start, length, "write" if write else "read", stride)
            continue
        name, arguments = names[numbers[0]], numbers[1:]
        if letter != "c" or name not in ("mmap", "mprotect", "madvise", "mlock2", "munlock"):
            raise MeasurementError(f"pages of kind {kind.name!r}: the model cannot carry out {order!r}")
        getattr(space, name)(*(arguments[:4] if name == "mmap" else arguments))
    return dict(space.call_counters())
