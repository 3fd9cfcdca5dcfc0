"""Sizes on a command line: what :mod:`mmmodel.sizes` reads, within an address space; what is wrong as one line."""

from __future__ import annotations

from bench.errors import UsageError, one_line
from bench.number_format import approximate
from mmmodel import sizes
from mmmodel.constants import MMAP_MIN_ADDR, PAGE_SIZE, TASK_SIZE_4, TASK_SIZE_5

ADDRESS_SPACE = {4: TASK_SIZE_4, 5: TASK_SIZE_5}  # levels of page tables: end of the user's part, bytes
format_size = sizes.format_size


def parse_bytes(text: str) -> int:
    """Return the number of bytes that `text` says, without a check of its range."""
    try:
        return sizes.parse_bytes(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def parse_size(text: str, levels: int = 4) -> int:
    """Return a span in bytes: page-aligned, and within the address space of `levels` levels."""
    size = parse_bytes(text)
    shown = one_line(text, 60)
    if size == 0:
        raise UsageError(f"size {shown!r} is zero; a span has at least one page of {PAGE_SIZE} bytes")
    if size % PAGE_SIZE:
        raise UsageError(f"size {shown!r} is not a multiple of the page size, {PAGE_SIZE} bytes")
    limit = ADDRESS_SPACE[levels] - MMAP_MIN_ADDR
    if size > limit:
        more = f"; --levels 5 has {approximate(ADDRESS_SPACE[5])}, with report and run" if levels == 4 else ""
        raise UsageError(
            f"size {shown!r} is larger than the address space: a process with {levels}-level page tables"
            f" has {limit} bytes ({approximate(limit)}){more}"
        )
    return size
