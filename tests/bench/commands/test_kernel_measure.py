"""`kernel measure` on kernels that are played: medians of rounds, what is written, and what is refused."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.kernels.protocol import Answer, Program
from bench.traces.checks import trace_problem
from bench.traces.cost_format import load_costs
from bench.traces.generate_costs import cost_traces, designed_traces, exit_traces
from bench.traces.ops import Exit, Fork, Mlock2, Mmap, Munlock, Munlockall, Munmap, Trace
from bench.traces.trace_format import encode_lines
from support import real
from support.fake_kernels import image

SPAN = ("0x1000000000", "0x10000")
OPS = (Mmap(*SPAN, "rw", ("noreserve",)), Mlock2(*SPAN, 1), Munlock(*SPAN), Munmap(*SPAN))
TRACES = [Trace(name, ("0x1000000000", "0x1000100000"), OPS) for name in ("first", "second")]


def answering(cycles: Callable[[int, int], int], failed: int = -1, error: int = 0) -> Callable[[Program], list[Answer]]:
    """Return a guest: order `n` of the program that it carries out as number `p` costs `cycles(p, n)`; one order may fail."""
    programs = -1  # the first lets the guest settle

    def answer(program: Program) -> list[Answer]:
        nonlocal programs
        programs += 1
        found = range(len(program.orders))
        return [Answer(-error if order == failed else 0, cycles(programs, order), None, {}) for order in found]

    return answer


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Give a command that measures two traces on an image that passes for a kernel."""
    (tmp_path / "traces.jsonl").write_bytes(encode_lines(TRACES))
    kernel = str(image(tmp_path / "kernel"))
    return ["kernel", "measure", str(tmp_path / "traces.jsonl"), "--on", kernel, "--out", str(tmp_path / "costs.jsonl")]


def test_the_median_of_the_rounds_is_kept_of_each_call(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Programs after the one that settles: 1 is the first trace once more, which is not kept; 2, 4, 6 the first, 3, 5, 7 the
    # second in three rounds. Round 1 is slow, round 2 as it should be, round 3 fast.
    rounds = {1: 1, 2: 500, 3: 600, 4: 50, 5: 60, 6: 5, 7: 6}
    real.answering(monkeypatch, answering(lambda program, order: 1_000 * order + rounds.get(program, 0)))
    assert main(words) == 0
    first, second = load_costs(tmp_path / "costs.jsonl")
    assert [first.trace, second.trace] == TRACES
    assert first.instructions == {"linux-6.1": (50, 1_050, 2_050, 3_050)}
    assert second.instructions == {"linux-6.1": (60, 1_060, 2_060, 3_060)}


def test_of_two_rounds_the_lower_is_kept(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real.answering(monkeypatch, answering(lambda program, order: 100 + program))
    assert main([*words, "--rounds", "2"]) == 0
    assert [one.instructions["linux-6.1"][2] for one in load_costs(tmp_path / "costs.jsonl")] == [102, 103]


@pytest.mark.parametrize(("order", "status"), [(1, 0), (2, 3)])
def test_mlock_of_memory_without_access_may_fail_and_no_other_call(
    order: int,
    status: int,
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real.answering(monkeypatch, answering(lambda program, order: 7, failed=order, error=errno.ENOMEM))
    assert main(words) == status
    assert (tmp_path / "costs.jsonl").exists() == (status == 0)
    assert ("trace first: munlock() failed with ENOMEM" in capsys.readouterr().err) == (status != 0)


def test_random_traces_of_several_seeds_are_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real.answering(monkeypatch, answering(lambda program, order: 7))
    out = tmp_path / "costs.jsonl"
    asked = ["--random", "2", "--seed", "5", "--random", "1", "--seed", "3", "--rounds", "1", "--designed", "--exits", "2"]
    assert main(["kernel", "measure", "--on", str(image(tmp_path / "kernel")), "--out", str(out), *asked]) == 0
    made = [*cost_traces(5, 2), *cost_traces(3, 1), *exit_traces(2), *designed_traces()]
    found = load_costs(out)
    assert [one.trace for one in found] == made
    for one in found:  # of a trace that ends with its process the end alone is kept
        ends = isinstance(one.ops[-1], Exit)
        assert one.instructions == {"linux-6.1": (*[None if ends else 7] * (len(one.ops) - 1), 7)}


def test_a_process_that_ends_is_the_first_of_two_and_some_are_locked_until_then() -> None:
    traces = list(exit_traces(16))
    assert traces == list(exit_traces(16)) and not any(trace_problem(one) for one in traces)
    assert all(isinstance(one.ops[0], Fork) and isinstance(one.ops[-1], Exit) for one in traces)
    locked = [not any(isinstance(op, Munlock | Munlockall) for op in one.ops) for one in traces]
    assert 8 <= sum(locked) < 16


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "give a file of traces, or some of"),
        (["traces.jsonl", "--designed"], "give a file of traces, or some of"),
        (["traces.jsonl", "--exits", "1"], "give a file of traces, or some of"),
        (["--exits", "0"], "--exits 0: 1 to 1,000 traces"),
        (["--exits", "1", "--seed", "2"], "0 times --random, 1 times --seed"),
        (["--random", "0"], "--random 0: 1 to 1,000 traces"),
        (["--random", "2", "--random", "2"], "2 times --random, 1 times --seed: one seed each"),
        (["--random", "2", "--seed", "1", "--random", "2", "--seed", "1"], "all different"),
        (["--designed", "--rounds", "0"], "--rounds 0: 1 to 99"),
    ],
)
def test_bad_usage_is_one_line_and_starts_nothing(
    asked: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = real.answering(monkeypatch, answering(lambda program, order: 7))
    kernel = str(image(tmp_path / "kernel"))
    assert main(["kernel", "measure", "--on", kernel, "--out", str(tmp_path / "out.jsonl"), *asked]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and said in told[0]
    assert not started and not (tmp_path / "out.jsonl").exists()


def test_two_kernels_of_a_series_are_refused(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--on", str(image(tmp_path / "other", "6.1.9-fake"))]) == 2
    assert "two kernels of 6.1 are asked for" in capsys.readouterr().err
