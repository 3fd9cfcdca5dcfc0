"""Kinds of pages as programs of the guest: memory of one kind, locked, and munlock() as the last order.

Two sizes of a kind differ in pages of that kind and nothing else, so that the difference of their costs is those pages'. With
4 levels of page tables the P4D is the PGD. A level is absent where the entry above it is empty: what keeps the other levels
there is a page of a VMA beside the span, or pages that were there and were given up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

from bench.kernels.protocol import Program, system_call, touch
from mmmodel import constants as const
from mmmodel.constants import PAGE_SIZE, PMD_SIZE, PUD_SIZE

BASE: Final = 1 << 40  # a multiple of what an entry of the top page table covers, with nothing near it
_FLAGS: Final = const.MAP_PRIVATE | const.MAP_ANONYMOUS | const.MAP_NORESERVE | const.MAP_FIXED_NOREPLACE
_READ_WRITE: Final = const.PROT_READ | const.PROT_WRITE
_NO_FILE: Final = -1
_MLOCK_ONFAULT: Final = 1  # touched pages are locked, nothing is populated
_NO_WATCH: Final = 0


class PageKind(NamedTuple):
    """One kind of page."""

    name: str
    summary: str
    covers: int  # pages that an entry of the page tables stands for, where the kind is one entry
    sizes: tuple[int, int]  # pages, of the two programs
    lay_out: Callable[[int], Iterator[str]]  # the orders that bring about so many pages, before they are locked
    start: int = BASE
    thp: Literal["never", "always"] = "never"
    state: str = ""  # the letter that each page must have in the guest's view, "" where nothing is in memory

    def program(self, nr_pages: int, watch: int = _NO_WATCH) -> Program:
        """Return the program for a number of pages; its last order is the measured call."""
        span = (self.start, nr_pages * PAGE_SIZE)
        mlock, munlock = system_call("mlock2", *span, _MLOCK_ONFAULT), system_call("munlock", *span)
        return Program(self.start, sum(span), (*self.lay_out(nr_pages), mlock, munlock), watch)


def _map(start: int, nbytes: int) -> str:
    """Return the order that maps memory."""
    return system_call("mmap", start, nbytes, _READ_WRITE, _FLAGS, _NO_FILE, 0)


def _beside(start: int) -> Callable[[int], Iterator[str]]:
    """Return what lays out an untouched span at `start`, with a page in memory at BASE, which is no part of it."""

    def lay_out(nr_pages: int) -> Iterator[str]:
        if start != BASE:
            yield _map(BASE, PAGE_SIZE)
            yield touch(BASE, PAGE_SIZE)
        yield _map(start, nr_pages * PAGE_SIZE)

    return lay_out


def _given_up(nr_pages: int) -> Iterator[str]:
    """Yield the orders for tables of the last level with nothing in them.

    Page by page: a kernel may free the table when as much as it covers is given up at once (7.3 does).
    """
    yield _map(BASE, nr_pages * PAGE_SIZE)
    yield touch(BASE, nr_pages * PAGE_SIZE, PMD_SIZE)
    for start in range(BASE, BASE + nr_pages * PAGE_SIZE, PMD_SIZE):
        yield system_call("madvise", start, PAGE_SIZE, const.MADV_DONTNEED)


def _written(nr_pages: int) -> Iterator[str]:
    """Yield the orders for pages that were written to."""
    yield _map(BASE, nr_pages * PAGE_SIZE)
    yield touch(BASE, nr_pages * PAGE_SIZE)


def _read(nr_pages: int) -> Iterator[str]:
    """Yield the orders for pages that were read only."""
    yield _map(BASE, nr_pages * PAGE_SIZE)
    yield touch(BASE, nr_pages * PAGE_SIZE, write=False)


def _huge(nr_pages: int) -> Iterator[str]:
    """Yield the orders for huge pages."""
    yield _map(BASE, nr_pages * PAGE_SIZE)
    yield touch(BASE, nr_pages * PAGE_SIZE, PMD_SIZE)


def _split(nr_pages: int) -> Iterator[str]:
    """Yield the orders for huge pages that are mapped page by page, as they are after a change of a part of each."""
    yield from _huge(nr_pages)
    for start in range(BASE, BASE + nr_pages * PAGE_SIZE, PMD_SIZE):
        yield system_call("mprotect", start, PAGE_SIZE, const.PROT_READ)
        yield system_call("mprotect", start, PAGE_SIZE, _READ_WRITE)


def _swapped(nr_pages: int) -> Iterator[str]:
    """Yield the orders for pages that were written to, and then out."""
    yield from _written(nr_pages)
    yield system_call("madvise", BASE, nr_pages * PAGE_SIZE, const.MADV_PAGEOUT)


SWAP_MIB: Final = 64  # of the guest's swap, more than the largest program of "swapped" needs
_IN_PMD, _IN_PUD, _IN_PGD = (1 << bits for bits in (9, 18, 27))  # pages that an entry covers
KINDS: Final[tuple[PageKind, ...]] = (
    PageKind("no PGD entry", "untouched, nothing else in its 512 GiB", _IN_PGD, (1 << 18, 1 << 20), _beside(BASE)),
    PageKind("no PUD entry", "untouched, something else in its 512 GiB", _IN_PUD, (1 << 18, 1 << 20),
             _beside(BASE + PUD_SIZE), BASE + PUD_SIZE),
    PageKind("no PMD entry", "untouched, something else in its 1 GiB", _IN_PMD, (1 << 15, 1 << 17),
             _beside(BASE + PMD_SIZE), BASE + PMD_SIZE),
    PageKind("no PTE", "untouched, something else was in its 2 MiB", 1, (1 << 14, 1 << 16), _given_up),
    PageKind("zero page", "read, never written", 1, (1 << 10, 1 << 12), _read, state="Z"),
    PageKind("page", "written: an anonymous page of order 0", 1, (1 << 10, 1 << 12), _written, state="P"),
    PageKind("huge page", "a transparent huge page, mapped by its PMD", 512, (1 << 12, 1 << 14), _huge, thp="always",
             state="T"),
    PageKind("huge page by PTEs", "a transparent huge page, mapped page by page", 1, (1 << 12, 1 << 13), _split, thp="always",
             state="T"),
    PageKind("swapped", "written out, by MADV_PAGEOUT", 1, (1 << 10, 1 << 12), _swapped, state="S"),
)  # fmt: skip
