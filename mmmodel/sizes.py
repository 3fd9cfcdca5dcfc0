"""Sizes as people write them: 2TiB, 512GiB, 1<<41, 2^41, 0x20000000000, 4096.

All sizes are in bytes.  Units are binary; K, M, G, T, P and E may stand for KiB and so on, because nobody writes a span of
pages in powers of ten.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

UNITS: Final = ("", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_EXPONENTS: Final = {unit.lower()[:cut]: 10 * i for i, unit in enumerate(UNITS) if unit for cut in (1, 3)}
_POWER: Final = re.compile(r"(\d{1,3})\s*(<<|\^|\*\*)\s*(\d{1,3})", re.ASCII)
_DECIMAL: Final = re.compile(r"(\d{1,30}(?:\.\d{1,30})?)\s*([A-Za-z]*)", re.ASCII)
_HEX: Final = re.compile(r"0[xX][0-9A-Fa-f_]{1,30}", re.ASCII)
_HOW: Final = "write 2TiB, 512GiB, 1<<41, 2^41, 0x20000000000 or plain bytes"


def parse_bytes(text: str) -> int:
    """The number of bytes that ``text`` says, without a check of its range; ValueError if it says none."""
    shown = repr(text if len(text) <= 60 else text[:57] + "...")
    text = text.strip()
    if text.startswith("-"):
        raise ValueError(f"size {shown} is negative; {_HOW}")
    if power := _POWER.fullmatch(text):
        base, operator, exponent = int(power[1]), power[2], int(power[3])
        return base << exponent if operator == "<<" else base**exponent
    if _HEX.fullmatch(text):
        return int(text.replace("_", ""), 16)
    return _parse_decimal(text, shown)


def _parse_decimal(text: str, shown: str) -> int:
    """The bytes of a decimal number with an optional unit."""
    number = _DECIMAL.fullmatch(text.replace("_", ""))
    if not number:
        raise ValueError(f"size {shown} is no number; {_HOW}")
    unit = number[2].lower()
    if unit not in ("", "b") and unit not in _EXPONENTS:
        raise ValueError(f"size {shown} has an unknown unit; use {', '.join(UNITS[1:])}")
    value = Decimal(number[1]) * (1 << _EXPONENTS.get(unit, 0))
    if value != int(value):
        raise ValueError(f"size {shown} is no whole number of bytes")
    return int(value)


def format_size(size: int) -> str:
    """The shortest exact way to write ``size``: 2TiB, 1536GiB, 65552KiB, 17B.

    Exact, so that it can stand in a benchmark's name: :func:`parse_bytes` gives ``size`` back.
    """
    index = 0
    while size and size % 1024 == 0 and index < len(UNITS) - 1:
        size //= 1024
        index += 1
    return f"{size}{UNITS[index] or 'B'}"
