"""Every kernel and every implementation that is modelled: the one place that knows their names.

A kernel is the rules of the calls, of the reverse map, the LRU lists and /proc.  An implementation is how "lock or unlock these
pages" is done in one kernel, or how one other operation is.  Compiled code sees two numbers of it: ``ctl[KERNEL]``, ordered,
so that a later kernel says only what it changes (``>= V6_1``), and ``ctl[ALGORITHM]``, which only the choice of the algorithm
looks at.

This module imports nothing but the standard library, so that a command line can name implementations without loading numba.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

# Kernels, in order.
V5_10: Final = 510
V6_1: Final = 601
V6_12: Final = 612

# Algorithms: how the pages of a range are locked or unlocked.
PER_PAGE: Final = 0
HOLE_SKIP: Final = 1
PAGE_WALK: Final = 2
FOLIO_WALK: Final = 3
DUMP_WALK: Final = 4  # FOLIO_WALK, with another core dump
IDEA: Final = 255  # a function out of a file
# The kernels that an algorithm fits: from one, up to but without another.  The first two clear one PG_mlocked for all VMAs,
# the others keep an mlock_count, the last of them of large folios that entries map, too.
_FITS: Final = {
    PER_PAGE: (V5_10, V6_1),
    HOLE_SKIP: (V5_10, V6_1),
    PAGE_WALK: (V6_1, V6_12),
    FOLIO_WALK: (V6_12, 1 << 31),
    DUMP_WALK: (V6_12, 1 << 31),
    IDEA: (V5_10, 1 << 31),
}


@dataclass(frozen=True)
class Kernel:
    """One kernel version."""

    name: str  # as in "Linux 5.10"
    version: int  # V5_10, V6_1, V6_12: ordered
    summary: str  # one line: how it keeps what is locked
    memlock_limit: int  # bytes: default RLIMIT_MEMLOCK, include/uapi/linux/resource.h
    batch_size: int  # pages of a per-CPU vector: PAGEVEC_SIZE, include/linux/pagevec.h


LINUX_5_10: Final = Kernel("5.10", V5_10, "one PG_mlocked for all VMAs; locked when populated", 64 << 10, 15)
LINUX_6_1: Final = Kernel("6.1", V6_1, "an mlock_count for each page; locked by a walk and by the rmap hooks", 8 << 20, 15)
LINUX_6_12: Final = Kernel("6.12", V6_12, "as 6.1, of folios: the walk locks large ones however they are mapped", 8 << 20, 31)


class Look(NamedTuple):
    """How figures draw an implementation: different in each of these, so that none of them is needed alone."""

    color: str  # #RRGGBB
    marker: str  # one of matplotlib's
    linestyle: str | tuple[int, tuple[float, float]]  # matplotlib's: "-", or offset and points on and off
    linewidth: float  # points
    markersize: float  # points
    filled: bool  # False: an open marker, in which a smaller one of another implementation can be seen


@dataclass(frozen=True)
class Idea:
    """An implementation that somebody wrote into one file (:mod:`mmmodel.idea_file`); the text is all that there is of it."""

    name: str  # of the file, without .py
    kernel: str  # whose rules it lives by: "5.10"
    summary: str  # one line
    text: str  # of the file; "" where it is only known by what it did
    path: str  # as it was given, for messages

    @property
    def function(self) -> str:
        """The function that the file must define: the kernel's name for it."""
        return "munlock_vma_pages_range" if version_of(self.kernel) < V6_1 else "mlock_vma_pages_range"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Its parameters: the kernel's, after the state of the machine."""
        common = ("s", "mm", "vma", "start", "end")
        return common if version_of(self.kernel) < V6_1 else (*common, "newflags")

    @property
    def digest(self) -> str:
        """Digest of the text: 16 hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Implementation:
    """One way to lock and unlock the pages of a range, in one kernel; or, with ``only``, to do one other operation."""

    name: str  # in command lines, names of points and files: lower case, with hyphens
    kernel: Kernel
    algorithm: int  # PER_PAGE, HOLE_SKIP, PAGE_WALK, FOLIO_WALK, DUMP_WALK, IDEA
    summary: str  # one line
    steps_over_holes: bool  # False: every page of a hole is looked up, so cost grows with the span
    look: Look
    idea: Idea | None = None  # of IDEA
    only: str = ""  # the one operation that it does otherwise, "coredump", and alone takes part in; "": all


_implementations: Final[dict[str, Implementation]] = {}


def register(one: Implementation) -> None:
    """Make an implementation known to this process, after those that are known.

    ValueError: the name is taken, the algorithm is unknown, or it does not fit the kernel.
    """
    if one.name in _implementations:
        raise ValueError(f"implementation {one.name!r} is known already")
    if one.algorithm not in _FITS:
        raise ValueError(f"implementation {one.name!r}: unknown algorithm {one.algorithm}")
    first, end = _FITS[one.algorithm]
    if not first <= one.kernel.version < end:
        raise ValueError(f"implementation {one.name!r}: its algorithm does not fit Linux {one.kernel.name}")
    _implementations[one.name] = one


def implementations() -> tuple[Implementation, ...]:
    """All that take part in every operation, the baseline first: what is compared is compared with it."""
    return tuple(one for one in _implementations.values() if not one.only)


def every_implementation() -> tuple[Implementation, ...]:
    """All that are known, also those of one operation alone, the baseline first."""
    return tuple(_implementations.values())


def implementation(name: str) -> Implementation:
    """The implementation of that name; ValueError names those that there are."""
    if name not in _implementations:
        raise ValueError(f"unknown implementation {name!r}: choose from {', '.join(_implementations)}")
    return _implementations[name]


def version_of(release: str) -> int:
    """A release as kernels are ordered here: 601 of "6.1" and of "6.1.0-50-cloud-amd64"; 0 if it begins with no two numbers."""
    found = re.match(r"(\d+)\.(\d+)", release, re.ASCII)
    return int(found[1]) * 100 + int(found[2]) if found else 0


def newest_until(version: int, among: Iterable[Implementation] | None = None) -> Implementation | None:
    """The first implementation, of all or ``among`` some, of the newest kernel that is not newer; None if all are newer."""
    known = [one for one in (implementations() if among is None else among) if one.kernel.version <= version]
    return max(known, key=lambda one: one.kernel.version, default=None)  # of equal ones the first


def kernel_of(name: str) -> Kernel:
    """The kernel that an implementation belongs to; ValueError as :func:`implementation`."""
    return implementation(name).kernel


# Okabe-Ito colours, made darker: of clearly different lightness for greyscale, and each clear on white.  Where implementations
# coincide all remain visible: the largest marker is open, and smaller ones lie in it.
register(
    Implementation(
        "per-page",
        LINUX_5_10,
        PER_PAGE,
        "Linux 5.10: looks up every page of the range, there or not",
        steps_over_holes=False,
        look=Look("#C24E00", "s", "-", 1.3, 4.4, filled=True),
    )
)
register(
    Implementation(
        "hole-skip",
        LINUX_5_10,
        HOLE_SKIP,
        "the fix proposed in 2021: per-page, but a missing table is stepped over",
        steps_over_holes=True,
        look=Look("#3A9BD9", "^", (0, (5, 1.5)), 1.3, 7.0, filled=False),
    )
)
register(
    Implementation(
        "page-walk",
        LINUX_6_1,
        PAGE_WALK,
        "Linux 6.1: walks the page tables that exist",
        steps_over_holes=True,
        look=Look("#003A5D", "o", (0, (1, 1.4)), 1.3, 3.2, filled=True),
    )
)
register(
    Implementation(
        "folio-walk",
        LINUX_6_12,
        FOLIO_WALK,
        "Linux 6.12: page-walk, but by folios: entries of a large one are one step",
        steps_over_holes=True,
        look=Look("#7A2E8E", "h", (0, (9, 3)), 1.3, 9.6, filled=False),
    )
)
register(
    Implementation(
        "dump-walk",
        LINUX_6_12,
        DUMP_WALK,
        "a core dump that steps over what a page walk finds missing: a fix that no kernel has",
        steps_over_holes=True,
        look=Look("#0B1A14", "v", (0, (7, 1)), 1.3, 6.6, filled=False),
        only="coredump",
    )
)

# Of ideas, in the order that they are registered in: no colour and no marker of the above.
_IDEA_LOOKS: Final = (
    Look("#111111", "P", (0, (3, 1)), 1.3, 6.2, filled=False),
    Look("#2E7D32", "X", (0, (6, 2)), 1.3, 5.4, filled=False),
    Look("#B0307A", "d", (0, (2, 2)), 1.3, 5.4, filled=True),
)


def register_idea(idea: Idea) -> None:
    """Make an idea known as an implementation; nothing happens if it is known, or another version of it and this has no text.

    ValueError: its name is that of an implementation which is something else, or the kernel is not modelled.
    """
    known = _implementations.get(idea.name)
    if known is not None:
        if known.idea is None:
            raise ValueError(f"{idea.name} is the name of an implementation that comes with the model: rename the file")
        if idea.text in ("", known.idea.text):
            return
        if known.idea.text:
            raise ValueError(f"two files of one name, {idea.name}: rename one, for results go by it")
        del _implementations[idea.name]
    nr_known = sum(one.idea is not None for one in implementations())
    register(
        Implementation(
            idea.name,
            kernel_named(idea.kernel),
            IDEA,
            f"Linux {idea.kernel}, an idea: {idea.summary}",
            steps_over_holes=False,  # nobody knows, and what is expected to take long is only announced
            look=_IDEA_LOOKS[nr_known % len(_IDEA_LOOKS)],
            idea=idea,
        )
    )


def kernel_named(name: str) -> Kernel:
    """The kernel of that name, "5.10"; ValueError names those that there are."""
    found = {one.kernel.name: one.kernel for one in implementations()}
    if name not in found:
        raise ValueError(f"unknown kernel {name!r}: choose from {', '.join(found)}")
    return found[name]


def baseline_of(kernel: str) -> Implementation:
    """The first implementation of a kernel: what others of it must do the same as."""
    return next(one for one in implementations() if one.kernel.name == kernel)


DEFAULT_IMPLEMENTATION: Final = "page-walk"  # of an address space that names none
IMPLEMENTATIONS: Final = tuple(one.name for one in implementations())  # names of those that come with the model
EVERY_IMPLEMENTATION: Final = tuple(_implementations)  # with those of one operation alone
