"""Address spaces of real programs: files of captured layouts, read and checked.

A layout file is gzip-compressed JSON; data/layouts/README.md describes it, and
data/layout.schema.json is its JSON schema. It may come from anybody, so nothing
in it is believed before it was checked, and every way in which it can be wrong
ends in one clear line.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

from bench.errors import UsageError, one_line, unknown
from bench.workloads.scenario import layout_name
from mmmodel import constants as const
from mmmodel.constants import HPAGE_PMD_NR, PAGE_SIZE, TASK_SIZE_5
from mmmodel.modelled import LARGEST_FILE

FORMAT = 1
MAX_FILE_BYTES = 64 << 20  # compressed
MAX_JSON_BYTES = 256 << 20  # unpacked
MAX_VMAS = 1_000_000
MAX_RUNS = 5_000_000  # in all VMAs together
VSYSCALL = "[vsyscall]"  # in every smaps, though it is no VMA of the process: left out
SUFFIX = ".json.gz"

# Flags of VMAs that advice sets; all of them keep neighbours from merging.
ADVICE = {
    "hg": const.MADV_HUGEPAGE,
    "nh": const.MADV_NOHUGEPAGE,
    "sr": const.MADV_SEQUENTIAL,
    "rr": const.MADV_RANDOM,
    "dc": const.MADV_DONTFORK,
    "wf": const.MADV_WIPEONFORK,
    "dd": const.MADV_DONTDUMP,
    "mg": const.MADV_MERGEABLE,
}

PageRange = tuple[int, int]  # first page counted from the VMA's start, number of pages
Bounds = tuple[int, int]  # least and most


class Unplaced(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pages that are in memory beside those of a VMA's `present`: how many is known, as far as it is, but not which."""

    least: int
    most: int
    thp: Bounds = (0, 0)  # of these, at least and at most so many are mapped by huge pages' PMDs
    swapped: Bounds = (0, 0)  # pages in swap, at least and at most


class Vma(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"vm_flags": "flags"}):
    """One VMA as captured. Runs are in page order and do not overlap."""

    start: str  # address in hexadecimal, bytes
    end: str  # address in hexadecimal, bytes; the first one after the VMA
    perms: str  # as in /proc/PID/maps, "rw-p"
    vm_flags: tuple[str, ...]  # as VmFlags in /proc/PID/smaps
    present: tuple[PageRange, ...]  # pages that are in memory
    path: str = ""
    thp: tuple[PageRange, ...] = ()  # of these: mapped by a huge page's PMD
    zero: tuple[PageRange, ...] = ()  # the zero page
    file: tuple[PageRange, ...] = ()  # file or shared pages
    thp_pte: tuple[PageRange, ...] = ()  # part of a huge page, mapped by PTEs
    large: tuple[PageRange, ...] = ()  # part of another large folio
    swapped: tuple[PageRange, ...] = ()  # not in memory but in swap
    lockable: bool = True  # False: mlock_fixup() leaves it alone
    inode: str = ""  # VMAs that say the same map one file, from their offsets; "": a file of its own, if any
    offset: str = "0"  # in that file, in hexadecimal, bytes
    comment: str = ""
    unplaced: Unplaced | None = None  # None: `present` has every page in memory

    @property
    def first(self) -> int:
        """Start address in bytes."""
        return int(self.start, 16)

    @property
    def last(self) -> int:
        """End address in bytes, exclusive."""
        return int(self.end, 16)

    @property
    def file_offset(self) -> int:
        """Where in its file it begins, in bytes."""
        return int(self.offset, 16)

    @property
    def nr_pages(self) -> int:
        """Length in pages."""
        return (self.last - self.first) // PAGE_SIZE

    @property
    def protection(self) -> int:
        """PROT_* of its perms."""
        bits = zip(self.perms, (const.PROT_READ, const.PROT_WRITE, const.PROT_EXEC), strict=False)
        return sum(bit for char, bit in bits if char != "-")

    @property
    def once_writable(self) -> bool:
        """Whether it is charged memory that is read-only now: relocations, or a region that an allocator closed."""
        return "ac" in self.vm_flags and "w" not in self.perms

    @property
    def advice(self) -> tuple[int, ...]:
        """MADV_* that gives it the flags that it has."""
        return tuple(advice for flag, advice in ADVICE.items() if flag in self.vm_flags)


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an address space was captured."""

    method: str  # PAGEMAP_SCAN, pagemap; or the text that it was read from: smaps, maps, pmap
    vmas_changed: int | None = None  # VMAs that were not the same before and after; None: nobody looked twice
    pages_changed: int | None = None  # pages that came or went meanwhile, at least: by how many they differ from Rss and Swap
    anonymised: bool = False  # paths are made up
    remarks: tuple[str, ...] = ()


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A layout file's content, in its own words."""

    format: Literal[1]
    program: str
    command: str
    kernel: str
    page_size: Literal[4096]
    threads: int
    vmas: tuple[Vma, ...]
    comment: str = ""
    source: Source | None = None


