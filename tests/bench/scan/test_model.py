"""What the committed scan says of calls that the model has, the model's counters say, too: by the scan's own judge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.kernels.selection import series_of
from bench.scan.law import Law, judge
from bench.scan.results import load
from mmmodel import Mm
from mmmodel.constants import MAP_ANONYMOUS, MAP_NORESERVE, MAP_PRIVATE, MLOCK_ONFAULT, PAGE_SIZE, PROT_READ, PROT_WRITE

KEPT = Path(__file__).parents[3] / "results" / "records" / "scan.json"
SPANS = (PAGE_SIZE, 1 << 21, 1 << 23, 1 << 24, 1 << 25)
RW, FLAGS = PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
READ = ("model_pgd_read", "model_p4d_read", "model_pud_read", "model_pmd_read", "model_pte_read")
FIXED = 4096  # entries: what else a call does is work, too, and of the same order as a page table
SINCE = {"per-page": (5, 10), "page-walk": (6, 1)}  # the series that an implementation models, which later ones follow here
CALLS: dict[str, Callable[[Mm, int, int], object]] = {
    "munlock": lambda mm, at, span: mm.munlock(at, span),
    "munlockall": lambda mm, at, span: mm.munlockall(),
    "munmap": lambda mm, at, span: mm.munmap(at, span),
    "exit": lambda mm, at, span: mm.exit(),
    "mprotect": lambda mm, at, span: mm.mprotect(at, span, PROT_READ),
    "fork": lambda mm, at, span: mm.fork(),
    "core dump": lambda mm, at, span: mm.coredump(),
}


def counted(impl: str, call: str, layout: str) -> Law:
    """Return the law of the page-table entries that a call reads, on spans with one page."""
    values = {}
    for span in SPANS:
        mm = Mm(impl)
        at = mm.mmap(1 << 40, span, RW, FLAGS)
        mm.touch(at, 1, "write")
        if layout == "locked":
            mm.mlock2(at, span, MLOCK_ONFAULT)
        CALLS[call](mm, at, span)
        values[span] = [float(FIXED + sum(mm.call_counters()[name] for name in READ))] * 3
    return judge("span", values, "instructions")


@pytest.mark.parametrize("layout", ["one page", "locked"])
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("impl", SINCE)
def test_laws_of_counters_are_those_of_instructions(impl: str, call: str, layout: str) -> None:
    kernel = next(one for one in load(KEPT).kernels if series_of(one.release) >= SINCE[impl])
    found = next(one for one in kernel.calls if one.name == call)
    measured = next(one.law(kernel.unit) for one in found.series if one.layout == layout)
    modelled = counted(impl, call, layout)
    assert measured is not None
    is_walk = (
        measured.kind == "linear" and measured.unit == PAGE_SIZE,
        modelled.kind == "linear" and modelled.unit == PAGE_SIZE,
    )
    assert is_walk[0] == is_walk[1], (measured, modelled)
