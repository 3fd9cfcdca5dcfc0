"""Arguments of system calls: C ``unsigned long`` values, and the page ranges that they stand for."""

from __future__ import annotations

from typing import Final

from mmmodel.constants import BEYOND, PAGE_SHIFT, PAGE_SIZE

U64: Final = 1 << 64


def as_signed(value: int) -> int:
    """A C ``unsigned long`` as the signed word that holds it; anything else is no argument of a system call."""
    if not -(U64 >> 1) <= value < U64:
        raise OverflowError(f"{value:#x} does not fit in 64 bits")
    return value - U64 if value >= U64 >> 1 else value


def page_span(addr: int, length: int) -> tuple[int, int]:
    """Start rounded down and end rounded up to pages, both cut to what user addresses can be."""
    start = max(addr, 0) & -PAGE_SIZE
    end = -(-(addr + max(length, 0)) // PAGE_SIZE) * PAGE_SIZE
    return min(start, BEYOND << PAGE_SHIFT), min(max(end, 0), BEYOND << PAGE_SHIFT)