class Layout(msgspec.Struct, frozen=True, dict=True):
    """A checked layout, with the name it is measured under and the digest of its file."""

    name: str
    digest: str  # sha256 of the file, hexadecimal
    document: Document

    @property
    def vmas(self) -> tuple[Vma, ...]:
        """VMAs in address order."""
        return self.document.vmas

    @cached_property
    def span(self) -> int:
        """Reserved bytes: the lengths of all VMAs."""
        return sum(vma.last - vma.first for vma in self.vmas)

    @cached_property
    def nr_present(self) -> int:
        """Pages in memory, zero pages included."""
        return sum(nr for vma in self.vmas for _, nr in vma.present)

    @cached_property
    def nr_populated(self) -> int:
        """Pages in memory as the kernel's Rss has them: without zero pages, and without the kernel's own, as the vDSO's."""
        return sum(nr for vma in self.vmas if vma.lockable for _, nr in without(vma.present, vma.zero))

    @cached_property
    def nr_unplaced(self) -> int:
        """VMAs of which it is not known which pages are in memory."""
        return sum(vma.unplaced is not None for vma in self.vmas)

    @cached_property
    def locked(self) -> bool:
        """Whether the program held mlockall() when it was captured."""
        return any("lo" in vma.vm_flags for vma in self.vmas)


def _shipped() -> Path:
    """Return the folder of the layouts that come with the package."""
    return Path(str(resources.files("bench"))) / "data" / "layouts"


def shipped_names() -> list[str]:
    """Return the names of the layouts that come with the package, sorted."""
    return sorted(path.name.removesuffix(SUFFIX) for path in _shipped().glob("*" + SUFFIX))


def load(name_or_path: str, *, placed: bool = True) -> Layout:
    """Load a layout by the name of a shipped one, or any file by its path.

    `placed`: refuse one of which it is not known which pages are in memory, because it cannot be built.
    """
    if name_or_path in shipped_names():
        path = _shipped() / (name_or_path + SUFFIX)
    else:
        path = Path(name_or_path)
        if "/" not in name_or_path and not path.name.endswith((".gz", ".json")) and not path.exists():
            said = f"unknown layout {one_line(name_or_path, 80)!r}; give a file's path or one of "
            raise unknown(said, name_or_path, shipped_names())
    found = load_file(path)
    if placed and found.nr_unplaced:
        raise UsageError(
            f"layout file {one_line(path, 120)} does not say which pages are in memory, in {found.nr_unplaced} of its VMAs;"
            " where they are is needed here"
        )
    return found


def load_file(path: Path) -> Layout:
    """Load and check one layout file."""
    where = one_line(path, 120)
    if any("\ud800" <= char <= "\udfff" for char in str(path)):  # it stands in results, which are UTF-8
        raise UsageError(f"the name of layout file {where} is no UTF-8")
    return decode(_read(path), f"layout file {where}", layout_name(path.name))


