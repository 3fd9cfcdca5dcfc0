"""docs/differences.md: every trace on that page gives the two answers that it states, in the model and in the oracle."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bench.traces.replay import differences
from bench.traces.trace_format import load_results
from mmmodel import Mm
from oracle import OracleMm
from support.differences_page import KINDS, differing, kernels_of, plain, steps, trace_of
from support.recordings import DATA
from support.subjects import of_kernel

MODELLED = [name for name, kind in KINDS.items() if of_kernel(kernels_of(kind)[1])]
RECORDED = [name for name in KINDS if name not in MODELLED]  # the newer kernel is known by what it answered alone
PAIRS = [(name, old) for name in MODELLED for old in of_kernel(kernels_of(KINDS[name])[0])]


@pytest.mark.parametrize("make", [Mm, OracleMm], ids=["model", "oracle"])
@pytest.mark.parametrize(("name", "old"), PAIRS)
def test_the_stated_answers_are_given(name: str, old: str, make: Any) -> None:
    kind = KINDS[name]
    for new in of_kernel(kernels_of(kind)[1]):
        *before, last = differing(make, old, new, trace_of(kind), kind["thp"])
        assert not any(before)
        assert last == kind["differs"]


@pytest.mark.parametrize("name", RECORDED)
def test_a_kernel_that_is_not_modelled_answered_so(name: str) -> None:
    kind = KINDS[name]
    older, newer = kernels_of(kind)
    answers = load_results(DATA / f"differences-linux-{newer}.jsonl").by_name[name]
    assert answers.kernel.startswith(newer)
    for make in (Mm, OracleMm):
        for old in of_kernel(older):
            *before, last = [
                {one.field: [plain(one.expected), plain(one.got)] for one in differences(a, b)}
                for a, b in zip(steps(make, old, trace_of(kind), kind["thp"]), answers.steps, strict=True)
            ]
            assert not any(before)
            assert last == kind["differs"]


@pytest.mark.parametrize("name", MODELLED)
def test_the_traces_are_minimal(name: str) -> None:
    """Without any one of its ops a trace shows no difference after its last."""
    kind = KINDS[name]
    trace = trace_of(kind)
    old, new = (of_kernel(kernel)[0] for kernel in kernels_of(kind))
    for i in range(len(trace.ops) - 1):
        shorter = msgspec.structs.replace(trace, ops=trace.ops[:i] + trace.ops[i + 1 :])
        assert differing(Mm, old, new, shorter, kind["thp"])[-1] != kind["differs"], trace.ops[i]


@pytest.mark.parametrize("make", [Mm, OracleMm], ids=["model", "oracle"])
@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kernels_of(kind) == ("5.10", "6.1")])
def test_6_12_answers_as_6_1_or_as_5_10_again(name: str, make: Any) -> None:
    """In the fields that a difference is about."""
    kind = KINDS[name]
    (newest,) = of_kernel("6.12")
    last = steps(make, newest, trace_of(kind), kind["thp"])[-1]
    side = 0 if kind.get("6.12") == "5.10" else 1
    assert {field: plain(getattr(last, field)) for field in kind["differs"]} == {
        field: pair[side] for field, pair in kind["differs"].items()
    }
