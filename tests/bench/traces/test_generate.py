"""What is generated: within the format, on both sides of success, and shrunk to what matters. On the oracle alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any, get_args

from hypothesis import find, given, settings

from bench.traces.generate import WINDOW, random_traces
from bench.traces.generate_all import all_ops_traces
from bench.traces.ops import Advice, Exit, Fork, Madvise, Mmap, Mremap, Msync
from bench.traces.replay import RECORDED_RAM, differences, replay
from bench.traces.trace_format import Step, Trace, encode_lines, op_name, trace_problem
from oracle import OracleMm
from support.setting import examples
from support.strategies import traces

SETTINGS, fixed = examples(100, 100, "RANDOM_TRACES")


def steps_of(mm: Any, trace: Trace) -> Iterator[Step]:
    """The steps of a trace on a machine with the calls of the model."""
    return replay(mm, trace)


@fixed()
@SETTINGS
@given(traces())
def test_what_is_generated_would_be_accepted(trace: Trace) -> None:
    assert not trace_problem(trace)


def test_both_success_and_failure_are_reached() -> None:
    """On the oracle: every op that can fail does, in every way that a trace can make it, and also succeeds."""
    reached: set[tuple[str, str]] = set()
    for trace in random_traces(0, 200).values():
        steps = steps_of(OracleMm("page-walk", ram=RECORDED_RAM), trace)
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


def ops_used(traces: Iterable[Trace]) -> list[set[str]]:
    """The ops of each trace after those that every trace may begin with."""
    return [{op_name(op) for op in trace.ops} - {"mmap", "touch", "rlimit_memlock", "drop_cap_ipc_lock"} for trace in traces]


def test_a_swarm_uses_few_ops_in_each_trace_and_all_in_all() -> None:
    everything = set.union(*ops_used(random_traces(0, 100).values()))
    used = ops_used(random_traces(0, 100, swarm=True).values())
    assert set.union(*used) == everything
    assert len(set(map(frozenset, used))) > 50
    for op in everything:  # a coin each: absent in about half of the traces
        absent = sum(op not in one for one in used)
        assert absent >= 25, op


def test_a_swarm_is_another_one_than_the_ordinary_traces_which_stay() -> None:
    """A seed's ordinary traces are those that it gave before there were swarms: the digest of the first was taken then."""
    assert not random_traces(0, 20).keys() & random_traces(0, 20, swarm=True).keys()
    assert random_traces(0, 20, swarm=True) == dict(list(random_traces(0, 30, swarm=True).items())[:20])
    for trace in random_traces(-3, 50, swarm=True).values():
        assert not trace_problem(trace)
    assert hashlib.sha256(encode_lines([*random_traces(0, 200).values()])).hexdigest()[:16] == "f143b73368188cf9"


def test_traces_of_all_ops_would_be_accepted_and_reach_success_and_failure() -> None:
    """On the oracle, of both kernels; where an op could not fail it does not."""
    reached: dict[str, set[str]] = {}
    for trace in all_ops_traces(0, 200).values():
        assert not trace_problem(trace)
        mm: Any = OracleMm("page-walk", thp="always", ram=RECORDED_RAM)
        for op, step in zip(trace.ops, steps_of(mm, trace), strict=True):
            name = f"madvise {op.advice}" if isinstance(op, Madvise) else op_name(op)
            reached.setdefault(name, set()).add(str(step.errno))
    expected = {
        "mremap": "0 EFAULT EINVAL ENOMEM",
        "fork": "0",
        "exit": "0",
        "file": "0",
        "ftruncate": "0",
        "punch_hole": "0",
        "msync": "0 EBUSY EINVAL ENOMEM",
        "touch": "0 EFAULT",
        **{f"madvise {word}": "0" for word in get_args(Advice)},
        "madvise dontneed": "0 EINVAL ENOMEM",
        "madvise free": "0 EINVAL ENOMEM",
        "madvise remove": "0 EINVAL EACCES ENOMEM",
        "madvise wipeonfork": "0 EINVAL ENOMEM",
    }
    missing = {(op, outcome) for op, words in expected.items() for outcome in words.split() if outcome not in reached[op]}
    assert not missing


def test_traces_of_all_ops_use_processes_files_and_flags_in_all_ways() -> None:
    made = [op for trace in all_ops_traces(-1, 300).values() for op in trace.ops]
    assert {op.proc for op in made} >= {0, 1, 2, 3}
    assert {op.flags for op in made if isinstance(op, Mremap)} == {0, 1, 2, 3, 5, 7}
    assert {op.flags for op in made if isinstance(op, Msync)} == {1, 2, 4, 1 | 4, 2 | 4, 8}
    maps = [op for op in made if isinstance(op, Mmap) and op.file is not None]
    assert {("shared" in op.flags, "locked" in op.flags, "populate" in op.flags) for op in maps} >= {
        (shared, *more) for shared in (True, False) for more in ((False, False), (True, False), (False, True))
    }
    assert {op.file for op in maps} == {0, 1}
    assert len({op.offset for op in maps}) == 4
    assert any(op.proc for op in made if isinstance(op, Fork))  # a child that forks
    assert any(not op.proc for op in made if isinstance(op, Exit))  # the first that ends before others


def test_no_huge_page_comes_about_where_madv_free_would_split_it() -> None:
    for trace in all_ops_traces(1, 150).values():
        if any(isinstance(op, Madvise) and op.advice == "free" for op in trace.ops):
            mm: Any = OracleMm("per-page", thp="always", ram=RECORDED_RAM)
            for step in steps_of(mm, trace):
                seen = [step.pages or [], *(one.pages or [] for one in (step.others or {}).values())]
                assert not any("T" in state for pages in seen for _, _, state in pages)


class Forgetful(OracleMm):
    """A broken kernel: where anything is locked munlock() answers, and does nothing."""

    def munlock(self, addr: int, length: int) -> None:
        if not any(vma.locked for vma in self.smaps() if vma.start >= int(WINDOW[0], 16)):
            super().munlock(addr, length)


def test_a_failing_trace_shrinks_to_a_minimal_one() -> None:
    def fails(trace: Trace) -> bool:
        pairs = zip(steps_of(OracleMm("page-walk"), trace), steps_of(Forgetful("page-walk"), trace), strict=True)
        return any(differences(expected, got) for expected, got in pairs)

    smallest = find(traces(), fails, settings=settings(SETTINGS, max_examples=500), random=Random(0))
    names = [op_name(op) for op in smallest.ops]
    assert len(names) <= 3, smallest  # mapped, locked (perhaps in one), unlocked; how depends on hypothesis and Python
    assert "mmap" in names, smallest
    assert names[-1] == "munlock", smallest
