"""The least and the most that calls could find in an address space of which only a text tells how much is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from bench.workloads.layout import Layout, PageRange, Unplaced, Vma
from mmmodel.constants import HPAGE_PMD_NR, PAGE_SIZE

MOST_RUNS: Final = 1 << 14  # of a VMA whose pages are spread out


def extremes(captured: Layout) -> tuple[Layout, Layout]:
    """Return an address space as cheap and as dear as a text allows; both are it where all pages are known.

    Cheap: the fewest pages that there can be, side by side from each VMA's start, by huge pages as far as possible. Dear:
    the most, evenly spread over each VMA, so that they need the most page tables.
    """
    if not captured.nr_unplaced:
        return captured, captured
    return _with(captured, dear=False), _with(captured, dear=True)


def _with(captured: Layout, dear: bool) -> Layout:
    """Return an address space with a place for every page."""
    vmas = tuple(_placed(vma, vma.unplaced, dear) if vma.unplaced else vma for vma in captured.vmas)
    return replace(captured, document=replace(captured.document, vmas=vmas))


def _placed(vma: Vma, unplaced: Unplaced, dear: bool) -> Vma:
    """Return a VMA with a place for each page of its own that has none."""
    nr_pages = unplaced.most if dear else unplaced.least
    huge = _huge_runs(vma, min(unplaced.thp[0] if dear else unplaced.thp[1], nr_pages) // HPAGE_PMD_NR)
    rest = nr_pages - sum(nr for _, nr in huge)
    free = _free_runs(vma, huge)
    runs = tuple(sorted((*huge, *(_spread(free, rest) if dear else _packed(free, rest)))))
    is_file = vma.path.startswith("/") or vma.perms[3] == "s"
    return replace(vma, present=runs, thp=tuple(huge), file=runs if is_file else (), unplaced=None)


def _huge_runs(vma: Vma, number: int) -> list[PageRange]:
    """Return the first so many huge pages that a VMA has room for."""
    first = -(vma.first // PAGE_SIZE) % HPAGE_PMD_NR
    room = max(0, vma.nr_pages - first) // HPAGE_PMD_NR
    return [(first + at * HPAGE_PMD_NR, HPAGE_PMD_NR) for at in range(min(number, room))]


def _free_runs(vma: Vma, huge: list[PageRange]) -> list[PageRange]:
    """Return what of a VMA no huge page takes: before them and after them."""
    if not huge:
        return [(0, vma.nr_pages)]
    after = huge[-1][0] + HPAGE_PMD_NR
    return [(first, nr) for first, nr in ((0, huge[0][0]), (after, vma.nr_pages - after)) if nr]


def _packed(free: list[PageRange], number: int) -> Iterator[PageRange]:
    """Yield runs of so many pages from the start."""
    for first, nr in free:
        if number:
            yield first, min(nr, number)
            number -= min(nr, number)


def _spread(free: list[PageRange], number: int) -> Iterator[PageRange]:
    """Yield runs of so many pages in all, evenly spread; of single pages, if these are not too many runs."""
    room = sum(nr for _, nr in free)
    for first, nr in free:
        pages = number * nr // room if room else 0
        number, room = number - pages, room - nr
        nr_runs = min(pages, MOST_RUNS)
        for at in range(nr_runs):
            begin, end = pages * at // nr_runs, pages * (at + 1) // nr_runs  # of the pages, each of which would be alone
            yield first + nr * begin // pages, end - begin
