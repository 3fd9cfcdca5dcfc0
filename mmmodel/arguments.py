"""Arguments of calls, checked at the door: Python's numbers and sizes as text made into what compiled code takes.

What a C program could pass is passed on, so that the kernel's own checks answer it.  What it could not pass, because it is no
whole number or does not fit a register, is a TypeError or ValueError that names the argument.
"""

from __future__ import annotations

import operator
import reprlib
from typing import Final, SupportsIndex

from mmmodel.constants import BEYOND, PAGE_SHIFT, PAGE_SIZE
from mmmodel.sizes import parse_bytes

U64: Final = 1 << 64
Size = SupportsIndex | str  # bytes: a whole number of any kind, or text like "2TiB" and "1<<41"


def integer(name: str, value: SupportsIndex) -> int:
    """A whole number, numpy's too, as an ``int``; TypeError for anything else, a bool and 2.0 among them."""
    if type(value) is int:
        return value
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(f"{name}: {reprlib.repr(value)} is no whole number")
    return operator.index(value)


def size(name: str, value: Size) -> int:
    """A number of bytes, given as a whole number or as text."""
    if not isinstance(value, str):
        return integer(name, value)
    try:
        return parse_bytes(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def as_signed(name: str, value: int) -> int:
    """A C ``unsigned long`` as the signed word that holds it; ValueError if it does not fit."""
    if not -(U64 >> 1) <= value < U64:
        raise ValueError(f"{name}: {hex(value)[:40]} does not fit in 64 bits")
    return value - U64 if value >= U64 >> 1 else value


def word(name: str, value: SupportsIndex) -> int:
    """An address, flags, or any other argument of one register."""
    return as_signed(name, integer(name, value))


def c_int(name: str, value: SupportsIndex) -> int:
    """Flags or advice that the system call takes as a C ``int``: the lower half of a register."""
    low = word(name, value) & 0xFFFFFFFF
    return low - (1 << 32) if low >> 31 else low


def register(name: str, value: Size) -> int:
    """A number of bytes for a register."""
    return as_signed(name, size(name, value))


def page_span(addr: int, nbytes: int) -> tuple[int, int]:
    """Start rounded down and end rounded up to pages, both cut to what user addresses can be."""
    start = max(addr, 0) & -PAGE_SIZE
    end = -(-(addr + max(nbytes, 0)) // PAGE_SIZE) * PAGE_SIZE
    return min(start, BEYOND << PAGE_SHIFT), min(max(end, 0), BEYOND << PAGE_SHIFT)


def user_pages(name: str, addr: SupportsIndex, nbytes: Size, task_size: int) -> tuple[int, int]:
    """[start, end) of whole pages of user addresses, at least one, for what no system call checks.

    ``name``: of the call.  ValueError says what is wrong.
    """
    start, nr = integer("addr", addr), size("length", nbytes)
    if start % PAGE_SIZE or nr % PAGE_SIZE:
        raise ValueError(f"{name}: addr {start:#x} and length {nr:#x} are whole pages of {PAGE_SIZE} bytes")
    if nr <= 0:
        raise ValueError(f"{name}: length {nr:#x} is not a page or more")
    if start < 0 or start + nr > task_size:
        raise ValueError(f"{name}: [{start:#x}, {start + nr:#x}) is not within the address space, which ends at {task_size:#x}")
    return start, start + nr
