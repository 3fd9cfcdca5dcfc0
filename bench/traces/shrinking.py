"""A trace that shows something, reduced to a small one that still does. How that is found out is the caller's.

Finding out is dear where a kernel must be booted for it and cheap for one trace more, so that many candidates are asked
about at once: in each round the trace without each of its pieces, of half its ops down to single ones; and rounds are
generators, so that those of several traces can be asked about together.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Final, TypeVar

from msgspec.structs import replace

from bench.traces.trace_format import Op, Trace, trace_problem
from mmmodel.constants import PAGE_SIZE

MAX_UNIONS: Final = 32  # tried at once
T = TypeVar("T")
Reply = TypeVar("Reply")
Rounds = Generator[Sequence[Trace], Sequence[bool], Reply]  # yields candidates, is sent which of them show it


class Shrinker:
    """Reduces one trace."""

    def __init__(self, trace: Trace) -> None:
        """`trace` shows what it is about."""
        self.trace = trace  # the smallest that was found so far
        self.is_minimal = False  # whether it is known that no op can be left out

    def rounds(self) -> Rounds[None]:
        """Reduce it, as far as it goes."""
        changed = True
        while changed:
            changed = yield from self._leave_out()
            self.is_minimal = not changed
            if not changed:
                changed = yield from self._simplify()

    def _apply(self, changes: Sequence[T], changed: Callable[[Sequence[T]], Trace | None]) -> Rounds[bool]:
        """Make as many of the changes as can be made together; return whether one was.

        `changed` gives the trace with some changes made, None if that is none.
        """
        alone = [(change, trace) for change in changes if (trace := changed([change])) is not None]
        shown = (yield [trace for _, trace in alone]) if alone else ()
        good = [pair for pair, shows in zip(alone, shown, strict=True) if shows]
        if not good:
            return False
        self.trace, self.is_minimal = good[0][1], False
        taken = [good[0][0]]
        unions: list[Trace] = []
        for change, _ in good[1:]:
            if (union := changed([*taken, change])) is not None:
                taken.append(change)
                unions.append(union)
        if unions:
            tried = unions[:: -1 - len(unions) // MAX_UNIONS]  # the largest first
            shown = yield tried
            self.trace = next((union for union, shows in zip(tried, shown, strict=True) if shows), self.trace)
        return True

    def _leave_out(self) -> Rounds[bool]:
        """Leave out ops, larger pieces first."""
        trace, ops = self.trace, self.trace.ops
        pieces: list[range] = []
        length = len(ops) // 2
        while length:
            pieces += [range(at, min(at + length, len(ops))) for at in range(0, len(ops), length)]
            length //= 2

        def without(some: Sequence[range]) -> Trace | None:
            gone = {number for piece in some for number in piece}
            less = replace(trace, ops=tuple(op for number, op in enumerate(ops) if number not in gone))
            return None if trace_problem(less) else less  # a call of a process that nobody forks

        return (yield from self._apply(pieces, without))

    def _simplify(self) -> Rounds[bool]:
        """Make ops smaller: fewer pages, fewer flags."""
        trace, ops = self.trace, self.trace.ops
        changes = [(number, simpler) for number, op in enumerate(ops) for simpler in simpler_ops(op)]

        def with_changes(some: Sequence[tuple[int, Op]]) -> Trace | None:
            made = dict(some)
            if len(made) < len(some):
                return None
            less = replace(trace, ops=tuple(made.get(number, op) for number, op in enumerate(ops)))
            return None if trace_problem(less) else less

        return (yield from self._apply(changes, with_changes))


def simpler_ops(op: Op) -> Iterator[Op]:
    """Yield ops that do less of the same, the simplest first; each has fewer bytes, flags or odd numbers than it."""
    has = {name: getattr(op, name) for name in op.__struct_fields__}
    if "len" in has:
        nbytes = int(has["len"], 16)
        for pages in sorted({1, *(nbytes // part // PAGE_SIZE for part in (8, 2, 1))}):
            if 0 < pages * PAGE_SIZE < nbytes:
                yield replace(op, len=hex(pages * PAGE_SIZE))
    if "addr" in has and (odd := int(has["addr"], 16) % PAGE_SIZE):
        yield replace(op, addr=hex(int(has["addr"], 16) - odd))
    flags = has.get("flags")
    if isinstance(flags, tuple):
        yield from (replace(op, flags=tuple(other for other in flags if other != flag)) for flag in flags)
    elif isinstance(flags, int) and flags not in (0, 1):
        yield replace(op, flags=1)
    if has.get("stride", PAGE_SIZE) != PAGE_SIZE:
        yield replace(op, stride=PAGE_SIZE)


def shrink_together(shrinkers: Sequence[Shrinker], shows: Callable[[Sequence[tuple[int, Trace]]], Iterator[bool]]) -> None:
    """Reduce several traces, a round of all of them at a time.

    `shows` is given candidates, each with the index of its shrinker, and says in their order which show it; what it raises
    ends this, and each shrinker has what it had found.
    """
    waiting: dict[int, tuple[Rounds[None], Sequence[Trace]]] = {}
    for index, one in enumerate(shrinkers):
        rounds = one.rounds()
        _advance(waiting, index, rounds, None)
    while waiting:
        shown = shows([(index, trace) for index, (_, candidates) in waiting.items() for trace in candidates])
        replies = {index: [next(shown) for _ in candidates] for index, (_, candidates) in waiting.items()}
        for index, (rounds, _) in [*waiting.items()]:
            _advance(waiting, index, rounds, replies[index])


def _advance(
    waiting: dict[int, tuple[Rounds[None], Sequence[Trace]]], index: int, rounds: Rounds[None], reply: Sequence[bool] | None
) -> None:
    """Give a shrinker its reply, and put down what it asks next, or that it asks no more."""
    try:
        waiting[index] = rounds, next(rounds) if reply is None else rounds.send(reply)
    except StopIteration:
        waiting.pop(index, None)
