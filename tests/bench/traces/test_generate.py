"""What is generated: within the format, on both sides of success, and shrunk to what matters. On the oracle alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

from hypothesis import find, given, settings

from bench.traces.generate import WINDOW, random_traces
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
