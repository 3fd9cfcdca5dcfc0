"""Core dumps: the pages that a file has, how many page-table entries it takes to find them, and the same by a walk."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.scan.law import judge
from bench.traces.generate import random_traces
from bench.traces.replay import replay
from mmmodel import Mm, check_mm
from mmmodel.constants import (
    MADV_DONTDUMP,
    MAP_ANONYMOUS,
    MAP_NORESERVE,
    MAP_PRIVATE,
    PAGE_SHIFT,
    PAGE_SIZE,
    PMD_SIZE,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
)
from mmmodel.kernels import EVERY_IMPLEMENTATION
from support.setting import WITHOUT_JIT

RW, ANON = PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
SPANS = tuple(PMD_SIZE << shift for shift in (range(1, 5) if WITHOUT_JIT else range(1, 12, 2)))
LOOKED_UP = "model_pages_looked_up"
READ = ("model_pgd_read", "model_p4d_read", "model_pud_read", "model_pmd_read", "model_pte_read")


ASKS, WALKS = "folio-walk", "dump-walk"  # of one kernel
BOTH = pytest.mark.parametrize("impl", [ASKS, WALKS])


def reserved(impl: str, nbytes: int, *written: int, protection: int = RW, thp: str = "never") -> tuple[Mm, int]:
    """Return an address space that reserved memory and wrote to some of its pages, and where it lies."""
    mm = Mm(impl, thp=thp)
    address = mm.mmap(1 << 40, nbytes, protection, ANON)
    for page in written:
        mm.touch(address + (page << PAGE_SHIFT), 1, "write")
    return mm, address


def entries_read(mm: Mm) -> int:
    """Return the page-table entries of the last call."""
    return sum(mm.call_counters()[name] for name in READ)


@BOTH
def test_a_file_has_the_pages_that_were_written_and_holes_between(impl: str) -> None:
    mm, at = reserved(impl, PMD_SIZE, 0, 1, 5)
    mm.touch(at + 7 * PAGE_SIZE)  # read: the zero page is a hole
    found = mm.coredump()
    assert [(run.start - at, run.end - at) for run in found] == [(0, 2 * PAGE_SIZE), (5 * PAGE_SIZE, 6 * PAGE_SIZE)]


@BOTH
def test_what_was_never_written_is_not_looked_at(impl: str) -> None:
    mm, _ = reserved(impl, PMD_SIZE << 4, protection=PROT_NONE)
    assert mm.coredump() == []
    assert (entries_read(mm), mm.call_counters()[LOOKED_UP]) == (0, 0)


@BOTH
def test_what_shall_not_be_dumped_is_not(impl: str) -> None:
    mm, at = reserved(impl, 4 * PAGE_SIZE, 0, 1, 2, 3)
    mm.madvise(at + PAGE_SIZE, 2 * PAGE_SIZE, MADV_DONTDUMP)
    assert [(run.start - at) >> PAGE_SHIFT for run in mm.coredump()] == [0, 3]


def test_every_page_of_the_span_is_asked_for_and_a_walk_reads_the_tables_that_exist() -> None:
    for nbytes in SPANS:
        mm, _ = reserved(ASKS, nbytes, 0)
        before = mm.coredump()
        pages = nbytes >> PAGE_SHIFT
        assert mm.call_counters()[LOOKED_UP] == pages
        # 512 pages lie in the one table: 4 entries each; the others end at the PMD: 3, or 1 GiB on at the PUD: 2.
        first = min(pages, 1 << 18)
        assert entries_read(mm) == 4 * 512 + 3 * (first - 512) + 2 * (pages - first)
        mm, _ = reserved(WALKS, nbytes, 0)
        assert mm.coredump() == before
        missing = min(nbytes, 1 << 30) // PMD_SIZE - 1
        gigabytes = max(0, nbytes - (1 << 30)) >> 30
        assert mm.call_counters()[LOOKED_UP] == 1 + missing + gigabytes
        assert entries_read(mm) == 3 + 512 + 3 * missing + 2 * gigabytes


def test_the_law_is_that_of_the_scan() -> None:
    """Judged by the scan's own code: linear in 4 KiB as the kernel does it, in nothing finer than 2 MiB by the walk."""

    def counted(impl: str) -> dict[int, list[float]]:
        found = {}
        for nbytes in (PAGE_SIZE, PMD_SIZE, *SPANS):
            mm, _ = reserved(impl, nbytes, 0)
            mm.coredump()
            found[nbytes] = [float(mm.call_counters()[LOOKED_UP])] * 3
        return found

    law = judge("span", counted(ASKS), "instructions")
    assert (law.kind, law.unit) == ("linear", PAGE_SIZE)
    assert judge("span", counted(WALKS), "instructions").unit != PAGE_SIZE


def programs() -> Iterator[tuple[str, Mm, Mm]]:
    """Yield address spaces that random programs have left, by what made them, one for each implementation."""
    for thp in ("never", "always"):
        for name, trace in random_traces(11, 6 if WITHOUT_JIT else 60).items():
            asking, walking = (Mm(impl, thp=thp) for impl in (ASKS, WALKS))
            for mm in (asking, walking):
                for _ in replay(mm, trace):
                    pass
            yield f"{thp}/{name}", asking, walking


def test_random_programs_have_the_same_file_by_both_and_it_has_what_pagemap_shows_of_private_memory() -> None:
    nr_runs = 0
    for name, mm, walking in programs():
        before = mm.observable_state()
        asked = mm.coredump()
        assert walking.coredump() == asked, name
        assert mm.observable_state() == walking.observable_state() == before, name
        check_mm(mm)
        dumped = {page for run in asked for page in range(run.start >> PAGE_SHIFT, run.end >> PAGE_SHIFT)}
        private = [vma for vma in before.vmas if vma.perms[3] == "p"]
        shown = {
            page
            for run in before.pages
            for page in range(run.first, run.first + run.pages)
            if "Z" not in run.state and any(vma.start <= page << PAGE_SHIFT < vma.end for vma in private)
        }
        assert dumped == shown, name  # these programs map no files, and swap nothing out
        nr_runs += len(asked)
    assert nr_runs > 10


@BOTH
def test_huge_pages_are_dumped_whole(impl: str) -> None:
    mm, at = reserved(impl, 2 * PMD_SIZE, 3, thp="always")
    assert [(run.start - at, run.end - at) for run in mm.coredump()] == [(0, PMD_SIZE)]
    assert mm.call_counters()[LOOKED_UP] == (2 if impl == WALKS else 1024)


@BOTH
def test_more_runs_than_there_is_room_for_are_counted_once(impl: str) -> None:
    mm, _ = reserved(impl, PMD_SIZE, *range(0, 512, 2))  # 256 runs
    assert len(mm.coredump()) == 256
    assert mm.call_counters()[LOOKED_UP] == (1 if impl == WALKS else 512)


@pytest.mark.parametrize("impl", EVERY_IMPLEMENTATION)
def test_every_implementation_has_it_and_five_levels_too(impl: str) -> None:
    mm = Mm(impl, levels=5)
    at = mm.mmap(1 << 50, PMD_SIZE, RW, ANON)
    mm.touch(at, PAGE_SIZE, "write")
    assert mm.coredump() == [(at, at + PAGE_SIZE)]
    assert mm.call_counters()[LOOKED_UP] == (1 if impl == WALKS else 512)
    mm.exit()
    with pytest.raises(ProcessLookupError):
        mm.coredump()
