"""What a process has reserved and what of it is in memory, by kind of reservation and VMA by VMA."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bench.capture.kinds import classify
from bench.figures.inputs import Skipped
from bench.workloads.layout import Layout, Vma
from mmmodel.constants import HPAGE_PMD_NR, PAGE_SIZE

NAME = "address-space"
MOST_KINDS = 4  # with a look of their own: those that pay most; all others share one
MOST_COLUMNS = 360  # of VMAs in address order; more share columns
OTHERS = "all others"


class KindRow(msgspec.Struct, frozen=True):
    """All VMAs of a kind."""

    name: str
    nr_vmas: int
    reserved: int  # bytes
    least: int  # bytes in memory
    most: int  # bytes in memory; more than the least where it is not known
    looked_up: int  # pages that Linux 5.10's munlockall() looks up there


class Column(msgspec.Struct, frozen=True):
    """One VMA, or some in a row."""

    row: int  # of the kind of the largest
    reserved: int  # bytes of the largest
    populated: int  # bytes in memory at least, of the one with most


class AddressSpace(msgspec.Struct, frozen=True):
    """The figure's numbers."""

    name: str  # of the layout
    program: str
    nr_vmas: int
    rows: tuple[KindRow, ...]  # those that pay most first, the others as the last
    columns: tuple[Column, ...]  # in address order
    per_column: int  # VMAs


def looked_up(vma: Vma) -> int:
    """Return how many pages munlock of a VMA looks up on Linux 5.10, one after the other: a huge page is one."""
    if not vma.lockable:
        return 0
    nr_huge = sum(nr for _, nr in vma.thp)
    return vma.nr_pages - nr_huge + nr_huge // HPAGE_PMD_NR


def populated(vma: Vma) -> tuple[int, int]:
    """Return the bytes of a VMA that are in memory, at least and at most."""
    nr = sum(pages for _, pages in vma.present)
    least, most = (vma.unplaced.least, vma.unplaced.most) if vma.unplaced else (0, 0)
    return (nr + least) * PAGE_SIZE, (nr + most) * PAGE_SIZE


def prepare(layout: Layout) -> Sequence[AddressSpace | Skipped]:
    """Return the numbers of a layout."""
    found = [one.kind.name for one in classify(layout)]
    sums: dict[str, list[Vma]] = {}
    for name, vma in zip(found, layout.vmas, strict=True):
        sums.setdefault(name, []).append(vma)
    rows = sorted((_row(name, vmas) for name, vmas in sums.items()), key=lambda row: (-row.looked_up, -row.reserved, row.name))
    shown = rows[:MOST_KINDS]
    if rest := rows[MOST_KINDS:]:
        shown.append(_row(OTHERS, [vma for row in rest for vma in sums[row.name]]))
    places = {row.name: number for number, row in enumerate(shown)}
    per_column = -(-len(layout.vmas) // MOST_COLUMNS)
    columns = tuple(
        _column(layout.vmas[start : start + per_column], found[start : start + per_column], places)
        for start in range(0, len(layout.vmas), per_column)
    )
    return [AddressSpace(layout.name, layout.document.program, len(layout.vmas), tuple(shown), columns, per_column)]


def _row(name: str, vmas: Sequence[Vma]) -> KindRow:
    """Return the sums of some VMAs."""
    bounds = [populated(vma) for vma in vmas]
    return KindRow(
        name,
        len(vmas),
        sum(vma.last - vma.first for vma in vmas),
        sum(least for least, _ in bounds),
        sum(most for _, most in bounds),
        sum(map(looked_up, vmas)),
    )


def _column(vmas: Sequence[Vma], names: Sequence[str], places: dict[str, int]) -> Column:
    """Return what stands for some VMAs in a row."""
    largest = max(range(len(vmas)), key=lambda index: vmas[index].last - vmas[index].first)
    return Column(
        places.get(names[largest], len(places) - 1),
        vmas[largest].last - vmas[largest].first,
        max(populated(vma)[0] for vma in vmas),
    )
