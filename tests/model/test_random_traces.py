"""Random traces: the model against its oracle, step by step, both kernels, with THP and without; failing ones shrink.

There are three kinds: some draw first which ops they use and where (swarm testing), and so reach combinations that others do
not; some have several processes and files too, and all ops.
`RANDOM_TRACES=n` runs n of each kind that were never run before.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import SearchStrategy

from bench.traces.generate import random_traces
from bench.traces.generate_all import all_ops_traces as seeded_all_ops
from bench.traces.large_folios import random_traces_of
from bench.traces.ops import FolioSize
from bench.traces.replay import RECORDED_RAM, differences, replay
from bench.traces.trace_format import Trace, encode_lines
from mmmodel import Mm, check_mm
from mmmodel.kernels import implementations
from oracle import OracleMm
from support.setting import NUMBER, SLOW, examples
from support.strategies import all_ops_traces, swarm_traces, traces
from support.subjects import of_kernel

SETTINGS, fixed = examples(40, 6, "RANDOM_TRACES")
FRESH = int(os.environ.get("RANDOM_TRACES", "0"))
KERNELS = list(dict.fromkeys(one.kernel.name for one in implementations()))


CHECKED = 5  # every fifth step and the last: it takes longer than the rest; after each step by test_state_machine.py


def hold_to_oracle(trace: Trace, kernel: str, thp: str) -> None:
    """Every field of every step is the same in the oracle and in each implementation; invariants hold at some steps."""
    machines = {impl: Mm(impl, thp=thp, mthp=trace.folio_bytes, ram=RECORDED_RAM) for impl in of_kernel(kernel)}
    oracle: Any = OracleMm(of_kernel(kernel)[0], thp=thp, mthp=trace.folio_bytes, ram=RECORDED_RAM)
    runs = [replay(mm, trace) for mm in machines.values()]
    for number, (expected, *got) in enumerate(zip(replay(oracle, trace), *runs, strict=True)):
        for impl, step in zip(machines, got, strict=True):
            assert not differences(expected, step), (
                f"{impl}, step {number}: {trace.ops[number]}\n{encode_lines([trace]).decode()}"
            )
            if number % CHECKED == 0 or number == len(trace.ops) - 1:
                check_mm(machines[impl])


KINDS = {"basic": traces, "swarm": swarm_traces, "all": all_ops_traces}


@pytest.mark.parametrize("made", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("thp", ["never", "always"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_model_agrees_with_oracle(kernel: str, thp: str, made: Callable[[], SearchStrategy[Trace]]) -> None:
    @fixed(kernel, thp, *(word for word, one in KINDS.items() if one is made is not traces))
    @SETTINGS
    @given(made())
    def agree(trace: Trace) -> None:
        hold_to_oracle(trace, kernel, thp)

    agree()


SEEDED: dict[str, tuple[int, Callable[[int, int], dict[str, Trace]]]] = {  # how many, less where they are longer
    "basic": (80, random_traces),
    "swarm": (40, partial(random_traces, swarm=True)),
    "all": (40, seeded_all_ops),
}


@pytest.mark.parametrize("kind", SEEDED)
@pytest.mark.parametrize("thp", ["never", "always"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_model_agrees_with_oracle_on_seeded_traces(kernel: str, thp: str, kind: str) -> None:
    """Those that `replay --random` makes: longer ones, none of them simple."""
    first = 10 * NUMBER + 2 * KERNELS.index(kernel) + (thp == "always")
    if FRESH:
        first += 1000 * secrets.randbelow(1 << 40)
    usual, make = SEEDED[kind]
    for trace in make(first, FRESH or (usual // 8 if SLOW else usual)).values():
        hold_to_oracle(trace, kernel, thp)


@pytest.mark.parametrize(("thp", "sizes"), [("never", ("64KiB",)), ("always", ("16KiB", "128KiB", "1MiB"))])
def test_model_agrees_with_oracle_on_large_folios(thp: str, sizes: tuple[FolioSize, ...]) -> None:
    first = 10 * NUMBER + 6 + (thp == "always") + 1000 * secrets.randbelow(1 << 40) * bool(FRESH)
    made = seeded_all_ops(first, FRESH or (3 if SLOW else 20))
    for trace in random_traces_of(made, sizes).values():
        hold_to_oracle(trace, "6.12", thp)
