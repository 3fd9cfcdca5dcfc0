"""Addresses and lengths as numbers of pages: the arguments of calls, in 64 bits that wrap as the kernel's do."""

from __future__ import annotations

from mmmodel.constants import BEYOND, PAGE_NUMBERS, PAGE_SHIFT, PAGE_SIZE
from mmmodel.jit import kernel


@kernel
def page_align(length: int) -> int:
    """Models PAGE_ALIGN(): bytes rounded up to pages."""
    return (length + PAGE_SIZE - 1) & -PAGE_SIZE


@kernel
def page_number(address: int) -> int:
    """Page of an address that is a C ``unsigned long``, seen as signed."""
    return (address >> PAGE_SHIFT) & PAGE_NUMBERS


@kernel
def page_count(length: int) -> int:
    """Pages of a length that is a C ``unsigned long``, seen as signed: PAGE_ALIGN() of sizes near 2^64 wraps to 0, as there."""
    return (page_number(length) + (1 if length & (PAGE_SIZE - 1) != 0 else 0)) & PAGE_NUMBERS


@kernel
def page_address(page: int) -> int:
    """Address of a page; of one beyond all user addresses some address there, where no VMA can be."""
    return min(page, BEYOND) << PAGE_SHIFT
