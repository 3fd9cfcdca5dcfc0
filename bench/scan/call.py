"""What a call is, as data, and the programs of the guest that carry it out."""

from __future__ import annotations

from typing import Final, NamedTuple

from bench.kernels.protocol import Program
from bench.scan.layouts import ANONYMOUS, LAYOUTS, SPAN_LIMIT, TABLES, Layout
from bench.scan.steps import SCRATCH, Spot, Step, orders, uses
from bench.traces.checks import PROGRAM_BYTES, PROGRAM_START

_NO_WATCH: Final = 0
# Errors that say that there is no such call, advice, file or flag, and those that say that somebody else may.
ABSENT: Final = frozenset({"ENOSYS", "EINVAL", "ENOTTY", "ENOENT", "EOPNOTSUPP", "ENODEV"})
REFUSED: Final = frozenset({"EPERM", "EACCES"})


class Call(NamedTuple):
    """One call that is scanned."""

    name: str
    measured: Step
    summary: str = ""
    before: tuple[Step, ...] = ()  # after the memory is laid out
    exists: tuple[Step, ...] = ()  # whose last fails where the call is not there; () for the call itself
    layouts: tuple[str, ...] = ANONYMOUS
    most: int = SPAN_LIMIT  # bytes of a span: of a call that makes or returns something for each page less
    most_tables: int = TABLES[-1]  # of page tables without pages
    nature: str = ""  # what it makes or returns for each page, where that is its purpose
    fine: frozenset[str] = frozenset()  # errors that the measured call may end in, after its work
    needs: str = ""  # the privilege without which it fails
    only_in: str = ""  # why not every machine can carry it out: "guest", "swap", "core file", "nodes"
    dies: bool = False  # it ends the process
    lasts: bool = False  # until it ends itself: nothing kills the process

    def on(self, name: str) -> Layout:
        """Return a layout with no larger sizes than the call is for."""
        layout = LAYOUTS[name]
        most = {"span": self.most, "tables": self.most_tables}.get(layout.axis, layout.most)
        if most >= layout.most:
            return layout
        known = tuple(one for one in layout.sizes if one <= most)
        shifts = (3, 2, 1, 0) if len(known) < len(layout.sizes) else (0,)
        more = (most >> shift for shift in shifts)
        return layout._replace(sizes=tuple(sorted({*known, *more})), most=most)


class Place(NamedTuple):
    """Where a machine has room for a program."""

    start: int
    scratch: int
    target: int
    most: int  # bytes of a span


PLACE: Final = Place(1 << 40, 1 << 39, 1 << 41, SPAN_LIMIT)
# Addresses of a user-mode Linux end at 2^39.
SMALL_PLACE: Final = Place(1 << 33, 1 << 32, 1 << 38, 1 << 37)


def _program(steps: tuple[Step, ...], call: Call, layout: Layout, n: int, place: Place) -> Program:
    """Return the orders of steps on a layout; only where something names the scratch memory it is there."""
    spot = Spot(place.start, layout.span(n), n, place.target, place.scratch)
    whole = (SCRATCH, *steps) if uses((*call.before, *call.exists, call.measured), "scratch") else steps
    return Program(PROGRAM_START, PROGRAM_START + PROGRAM_BYTES, tuple(orders(whole, spot)), _NO_WATCH)


def program(call: Call, layout: Layout, n: int, place: Place = PLACE) -> Program:
    """Return the program whose last order is the measured call."""
    return _program((*layout.steps, *call.before, call.measured), call, layout, n, place)


def probe(call: Call, layout: Layout, place: Place = PLACE) -> Program:
    """Return the program that tells whether the call is there, on the smallest size of a layout."""
    steps = (*layout.steps, *(call.exists or (*call.before, call.measured)))
    return _program(steps, call, layout, layout.sizes[0], place)
