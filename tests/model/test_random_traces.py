"""Random traces: the model against its oracle, step by step, both kernels, with THP and without; failing ones shrink.

Half of them draw first which ops they use and where (swarm testing), and so reach combinations that others do not.
`RANDOM_TRACES=n` runs n of each kind that were never run before.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import SearchStrategy

from bench.traces.generate import random_traces
from bench.traces.replay import RECORDED_RAM, differences, replay
from bench.traces.trace_format import Trace, encode_lines
from mmmodel import Mm, check_mm
from oracle import OracleMm
from support.setting import NUMBER, WITHOUT_JIT, examples
from support.strategies import swarm_traces, traces
from support.subjects import of_kernel

SETTINGS, fixed = examples(40, 12, "RANDOM_TRACES")
FRESH = int(os.environ.get("RANDOM_TRACES", "0"))
KERNELS = ("5.10", "6.1")


def hold_to_oracle(trace: Trace, kernel: str, thp: str, every: int = 1) -> None:
    """Every field of every step is the same in the oracle and in each implementation; invariants hold at some steps."""
    machines = {impl: Mm(impl, thp=thp, ram=RECORDED_RAM) for impl in of_kernel(kernel)}
    oracle: Any = OracleMm(of_kernel(kernel)[0], thp=thp, ram=RECORDED_RAM)
    runs = [replay(mm, trace) for mm in machines.values()]
    for number, (expected, *got) in enumerate(zip(replay(oracle, trace), *runs, strict=True)):
        for impl, step in zip(machines, got, strict=True):
            assert not differences(expected, step), (
                f"{impl}, step {number}: {trace.ops[number]}\n{encode_lines([trace]).decode()}"
            )
            if number % every == 0 or number == len(trace.ops) - 1:
                check_mm(machines[impl])


@pytest.mark.parametrize("made", [traces, swarm_traces], ids=["all-ops", "swarm"])
@pytest.mark.parametrize("thp", ["never", "always"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_model_agrees_with_oracle(kernel: str, thp: str, made: Callable[[], SearchStrategy[Trace]]) -> None:
    @fixed(kernel, thp, *(["swarm"] if made is swarm_traces else []))
    @SETTINGS
    @given(made())
    def agree(trace: Trace) -> None:
        hold_to_oracle(trace, kernel, thp)

    agree()


@pytest.mark.parametrize("swarm", [False, True], ids=["all-ops", "swarm"])
@pytest.mark.parametrize("thp", ["never", "always"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_model_agrees_with_oracle_on_seeded_traces(kernel: str, thp: str, swarm: bool) -> None:
    """Those that `replay --random` makes: longer ones, none of them simple."""
    first = 10 * NUMBER + 2 * KERNELS.index(kernel) + (thp == "always")
    if FRESH:
        first += 1000 * secrets.randbelow(1 << 40)
    number = FRESH or (20 if WITHOUT_JIT else 80) // (2 if swarm else 1)  # which are twice as long
    for trace in random_traces(first, number, swarm=swarm).values():
        hold_to_oracle(trace, kernel, thp, every=5)
