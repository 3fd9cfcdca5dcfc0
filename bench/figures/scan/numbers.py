"""What calls cost for each page of a span that nobody touched, kernel by kernel."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bench.figures.inputs import Skipped
from bench.scan.results import KernelScan, Scan
from bench.scan.verdict import Verdict, of_kernel
from bench.targets.kernel import Unit
from mmmodel.constants import PAGE_SIZE

NAME = "scan"


class Cell(msgspec.Struct, frozen=True):
    """One call on one kernel."""

    verdict: Verdict | None
    per_page: float | None = None  # of the span, where the cost depends on it


class Offences(msgspec.Struct, frozen=True):
    """The figure's numbers."""

    kernels: tuple[str, ...]
    unit: Unit
    calls: tuple[tuple[str, tuple[Cell, ...]], ...]  # a cell for each kernel; dearest first
    same: tuple[str, ...]  # calls that depend on nothing, or are not there, on every kernel
    tables: tuple[KernelScan, ...]  # all that was scanned, for the tables


def _cell(verdict: Verdict | None) -> Cell:
    """Return the cell of a verdict."""
    law = verdict.law if verdict else None
    if verdict is None or law is None or law.per_unit is None or verdict.answer not in ("span", "output"):
        return Cell(verdict)
    return Cell(verdict, law.per_unit.estimate * PAGE_SIZE / law.unit)


def prepare(scan: Scan) -> Sequence[Offences | Skipped]:
    """Return the calls whose cost depends on something, on kernels that are measured in the same unit as the first."""
    if not scan.kernels:
        return [Skipped(NAME, "no kernel was scanned")]
    unit = scan.kernels[0].unit
    kernels = tuple(one for one in scan.kernels if one.unit == unit)
    verdicts = [of_kernel(one) for one in kernels]
    names = dict.fromkeys(name for one in verdicts for name in one)
    cells = {name: tuple(_cell(one.get(name)) for one in verdicts) for name in names}
    told = {
        name
        for name, row in cells.items()
        if any(one.verdict and one.verdict.answer not in ("nothing", "missing") for one in row)
    }
    if not told:
        return [Skipped(NAME, "no call depends on anything")]
    ordered = sorted(told, key=lambda name: (-_worst(cells[name]), [*names].index(name)))
    rows = tuple((name, cells[name]) for name in ordered)
    return [
        Offences(tuple(one.name for one in kernels), unit, rows, tuple(name for name in names if name not in told), kernels)
    ]


def _worst(row: Sequence[Cell]) -> float:
    """Return what sorts a row: what nobody touched first, then output, then all else."""
    walks = max((one.per_page or 0.0 for one in row if one.verdict and one.verdict.answer == "span"), default=0.0)
    return walks + 1e12 if walks else max((one.per_page or 0.0 for one in row), default=0.0)
