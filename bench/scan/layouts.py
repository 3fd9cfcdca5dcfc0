"""Address spaces that calls are scanned on: in each, one thing is varied and all else stays."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from bench.scan.steps import Again, File, Step, Sys, Touch, Word
from mmmodel import constants as const
from mmmodel.constants import PAGE_SIZE, PMD_SIZE

Axis = Literal["span", "pages", "tables", "VMAs"]
RW: Final = const.PROT_READ | const.PROT_WRITE
FIXED: Final = const.MAP_FIXED_NOREPLACE
ANON: Final = const.MAP_PRIVATE | const.MAP_ANONYMOUS | const.MAP_NORESERVE | FIXED
FILE: Final = 100  # descriptor of the mapped file
MLOCK_ONFAULT: Final = 1
MiB, GiB = 1 << 20, 1 << 30
# Sizes of the first round. A span of one page is what the others are held against; one of 2 MiB and one of 1 GiB tell a cost
# for each page from one for each entry of the tables above. All of a span lies below one entry of the top page table: those
# are not told apart, of which there are 256.
SPANS: Final = (PAGE_SIZE, PMD_SIZE, GiB)
SPAN_LIMIT: Final = 256 * GiB
UNIT: Final[dict[Axis, str]] = {"span": "B", "pages": "page", "tables": "table", "VMAs": "VMA"}
# Of what a large process has. A cost that would not even double there counts as none: pages of 4 GiB, tables of 16 GiB with
# one page for each, as many VMAs as a process may have by default; of the span, the program behind the report.
LARGE: Final[dict[Axis, float]] = {"span": 12.44 * 2**40, "pages": 1 << 20, "tables": 1 << 13, "VMAs": 65530}


class Layout(NamedTuple):
    """One address space, of a size that is varied."""

    name: str
    summary: str
    axis: Axis
    steps: tuple[Step, ...]
    sizes: tuple[int, ...] = SPANS  # of the first round, smallest first; of `n`: bytes, pages, tables or VMAs
    most: int = SPAN_LIMIT  # for later rounds
    fixed_span: int | None = None  # bytes, None where the span is what is varied
    has_huge: bool = False
    of_file: bool = False  # shared memory of a file, which a call may not work on

    def span(self, n: int) -> int:
        """Return the length of the memory, in bytes."""
        return n if self.fixed_span is None else self.fixed_span


def _map(protection: int, flags: int = ANON, descriptor: int = -1, nbytes: Word = "span") -> Sys:
    """Return the step that maps the memory."""
    return Sys("mmap", ("start", nbytes, protection, flags, descriptor, 0))


_PAGE: Final = Touch("start", PAGE_SIZE)
_COUNTED: Final = 64 * MiB  # holds the pages and VMAs that are counted
PAGES: Final = (1, 512, 2048)
FAR_PAGES: Final = (1, 4, 8, 16)  # few: the span, which stays, is so many GiB, and some calls visit every 4 KiB of it
TABLES: Final = (1, 128, 512)
VMAS: Final = (2, 256, 1024)
_ALL: Final = (
    Layout("none", "reserved, PROT_NONE, never touched", "span", (_map(const.PROT_NONE),)),
    Layout("rw", "reserved read-write, never touched", "span", (_map(RW),)),
    Layout("one page", "read-write, its first page written", "span", (_map(RW), _PAGE)),
    Layout("locked", "one page written, locked as pages come", "span",
           (_map(RW), _PAGE, Sys("mlock2", ("start", "span", MLOCK_ONFAULT)))),
    Layout("locked none", "reserved, PROT_NONE, locked", "span",
           (_map(const.PROT_NONE), Sys("mlock2", ("start", "span", MLOCK_ONFAULT)))),
    Layout("huge page", "one huge page written", "span",
           (_map(RW), Sys("madvise", ("start", "span", const.MADV_HUGEPAGE)), Touch("start", PMD_SIZE, PMD_SIZE)),
           sizes=(PMD_SIZE + PAGE_SIZE, 2 * PMD_SIZE, GiB), has_huge=True),
    Layout("shared file", "a sparse file of memory, shared, one page written", "span",
           (File(FILE, "span"), _map(RW, const.MAP_SHARED | FIXED, FILE), _PAGE), of_file=True),
    Layout("private file", "a sparse file of memory, private, one page written", "span",
           (File(FILE, "span"), _map(RW, const.MAP_PRIVATE | const.MAP_NORESERVE | FIXED, FILE), _PAGE)),
    Layout("pages", "pages written one after the other, in 64 MiB", "pages",
           (_map(RW), Touch("start", "n*4096")), PAGES, 4 * PAGES[-1], _COUNTED),
    Layout("page per GiB", "pages written, each alone in a GiB and below tables of its own, in 16 GiB", "pages",
           (_map(RW), Touch("start", "n*1073741824", GiB)), FAR_PAGES, FAR_PAGES[-1], FAR_PAGES[-1] * GiB),
    Layout("page per 2 MiB", "pages written, each alone in 2 MiB and below a table of its own, in 1 GiB", "pages",
           (_map(RW), Touch("start", "n*2097152", PMD_SIZE)), TABLES, TABLES[-1], GiB),
    Layout("locked pages", "pages written one after the other, locked", "pages",
           (_map(RW), Touch("start", "n*4096"), Sys("mlock2", ("start", "span", MLOCK_ONFAULT))),
           PAGES, 4 * PAGES[-1], _COUNTED),
    Layout("tables", "page tables with nothing in them, in 1 GiB", "tables",
           (_map(RW), Touch("start", "n*2097152", PMD_SIZE),
            Again("madvise", "n", PMD_SIZE, ("start", PAGE_SIZE, const.MADV_DONTNEED))), TABLES, TABLES[-1], GiB),
    Layout("VMAs", "VMAs of two pages with nothing in them, in 64 MiB", "VMAs",
           (_map(RW), Again("mprotect", "n/2", 4 * PAGE_SIZE, ("start", 2 * PAGE_SIZE, const.PROT_READ))),
           VMAS, 4 * VMAS[-1], _COUNTED),
)  # fmt: skip
LAYOUTS: Final = {one.name: one for one in _ALL}
EVERY: Final = tuple(LAYOUTS)
FAR: Final = ("page per GiB", "page per 2 MiB")  # of which tables are varied, too
ANONYMOUS: Final = tuple(name for name in LAYOUTS if not name.endswith("file"))
OPEN: Final = tuple(name for name in ANONYMOUS if "none" not in name)  # memory that may be read and written
PLAIN: Final = ("none", "one page", "pages", "tables", "VMAs")
