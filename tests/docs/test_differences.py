"""Whatever two kernels are seen to answer differently is of a kind that docs/differences.md has. On the oracle alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from bench.traces.generate import random_traces
from bench.traces.generate_all import all_ops_traces
from bench.traces.ops import Op, RlimitMemlock, op_name
from bench.traces.replay import differences
from oracle import OracleMm
from support.differences_page import KINDS, differing, kernels_of, plain
from support.recordings import recorded

PRESENT = {"present-none", "behind-none", "mlockall-none", "readonly-onfault", "before-hole"}  # all look alike
LOCKED_IN_NEW = {("P", "PMU"), ("PT", "PMUT")}


def changed_pages(old: list[list[Any]], new: list[list[Any]]) -> set[tuple[str, str]]:
    """States of the pages that differ, as (old, new)."""
    states = [{first + i: letters for first, n, letters in runs for i in range(n)} for runs in (old, new)]
    pages = set(states[0]) | set(states[1])
    return {pair for page in pages if (pair := (states[0].get(page, ""), states[1].get(page, "")))[0] != pair[1]}


def only_smaps(old: list[list[Any]], new: list[list[Any]]) -> bool:
    """Whether the VMAs are the same, and the new kernel shows less of those that are PROT_NONE."""
    same = [row[:4] for row in old] == [row[:4] for row in new]
    less = [row for row, other in zip(old, new, strict=same) if row[4:] > other[4:]]
    return same and bool(less) and all(row[2].startswith("---") for row in less)


def kind_of_other_calls(name: str, fields: set[str], difference: Mapping[str, list[Any]]) -> str:
    """The kind where only processes, files, mremap() or advice can show it, "" for none of these."""
    error = difference.get("errno")
    if name == "madvise" and error == ["EINVAL", 0]:
        return "dontneed-locked"
    if name == "mremap":
        known = {("0", "EFAULT"): "mremap-nothing", ("EINVAL", "0"): "dontunmap-shared"}
        return known.get((str(error[0]), str(error[1])), "") if error else "dontunmap-part" if fields == {"vmas"} else ""
    if fields != {"vmstat"}:
        return ""
    old, new = difference["vmstat"]
    changed = {key.removeprefix("unevictable_pgs_") for key in old | new if old.get(key) != new.get(key)}
    if name == "mlock" and changed == {"culled", "rescued", "mlocked", "munlocked"}:
        return "mlock-copy"
    if name == "munlock" and changed == {"mlocked"}:
        return "munlock-shared"
    return "hole" if name == "punch_hole" and changed == {"cleared", "munlocked"} else ""


def kind_of(op: Op, difference: Mapping[str, list[Any]]) -> str:
    """The kind that a trace's first difference is of, by the op and what exactly differs."""
    name, fields = op_name(op), set(difference)
    if kind := kind_of_other_calls(name, fields, difference):
        return kind
    changed = changed_pages(*difference.get("pages", ([], [])))
    if "vmas" in fields and only_smaps(*difference["vmas"]):
        rest = {field: pair for field, pair in difference.items() if field != "vmas"}
        return kind_of(op, rest) if rest else "smaps-none"
    if name == "mlock2" and difference.get("errno") == ["ENOMEM", 0] and fields <= {"errno", "pages", "vmstat"}:
        return "onfault-none" if changed <= LOCKED_IN_NEW else "unknown"
    if fields <= {"pages", "vmstat"} and changed:
        if changed <= LOCKED_IN_NEW:
            return "shared-onfault" if name == "touch" else "present" if name.startswith("mlock") else "unknown"
        if changed <= {("P", "PT"), ("PMU", "PT")}:
            return "split-copy"
    if name == "mmap" and fields == {"vmas"}:
        return "merge-both" if len(difference["vmas"][0]) < len(difference["vmas"][1]) else "merge-next"
    if fields == {"vmstat"}:
        old, new = difference["vmstat"]
        if {key for key in old | new if old.get(key) != new.get(key)} == {
            "unevictable_pgs_cleared",
            "unevictable_pgs_munlocked",
        }:
            return "split"
    return f"unknown: {name} {difference}"


def only_flags(old: list[list[Any]], new: list[list[Any]]) -> bool:
    """Whether all that differs is what is shown of the pages of huge pages, after their heads."""
    before, after = ({first + i: letters for first, n, letters in runs for i in range(n)} for runs in (old, new))
    changed = [page for page in before.keys() | after.keys() if before.get(page) != after.get(page)]
    return changed_pages(old, new) == {("PT", "PMUT")} and all(before.get(page - page % 512) == "PMUT" for page in changed)


