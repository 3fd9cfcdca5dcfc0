"""Scans as tables: what calls depend on, kernel by kernel, and those that walk what nobody touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.analysis.stats import Interval
from bench.number_format import NONE, TOO_FEW, approximate, exponent_range, seconds, short, significant
from bench.scan.calls import CALLS
from bench.scan.results import KernelScan
from bench.scan.verdict import SPANS, Verdict, of_kernel, offenders
from bench.tables.table import Cells, Page, Table
from bench.targets.kernel import Unit

WORDS: Final = {
    "nothing": "nothing",
    "pages": "pages",
    "tables": "page tables",
    "VMAs": "VMAs",
    "too few": "unclear",
    "no law": "no law",
}
INTERVAL: Final = "interval"  # of 95 % for times, of counts what their repetitions leave open
NOT_THERE: Final = "not there"
TITLE: Final = "What calls depend on: cost for each step of a span that nobody touched, else what makes them dearer"


def cost(value: float, unit: Unit) -> str:
    """Return a cost in its unit."""
    return seconds(value) if unit == "seconds" else significant(value)


def rounded(value: float, unit: Unit) -> str:
    """Return a large cost that was not measured, in few digits."""
    return seconds(value) if unit == "seconds" else short(value)


def answer(verdict: Verdict | None, unit: Unit) -> str:
    """Return a verdict in a few words: "119 a 4 KiB", "pages", "not there"."""
    if verdict is None:
        return NONE
    if verdict.answer == "missing":
        return NOT_THERE if verdict.why.startswith(NOT_THERE) else "not scanned"
    if verdict.answer in WORDS:
        return WORDS[verdict.answer]
    return "output" if verdict.answer == "output" else per_step(verdict, unit)


def per_step(verdict: Verdict, unit: Unit) -> str:
    """Return what a step of the walk costs, and what it stands for."""
    law = verdict.law
    assert law is not None and law.per_unit is not None
    return f"{cost(law.per_unit.estimate, unit)} a {approximate(law.unit)}"


def page(kernels: Sequence[KernelScan], *, details: bool = False) -> Page:
    """Return all that is said of a scan; `details`: with every call's costs."""
    tables = [_answers(kernels)]
    tables += [one for one in (_offenders(kernels),) if one.sections]
    if details:
        tables += [_details(one) for one in kernels]
    return Page(tuple(tables), tuple(f"{one.name}: {one.error}" for one in kernels if one.error), _missing(kernels))


def _answers(kernels: Sequence[KernelScan]) -> Table:
    """Return calls by kernels."""
    verdicts = [(kernel, of_kernel(kernel)) for kernel in kernels]
    names = dict.fromkeys(call.name for kernel in kernels for call in kernel.calls)
    rows = tuple((name, *(answer(found.get(name), kernel.unit) for kernel, found in verdicts)) for name in names)
    heads = tuple(
        f"{one.name}{', instructions' if one.unit == 'instructions' and len(kernels) == 1 else ''}" for one in kernels
    )
    return Table(TITLE, ("call",), heads, (rows,))


def _offenders(kernels: Sequence[KernelScan]) -> Table:
    """Return the calls that walk a span that nobody touched, on each kernel where they do."""
    units = {one.name: one.unit for one in kernels}
    sections = tuple(
        tuple(_offence(name, kernel, verdict, units[kernel]) for kernel, verdict in found.items())
        for name, found in offenders(kernels)
    )
    numbers = ("each", "step", *SPANS, INTERVAL, "exponent")
    return Table("Calls that walk what nobody touched", ("call", "kernel", "on"), numbers, sections,
                 less=("exponent", INTERVAL))  # fmt: skip


def _offence(name: str, kernel: str, verdict: Verdict, unit: Unit) -> Cells:
    """Return one row of it."""
    law = verdict.law
    assert law is not None and law.per_unit is not None
    predicted = [verdict.predicted(span) for span in SPANS.values()]
    return (
        name,
        kernel,
        verdict.layout,
        cost(law.per_unit.estimate, unit),
        approximate(law.unit),
        *(NONE if value is None else rounded(value, unit) for value in predicted),
        ends(law.per_unit, unit),
        exponent_range(law.exponent.low, law.exponent.high) if law.exponent else NONE,
    )


def ends(interval: Interval, unit: Unit) -> str:
    """Return an interval of costs."""
    return f"{cost(interval.low, unit)} .. {cost(interval.high, unit)}" if interval.is_known else TOO_FEW


def _details(kernel: KernelScan) -> Table:
    """Return all laws of one kernel."""
    rows = []
    for name, verdict in of_kernel(kernel).items():
        law = verdict.law
        if law is None:
            continue
        each = cost(law.per_unit.estimate, kernel.unit) if law.per_unit else NONE
        interval = ends(law.per_unit, kernel.unit) if law.per_unit else NONE
        depends = " and ".join([answer(verdict, kernel.unit), *(WORDS[one] for one in verdict.also)])
        rows.append((name, depends, verdict.layout, cost(law.base, kernel.unit), each, interval))
    title = f"{kernel.name} ({kernel.release}), in {kernel.unit}"
    return Table(title, ("call", "depends on", "shown on"), ("least", "each", INTERVAL), (tuple(rows),))


def _missing(kernels: Sequence[KernelScan]) -> tuple[str, ...]:
    """Return which calls were not scanned, and why, and what calls return by nature."""
    found = []
    for kernel in kernels:
        reasons: dict[str, list[str]] = {}
        for name, verdict in of_kernel(kernel).items():
            if verdict.answer == "missing":
                reasons.setdefault(verdict.why, []).append(name)
        found += [f"{kernel.name}: {', '.join(names)}: {why}." for why, names in reasons.items()]
    natures: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for kernel in kernels for name, one in of_kernel(kernel).items() if one.answer == "output"):
        natures.setdefault(CALLS[name].nature, []).append(name)
    found += [line for kernel in kernels if (line := _doubtful(kernel))]
    return (*found, *(f"Output, by nature for each page: {', '.join(names)} ({nature})." for nature, names in natures.items()))


def _doubtful(kernel: KernelScan) -> str:
    """Return why answers in times are unclear, and what helps, "" where none is."""
    nr = sum(one.answer in ("too few", "no law") for one in of_kernel(kernel).values())
    if not nr or kernel.unit != "seconds":
        return ""
    return (
        f"{kernel.name}: {nr} calls are unclear: times scatter. A quiet machine helps; under QEMU, calls are counted exactly."
    )
