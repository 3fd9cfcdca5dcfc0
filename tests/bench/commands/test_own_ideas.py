"""Ideas of one's own on the command line: what is told, what is kept, and the exit codes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.__main__ import main
from bench.measuring import ideas
from bench.measuring.idea_checks import Task, Wrong
from bench.traces.trace_format import load_traces
from mmmodel import kernels
from support.own import EXAMPLES, idea_file


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the ideas of a test."""
    monkeypatch.setattr(kernels, "_implementations", dict(kernels._implementations))


@pytest.mark.parametrize("command", [["report"], ["run"], ["sweep"], ["replay", "--random", "2"]])
def test_a_file_that_is_no_idea_is_one_line_and_exit_code_2(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = idea_file(tmp_path, "mine", "retrun 1")
    assert main([*command, "--impl", path]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err == f"unlockall-bench: {path}: line 6: invalid syntax\n"
    assert list(tmp_path.iterdir()) == [Path(path)]


def wrong(names: list[str], progress: object, asked: Task) -> None:
    """Find something wrong, as the checks do."""
    trace = next(iter(load_traces(Path(__file__).parents[2] / "data" / "traces" / "traces.jsonl").by_name.values()))
    trace = msgspec.structs.replace(trace, ops=trace.ops[:2])
    raise ideas.WrongIdeaError(
        {"name": "mine", "path": "mine.py"}, "theirs", Wrong("vmstat after call 2", "1", "2" * 90, trace)
    )


def test_a_wrong_idea_is_told_as_a_trace_that_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ideas, "check", wrong)
    kept = tmp_path / "kept.jsonl"
    path = str(EXAMPLES / "hole_skip.py")
    assert (
        main(["run", "dense", "--size", "1MiB", "--impl", path, "--counterexample", str(kept), "-o", str(tmp_path / "x")]) == 3
    )
    out, err = capsys.readouterr()
    assert err.endswith("mine.py does not do what theirs does: vmstat after call 2; nothing was measured\n")
    lines = out.splitlines()
    assert lines[0] == "mine is not theirs: vmstat after call 2" and max(map(len, lines)) <= 80
    assert [line for line in lines if line.startswith("  2  ")] and lines[-1] == f"kept: {kept}"
    assert [len(trace.ops) for trace in load_traces(kept).by_name.values()] == [2]
    assert [one.name for one in tmp_path.iterdir()] == ["kept.jsonl"]


def test_workers_time_an_idea(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ideas, "check", lambda *_: None)  # by tests of its own
    output = tmp_path / "times.json"
    words = ["run", "dense", "--size", "1MiB", "--op", "munlock", "--on", str(EXAMPLES / "hole_skip.py")]
    assert main([*words, "-p1", "-n1", "-w0", "-l1", "-q", "-o", str(output)]) == 0
    assert b"munlock/dense/1MiB/hole_skip" in output.read_bytes()
    monkeypatch.setattr(kernels, "_implementations", {n: o for n, o in kernels._implementations.items() if not o.idea})
    assert main(["table", str(output)]) == 0
    assert "what a missing table would map" in kernels.implementation("hole_skip").summary
