"""What a call depends on, of all the layouts that it was scanned on: the worst that the span does to it, then all else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from bench.analysis.reported import REPORTED_SPAN
from bench.scan.calls import CALLS
from bench.scan.law import Law
from bench.scan.layouts import FAR, LARGE, LAYOUTS, Axis
from bench.scan.results import CallScan, KernelScan
from bench.targets.kernel import Unit

Answer = Literal["missing", "nothing", "span", "output", "pages", "tables", "VMAs", "too few", "no law"]
OTHER: Final[tuple[Axis, ...]] = ("pages", "tables", "VMAs")
SPANS: Final = {"2 TiB": float(REPORTED_SPAN), "12.4 TiB": LARGE["span"]}  # the report's, and the program's behind it


class Verdict(msgspec.Struct, frozen=True):
    """What one call depends on."""

    call: str
    answer: Answer
    why: str = ""  # of a call that is missing
    layout: str = ""  # on which it shows
    law: Law | None = None  # there
    also: tuple[str, ...] = ()  # what else makes it dearer
    unclear: tuple[str, ...] = ()  # layouts without a clear law

    def predicted(self, span: float) -> float | None:
        """Return what a span would cost, None where the law says nothing of it."""
        if self.law is None or self.answer not in ("nothing", "span", "output"):
            return None
        return self.law.of(span)


def of_call(scan: CallScan, unit: Unit) -> Verdict:
    """Return the verdict on one call of one kernel."""
    found = [(one.layout, law) for one in scan.series if (law := one.law(unit)) is not None]
    if not found:
        return Verdict(scan.name, "missing", scan.missing or next((one.stopped for one in scan.series if one.stopped), ""))
    unclear = tuple(name for name, law in found if law.kind in ("too few", "no law"))
    linear = {axis: [one for one in found if LAYOUTS[one[0]].axis == axis and one[1].kind == "linear"] for axis in LARGE}
    if linear["tables"]:  # pages that bring tables with them say nothing of pages
        linear["pages"] = [one for one in linear["pages"] if one[0] not in FAR]
    others = tuple(axis for axis in OTHER if linear[axis])
    if linear["span"]:
        name, law = max(linear["span"], key=_per_byte)
        return Verdict(scan.name, "output" if CALLS[scan.name].nature else "span", "", name, law, others, unclear)
    of_span = [(name, law) for name, law in found if LAYOUTS[name].axis == "span" and name in unclear]
    if of_span:
        name, law = of_span[0]
        return Verdict(scan.name, "no law" if law.kind == "no law" else "too few", "", name, law, others, unclear)
    if others:
        name, law = linear[others[0]][0]
        return Verdict(scan.name, others[0], "", name, law, others[1:], unclear)
    if unclear:
        name, law = next(one for one in found if one[0] in unclear)
        return Verdict(scan.name, "no law" if law.kind == "no law" else "too few", "", name, law, (), unclear)
    name, law = max(found, key=lambda one: one[1].base)
    return Verdict(scan.name, "nothing", "", name, law)


def _per_byte(one: tuple[str, Law]) -> float:
    """Return what a byte of span costs by a law."""
    law = one[1]
    return law.per_unit.estimate / law.unit if law.per_unit else 0.0


def of_kernel(kernel: KernelScan) -> dict[str, Verdict]:
    """Return the verdict on each call, by name."""
    return {one.name: of_call(one, kernel.unit) for one in kernel.calls}


def offenders(kernels: Sequence[KernelScan]) -> list[tuple[str, dict[str, Verdict]]]:
    """Return calls that walk what nobody touched, with their verdicts by kernel: the worst of the last kernels first."""
    verdicts = {kernel.name: of_kernel(kernel) for kernel in kernels}
    names = dict.fromkeys(call.name for kernel in kernels for call in kernel.calls)
    found = []
    for name in names:
        mine = {kernel: each[name] for kernel, each in verdicts.items() if name in each and each[name].answer == "span"}
        if mine:
            found.append((name, mine))
    order = [kernel.name for kernel in kernels]
    return sorted(
        found, key=lambda one: (-max(map(order.index, one[1])), -max(_per_byte(("", v.law)) for v in one[1].values() if v.law))
    )
