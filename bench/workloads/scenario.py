"""Scenarios as data: which address space is prepared, and which call is measured on it.

Nothing here runs anything. bench.targets.model turns a scenario into a model's
address space; a scenario that comes back out of a results file is equal to
the one that went in.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from bench.errors import UsageError, one_line, unknown
from bench.workloads import participants, sizes
from mmmodel.constants import PAGE_SIZE
from mmmodel.kernels import IMPLEMENTATIONS

KiB, MiB, GiB, TiB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
REPORT_SPAN = 1 << 41  # bytes; the reproducer's mmap()
REPORT_LAYOUT = "cryptsetup237_luksFormat_hm8_default"  # the program of the report
SPARSE = "sparse-"  # and a size: scenarios with one page in memory in each such stretch
DEFAULT_SEED = 1
ONE_PAGE = "one-page"  # the scenario of core dumps: memory that nobody touched is no part of one, unless a page of it was
LAYOUT = "layout"  # the scenario whose address space comes out of a file

Pattern = Literal["none", "every", "random", "head", "ends"]
# munlock-part: the middle half, so that the VMA is split; mmap: under MCL_FUTURE, so that every page is populated and locked;
# mprotect: all of it to PROT_READ; coredump: of all memory, not locked, into a file
Operation = Literal[
    "munlockall", "mlockall", "munlock", "munlock-part", "munmap", "exit", "mmap", "mprotect", "touch", "coredump"
]


class Populate(msgspec.Struct, frozen=True):
    """Which pages of a span are in memory."""

    pattern: Pattern = "none"
    step: int = PAGE_SIZE  # bytes of span for each page: from one to the next ("every"), on average ("random", "head")
    seed: int = 0  # of "random"
    head: int = 0  # bytes, all their pages in memory ("ends")
    tail: int = 0  # bytes, likewise

    def nr_pages(self, span: int) -> int:
        """Return how many pages of a span of `span` bytes are in memory."""
        if self.pattern == "none":
            return 0
        if self.pattern == "ends":
            return min(span, self.head + self.tail) // PAGE_SIZE
        return -(-span // self.step)


class Scenario(msgspec.Struct, frozen=True):
    """One address space. Sizes are in bytes."""

    name: str
    summary: str
    span: int  # length of what is reserved
    populate: Populate = Populate()
    vma_bytes: int = 0  # length of each VMA; 0: one VMA
    prot_none: bool = True  # PROT_NONE once it is populated, as allocators leave guards and freed regions
    locked: bool = True  # mlockall() before the measured call
    thp: Literal["never", "always"] = "never"
    levels: Literal[4, 5] = 4  # of page tables; a layout's follow from its addresses
    layout: str = ""  # scenario "layout": name or path of the file
    layout_digest: str = ""  # sha256 of that file
    layout_parts: int = 1  # how many of the last parts of its path the layout's name is made of

    def resized(self, span: int, levels: Literal[4, 5] = 4) -> Scenario:
        """Return the same scenario at another span in bytes."""
        return msgspec.structs.replace(self, span=span, levels=levels)


class Point(msgspec.Struct, frozen=True):
    """One thing to measure: a call on a scenario by an implementation."""

    scenario: Scenario
    implementation: str
    operation: Operation = "munlockall"

    @property
    def name(self) -> str:
        """Name in results: munlockall/report/2TiB/page-walk."""
        return f"{self.group}/{self.implementation}"

    @property
    def group(self) -> str:
        """Name without the implementation: what the implementations are compared on."""
        return f"{self.operation}/{self.scenario.name}/{size_part(self.scenario)}"

    @property
    def digest(self) -> str:
        """Digest of everything that determines the work, to tell equal names of unequal work apart."""
        # Neither words nor the place of a file are work; what the file holds is in the layout's own digest.
        name = layout_name(self.scenario.layout, self.scenario.layout_parts)
        work = msgspec.to_builtins(self)
        work["scenario"] |= {"summary": "", "layout": name}
        del work["scenario"]["layout_parts"]  # it is in the name
        return hashlib.sha256(msgspec.json.encode(work)).hexdigest()[:16]


ON_A_LAYOUT: tuple[Operation, ...] = ("munlockall", "mlockall", "exit", "coredump")  # what needs no span of its own
LEAST_SPAN: dict[Operation, int] = {"munlock-part": 4 * PAGE_SIZE}  # bytes


def refuse_call(point: Point) -> None:
    """Raise UsageError if a point's call cannot be made on its address space, so that nothing is built for it."""
    scenario, operation = point.scenario, point.operation
    if not participants.take_part(point.implementation, operation):
        only = participants.only(point.implementation)
        raise UsageError(f"{point.implementation} takes part in {only} alone (--op {only}), not in {operation}")
    if scenario.name == LAYOUT and operation not in ON_A_LAYOUT:
        raise UsageError(f"{operation} is not measured on a layout; {', '.join(ON_A_LAYOUT)} are")
    if operation == "touch" and scenario.prot_none:
        others = ", ".join(one.name for one in SCENARIOS.values() if not one.prot_none and one.name != LAYOUT)
        raise UsageError(f"touch is not measured on {scenario.name}, which cannot be accessed (PROT_NONE); try {others}")
    if scenario.span < LEAST_SPAN.get(operation, 0):
        raise UsageError(f"{operation} needs at least 4 pages, a span of {LEAST_SPAN[operation]} bytes")


