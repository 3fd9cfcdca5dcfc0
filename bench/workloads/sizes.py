"""Sizes as people write them: 2TiB, 512GiB, 1<<41, 2^41, 0x20000000000, 4096.

All sizes are in bytes. Units are binary; K, M, G, T, P and E may stand for
KiB and so on, because nobody writes a span of pages in powers of ten.
"""

from __future__ import annotations

import re
from decimal import Decimal

from bench.errors import UsageError, one_line
from bench.number_format import approximate
from mmmodel.constants import MMAP_MIN_ADDR, PAGE_SIZE, TASK_SIZE_4, TASK_SIZE_5

ADDRESS_SPACE = {4: TASK_SIZE_4, 5: TASK_SIZE_5}  # levels of page tables: end of the user's part, bytes
_UNITS = ("", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_EXPONENTS = {unit.lower()[:cut]: 10 * i for i, unit in enumerate(_UNITS) if unit for cut in (1, 3)}
_POWER = re.compile(r"(\d{1,3})\s*(<<|\^|\*\*)\s*(\d{1,3})", re.ASCII)
_DECIMAL = re.compile(r"(\d{1,30}(?:\.\d{1,30})?)\s*([A-Za-z]*)", re.ASCII)
_HEX = re.compile(r"0[xX][0-9A-Fa-f_]{1,30}", re.ASCII)
_HOW = "write 2TiB, 512GiB, 1<<41, 2^41, 0x20000000000 or plain bytes"


def parse_bytes(text: str) -> int:
    """Return the number of bytes that `text` says, without a check of its range."""
    shown = one_line(text, 60)
    text = text.strip()
    if text.startswith("-"):
        raise UsageError(f"size {shown!r} is negative; {_HOW}")
    if power := _POWER.fullmatch(text):
        base, operator, exponent = int(power[1]), power[2], int(power[3])
        return base << exponent if operator == "<<" else base**exponent
    if _HEX.fullmatch(text):
        return int(text.replace("_", ""), 16)
    return _parse_decimal(text, shown)


def _parse_decimal(text: str, shown: str) -> int:
    """Return the bytes of a decimal number with an optional unit."""
    number = _DECIMAL.fullmatch(text.replace("_", ""))
    if not number:
        raise UsageError(f"size {shown!r} is no number; {_HOW}")
    unit = number[2].lower()
    if unit not in ("", "b") and unit not in _EXPONENTS:
        raise UsageError(f"size {shown!r} has an unknown unit; use {', '.join(_UNITS[1:])}")
    value = Decimal(number[1]) * (1 << _EXPONENTS.get(unit, 0))
    if value != int(value):
        raise UsageError(f"size {shown!r} is no whole number of bytes")
    return int(value)


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
        raise UsageError(
            f"size {shown!r} is larger than the address space: a process with {levels}-level page tables"
            f" has {limit} bytes ({approximate(limit)})"
        )
    return size


def format_size(size: int) -> str:
    """Return the shortest exact way to write `size`: 2TiB, 1536GiB, 65552KiB, 17B.

    Exact, so that it can stand in a benchmark's name: parse_bytes() gives `size` back.
    """
    index = 0
    while size and size % 1024 == 0 and index < len(_UNITS) - 1:
        size //= 1024
        index += 1
    return f"{size}{_UNITS[index] or 'B'}"
