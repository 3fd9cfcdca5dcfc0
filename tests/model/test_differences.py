"""docs/differences.md: every trace on that page gives the two answers that it states, in the model and in the oracle."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mmmodel import Mm
from oracle import OracleMm
from support.differences_page import KINDS, differing, trace_of


@pytest.mark.parametrize("make", [Mm, OracleMm], ids=["model", "oracle"])
@pytest.mark.parametrize("old", ["per-page", "hole-skip"])
@pytest.mark.parametrize("name", KINDS)
def test_the_stated_answers_are_given(name: str, old: str, make: Any) -> None:
    kind = KINDS[name]
    *before, last = differing(make, old, "page-walk", trace_of(kind), kind["thp"])
    assert not any(before)
    assert last == kind["differs"]


@pytest.mark.parametrize("name", KINDS)
def test_the_traces_are_minimal(name: str) -> None:
    """Without any one of its ops a trace shows no difference after its last."""
    kind = KINDS[name]
    trace = trace_of(kind)
    for i in range(len(trace.ops) - 1):
        shorter = msgspec.structs.replace(trace, ops=trace.ops[:i] + trace.ops[i + 1 :])
        assert differing(Mm, "per-page", "page-walk", shorter, kind["thp"])[-1] != kind["differs"], trace.ops[i]
