"""The kinds of differences that docs/differences.md states, and what differs between two implementations."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from bench.traces.replay import RECORDED_RAM, differences, replay
from bench.traces.trace_format import Step, Trace, trace_problem

PAGE = Path(__file__).parents[2] / "docs" / "differences.md"
KINDS: dict[str, dict[str, Any]] = {
    kind["name"]: kind
    for kind in map(json.loads, re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
}


def trace_of(kind: dict[str, Any]) -> Trace:
    trace = msgspec.convert(kind, Trace)
    assert not trace_problem(trace)
    return trace


def kernels_of(kind: dict[str, Any]) -> tuple[str, str]:
    """The kernels that a kind is of, the older one first."""
    older, newer = kind.get("kernels", ("5.10", "6.1"))
    return older, newer


def plain(value: object) -> Any:
    """As JSON has it."""
    return json.loads(msgspec.json.encode(value))


def steps(make: Any, impl: str, trace: Trace, thp: str) -> list[Step]:
    return list(replay(make(impl, thp=thp, ram=RECORDED_RAM), trace))


def differing(make: Any, old: str, new: str, trace: Trace, thp: str) -> list[dict[str, list[Any]]]:
    """What differs after each op: field -> [old, new]."""
    pairs = zip(steps(make, old, trace, thp), steps(make, new, trace, thp), strict=True)
    return [{one.field: [plain(one.expected), plain(one.got)] for one in differences(a, b)} for a, b in pairs]
