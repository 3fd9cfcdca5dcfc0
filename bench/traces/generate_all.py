"""Random traces of all ops: up to three processes at a time, files, mremap(), advice, beside what :mod:`generate` has.

A trace draws first which ops it uses and which areas they are aimed at (swarm testing), so that in many traces nothing undoes
what others did. What a real kernel does by chance is left out: see docs/replay.md.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from bench.traces import ops
from bench.traces.generate import (
    BIG,
    FIXED_FLAGS,
    PROTS,
    STARTS,
    WINDOW,
    Area,
    Below,
    choose,
    dontneed_op,
    drop_cap_op,
    limit_op,
    lock_big_op,
    mlock2_op,
    mlock_op,
    mlockall_op,
    mmap_big_op,
    mmap_op,
    munlock_op,
    munlockall_op,
    munmap_op,
    one_of,
    random_areas,
    random_traces,
    some_of,
    span,
    touch_op,
    unaligned_span,
)
from bench.traces.ops import Advice, MapFlag, Op, Prot, Trace
from mmmodel.constants import (
    MREMAP_DONTUNMAP,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    MS_ASYNC,
    MS_INVALIDATE,
    MS_SYNC,
    PAGE_SIZE,
)

BODY: Final = 40  # ops of a trace on average, after those that make its areas
LIVING: Final = 3  # processes at a time
FILES: Final = 2
FILE_PAGES: Final = ((3, 40), (2, 3), (1, 600))
FILE_BYTES: Final = ((2, 0), (1, 1), (3, PAGE_SIZE), (4, 20 * PAGE_SIZE), (2, 21 * PAGE_SIZE + 5), (2, 64 * PAGE_SIZE))
OFFSETS: Final = ((6, 0), (2, 2), (1, 19), (1, 60))  # pages
SMALL: Final = Area(0, 96)  # of a trace that has no huge page, the largest area, and more than the longest op but for them
OPENING_PROTS: Final[tuple[tuple[int, Prot], ...]] = ((8, "rw"), (1, "r"), (1, "none"))
OPENING_FLAGS: Final[tuple[tuple[int, tuple[MapFlag, ...]], ...]] = (
    (6, ("noreserve",)),
    (2, ("shared",)),
    (1, ("locked",)),
    (1, ("populate",)),
)
MREMAP_KINDS: Final = (
    (4, MREMAP_MAYMOVE | MREMAP_FIXED),
    (3, MREMAP_MAYMOVE),
    (3, 0),
    (2, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP),
    (1, MREMAP_MAYMOVE | MREMAP_DONTUNMAP),
    (1, MREMAP_FIXED),
)
ADVICE: Final[tuple[tuple[int, Advice], ...]] = (
    (4, "dontneed"),
    (4, "dontneed_locked"),
    (4, "dontfork"),
    (1, "dofork"),
    (3, "wipeonfork"),
    (1, "keeponfork"),
    (3, "remove"),
    (2, "hugepage"),
    (2, "nohugepage"),
    (1, "normal"),
    (1, "random"),
    (1, "sequential"),
    (1, "dontdump"),
    (1, "dodump"),
    (1, "mergeable"),
    (1, "unmergeable"),
)


class _State:
    """What there is before an op: processes with the files that each has open, and numbers that are not used yet."""

    def __init__(self, below: Below, areas: Sequence[Area]) -> None:
        self.below = below
        self.areas = areas
        self.files: dict[int, list[int]] = {0: []}  # by living process
        self.nr_processes = 1  # that there ever were
        self.nr_files = 0

    def process(self) -> int:
        """Return one of the living processes."""
        return one_of(self.below, [*self.files])

    def span(self) -> tuple[str, str]:
        """Return address and length of a range, aligned but at times."""
        start, nbytes = unaligned_span(self.below, self.areas) if self.below(8) == 7 else span(self.below, self.areas)
        return hex(start), hex(nbytes)


def _fork(state: _State) -> Op | None:
    if len(state.files) == LIVING or state.nr_processes == ops.MAX_PROCESSES:
        return None
    parent, child = state.process(), state.nr_processes
    state.files[child] = [*state.files[parent]]
    state.nr_processes += 1
    return ops.Fork(child, proc=parent)


def _exit(state: _State) -> Op | None:
    if len(state.files) == 1:
        return None
    process = state.process()
    if process == 0 and state.below(4):  # what it alone does would never be seen again
        return None
    del state.files[process]
    return ops.Exit(proc=process)


def _make_file(state: _State) -> Op | None:
    if state.nr_files == FILES:
        return None
    process, file = state.process(), state.nr_files
    state.files[process].append(file)
    state.nr_files += 1
    return ops.MakeFile(file, hex(choose(state.below, FILE_PAGES) * PAGE_SIZE), proc=process)


def _open_file(state: _State) -> tuple[int, int] | None:
    """Return a process and a file that it has open, if it has any."""
    process = state.process()
    return (process, one_of(state.below, state.files[process])) if state.files[process] else None


def _mmap_file(state: _State) -> Op | None:
    if (found := _open_file(state)) is None:
        return None
    start, nbytes = span(state.below, state.areas)
    flags = choose(state.below, FIXED_FLAGS)
    if state.below(2) and "shared" not in flags:
        flags = (*flags, "shared")
    offset = hex(choose(state.below, OFFSETS) * PAGE_SIZE)
    return ops.Mmap(hex(start), hex(nbytes), choose(state.below, PROTS), flags, found[1], offset, proc=found[0])


def _ftruncate(state: _State) -> Op | None:
    if (found := _open_file(state)) is None:
        return None
    return ops.Ftruncate(found[1], hex(choose(state.below, FILE_BYTES)), proc=found[0])


def _punch_hole(state: _State) -> Op | None:
    if (found := _open_file(state)) is None:
        return None
    first, pages = state.below(24), choose(state.below, ((4, 1), (3, 5), (1, 40)))
    shift = choose(state.below, ((6, 0), (1, 1), (1, PAGE_SIZE - 1)))
    return ops.PunchHole(found[1], hex(first * PAGE_SIZE + shift), hex(pages * PAGE_SIZE), proc=found[0])


def _mremap(state: _State) -> Op | None:
    below = state.below
    start, nbytes = span(below, state.areas)
    nbytes = min(nbytes, choose(below, ((8, 4), (4, 12), (2, 1 << 20))) * PAGE_SIZE)  # a long one has holes in it, and fails
    flags = choose(below, MREMAP_KINDS)
    pages = choose(below, ((3, 1), (2, 2), (2, 4), (1, 8), (1, 33)))
    changes = ((4, 0), (3, pages), (2, -pages), (1, -nbytes // PAGE_SIZE))
    if flags & MREMAP_DONTUNMAP:  # which only the same length may have
        changes = ((9, 0), (1, pages), (1, -1), (1, 1))
    new_nbytes = max(0, nbytes + choose(below, changes) * PAGE_SIZE)
    to, _ = span(below, state.areas)
    if flags & MREMAP_FIXED == 0:
        to = 0
    start, to = start + choose(below, ((30, 0), (1, 1))), to + choose(below, ((30, 0), (1, 1))) * (to > 0)
    nbytes = choose(below, ((20, nbytes), (1, 0), (1, max(0, nbytes - 1))))
    return ops.Mremap(hex(start), hex(nbytes), hex(new_nbytes), flags, hex(to), proc=state.process())


def _mprotect(state: _State) -> Op | None:
    return ops.Mprotect(*state.span(), choose(state.below, ((5, "rw"), (3, "none"), (2, "r"))), proc=state.process())


def _madvise(state: _State) -> Op | None:
    return ops.Madvise(*state.span(), choose(state.below, ADVICE), proc=state.process())


def _free(state: _State) -> Op | None:
    return ops.Madvise(*state.span(), "free", proc=state.process())


def _remove(state: _State) -> Op | None:
    return ops.Madvise(*state.span(), "remove", proc=state.process())


def _willneed(state: _State) -> Op | None:
    return ops.Madvise(*state.span(), "willneed", proc=state.process())


def _msync(state: _State) -> Op | None:
    flags = choose(
        state.below,
        ((3, MS_ASYNC), (2, MS_SYNC), (3, MS_INVALIDATE), (2, MS_SYNC | MS_INVALIDATE), (1, MS_SYNC | MS_ASYNC), (1, 8)),
    )
    return ops.Msync(*state.span(), flags, proc=state.process())


def _of_process(make: Callable[[Below, Sequence[Area]], Op]) -> Callable[[_State], Op | None]:
    """Return an op of one process as one of several may call it."""
    return lambda state: replace(make(state.below, state.areas), proc=state.process())


Maker = Callable[[_State], Op | None]  # None where there is nothing to do it to
Feature = tuple[tuple[int, Maker], ...]  # ops that a trace uses together, with their weights
USUAL: Final[Feature] = (  # in all traces: with no pages in memory, and none locked, little happens
    (24, _of_process(touch_op)),
    (16, _of_process(mlock_op)),
    (12, _of_process(mmap_op)),
)
FILE: Final[Feature] = ((8, _make_file), (16, _mmap_file), (6, _ftruncate), (6, _punch_hole), (3, _remove))
LIMIT: Final[Feature] = ((2, _of_process(limit_op)), (2, _of_process(drop_cap_op)))
FREE: Final[Feature] = ((8, _free),)
WILLNEED: Final[Feature] = ((2, _willneed),)
FEATURES: Final[tuple[Feature, ...]] = (
    ((17, _of_process(munlock_op)),),
    ((14, _of_process(mlock2_op)),),
    ((10, _mprotect),),
    ((5, _of_process(munmap_op)),),
    ((8, _of_process(dontneed_op)),),
    ((3, _of_process(mmap_big_op)), (3, _of_process(lock_big_op))),
    ((4, _of_process(mlockall_op)), (5, _of_process(munlockall_op))),
    LIMIT,
    ((8, _fork), (4, _exit)),
    FILE,
    ((16, _mremap),),
    ((14, _madvise),),
    ((4, _msync),),
)


def small(op: Op) -> Op:
    """Return an op that is too short to make room for a huge page, with others of its kind in areas as small as SMALL."""
    if not isinstance(op, ops.SpanOp) or op.start >= BIG.start:
        return op
    longest = SMALL.pages * PAGE_SIZE
    if isinstance(op, ops.Mremap):
        op = replace(op, new_len=hex(min(op.new_nbytes, longest)))
    return replace(op, len=hex(min(op.nbytes, longest)))


def _opening(below: Below, areas: Sequence[Area]) -> Iterator[Op]:
    """Yield what maps most of some areas, and puts some of their pages in memory."""
    for area in areas:
        if below(8) == 7:
            continue
        prot = choose(below, OPENING_PROTS)
        yield ops.Mmap(hex(area.start), hex(area.pages * PAGE_SIZE), prot, choose(below, OPENING_FLAGS))
        if below(2) and prot == "rw":
            pages = choose(below, ((2, 40), (1, 1), (1, area.pages)))
            yield ops.Touch(hex(area.start), hex(min(pages, area.pages) * PAGE_SIZE), "write")


def all_ops_trace(below: Below, name: str) -> Trace:
    """Return a trace that draws first which ops it uses, and which areas they are aimed at."""
    areas = random_areas(below)
    used = [USUAL, *some_of(below, FEATURES)]
    frees = below(4) == 3  # no huge page may be there, which MADV_FREE would split
    if frees:
        areas = [Area(one.start, min(one.pages, SMALL.pages)) for one in areas]
        used.append(FREE)
    if FILE not in used:  # of a file WILLNEED reads ahead
        used += some_of(below, (WILLNEED, ()))
    made: list[Op] = [limit_op(below, areas), drop_cap_op(below, areas)] if LIMIT in used and below(2) else []
    made += _opening(below, areas[: len(STARTS)])
    state = _State(below, some_of(below, areas))
    if FILE in used:
        made[:0] = filter(None, (_make_file(state) for _ in range(1 + below(FILES))))
    makers = [one for feature in used for one in feature]
    for _ in range(BODY // 2 + below(BODY + 1)):
        if (op := choose(below, makers)(state)) is not None:
            made.append(op)
    return Trace(name, WINDOW, tuple(map(small, made) if frees else made))


def all_ops_traces(seed: int, number: int) -> dict[str, Trace]:
    """Return traces by name. Trace i of a seed is the same whatever their number, on every machine.

    They share neither names nor random numbers with those of :func:`bench.traces.generate.random_traces`.
    """
    traces = {}
    for i in range(number):
        source = random.Random(f"all:{seed}:{i}")
        name = f"a{seed}-{i}".replace("a-", "am")
        traces[name] = all_ops_trace(lambda n, source=source: int(source.random() * n), name)  # type: ignore[misc]
    return traces


MAKERS: Final = {"basic": random_traces, "all": all_ops_traces}
"""Who makes the traces of a seed, by the ops that are in them: "basic" are those on one process and anonymous memory."""
