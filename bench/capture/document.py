"""VMAs of a text as a layout: what the text does not say becomes a range."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from bench.capture.text import VSYSCALL_START, Region
from bench.errors import UsageError, one_line
from bench.workloads.layout import FORMAT, Document, Layout, Source, Unplaced, Vma, first_problem
from mmmodel.constants import HPAGE_PMD_NR, PAGE_SIZE
from mmmodel.modelled import LARGEST_FILE

# mlock_fixup() leaves VMAs alone that have any of VM_IO, VM_DONTEXPAND, VM_PFNMAP, VM_MIXEDMAP, hugetlb pages, VM_DROPPABLE.
NOT_LOCKABLE: Final = frozenset({"io", "de", "pf", "mm", "ht", "dp"})
# The same by their names, where flags are not known: memory of the kernel's, secretmem and devices; not what devices only name.
_KERNELS: Final = frozenset({"[vvar]", "[vvar_vclock]", "[vdso]", "[uprobes]"})
_SECRET, _DEVICES, _MEMORY_DEVICES = "/secretmem", "/dev/", ("/dev/zero", "/dev/shm/", "/dev/hugepages/")
RSS_ONLY: Final = "how many pages are in memory is known, which is not; pages that map the zero page are in no Rss"
NOT_EVEN_RSS: Final = "how many pages are in memory is not known"
NO_FLAGS: Final = "without VmFlags it is told by names alone which VMAs cannot be locked"


def lockable(region: Region) -> bool:
    """Tell whether mlock_fixup() would lock a VMA; of a DAX file nothing tells that it would not."""
    if region.path in _KERNELS or region.path.startswith(_SECRET):
        return False
    if region.flags is None:
        return not region.path.startswith(_DEVICES) or region.path.startswith(_MEMORY_DEVICES)
    return not NOT_LOCKABLE & set(region.flags)


def huge_pages(region: Region) -> int:
    """Return how many pages of a VMA could be mapped by huge pages at most."""
    first, last = -(-region.start // PAGE_SIZE // HPAGE_PMD_NR), region.end // PAGE_SIZE // HPAGE_PMD_NR
    return max(0, last - first) * HPAGE_PMD_NR


def unplaced(region: Region) -> Unplaced | None:
    """Return what is known of the pages of a VMA of which only a text tells; None if there is none in memory or in swap."""
    if not region.kib:
        return Unplaced(0, region.nr_pages, (0, huge_pages(region)), (0, region.nr_pages))
    nr = region.pages("Rss")
    if "AnonHugePages" in region.kib:
        thp = sum(region.pages(field) for field in ("AnonHugePages", "ShmemPmdMapped", "FilePmdMapped"))
        bounds = (min(thp, nr), min(thp, nr))
    else:
        bounds = (0, min(huge_pages(region), nr // HPAGE_PMD_NR * HPAGE_PMD_NR))
    swapped = (region.pages("Swap"),) * 2 if "Swap" in region.kib else (0, region.nr_pages - nr)
    return Unplaced(nr, nr, bounds, swapped) if nr or swapped[1] else None


def file_of(region: Region) -> tuple[str, str]:
    """Return inode and offset as a layout has them: of a file that can be modelled whole, else none."""
    fits = region.offset + region.end - region.start <= LARGEST_FILE
    if not region.file or not lockable(region) or not fits or region.offset % PAGE_SIZE:
        return "", "0"
    return region.file, f"{region.offset:x}"


def from_text(regions: Iterable[Region], method: str, name: str) -> Document:
    """Return the layout of a text; `name`: of the text. UsageError if it has no VMA."""
    kept = [region for region in regions if region.start != VSYSCALL_START]
    if not kept:
        raise UsageError(f"{name} has no VMA")
    vmas = []
    for region in kept:
        can = lockable(region)
        inode, offset = file_of(region)
        vmas.append(
            Vma(
                hex(region.start),
                hex(region.end),
                region.perms,
                region.flags or (),
                (),
                region.path,
                lockable=can,
                inode=inode,
                offset=offset,
                unplaced=unplaced(region) if can else None,
            )
        )
    remarks = [RSS_ONLY if kept[0].kib else NOT_EVEN_RSS, *([NO_FLAGS] if kept[0].flags is None else [])]
    return document(name, "", "", 1, vmas, Source(method, remarks=tuple(remarks)))


def document(program: str, command: str, kernel: str, threads: int, vmas: Sequence[Vma], source: Source) -> Document:
    """Return a document; UsageError if it breaks the rules that files are held to."""
    made = Document(FORMAT, program, command, kernel, PAGE_SIZE, threads, tuple(vmas), source=source)  # type: ignore[arg-type]
    if problem := first_problem(made):
        raise UsageError(f"{program} cannot be written as a layout: {one_line(problem)}")
    return made


def encode(made: Document) -> bytes:
    """Return a layout as JSON, a VMA to a line; what has its default is left out."""
    vmas = [msgspec.json.encode(_brief(vma)) for vma in made.vmas]
    head = msgspec.to_builtins(made)
    del head["vmas"]
    head = {key: value for key, value in head.items() if value not in ("", None) or key in ("command", "kernel")}
    start = msgspec.json.encode(head)[:-1]
    return start + b',"vmas":[\n' + b",\n".join(vmas) + b"\n]}\n"


def pack(data: bytes) -> bytes:
    """Return bytes packed by gzip, the same for the same bytes."""
    return gzip.compress(data, mtime=0)


_ALWAYS: Final = ("start", "end", "perms", "flags", "present", "path", "lockable")
_DEFAULTS: Final = {"inode": "", "offset": "0", "comment": "", "unplaced": None}


def _brief(vma: Vma) -> dict[str, object]:
    """Return a VMA as builtins, without fields that have their defaults."""
    every: dict[str, object] = msgspec.to_builtins(vma)
    return {
        key: value
        for key, value in every.items()
        if key in _ALWAYS or (value not in ((), []) and value != _DEFAULTS.get(key, object()))
    }


def layout_of(made: Document, name: str) -> Layout:
    """Return a document as a layout under a name."""
    return Layout(name, hashlib.sha256(encode(made)).hexdigest(), made)