def kind_since_6_1(op: Op, difference: Mapping[str, list[Any]]) -> str:
    """The kind that the first difference of a trace between 6.1 and 6.12 is of."""
    name, fields = op_name(op), set(difference)
    if "vmas" in fields and only_smaps(*reversed(difference["vmas"])):
        rest = {field: pair for field, pair in difference.items() if field != "vmas"}
        return kind_since_6_1(op, rest) if rest else "smaps-none"
    if fields == {"pages"} and only_flags(*difference["pages"]):
        return "folio-flags"
    if fields == {"pages", "vmstat"} or (fields == {"pages"} and name == "mlockall"):
        return "entries-locked" if changed_pages(*difference["pages"]) <= {("PT", "PMUT")} else "unknown"
    if fields != {"vmas"}:
        return f"unknown: {name} {difference}"
    old, new = difference["vmas"]
    if name == "mmap":
        return "fixed-no-memory" if not old else "merge-both" if len(new) < len(old) else "merge-next"
    return {"mprotect": "uncharged", "mremap": "dontunmap-beside"}.get(name, f"unknown: {name} {difference}")


def kind_since_6_12(op: Op, difference: Mapping[str, list[Any]]) -> str:
    """The kind that the first difference of a trace between 6.12 and 7.3 is of."""
    name, fields = op_name(op), set(difference)
    if name == "mremap" and difference.get("errno") == ["EFAULT", "EINVAL"]:
        return "mremap-overlapping"
    if fields == {"vmas"} and name in ("munlock", "mremap"):
        old, new = difference["vmas"]
        return "munlock-merges" if name == "munlock" and len(new) < len(old) else "mremap-fails-late"
    return f"unknown: {name} {difference}"


TOLD_BY = {("5.10", "6.1"): kind_of, ("6.1", "6.12"): kind_since_6_1, ("6.12", "7.3"): kind_since_6_12}
NEWER = {name for name, kind in KINDS.items() if kernels_of(kind) == ("6.1", "6.12")}
KNOWN = {"present" if name in PRESENT else name for name, kind in KINDS.items() if kernels_of(kind) == ("5.10", "6.1")}
KNOWN_SINCE_6_1 = NEWER | {name for name, kind in KINDS.items() if kind.get("6.12") == "5.10"}


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"default-limit"}))
def test_the_kinds_are_told_apart(name: str) -> None:
    kind = KINDS[name]
    op = msgspec.convert(kind["ops"][-1], Op)
    assert TOLD_BY[kernels_of(kind)](op, kind["differs"]) == ("present" if name in PRESENT else name)


def test_recorded_differences_are_of_these_kinds() -> None:
    old, new = ({(t.name): (t, s) for t, s, _ in recorded(f"linux-{kernel}")} for kernel in ("5.10", "6.1"))
    found = set()
    for name, (trace, recorded_old) in old.items():
        for op, a, b in zip(trace.ops, recorded_old, new[name][1], strict=True):
            if difference := {one.field: [plain(one.expected), plain(one.got)] for one in differences(a, b)}:
                found.add(kind_of(op, difference))
                break
    assert found <= KNOWN
    assert {"onfault-none", "present"} <= found


@pytest.mark.parametrize("thp", ["never", "always"])
def test_random_differences_are_of_these_kinds(thp: str) -> None:
    """Traces begin with a limit, so that its default, the kind that looks like anything, stays out."""
    for trace in random_traces(3, 150).values():
        limited = msgspec.structs.replace(trace, ops=(RlimitMemlock(1 << 16), *trace.ops))
        for op, difference in zip(limited.ops, differing(OracleMm, "per-page", "page-walk", limited, thp), strict=True):
            if difference:
                assert kind_of(op, difference) in KNOWN, trace.name
                break


@pytest.mark.parametrize("thp", ["never", "always"])
def test_random_differences_from_6_1_to_6_12_are_of_these_kinds(thp: str) -> None:
    found = set()
    for trace in all_ops_traces(4, 150).values():
        for op, difference in zip(trace.ops, differing(OracleMm, "page-walk", "folio-walk", trace, thp), strict=True):
            if difference:
                found.add(kind_since_6_1(op, difference))
                break
    assert found <= KNOWN_SINCE_6_1
    assert ("dontunmap-beside" if thp == "never" else "folio-flags") in found
