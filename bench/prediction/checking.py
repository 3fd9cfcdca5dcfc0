"""Predictions held against what real kernels executed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from bench.errors import UsageError, one_line
from bench.prediction.counted import CountedOp, counted
from bench.prediction.fitting import Row
from bench.prediction.page_lists import PageLists
from bench.prediction.terms import CALLS
from bench.prediction.weights import SMALL, Weights, predict
from bench.traces.cost_format import Costs
from mmmodel import kernels

PREFIX: Final = "linux-"  # of kernels in cost files
BAR: Final = 0.02  # relative error
SMALL_BAR: Final = 0.05  # of calls that execute less than SMALL instructions


class Checked(NamedTuple):
    """One measured call and its prediction."""

    series: str
    layout: str
    op: int
    call: str
    predicted: float  # instructions
    measured: int  # instructions

    @property
    def error(self) -> float:
        """Relative error."""
        return self.predicted / self.measured - 1

    def bar(self, bar: float, small_bar: float) -> float:
        """Return the relative error that it may have."""
        return small_bar if self.measured < SMALL else bar

    def is_over(self, bar: float, small_bar: float) -> bool:
        """Tell whether its error is over what it may be."""
        return abs(self.error) > self.bar(bar, small_bar)


def series_in(costs: Sequence[Costs]) -> list[str]:
    """Return the kernels of a file in its order, by series; UsageError for a name that is none."""
    names = list(dict.fromkeys(name for one in costs for name in one.instructions))
    for name in names:
        major, dot, minor = name.removeprefix(PREFIX).partition(".")
        if not (name.startswith(PREFIX) and dot and major.isdecimal() and minor.isdecimal()):
            raise UsageError(f"instructions: {one_line(name, 80)!r} is no kernel as {PREFIX}6.1 is")
    return [name.removeprefix(PREFIX) for name in names]


def rows_of(
    costs: Sequence[Costs], series: str, implementation: str, source: int = 0, tick: Callable[[], None] = lambda: None
) -> list[Row]:
    """Return the measured calls of a kernel that the cost model is about, as an implementation counts them.

    The allocator's lists are the machine's: they go on from trace to trace, and from the last to the first, as in rounds.
    `tick` is called at each layout.
    """
    lists = PageLists(kernels.implementation(implementation).kernel.version)
    traces: list[tuple[Costs, list[CountedOp]]] = []
    for one in costs:
        if any(one.instructions.get(PREFIX + series, ())):
            traces.append((one, counted(one.trace, implementation)))
        tick()
    for _, ops in traces:
        for op in ops:
            lists.move(*op.in_use)
    found = []
    for one, ops in traces:
        for op in ops:
            counters = {**op.counters, **lists.move(*op.in_use).counters()}
            cost = one.instructions[PREFIX + series][op.number]
            if cost and op.call in CALLS and one.ops[op.number].proc == 0:
                found.append(Row(source, one.name, op.number, op.call, counters, cost))
    return found


def check(costs: Sequence[Costs], weights: Weights, tick: Callable[[], None] = lambda: None) -> list[Checked]:
    """Return every measured call with its prediction; UsageError for kernels without weights, and if there is no call."""
    found = []
    for series in series_in(costs):
        kernel = weights.of(series)
        for row in rows_of(costs, series, kernel.implementation, tick=tick):
            predicted = predict(kernel, row.call, row.counters).instructions
            found.append(Checked(series, row.layout, row.op, row.call, predicted, row.measured))
    if not found:
        raise UsageError("no call of it was measured that locks, unlocks or unmaps")
    return found
