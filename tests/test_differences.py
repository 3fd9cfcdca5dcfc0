"""docs/differences.md: every trace on that page gives the two answers that it states, in the model and in the oracle."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from oracle import OracleMm
from trace_format import KERNELS, recorded

from bench.generate import random_traces
from bench.steps import RECORDED_RAM, differences, replay
from bench.trace import Op, Step, Trace, op_name, trace_problem
from mmmodel import Mm

PAGE = Path(__file__).parents[1] / "docs" / "differences.md"
KINDS: dict[str, dict[str, Any]] = {
    kind["name"]: kind
    for kind in map(json.loads, re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
}


def trace_of(kind: dict[str, Any]) -> Trace:
    trace = msgspec.convert(kind, Trace)
    assert not trace_problem(trace)
    return trace


def plain(value: object) -> Any:
    """As JSON has it."""
    return json.loads(msgspec.json.encode(value))


def steps(make: Any, impl: str, trace: Trace, thp: str) -> list[Step]:
    return list(replay(make(impl, thp=thp, ram=RECORDED_RAM), trace))


def differing(make: Any, old: str, new: str, trace: Trace, thp: str) -> list[dict[str, list[Any]]]:
    """What differs after each op: field -> [old, new]."""
    pairs = zip(steps(make, old, trace, thp), steps(make, new, trace, thp), strict=True)
    return [{one.field: [plain(one.expected), plain(one.got)] for one in differences(a, b)} for a, b in pairs]


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


def kind_of(ops: tuple[Op, ...], difference: dict[str, list[Any]]) -> str:
    """The kind that the first difference of a trace is of, by its last op and what differs."""
    op, fields = op_name(ops[-1]), set(difference)
    names = {op_name(one) for one in ops}
    if "drop_cap_ipc_lock" in names and "rlimit_memlock" not in names and fields & {"errno", "locked_vm_kb", "vmas"}:
        return "default-limit"
    if (
        op == "mlock2"
        and fields & {"errno", "pages"}
        and fields <= {"errno", "pages", "vmstat"}
        and difference.get("errno", ["ENOMEM", 0]) == ["ENOMEM", 0]
    ):
        return "onfault-none" if "errno" in fields else "present"
    if op in ("mlock", "mlockall") and fields in ({"pages"}, {"pages", "vmstat"}):
        return "present"
    if op == "touch" and fields <= {"pages", "vmstat"}:
        return "shared-onfault"
    if op == "mmap" and fields == {"vmas"}:
        return "merge-both"
    if fields == {"vmstat"} and set(difference["vmstat"][0]) ^ set(difference["vmstat"][1]) == {
        "unevictable_pgs_cleared",
        "unevictable_pgs_munlocked",
    }:
        return "split"
    return f"unknown: {op} {difference}"


KNOWN = {"present" if name in ("present-none", "behind-none", "before-hole") else name for name in KINDS}


def test_recorded_differences_are_of_these_kinds() -> None:
    old, new = ({(t.name): (t, s) for t, s, _ in recorded(kernel)} for kernel in KERNELS)
    found = set()
    for name, (trace, recorded_old) in old.items():
        for i, (a, b) in enumerate(zip(recorded_old, new[name][1], strict=True)):
            if difference := {one.field: [plain(one.expected), plain(one.got)] for one in differences(a, b)}:
                found.add(kind_of(trace.ops[: i + 1], difference))
                break
    assert found <= KNOWN
    assert {"onfault-none", "present"} <= found


@pytest.mark.parametrize("thp", ["never", "always"])
def test_random_differences_are_of_these_kinds(thp: str) -> None:
    for trace in random_traces(3, 150).values():
        for i, difference in enumerate(differing(OracleMm, "per-page", "page-walk", trace, thp)):
            if difference:
                assert kind_of(trace.ops[: i + 1], difference) in KNOWN, trace.name
                break
