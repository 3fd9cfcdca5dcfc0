"""Traces reduced: what is left shows it still, and no op of it can be left out."""

import random
from collections.abc import Callable, Iterator, Sequence

import pytest

from bench.traces.generate import random_traces
from bench.traces.ops import Mlock, Mmap, Munlock, Touch, op_name
from bench.traces.shrinking import Shrinker, shrink_together, simpler_ops
from bench.traces.trace_format import Op, Trace, trace_problem

TRACES = [*random_traces(17, 40).values()]


Shows = Callable[[Sequence[Trace]], Sequence[bool]]


def shrunk(trace: Trace, shows: Shows) -> Shrinker:
    """Reduce one trace."""
    one = Shrinker(trace)
    shrink_together([one], lambda candidates: iter(shows([candidate for _, candidate in candidates])))
    return one


class Oracle:
    """A mistake that needs some ops, in their order; counts what it is asked."""

    def __init__(self, needed: Sequence[Op], same_bytes: bool = True) -> None:
        self.needed = needed
        self.same_bytes = same_bytes
        self.rounds = 0

    def __call__(self, candidates: Sequence[Trace]) -> list[bool]:
        self.rounds += 1
        assert candidates
        return [self.shows(one) for one in candidates]

    def fits(self, op: Op, needed: Op) -> bool:
        """Tell whether an op does what a needed one does."""
        return op == needed if self.same_bytes else op_name(op) == op_name(needed)

    def shows(self, trace: Trace) -> bool:
        """Tell whether a trace has the needed ops, one after the other."""
        rest = iter(trace.ops)
        return all(any(self.fits(op, needed) for op in rest) for needed in self.needed)


def without_each(trace: Trace) -> list[Trace]:
    """Return the traces that have one op less."""
    return [Trace(trace.name, trace.window, trace.ops[:at] + trace.ops[at + 1 :]) for at in range(len(trace.ops))]


@pytest.mark.parametrize("nr_needed", [1, 2, 3, 6])
@pytest.mark.parametrize("seed", range(5))
def test_what_is_left_is_needed(nr_needed: int, seed: int) -> None:
    draw = random.Random(seed)
    trace = TRACES[draw.randrange(len(TRACES))]
    places = sorted(draw.sample(range(len(trace.ops)), min(nr_needed, len(trace.ops))))
    oracle = Oracle([trace.ops[at] for at in places])
    found = shrunk(trace, oracle)
    assert found.is_minimal
    assert oracle.shows(found.trace)
    assert not any(map(oracle.shows, without_each(found.trace)))
    assert len(found.trace.ops) == len(places)
    assert oracle.rounds <= 16  # each is a boot


def test_a_mistake_that_any_subset_of_a_size_shows() -> None:
    """Ops can be left out one by one but not all at once: what unions are for."""
    trace = max(TRACES, key=lambda one: len(one.ops))
    found = shrunk(trace, lambda some: [len(one.ops) >= 7 for one in some])
    assert (len(found.trace.ops), found.is_minimal) == (7, True)


def test_ops_become_smaller() -> None:
    ops: tuple[Op, ...] = (
        Mmap("0x10000000000", "0x100000", "rw", ("fixed", "locked")),
        Touch("0x10000000000", "0x80000", "write", 8192),
    )
    ops += (Mlock("0x10000000123", "0x40000"), Munlock("0x10000000000", "0x1"))
    trace = Trace("a", ("0x10000000000", "0x20000000000"), ops)
    found = shrunk(trace, Oracle(ops, same_bytes=False)).trace
    assert found.ops == (
        Mmap("0x10000000000", "0x1000", "rw", ()),
        Touch("0x10000000000", "0x1000", "write"),
        Mlock("0x10000000000", "0x1000"),
        Munlock("0x10000000000", "0x1"),
    )


def test_simpler_ops_come_to_an_end_and_are_ops() -> None:
    for trace in TRACES:
        for op in trace.ops:
            seen, front = set(), [op]
            while front:
                one = front.pop()
                assert trace_problem(Trace("a", trace.window, (one,))) == ""
                fresh = [other for other in simpler_ops(one) if other not in seen]
                seen.update(fresh)
                front += fresh
            assert op not in seen
            assert len(seen) < 3000


def test_an_interruption_leaves_what_was_found() -> None:
    trace = max(TRACES, key=lambda one: len(one.ops))
    oracle = Oracle(trace.ops[::5])
    one = Shrinker(trace)

    def shows(candidates: Sequence[tuple[int, Trace]]) -> Iterator[bool]:
        if oracle.rounds == 2:
            raise TimeoutError
        return iter(oracle([candidate for _, candidate in candidates]))

    with pytest.raises(TimeoutError):
        shrink_together([one], shows)
    assert not one.is_minimal
    assert oracle.shows(one.trace)
    assert len(one.trace.ops) < len(trace.ops)


def test_several_traces_share_their_rounds() -> None:
    oracles = [Oracle(trace.ops[1::7]) for trace in TRACES[:6]]
    shrinkers = [Shrinker(trace) for trace in TRACES[:6]]
    rounds = 0

    def shows(candidates: Sequence[tuple[int, Trace]]) -> Iterator[bool]:
        nonlocal rounds
        rounds += 1
        return (oracles[index].shows(trace) for index, trace in candidates)

    shrink_together(shrinkers, shows)
    for trace, oracle, one in zip(TRACES, oracles, shrinkers, strict=False):
        assert one.is_minimal
        assert len(one.trace.ops) == len(trace.ops[1::7])
        assert oracle.shows(one.trace)
    assert rounds <= 16
