"""Address spaces whose calls are worth measuring: random ones of one to 48 GiB, and designed ones.

One mapping or several, side by side or apart; pages at strides from one page to more than a gigabyte, dense blocks and single
pages, written or only read; closed by PROT_NONE as a whole, in part or not at all; locked before or after its pages come.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from msgspec.structs import replace

from bench.traces.ops import (
    Exit,
    Fork,
    MadviseDontneed,
    Mlock,
    Mlock2,
    Mlockall,
    Mmap,
    Mprotect,
    Munlock,
    Munlockall,
    Munmap,
    Op,
    Prot,
    Touch,
    Trace,
)
from mmmodel.constants import MCL_FUTURE, MCL_ONFAULT, PAGE_SIZE

GIB_PAGES: Final = (1 << 30) // PAGE_SIZE
WINDOW: Final = ("0x1000000000", "0x70000000000")
BASE: Final = int(WINDOW[0], 16)
MOST_GIB: Final = 48
MOST_POPULATED: Final = 400 << 20  # bytes that mlock() brings into memory
PAGES: Final = (30, 300, 3_000, 30_000, 90_000)  # that one address space has in memory, at most
STRIDES: Final = (  # in pages
    (1, 1, 2, 3, 4, 5, 7, 8, 12, 15, 16),
    (17, 24, 31, 33, 48, 63, 100, 127),
    (16, 32, 64, 128, 256, 512),
    (512, 513, 700, 1_024, 2_048, 4_096, 16_384),
    (65_536, 131_072, 262_144, 262_656),
)
_ONFAULT: Final = 1  # MLOCK_ONFAULT
_CHILD: Final = Fork(child=1)


class _Range:
    """A mapping: its first page's address, and its length in pages."""

    def __init__(self, start: int, nr_pages: int) -> None:
        self.start = start
        self.nr_pages = nr_pages

    def words(self, first: int = 0, nr_pages: int | None = None) -> tuple[str, str]:
        """Return address and length of a part as an op has them."""
        return hex(self.start + first * PAGE_SIZE), hex((self.nr_pages if nr_pages is None else nr_pages) * PAGE_SIZE)


def cost_traces(seed: int, number: int) -> Iterator[Trace]:
    """Yield traces, the same for equal arguments; each has an unlocking call and ends with its memory unmapped."""
    for index in range(number):
        rng = random.Random(f"{seed}/{index}")
        ranges, ops = _laid_out(rng)
        yield Trace(f"r{seed}-{index}", WINDOW, (*ops, *_unlocks(rng, ranges), *(Munmap(*one.words()) for one in ranges)))


def exit_traces(number: int) -> Iterator[Trace]:
    """Yield so many random traces, always the same, that end with their process, half of them while its memory is locked; then
    some designed ones.

    The process has a child, which does nothing: one must be there until the end.
    """
    for index in range(number):
        rng = random.Random(f"exit/{index}")
        ranges, ops = _laid_out(rng)
        unlocks = () if index % 2 else _unlocks(rng, ranges)
        yield Trace(f"exit-{index}", WINDOW, (_CHILD, *ops, *unlocks, Exit()))
    yield Trace("designed-exit", WINDOW, (_CHILD, Exit()))
    yield Trace("designed-exit-vmas", WINDOW, (_CHILD, Mmap(*_Range(BASE, 256).words(), "rw", ()), *_stripes(256, 4), Exit()))
    for nr_pages in (100, 1_000, 10_000):
        mapped = _Range(BASE, nr_pages).words()
        yield Trace(f"designed-exit-{nr_pages}", WINDOW, (_CHILD, Mmap(*mapped, "rw", ()), Touch(*mapped, "write"), Exit()))


def _laid_out(rng: random.Random) -> tuple[list[_Range], list[Op]]:
    """Return the mappings of one trace, and the calls that make them and lock them."""
    kind = rng.choice(["one"] * 5 + ["several"] * 2 + ["untouched", "populate"])
    ranges = list(_ranges(rng, kind))
    touches: list[Op] = []
    if kind != "untouched":
        budget = rng.choice(PAGES) // len(ranges)
        touches = [one for each in ranges for one in _touches(rng, each, budget)]
    before, locks = _locks(rng, kind, ranges)
    ops: list[Op] = [*before, *(Mmap(*one.words(), "none" if kind == "untouched" else "rw", ("noreserve",)) for one in ranges)]
    ops += [*touches, *locks] if rng.random() < 0.75 else [*locks, *touches]
    closed = kind != "untouched" and rng.random() < 0.4
    return ranges, [*ops, *(_closes(rng, ranges) if closed else ())]