class PointName(msgspec.Struct, frozen=True):
    """The parts of a point's name."""

    operation: str
    scenario: str
    size: str  # a span as bench.workloads.sizes.format_size() writes it, or a layout's name
    implementation: str

    def __str__(self) -> str:
        return f"{self.group}/{self.implementation}"

    @property
    def group(self) -> str:
        """What the names of points to compare have in common."""
        return f"{self.operation}/{self.scenario}/{self.size}"


def size_part(scenario: Scenario) -> str:
    """Return the third part of a point's name."""
    if scenario.name != LAYOUT:
        return sizes.format_size(scenario.span)
    return layout_name(scenario.layout, scenario.layout_parts)


def layout_name(name_or_path: str, parts: int = 1) -> str:
    """Return the name that a layout goes by in results: the last part of its path, or more of them, made safe."""
    last = "/".join(name_or_path.split("/")[-parts:]).removesuffix(".gz").removesuffix(".json")
    safe = "".join(char if char.isalnum() or char in "._-" else "-" for char in last)
    return safe or LAYOUT


def parse_name(name: str) -> PointName:
    """Take a point's name apart; the inverse of Point.name."""
    parts = name.split("/")
    if len(parts) != 4 or not all(parts):
        raise UsageError(
            f"{one_line(name, 80)!r} is no name of a measurement, as munlockall/report/2TiB/{IMPLEMENTATIONS[0]} is"
        )
    return PointName(*parts)


# By pattern: what the names of scenarios begin with that any step may follow, and where their pages are.
FAMILIES: dict[Pattern, tuple[str, str]] = {
    "every": (SPARSE, ""),
    "random": ("random-", " on average, at random places"),
    "head": ("head-", " on average, all at the start"),
}


def sparse(step: int, span: int, pattern: Pattern = "every", name: str = "", seed: int = DEFAULT_SEED) -> Scenario:
    """Return a PROT_NONE span with a page in memory for each `step` bytes, laid out as the pattern says.

    Names are sparse-64KiB, head-64KiB, random-64KiB, and with a seed of one's own random-64KiB-seed7.
    """
    prefix, places = FAMILIES[pattern]
    size, random = sizes.format_size(step), pattern == "random"
    own_seed = f"-seed{seed}" if random and seed != DEFAULT_SEED else ""
    return Scenario(
        name=name or prefix + size + own_seed,
        summary=f"one page every {size}{places}, then PROT_NONE",
        span=span,
        populate=Populate(pattern, step=step, seed=seed if random else 0),
    )


SCENARIOS: dict[str, Scenario] = {
    one.name: one
    for one in (
        Scenario("report", "the report's reproducer: reserved PROT_NONE, nothing in memory", REPORT_SPAN),
        sparse(GiB, REPORT_SPAN),
        sparse(2 * MiB, 64 * GiB),
        sparse(64 * KiB, 4 * GiB),
        sparse(2 * MiB, 64 * GiB, "random", "sparse-random"),
        Scenario("dense", "every page in memory", GiB, Populate("every"), prot_none=False),
        Scenario(
            "head-tail",
            "16MiB in memory at the start, 1MiB at the end, the rest reserved",
            512 * GiB,
            Populate("ends", head=16 * MiB, tail=MiB),
        ),
        Scenario(
            ONE_PAGE,
            "the first page in memory, the rest reserved read-write, as a program whose core dump is slow",
            256 * GiB,
            Populate("ends", head=PAGE_SIZE),
            prot_none=False,
        ),
        Scenario(
            "many-vmas",
            "one page in memory in each of many VMAs of 64KiB",
            GiB,
            Populate("every", step=64 * KiB),
            vma_bytes=64 * KiB,
        ),
        Scenario(
            "thp",
            "every page in memory, by huge pages",
            GiB,
            Populate("every", step=2 * MiB),
            prot_none=False,
            thp="always",
        ),
        Scenario(LAYOUT, "the address space of a real program, from a layout file", 0, layout=REPORT_LAYOUT),
    )
}


def find(name: str) -> Scenario:
    """Return the scenario of this name; those of a family, as `sparse-SIZE`, have any step."""
    if name in SCENARIOS:
        return SCENARIOS[name]
    for pattern, (prefix, _) in FAMILIES.items():
        rest = name.removeprefix(prefix)
        if rest != name and rest[:1].isdigit():
            size, has_seed, seed = rest.partition("-seed") if pattern == "random" else (rest, "", "")
            return sparse(sizes.parse_size(size), 4 * GiB, pattern, seed=parse_seed(seed) if has_seed else DEFAULT_SEED)
    known = ", ".join(SCENARIOS)
    families = ", ".join(f"{prefix}SIZE" for prefix, _ in FAMILIES.values())
    raise unknown(f"unknown scenario {one_line(name, 80)!r}; known are ", name, SCENARIOS, f"{known}, and {families}")


def parse_seed(text: str) -> int:
    """Return the seed of a random pattern: a whole number below 2**63."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 1 << 63):
        raise UsageError(f"seed {one_line(text, 40)!r} is no whole number from 0 to 2**63 - 1")
    return int(text)
