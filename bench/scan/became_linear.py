"""Two scans held against each other: which calls walk a span now that did not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bench.errors import MeasurementError
from bench.kernels.selection import series_of
from bench.scan.layouts import LAYOUTS
from bench.scan.results import CallScan, KernelScan, Scan
from bench.scan.verdict import of_call
from bench.targets.kernel import Unit


class Change(NamedTuple):
    """What was found of one call."""

    call: str
    layout: str
    before: str  # in words


def base_of(kept: Scan, release: str) -> KernelScan:
    """Return the kernel of a kept scan that another is held against: of its series, else the newest before it, else the oldest.

    MeasurementError if the scan has no kernel.
    """
    whole = [one for one in kept.kernels if any(call.series for call in one.calls)]
    if not whole:
        raise MeasurementError("the scan to compare with has no kernel that was scanned")
    ordered = sorted(whole, key=lambda one: series_of(one.release))
    before = [one for one in ordered if series_of(one.release) <= series_of(release)]
    return before[-1] if before else ordered[0]


def became_linear(base: KernelScan, kernel: KernelScan) -> list[Change]:
    """Return the calls whose cost is linear in a span that nobody touched, where it was not, or is a new call."""
    old = {call.name: call for call in base.calls}
    found = []
    for call in kernel.calls:
        verdict = of_call(call, kernel.unit)
        if verdict.answer != "span":
            continue
        before = old.get(call.name)
        known = _laws(before, base.unit) if before else {}
        for layout, kind in _laws(call, kernel.unit).items():
            if kind == "linear" and known.get(layout, "not there") != "linear":
                found.append(Change(call.name, layout, known.get(layout, "not there")))
    return found


def unclear(base: KernelScan, kernel: KernelScan) -> list[str]:
    """Return the calls whose cost depended on no span, of which it is not clear now."""
    old = {call.name: _laws(call, base.unit) for call in base.calls}
    return [
        call.name
        for call in kernel.calls
        if any(
            kind in ("too few", "no law") and old.get(call.name, {}).get(name) == "nothing"
            for name, kind in _laws(call, kernel.unit).items()
        )
    ]


def _laws(call: CallScan, unit: Unit) -> dict[str, str]:
    """Return the law of each layout whose span is varied."""
    laws = {one.layout: one.law(unit) for one in call.series if LAYOUTS[one.layout].axis == "span"}
    return {name: law.kind for name, law in laws.items() if law is not None}


def names(changes: Sequence[Change]) -> list[str]:
    """Return the calls of changes, each once."""
    return list(dict.fromkeys(one.call for one in changes))