def _unlocks(rng: random.Random, ranges: list[_Range]) -> list[Op]:
    """Return the calls that unlock mappings: one call all of them, or a call each, which leaves some out."""
    if rng.random() < 0.15:
        return [Munlockall()]
    return [Munlock(*one.words()) for one in ranges if rng.random() < 0.9]


def _ranges(rng: random.Random, kind: str) -> Iterator[_Range]:
    """Yield the mappings in the order of their addresses."""
    if kind == "populate":
        nr_pages = rng.randint(1, MOST_POPULATED // PAGE_SIZE)
    else:
        nr_pages = int(GIB_PAGES * MOST_GIB ** rng.random())
        nr_pages = round(nr_pages / GIB_PAGES) * GIB_PAGES if rng.random() < 0.5 else nr_pages
    at = BASE + rng.choice([0, 0, PAGE_SIZE, 1 << 21, 1 << 30, (1 << 32) + 12 * PAGE_SIZE]) * rng.randint(1, 9)
    number = rng.randint(2, 5) if kind == "several" else 1
    cuts = sorted(rng.sample(range(1, nr_pages), number - 1))
    for first, end in zip([0, *cuts], [*cuts, nr_pages], strict=True):
        yield _Range(at, end - first)
        at += (end - first) * PAGE_SIZE + rng.choice([0, 0, 0, PAGE_SIZE, 1 << 21, 1 << 30])


def _touches(rng: random.Random, one: _Range, budget: int) -> Iterator[Touch]:
    """Yield accesses that bring up to about `budget` pages of a mapping into memory."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        stride = rng.choice(rng.choice((*STRIDES, range(1, 3_000))))
        first = rng.choice((0, 0, rng.randrange(one.nr_pages)))
        left = one.nr_pages - first
        nr_pages = min(left, rng.choice((left, left, rng.randint(1, left))), stride * max(budget, 1))
        budget -= -(-nr_pages // stride)
        access: Literal["read", "write"] = "read" if rng.random() < 0.12 else "write"
        yield Touch(*one.words(first, nr_pages), access, stride * PAGE_SIZE)


def _locks(rng: random.Random, kind: str, ranges: list[_Range]) -> tuple[list[Op], list[Op]]:
    """Return the locking calls before the mappings are made and after."""
    if kind == "populate":
        return [], [Mlock(*one.words()) for one in ranges]
    if rng.random() < 0.4:
        return [Mlockall(MCL_FUTURE | MCL_ONFAULT)], []
    return [], [Mlock2(*one.words(), _ONFAULT) for one in ranges]


def _closes(rng: random.Random, ranges: list[_Range]) -> Iterator[Mprotect]:
    """Yield the calls that take access to mappings, or to a part of each, away."""
    for one in ranges:
        if rng.random() < 0.75:
            yield Mprotect(*one.words(), "none")
        else:
            first = rng.randrange(one.nr_pages)
            yield Mprotect(*one.words(first, rng.randint(1, one.nr_pages - first)), "none")


# ---- designed: each has much of one event, so that its weight can be told from others' ----


def designed_traces() -> Iterator[Trace]:
    """Yield small address spaces that are rich in one event each: short runs of pages, many VMAs, cuts, empty page tables."""
    for nr_pages in (1, 2, 3, 5, 9, 14):
        yield _designed(f"runs-{nr_pages}", 1 << 14, [_run(nr_pages, 16)])
    yield _designed("full-tables", 1 << 14, [_run(1, 1)])
    yield _designed("sparse-tables", 1 << 18, [_run(1, 512)])
    yield _designed("sparse-zero-pages", 1 << 14, [_run(1, 8, "read")])
    yield _designed("zero-pages", 1 << 13, [_run(1, 1, "read")])
    yield _designed("pages-and-zero-pages", 1 << 14, [_run(1, 7), _run(3, 8, "read")])
    yield _designed("vmas", 1 << 14, [_run(1, 128)], [*_stripes(1 << 14, 256)])
    yield _designed("vmas-untouched", 1 << 14, [], [*_stripes(1 << 14, 64)])
    yield _designed("vmas-dense", 1 << 12, [_run(1, 1)], [*_stripes(1 << 12, 64)])
    given_up: list[Op] = [MadviseDontneed(*_Range(BASE + at * PAGE_SIZE, 1).words()) for at in range(0, 1 << 16, 512)]
    yield _designed("empty-tables", 1 << 16, [_run(1, 512), given_up])
    whole = _Range(BASE, 1 << 14)
    for name, parts in {"ends": (0, 7 << 11), "middle": (1 << 12, 3 << 12), "quarters": (0, 1 << 12, 1 << 13, 3 << 12)}.items():
        calls: list[Op] = [Munlock(*whole.words(first, 1 << 11)) for first in parts]
        calls += [Mlock2(*whole.words(first, 1 << 11), _ONFAULT) for first in parts]
        yield _designed(f"cut-{name}", 1 << 14, [_run(1, 64)], calls)
    yield _designed("unlocked-before", 1 << 12, [_run(1, 16)], [Munlock(*whole.words(0, 1 << 12)), Munlockall()])
    for nr_pages in (20, 60, 150, 400, 1_000, 2_500, 8_000):  # what the allocator's lists take up, and more
        yield Trace(f"designed-pages-{nr_pages}", WINDOW, tuple(_given_up(nr_pages)))
    for length in (2, 4, 16):  # many VMAs that are unlocked, or locked, or unmapped by one call
        yield Trace(f"designed-vmas-{256 // length}", WINDOW, tuple(_all_at_once(length)))


def _given_up(nr_pages: int) -> Iterator[Op]:
    """Yield calls that bring pages into memory and give them up, three times; once they are locked."""
    words = _Range(BASE, nr_pages).words()
    for locks in (False, False, True):
        yield Mmap(*words, "rw", ())
        yield from (Mlock(*words),) if locks else (Touch(*words, "write"),)
        yield Munmap(*words)


def _all_at_once(length: int) -> Iterator[Op]:
    """Yield calls on all VMAs at once, of `length` pages each: munlockall() of unlocked ones and of locked ones."""
    whole = _Range(BASE, 256)
    yield Mmap(*whole.words(), "rw", ())
    yield from _stripes(256, length)
    yield from (Munlockall(), Mlock2(*whole.words(), _ONFAULT), Munlockall(), Munlockall(), Munmap(*whole.words()))


def _designed(name: str, nr_pages: int, touches: list[list[Op]], then: Sequence[Op] = ()) -> Trace:
    """Return a trace: a mapping with pages, locked, other calls, unlocked, locked and unmapped as it is."""
    whole = _Range(BASE, nr_pages)
    ops: list[Op] = [Mmap(*whole.words(), "rw", ("noreserve",)), *(op for one in touches for op in one)]
    ops = [op if not isinstance(op, Touch) else _within(op, whole) for op in ops]
    lock, unlock = Mlock2(*whole.words(), _ONFAULT), Munlock(*whole.words())
    ops += [lock, *then, unlock, unlock, lock, unlock, lock, Munmap(*whole.words())]
    return Trace(f"designed-{name}", WINDOW, tuple(ops))


def _run(nr_pages: int, stride: int, access: Literal["read", "write"] = "write") -> list[Op]:
    """Return accesses to the first pages of each stretch of `stride` pages, from BASE on; _within() gives them their length."""
    return [Touch(hex(BASE + first * PAGE_SIZE), "0x0", access, stride * PAGE_SIZE) for first in range(nr_pages)]


def _within(op: Touch, whole: _Range) -> Touch:
    """Return an access that goes on to the end of a mapping."""
    return replace(op, len=hex(whole.start + whole.nr_pages * PAGE_SIZE - op.start))


def _stripes(nr_pages: int, length: int) -> Iterator[Op]:
    """Yield the calls that make every other `length` pages a VMA of its own."""
    prots: tuple[Prot, Prot] = ("r", "none")
    whole = _Range(BASE, nr_pages)
    for number, first in enumerate(range(0, nr_pages, 2 * length)):
        yield Mprotect(*whole.words(first, length), prots[number % 2])
