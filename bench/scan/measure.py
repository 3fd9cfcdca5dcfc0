"""A kernel scanned: rounds of ever larger sizes, each series until its law is clear or the next size would take too long."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from bench.number_format import approximate, seconds
from bench.scan import exact
from bench.scan.call import Call
from bench.scan.law import EXACT, Law, judge
from bench.scan.layouts import Layout
from bench.scan.machine import Fate, Machine, Outcome, Shot, seconds_of
from bench.scan.results import CallScan, Series, Sized
from bench.targets.kernel import Unit

VALUES: Final = {"instructions": 3, "seconds": 7}  # of each size: times scatter
MOST_VALUES: Final = 9  # of a size whose count does not repeat
LIMIT: Final = 5.0  # seconds that one call may be expected to take
FURTHER: Final = (256, 16, 2)  # times the size, of the next, where the cost has not grown: the most that is allowed
# A round of counts starts a guest, which takes as long as hundreds of calls: few rounds, of many sizes.
SIZES_A_ROUND: Final[dict[Unit, int]] = {"instructions": 8, "seconds": 3}
BETWEEN: Final = (2, 4)  # powers of 2 by which sizes are smaller than the last that fill the gap before it, where costs grow
FAR: Final = 8 << 30  # bytes: a span that is linear is so beyond 1 GiB, where that does not take too long
ANNOUNCED: Final = 1.0  # seconds: what nothing can end is announced if it is expected to take longer

Say = Callable[[str], None]
Advance = Callable[[int, int], None]  # shots that are done, and all that are known of


class Running:
    """A series that is being measured."""

    def __init__(self, call: Call, layout: Layout, unit: Unit, problem: str = "") -> None:
        self.call, self.layout, self._unit = call, layout, unit
        self.values: dict[int, list[float]] = {}
        self.stopped = problem
        self.fate: Fate = "refused" if problem else "done"
        self._is_first = True
        self._whole: dict[int, float] = {}  # of each size, what one shot took, set-up and all
        self._judged: tuple[int, Law | None] = (0, None)  # of how many values, and their law

    def law(self) -> Law | None:
        """Return the law so far, None while nothing is measured."""
        nr_values = sum(map(len, self.values.values()))
        if nr_values != self._judged[0]:
            self._judged = (nr_values, judge(self.layout.axis, self.values, self._unit, is_whole=not self.stopped))
        return self._judged[1]

    def add(self, n: int, outcome: Outcome) -> None:
        """Take what became of a shot; the first that fails ends the series."""
        if outcome.fate == "done":
            if not self.stopped:
                self.values.setdefault(n, []).append(outcome.cost)
                self._whole[n] = max(outcome.whole, outcome.cost)
        elif not self.stopped:
            self.stopped, self.fate = outcome.why, outcome.fate

    def next_sizes(self, machine: Machine, limit: float) -> list[int]:
        """Return the sizes of the next round, none where the series is at its end."""
        most = min(self.layout.most, machine.most) if self.layout.axis == "span" else self.layout.most
        if self.stopped:
            return []
        if self._is_first:
            self._is_first = False
            return [size for size in self.layout.sizes if size <= most]
        law = self.law()
        last = max(self.values)
        # A walk of the tables below one entry is linear up to 1 GiB, and no further.
        if law is None or (law.kind == "linear" and (self.layout.axis != "span" or last >= FAR)):
            return []
        again = self._again(law)
        grows = law.kind != "nothing" or statistics.median(self.values[last]) > 2 * law.base
        between = [last >> shift for shift in BETWEEN if min(self.values) < last >> shift not in self.values] if grows else []
        if between and self._unit != EXACT:
            return between
        if law.kind == "linear":
            most = min(most, FAR)
        factors = (2,) if grows else FURTHER
        for factor in factors:
            if last * factor > most:
                continue
            if sizes := self._larger(factor, most, machine, limit):
                return again + between + sizes
        if last * factors[-1] <= most and not again + between:
            self.stopped = f"{seconds(self._foreseen(machine, factors[-1]))} are expected of the next size"
        return again + between

    def _again(self, law: Law) -> list[int]:
        """Return the sizes whose counts are to be repeated: of an unclear law, those that did not repeat well enough."""
        if self._unit != EXACT or law.kind not in ("too few", "no law"):
            return []
        return [n for n in exact.loose(self.values) if len(self.values[n]) < MOST_VALUES]

    def _foreseen(self, machine: Machine, factor: int) -> float:
        """Return how many seconds a shot takes on so many times the last size, set-up and all, which may be linear or more."""
        ordered = sorted(self._whole)
        first, last = ordered[max(0, len(ordered) - 2)], ordered[-1]
        base = self._whole[ordered[0]]
        before, cost = (max(self._whole[one] - base, 0.0) for one in (first, last))
        power = math.log(cost / before) / math.log(last / first) if cost > before > 0 else 1.0
        return seconds_of(machine, base + cost * factor ** max(1.0, power))

    def _larger(self, factor: int, most: int, machine: Machine, limit: float) -> list[int]:
        """Return larger sizes, each so many times the one before, that are not expected to take more than the limit."""
        last = max(self.values)
        times = [factor**power for power in range(1, SIZES_A_ROUND[self._unit] + 1)]
        return [last * one for one in times if last * one <= most and self._foreseen(machine, one) <= limit]

    def expected(self, machine: Machine, n: int) -> float:
        """Return about how many seconds a size takes."""
        law = self.law()
        return seconds_of(machine, law.of(n)) if law else 0.0

    def result(self) -> Series:
        """Return what is kept of it."""
        sizes = tuple(Sized(n, tuple(self.values[n])) for n in sorted(self.values))
        return Series(self.layout.name, sizes, self.stopped, self.fate)


class Scanner:
    """The scan of one kernel."""

    def __init__(self, machine: Machine, calls: Sequence[Call], say: Say, advance: Advance, limit: float = LIMIT) -> None:
        self._machine, self._calls, self._say, self._advance, self._limit = machine, calls, say, advance, limit
        self._missing: dict[str, str] = {}  # by call: why it cannot be scanned
        self._running: dict[tuple[str, str], Running] = {}
        for call in calls:
            for name in call.layouts:
                layout = call.on(name)
                self._running[call.name, name] = Running(call, layout, machine.unit, machine.problem(call, layout))
        self._done = self._known = 0

    def run(self) -> None:
        """Measure rounds until no series wants more; GuestError for a kernel that does not come up."""
        self._carry_out([*self._probes(), *self._first_pass(), *self._round()])
        while shots := self._round():
            self._carry_out(shots)

    def result(self) -> tuple[CallScan, ...]:
        """Return what was measured so far."""
        found = []
        for call in self._calls:
            series = [self._running[call.name, name] for name in call.layouts]
            missing = self._missing.get(call.name, "")
            if not missing and not any(one.values for one in series):
                missing = next((one.stopped for one in series if one.stopped), "it was not reached")
            found.append(CallScan(call.name, () if missing else tuple(one.result() for one in series), missing))
        return tuple(found)

    def _probes(self) -> Iterator[Shot]:
        """Yield the question for each call whether it is there, on the first layout that the machine has."""
        for call in self._calls:
            open_series = [
                self._running[call.name, name] for name in call.layouts if not self._running[call.name, name].stopped
            ]
            if open_series:
                yield Shot(call, open_series[0].layout, 0)

    def _first_pass(self) -> Iterator[Shot]:
        """Yield the smallest size of each layout, not to be measured: what comes first finds other caches and lists."""
        seen = set()
        for one in self._running.values():
            if not one.stopped and one.layout.name not in seen:
                seen.add(one.layout.name)
                yield Shot(one.call, one.layout, one.layout.sizes[0], counts=False)

    def _round(self) -> list[Shot]:
        """Return the shots of the next round: each size once, then all again, so that what drifts is in none alone."""
        once = [
            Shot(one.call, one.layout, size)
            for one in self._running.values()
            if one.call.name not in self._missing
            for size in one.next_sizes(self._machine, self._limit)
        ]
        for shot in once:
            expected = self._running[shot.series].expected(self._machine, shot.n)
            if shot.call.lasts and expected > ANNOUNCED:
                self._say(
                    f"{self._machine.name}: {shot.call.name} on {shot.layout.name} of {approximate(shot.n)} cannot be ended: "
                    f"about {seconds(expected)}"
                )
        return once * VALUES[self._machine.unit]

    def _carry_out(self, shots: Sequence[Shot]) -> None:
        """Carry out shots, and take what becomes of each."""
        self._known += len(shots)
        for shot, outcome in self._machine.carry_out(shots):
            self._done += 1
            self._advance(self._done, self._known)
            self._take(shot, outcome)

    def _take(self, shot: Shot, outcome: Outcome) -> None:
        """Take what became of a shot; a call that ends or hangs the kernel is not tried again."""
        if outcome.fate in ("crashed", "hung"):
            for name in shot.call.layouts:
                self._running[shot.call.name, name].add(shot.n, outcome)
        elif shot.n == 0:
            if outcome.fate in ("absent", "refused"):
                self._missing[shot.call.name] = outcome.why
        elif shot.counts or outcome.fate != "done":
            self._running[shot.series].add(shot.n, outcome)