def decode(packed: bytes, where: str, name: str) -> Layout:
    """Check the content of a layout file; `where` names it in a message."""
    try:
        document = msgspec.json.decode(_unpack(packed, where), type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{where} is not in the layout format: {one_line(error)}") from None
    document = msgspec.structs.replace(document, vmas=tuple(vma for vma in document.vmas if vma.path != VSYSCALL))
    problem = first_problem(document)
    if problem:
        raise UsageError(f"{where} is inconsistent: {one_line(problem)}")
    return Layout(name=name, digest=hashlib.sha256(packed).hexdigest(), document=document)


def _read(path: Path) -> bytes:
    """Return a regular file's bytes, at most MAX_FILE_BYTES of them."""
    where = one_line(path, 120)
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"layout {where} is not a regular file")
        with path.open("rb") as handle:
            packed = handle.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read layout file {where}: {reason}") from None
    if len(packed) > MAX_FILE_BYTES:
        raise UsageError(f"layout file {where} is larger than {MAX_FILE_BYTES >> 20} MiB")
    return packed


def _unpack(packed: bytes, where: str) -> bytes:
    """Return the JSON text of a gzip file, never more than MAX_JSON_BYTES of it."""
    if not packed.startswith(b"\x1f\x8b"):
        if re.match(rb"\s*[\[{\"0-9tfn-]", packed):  # plain JSON is welcome too; whether it is an object is seen later
            return packed
        raise UsageError(f"{where} is neither gzip nor JSON")
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        text = unpacker.decompress(packed, MAX_JSON_BYTES + 1)
    except zlib.error as error:
        raise UsageError(f"{where} is damaged: {error}") from None
    if len(text) > MAX_JSON_BYTES:
        raise UsageError(f"{where} unpacks to more than {MAX_JSON_BYTES >> 20} MiB")
    if not unpacker.eof:
        raise UsageError(f"{where} is truncated")
    if unpacker.unused_data:
        raise UsageError(f"{where} has data after its end")
    return text


def first_problem(document: Document) -> str:
    """Return what is wrong first in a document of the right form, "" if nothing is."""
    if not 0 < len(document.vmas) <= MAX_VMAS:
        return f"it has {len(document.vmas)} VMAs; 1 to {MAX_VMAS} are allowed"
    nr_runs, previous_end = 0, 0
    for number, vma in enumerate(document.vmas):
        nr_runs += sum(len(runs) for _, runs in _kinds(vma))
        if nr_runs > MAX_RUNS:
            return f"it has more than {MAX_RUNS} runs of pages"
        problem = _vma_problem(vma, previous_end)
        if problem:
            return f"VMA {number}: {problem}"
        previous_end = vma.last
    return ""


def _vma_problem(vma: Vma, previous_end: int) -> str:
    """Return what is wrong with one VMA, "" if nothing is."""
    if not all(re.fullmatch(r"(0x)?[0-9a-f]{1,16}", text) for text in (vma.start, vma.end, vma.offset)):
        return "start, end and offset are not hexadecimal numbers as in /proc/PID/maps"
    if vma.first % PAGE_SIZE or vma.last % PAGE_SIZE:
        return "it is not page-aligned"
    if vma.last <= vma.first:
        return "its end is not after its start"
    if vma.first < previous_end:
        return "it overlaps the one before it, or the order is not by address"
    if vma.last > TASK_SIZE_5:
        return "it ends beyond the 56-bit address space"
    if not re.fullmatch(r"[r-][w-][x-][ps]", vma.perms):
        return f"perms {vma.perms!r} are not as in /proc/PID/maps"
    if any(not re.fullmatch(r"[a-z?0-9]{2}", flag) for flag in vma.vm_flags):
        return "flags are not as VmFlags in /proc/PID/smaps"
    return _file_problem(vma) or _runs_problem(vma)


def _file_problem(vma: Vma) -> str:
    """Return what is wrong with the part of a file that a VMA maps, "" if nothing is."""
    if not vma.inode:
        return "it has an offset but no inode" if vma.file_offset else ""
    if vma.file_offset % PAGE_SIZE:
        return "its offset is not page-aligned"
    if vma.file_offset + vma.last - vma.first > LARGEST_FILE:
        return f"it maps more of a file than the {LARGEST_FILE:#x} bytes that the model can"
    return "" if vma.lockable else "it has an inode, and is not lockable: such VMAs have no pages here"


