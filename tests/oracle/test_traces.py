"""The oracle against real kernels: every field of every step of every recorded trace."""

from typing import Any

import pytest

from bench.traces.replay import RECORDED_RAM, differences, replay
from bench.traces.trace_format import Step, Trace
from oracle import OracleMm
from support.recordings import KERNELS, files_of, recorded

RECORDED = [
    pytest.param(impl, trace, steps, thp, id=f"{kernel}-{trace.name}")
    for kernel, impl in KERNELS.items()
    for trace, steps, thp in recorded(kernel, files_of(kernel))
]


@pytest.mark.parametrize(("impl", "trace", "steps", "thp"), RECORDED)
def test_oracle_does_what_the_kernel_did(impl: str, trace: Trace, steps: tuple[Step, ...], thp: str) -> None:
    mm: Any = OracleMm(impl, thp=thp, mthp=trace.folio_bytes, ram=RECORDED_RAM)
    for number, (expected, got) in enumerate(zip(steps, replay(mm, trace), strict=True)):
        assert not differences(expected, got), f"step {number}: {trace.ops[number]}"


def test_all_traces_were_found() -> None:
    assert len(RECORDED) == 3 * 86 + 40 + 26
