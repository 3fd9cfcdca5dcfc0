"""The traces that `replay --random` makes, made by hypothesis instead, which shrinks those that fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as some

from bench.traces.generate import OPS, WINDOW, Area, Below, WeightedOp, opening, random_areas, random_op, some_of
from bench.traces.generate_all import all_ops_trace
from bench.traces.ops import Op, Trace


def asking(draw: Callable[[Any], Any]) -> Below:
    """What the generator asks, answered by hypothesis, which shrinks its answers."""
    return lambda n: int(draw(some.integers(0, n - 1)))


@some.composite
def ops_on(draw: Any, areas: Sequence[Area], ops: Sequence[WeightedOp] = OPS) -> Op | None:
    """An op; or none, so that to leave one out is to lower one number, and shrinking does that at once."""
    return random_op(asking(draw), areas, ops) if draw(some.integers(0, 9)) else None


@some.composite
def traces(draw: Any) -> Trace:
    """As `random_trace()` makes them."""
    areas = random_areas(asking(draw))
    begin = opening(asking(draw), areas)
    body = draw(some.lists(ops_on(areas), min_size=15, max_size=30))
    return Trace("random", WINDOW, (*begin, *filter(None, body)))


@some.composite
def swarm_traces(draw: Any) -> Trace:
    """As `swarm_trace()` makes them."""
    areas = random_areas(asking(draw))
    begin = opening(asking(draw), areas)
    used, aimed = some_of(asking(draw), OPS), some_of(asking(draw), areas)
    body = draw(some.lists(ops_on(aimed, used), min_size=20, max_size=50))
    return Trace("random", WINDOW, (*begin, *filter(None, body)))


@some.composite
def all_ops_traces(draw: Any) -> Trace:
    """As `all_ops_trace()` makes them."""
    return all_ops_trace(asking(draw), "random")
