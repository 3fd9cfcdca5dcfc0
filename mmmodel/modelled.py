"""What the kernels know and the model does not: :class:`~mmmodel.errors.NotModelled`, before anything is done.

Without this an unknown flag would pass for none, and an unknown advice for one that no kernel has.
"""

from __future__ import annotations

from typing import Final

from mmmodel import constants as c
from mmmodel.errors import NotModelled
from mmmodel.kernels import V5_10, V6_1

_FLAGS: Final = {"MAP_32BIT": c.MAP_32BIT, "MAP_GROWSDOWN": c.MAP_GROWSDOWN}
_HUGE_1GB: Final = 30
_PMD_LOG2: Final = (0, c.PMD_SHIFT)  # sizes of huge TLB pages that are modelled
# Advice by the first kernel of those modelled that knows it.
_ADVICE: Final = {
    "MADV_COLD": (c.MADV_COLD, V5_10),
    "MADV_PAGEOUT": (c.MADV_PAGEOUT, V5_10),
    "MADV_POPULATE_READ": (c.MADV_POPULATE_READ, V6_1),
    "MADV_POPULATE_WRITE": (c.MADV_POPULATE_WRITE, V6_1),
    "MADV_COLLAPSE": (c.MADV_COLLAPSE, V6_1),
    "MADV_HWPOISON": (c.MADV_HWPOISON, V5_10),
    "MADV_SOFT_OFFLINE": (c.MADV_SOFT_OFFLINE, V5_10),
}
LARGEST_FILE: Final = 1 << 48  # bytes that the model's page cache can tell apart


def refuse_mapping(flags: int, of_file: bool) -> None:
    """Refuse flags of mmap() that make another mapping than the model would; those that every kernel ignores pass."""
    for name, bit in _FLAGS.items():
        if flags & bit:
            raise NotModelled(f"mmap: {name} ({bit:#x})")
    if of_file and flags & c.MAP_TYPE == c.MAP_SHARED_VALIDATE:
        raise NotModelled(f"mmap: MAP_SHARED_VALIDATE ({c.MAP_SHARED_VALIDATE:#x}) of a file")
    if flags & c.MAP_HUGETLB and flags >> c.MAP_HUGE_SHIFT & c.MAP_HUGE_MASK == _HUGE_1GB:
        raise NotModelled(f"mmap: MAP_HUGE_1GB ({_HUGE_1GB << c.MAP_HUGE_SHIFT:#x})")


def no_such_huge_pages(flags: int) -> bool:
    """Whether mmap() asks for huge TLB pages of a size that x86-64 does not have."""
    return bool(flags & c.MAP_HUGETLB) and flags >> c.MAP_HUGE_SHIFT & c.MAP_HUGE_MASK not in _PMD_LOG2


def refuse_protection(prot: int) -> None:
    """Refuse what mprotect() would do to stacks."""
    for name, bit in (("PROT_GROWSDOWN", c.PROT_GROWSDOWN), ("PROT_GROWSUP", c.PROT_GROWSUP)):
        if prot & bit:
            raise NotModelled(f"mprotect: {name} ({bit:#x})")


def refuse_advice(version: int, advice: int) -> None:
    """Refuse advice that a kernel of this version takes."""
    for name, (value, since) in _ADVICE.items():
        if advice == value and version >= since:
            raise NotModelled(f"madvise: {name} ({value})")


def advice_left_out(advice: int) -> NotModelled:
    """The error for advice that is modelled, but not on the range that it is given for."""
    if advice == c.MADV_FREE:
        return NotModelled(f"madvise: MADV_FREE ({advice}) of a part of a huge page, or of one mapped by page table entries")
    return NotModelled(f"madvise: MADV_WILLNEED ({advice}) of a regular file")


def refuse_huge_tlb(name: str, vm_flags: int) -> None:
    """Refuse what a call would do to huge TLB pages; their VMAs are modelled, since mlock leaves them alone."""
    if vm_flags & c.VM_HUGETLB:
        raise NotModelled(f"{name}: huge TLB pages (VM_HUGETLB)")


def refuse_file_size(name: str, nbytes: int) -> None:
    """Refuse files whose pages the page cache could mistake for each other."""
    if nbytes > LARGEST_FILE:
        raise NotModelled(f"{name}: a file of {nbytes:#x} bytes, more than {LARGEST_FILE:#x}")


def refuse_fallocate(mode: int) -> None:
    """Refuse modes of fallocate() that do something else than punch a hole."""
    if not mode & c.FALLOC_FL_PUNCH_HOLE:
        raise NotModelled(f"fallocate: mode {mode:#x}; FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE is modelled")