def _runs_problem(vma: Vma) -> str:
    """Return what is wrong with a VMA's runs of pages, "" if nothing is."""
    if (few := vma.unplaced) and not (
        0 <= few.least <= few.most <= vma.nr_pages - sum(nr for _, nr in vma.present)
        and 0 <= few.thp[0] <= few.thp[1] <= few.most
        and 0 <= few.swapped[0] <= few.swapped[1] <= vma.nr_pages
    ):
        return "its unplaced pages are fewer than none, more than fit, or the least of them is more than the most"
    for kind, runs in _kinds(vma):
        if not _in_order(runs, vma.nr_pages):
            return f"runs of {kind!r} overlap, are empty, or leave the VMA"
        if kind not in ("present", "swapped") and not _covered(runs, vma.present):
            return f"runs of {kind!r} are not among the pages present"
    first_page = vma.first // PAGE_SIZE
    if any((first_page + first) % HPAGE_PMD_NR or nr % HPAGE_PMD_NR for first, nr in vma.thp):
        return "runs of 'thp' are not whole aligned huge pages"
    if any(overlap(one, two) for one, two in ((vma.thp, vma.thp_pte), (vma.thp, vma.zero), (vma.file, vma.zero))):
        return "a page is said to be of two kinds that exclude each other"
    return ""


def _kinds(vma: Vma) -> list[tuple[str, tuple[PageRange, ...]]]:
    """Return every kind of runs with its name in the file."""
    names = ("present", "thp", "zero", "file", "thp_pte", "large", "swapped")
    return [(name, getattr(vma, name)) for name in names]


def _in_order(runs: Iterable[PageRange], nr_pages: int) -> bool:
    """Tell whether runs are ascending, apart, not empty, and within [0, nr_pages)."""
    end = 0
    for first, nr in runs:
        if first < end or nr <= 0:
            return False
        end = first + nr
    return end <= nr_pages


def _covered(inner: tuple[PageRange, ...], outer: tuple[PageRange, ...]) -> bool:
    """Tell whether every page of `inner` is one of `outer`."""
    return sum(nr for _, nr in inner) == sum(nr for _, nr in overlap(inner, outer))


def overlap(one: tuple[PageRange, ...], two: tuple[PageRange, ...]) -> tuple[PageRange, ...]:
    """Return the runs of pages in both; each argument is ascending and apart."""
    both: list[PageRange] = []
    i = j = 0
    while i < len(one) and j < len(two):
        first = max(one[i][0], two[j][0])
        end_one, end_two = sum(one[i]), sum(two[j])
        if first < min(end_one, end_two):
            both.append((first, min(end_one, end_two) - first))
        if end_one <= end_two:
            i += 1
        else:
            j += 1
    return tuple(both)


def without(runs: tuple[PageRange, ...], other: tuple[PageRange, ...]) -> tuple[PageRange, ...]:
    """Return the runs of pages in `runs` and not in `other`; each is ascending and apart."""
    rest: list[PageRange] = []
    taken = iter([*overlap(runs, other), (1 << 64, 0)])
    hole, hole_nr = next(taken)
    for first, nr in runs:
        position, end = first, first + nr
        while hole < end:
            if hole > position:
                rest.append((position, hole - position))
            position = hole + hole_nr
            hole, hole_nr = next(taken)
        if position < end:
            rest.append((position, end - position))
    return tuple(rest)


def page_kinds(vma: Vma) -> list[tuple[str, int, int]]:
    """Return (kind of page, first page in the VMA, number of pages), each page once.

    A file's page that is part of a huge or large folio is an order-0 file page
    here, because that is what it was in the kernels modelled.
    """
    thp, thp_pte = without(vma.thp, vma.file), without(vma.thp_pte, vma.file)
    plain = without(without(without(without(vma.present, vma.file), thp), thp_pte), vma.zero)
    kinds = (("file", vma.file), ("zero", vma.zero), ("thp", thp), ("thp-pte", thp_pte), ("anon", plain))
    return [(kind, first, nr) for kind, runs in kinds for first, nr in runs]
