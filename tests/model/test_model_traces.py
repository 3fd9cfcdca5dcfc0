"""The model against real kernels: every field of every step of every recorded trace, in all implementations of its kernel."""

from __future__ import annotations

import pytest

from bench.traces.replay import RECORDED_RAM, differences, replay
from bench.traces.trace_format import Step, Trace
from mmmodel import Mm, check_mm
from mmmodel.kernels import implementations
from support.recordings import KERNELS, files_of, recorded
from support.subjects import of_kernel

RECORDED = [
    pytest.param(impl, trace, steps, thp, id=f"{impl}-{trace.name}")
    for kernel in KERNELS
    for trace, steps, thp in recorded(kernel, files_of(kernel))
    for impl in of_kernel(kernel.removeprefix("linux-"))
]


@pytest.mark.parametrize(("impl", "trace", "steps", "thp"), RECORDED)
def test_model_does_what_the_kernel_did(impl: str, trace: Trace, steps: tuple[Step, ...], thp: str) -> None:
    mm = Mm(impl, thp=thp, mthp=trace.folio_bytes, ram=RECORDED_RAM)
    for number, (expected, got) in enumerate(zip(steps, replay(mm, trace), strict=True)):
        assert not differences(expected, got), f"step {number}: {trace.ops[number]}"
        check_mm(mm)


def test_all_traces_were_found() -> None:
    assert len(RECORDED) == 86 * len(implementations()) + (40 + 26) * len(of_kernel("6.12"))
