"""A process that maps what it is told to, a line of JSON each, and says where. Run by support.captured."""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import sys
from typing import Any

PAGE = 4096
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
for name in ("mprotect", "madvise", "mlock", "munmap"):
    getattr(libc, name).argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        *([ctypes.c_int] if name in ("mprotect", "madvise") else []),
    ]


def map_area(nbytes: int, prot: int, flags: int = PRIVATE, descriptor: int = -1) -> int:
    """Map memory; return its address."""
    address: int | None = libc.mmap(None, nbytes, prot, flags, descriptor, 0)
    if address is None or address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap")
    return address


def do(what: str, address: int, nbytes: int, *more: int) -> None:
    """Make a call of the C library."""
    if getattr(libc, what)(address, nbytes, *more):
        raise OSError(ctypes.get_errno(), what)


def write(address: int, pages: list[int]) -> None:
    """Write to pages."""
    for page in pages:
        ctypes.c_ubyte.from_address(address + page * PAGE).value = 1


def area(nbytes: int, pages: list[int], prot: int = 3) -> dict[str, Any]:
    """Map private memory and write to pages of it; what is to be PROT_NONE gets so in the end."""
    address = map_area(nbytes, 3)
    do("madvise", address, nbytes, 15)  # MADV_NOHUGEPAGE
    write(address, pages)
    if prot != 3:
        do("mprotect", address, nbytes, prot)
    return {"address": address, "nbytes": nbytes, "pages": pages}


def read(nbytes: int, pages: list[int]) -> dict[str, Any]:
    """Map private memory and only read it."""
    address = map_area(nbytes, 3)
    do("madvise", address, nbytes, 15)
    for page in pages:
        assert ctypes.c_ubyte.from_address(address + page * PAGE).value == 0
    return {"address": address, "nbytes": nbytes, "pages": pages}


def huge(nbytes: int) -> dict[str, Any]:
    """Map memory that may have huge pages, and write to all of it."""
    address = map_area(nbytes, 3)
    do("madvise", address, nbytes, 14)  # MADV_HUGEPAGE
    write(address, list(range(nbytes // PAGE)))
    return {"address": address, "nbytes": nbytes}


def memfd(nbytes: int, pages: list[int], here: list[int]) -> dict[str, Any]:
    """Map a file of memory twice; pages are written through one mapping, and some of them seen through the other."""
    descriptor = os.memfd_create("shared")
    os.truncate(descriptor, nbytes)
    first, second = (map_area(nbytes, 3, mmap.MAP_SHARED, descriptor) for _ in range(2))
    write(first, pages)
    for page in here:
        assert ctypes.c_ubyte.from_address(second + page * PAGE).value == 1
    return {"address": first, "second": second, "nbytes": nbytes, "pages": pages, "here": here}


def everything() -> dict[str, Any]:
    """Reserve nearly the whole address space."""
    total, size = 0, 1 << 46
    while size >= 1 << 34:
        try:
            map_area(size, 0)
            total += size
        except OSError:
            size >>= 1
    return {"total": total}


def forked() -> dict[str, Any]:
    """Have a child, which waits."""
    pid = os.fork()
    if not pid:
        os.read(0, 1)  # ends with this process
        os._exit(0)
    return {"pid": pid}


def call(what: str, address: int, nbytes: int, *more: int) -> dict[str, Any]:
    """Make a call of the C library."""
    do(what, address, nbytes, *more)
    return {}


def touch(address: int, pages: list[int]) -> dict[str, Any]:
    """Write to pages."""
    write(address, pages)
    return {}


def look(address: int) -> dict[str, Any]:
    """Read a byte."""
    return {"byte": ctypes.c_ubyte.from_address(address).value}


def ready() -> dict[str, Any]:
    """Say that this program runs."""
    return {}


WORDS = {one.__name__: one for one in (area, read, huge, memfd, everything, forked, call, touch, look, ready)}

if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            what, *arguments = json.loads(line)
            print(json.dumps(WORDS[what](*arguments)), flush=True)
