"""Pages in memory as runs within the VMAs that they are in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from bench.capture.document import file_of, lockable
from bench.capture.scan import IS_FILE, IS_HUGE, IS_PRESENT, IS_SWAPPED, IS_ZERO, Pages
from bench.capture.text import Region
from bench.errors import UsageError
from bench.workloads.layout import MAX_RUNS, PageRange, Vma
from mmmodel.constants import HPAGE_PMD_NR, PAGE_SIZE

_KINDS: Final = {"present": IS_PRESENT, "zero": IS_ZERO, "file": IS_FILE, "thp": IS_HUGE, "swapped": IS_SWAPPED}
HUGE: Final = HPAGE_PMD_NR * PAGE_SIZE


def by_vma(regions: Iterable[Region], pages: Iterable[Pages]) -> Iterator[tuple[Region, list[Pages]]]:
    """Yield each VMA with its pages; both in address order. Pages outside all VMAs came meanwhile, and are dropped."""
    source = iter(pages)
    one = next(source, None)
    nr_runs = 0
    for region in regions:
        inside: list[Pages] = []
        while one is not None and one.start < region.end:
            if one.end > region.start:
                inside.append(Pages(max(one.start, region.start), min(one.end, region.end), one.kinds))
            if one.end > region.end:
                break  # the rest of it is the next VMA's
            one = next(source, None)
        nr_runs += len(inside)
        if nr_runs > MAX_RUNS:
            raise too_many_runs()
        yield region, inside


def too_many_runs() -> UsageError:
    """Return the error about a process whose pages are too scattered."""
    return UsageError(f"the process has more than {MAX_RUNS} runs of pages, which no layout may have")


def vma_of(region: Region, pages: Iterable[Pages]) -> Vma:
    """Return a VMA with its pages as runs."""
    runs: dict[str, list[PageRange]] = {name: [] for name in _KINDS}
    for one in pages:
        for name, start, end in _parts(one):
            first, end_page = (start - region.start) // PAGE_SIZE, (end - region.start) // PAGE_SIZE
            found = runs[name]
            if found and sum(found[-1]) == first:
                found[-1] = (found[-1][0], end_page - found[-1][0])
            elif first < end_page:
                found.append((first, end_page - first))
    inode, offset = file_of(region)
    vma = Vma(
        hex(region.start),
        hex(region.end),
        region.perms,
        region.flags or (),
        (),
        region.path,
        lockable=lockable(region),
        inode=inode,
        offset=offset,
    )
    return msgspec.structs.replace(vma, **{name: tuple(found) for name, found in runs.items()})


def _parts(one: Pages) -> Iterator[tuple[str, int, int]]:
    """Yield what a run is, by the layout's names, with addresses in bytes. The huge zero page is a zero page."""
    kinds = one.kinds & ~IS_SWAPPED if one.kinds & IS_PRESENT else one.kinds & IS_SWAPPED
    kinds &= ~(IS_HUGE | IS_FILE) if kinds & IS_ZERO else ~0
    for name, kind in _KINDS.items():
        if kinds & kind:
            whole = kind != IS_HUGE  # a VMA that was cut meanwhile may have a part of a huge page
            yield name, one.start if whole else -(-one.start // HUGE) * HUGE, one.end if whole else one.end // HUGE * HUGE
