"""Random traces: the model against its oracle, step by step, both kernels, with THP and without; failing ones shrink.

`RANDOM_TRACES=n` runs n of each kind that were never run before.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as some
from oracle import OracleMm

from bench.generate import WINDOW, Area, Below, opening, random_areas, random_op, random_traces
from bench.steps import RECORDED_RAM, differences, replay
from bench.trace import Op, Trace, encode_lines, op_name, trace_problem
from mmmodel import Mm, check_mm

WITHOUT_JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
FRESH = int(os.environ.get("RANDOM_TRACES", "0"))
SETTINGS = settings(
    max_examples=FRESH or (12 if WITHOUT_JIT else 60),
    deadline=None,
    derandomize=not FRESH,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
KERNELS = {"5.10": ("per-page", "hole-skip"), "6.1": ("page-walk",)}


def asking(draw: Callable[[Any], Any]) -> Below:
    """What the generator asks, answered by hypothesis, which shrinks its answers."""
    return lambda n: int(draw(some.integers(0, n - 1)))


@some.composite
def ops_on(draw: Any, areas: list[Area]) -> Op | None:
    """An op; or none, so that to leave one out is to lower one number, and shrinking does that at once."""
    return random_op(asking(draw), areas) if draw(some.integers(0, 9)) else None


@some.composite
def traces(draw: Any) -> Trace:
    """As `random_trace()` makes them."""
    areas = random_areas(asking(draw))
    begin = opening(asking(draw), areas)
    body = draw(some.lists(ops_on(areas), min_size=15, max_size=30))
    return Trace("random", WINDOW, (*begin, *filter(None, body)))


def hold_to_oracle(trace: Trace, kernel: str, thp: str) -> None:
    """Every field of every step is the same in the oracle and in each implementation; invariants hold."""
    machines = {impl: Mm(impl, thp=thp, ram=RECORDED_RAM) for impl in KERNELS[kernel]}
    oracle = OracleMm(KERNELS[kernel][0], thp=thp, ram=RECORDED_RAM)
    runs = [replay(mm, trace) for mm in machines.values()]
    for number, (expected, *got) in enumerate(zip(replay(oracle, trace), *runs, strict=True)):
        for impl, step in zip(machines, got, strict=True):
            assert not differences(expected, step), (
                f"{impl}, step {number}: {trace.ops[number]}\n{encode_lines([trace]).decode()}"
            )
            check_mm(machines[impl])


@pytest.mark.parametrize("thp", ["never", "always"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_model_agrees_with_oracle(kernel: str, thp: str) -> None:
    @SETTINGS
    @given(traces())
    def agree(trace: Trace) -> None:
        hold_to_oracle(trace, kernel, thp)

    agree()


@pytest.mark.parametrize("thp", ["never", "always"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_model_agrees_with_oracle_on_seeded_traces(kernel: str, thp: str) -> None:
    """Those that `replay --random` makes: longer ones, none of them simple."""
    for trace in random_traces(11, 36 if WITHOUT_JIT else 100).values():
        hold_to_oracle(trace, kernel, thp)


@settings(SETTINGS, max_examples=200)
@given(traces())
def test_what_is_generated_would_be_accepted(trace: Trace) -> None:
    assert not trace_problem(trace)


def test_both_success_and_failure_are_reached() -> None:
    """On the oracle: every op that can fail does, in every way that a trace can make it, and also succeeds."""
    reached: set[tuple[str, str]] = set()
    for trace in random_traces(0, 200).values():
        steps = replay(OracleMm("page-walk", ram=RECORDED_RAM), trace)
        reached |= {(op_name(op), str(step.errno)) for op, step in zip(trace.ops, steps, strict=True)}
    expected = {
        "mmap": "0 EEXIST EAGAIN",
        "munmap": "0 EINVAL",
        "mprotect": "0 ENOMEM",
        "touch": "0 EFAULT",
        "mlock": "0 ENOMEM EPERM",
        "mlock2": "0 EINVAL ENOMEM EPERM",
        "munlock": "0 ENOMEM",
        "mlockall": "0 EINVAL ENOMEM EPERM",
        "munlockall": "0",
        "madvise_dontneed": "0 EINVAL ENOMEM",
        "rlimit_memlock": "0",
        "drop_cap_ipc_lock": "0",
    }
    missing = {(op, outcome) for op, outcomes in expected.items() for outcome in outcomes.split()} - reached
    assert not missing


class Forgetful(OracleMm):
    """A broken kernel: munlock() answers, and does nothing."""

    def munlock(self, addr: int, length: int) -> None:
        if not self.smaps():
            super().munlock(addr, length)


def test_a_failing_trace_shrinks_to_a_minimal_one() -> None:
    def fails(trace: Trace) -> bool:
        pairs = zip(replay(OracleMm("page-walk"), trace), replay(Forgetful("page-walk"), trace), strict=True)
        return any(differences(expected, got) for expected, got in pairs)

    smallest = find(traces(), fails, settings=settings(SETTINGS, max_examples=500))
    names = [op_name(op) for op in smallest.ops]
    # Which of several is found depends on hypothesis and Python: what was locked, and how; or a munlock that had to fail.
    assert len(names) <= 3, smallest
    assert (names[0], names[-1]) == ("mmap", "munlock"), smallest
