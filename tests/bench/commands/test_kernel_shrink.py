"""`kernel conform --shrink`: where one model plays the kernel and another is held against it, what is left is minimal."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.commands import kernel_conform, kernel_shrink
from bench.kernels.batches import Lost
from bench.kernels.errors import EarlyEndError
from bench.kernels.host import Host
from bench.kernels.recording import Kernel
from bench.kernels.selection import Selected, Thp
from bench.traces.ops import op_name
from bench.traces.replay import RECORDED_RAM, differences, replay
from bench.traces.trace_format import Result, Trace, load_results, load_traces
from mmmodel import Mm
from support.progress_lines import said

PLAYED, HELD = "per-page", "page-walk"


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have a model answer for the kernel; return the names of traces that are to be lost."""
    lost: list[str] = []

    def modelled(_kernel: Kernel, traces: Sequence[Trace], _jobs: int, most_lost: int = 20) -> Iterator[Result | Lost]:
        for trace in traces:
            if trace.name in lost:
                yield Lost(trace.name, EarlyEndError("the guest ended"))
            else:
                yield Result(trace.name, "5.10.0", tuple(replay(Mm(PLAYED, ram=RECORDED_RAM), trace)))

    def selected(word: str, thp: Thp | None, kvm: bool) -> Selected:
        return Selected(word, "6.1.0", Host(), thp or "never", None)

    for module in (kernel_conform, kernel_shrink):
        monkeypatch.setattr(module, "results_of", modelled)
    monkeypatch.setattr(kernel_conform, "select", selected)
    return lost


def kind(trace: Trace) -> str | None:
    """Return after what call the two models differ first, and in what."""
    pairs = zip(*(replay(Mm(name, ram=RECORDED_RAM), trace) for name in (PLAYED, HELD)), strict=True)
    for op, (expected, got) in zip(trace.ops, pairs, strict=True):
        for difference in differences(expected, got):
            return f"{op_name(op)}-{difference.field}"
    return None


WORDS = ("kernel", "conform", "--on", "6.1", "--random", "40", "--seed", "3", "--ops", "basic", "--impl", HELD, "--shrink")


def test_what_is_written_is_minimal_and_replay_shows_it(
    play: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, str(tmp_path / "new" / "small")]) == 1
    lines = [line for line in said(capsys.readouterr().err) if "reduced to" in line]
    files = sorted((tmp_path / "new" / "small").glob("*.trace.jsonl"))
    assert len(files) == len(lines) >= 2
    for path in files:
        (trace,) = load_traces(path).by_name.values()
        name = path.name.removesuffix(".trace.jsonl")
        assert kind(trace) == name
        for at in range(len(trace.ops)):
            assert kind(Trace(trace.name, trace.window, trace.ops[:at] + trace.ops[at + 1 :])) != name
        results = path.with_name(f"{name}.linux.jsonl")
        assert [*load_results(results).by_name] == [trace.name]
        (line,) = (line for line in lines if str(path) in line)
        shown = line.partition("unlockall-bench replay ")[2].split()
        assert main(["replay", *shown]) == 1
        assert f'"step":{len(trace.ops) - 1},' in capsys.readouterr().out


def test_time_that_is_up_leaves_what_there_is(play: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, str(tmp_path), "--shrink-seconds", "0"]) == 1
    lines = [line for line in said(capsys.readouterr().err) if "reduced to" in line]
    assert lines
    assert all(", when time was up: " in line for line in lines)


def test_a_trace_that_was_lost_is_named(play: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play.append("s3-5")
    assert main([*WORDS, str(tmp_path)]) == 3
    told = said(capsys.readouterr().err)
    assert any("39 traces" in line for line in told)
    assert told[-1] == "unlockall-bench: trace s3-5 was not finished: the guest ended"


def test_a_crash_is_reduced_to_the_ops_that_it_takes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def crashing(_kernel: Kernel, traces: Sequence[Trace], _jobs: int, most_lost: int = 20) -> Iterator[Result | Lost]:
        """Do as the model, and crash at a munlock that comes after an mlock."""
        for trace in traces:
            steps = tuple(replay(Mm(HELD, ram=RECORDED_RAM), trace))
            names = [op_name(op) for op in trace.ops]
            after = names.index("mlock") if "mlock" in names else len(names)
            at = names.index("munlock", after) if "munlock" in names[after:] else None
            whole = Result(trace.name, "6.1.0", steps[:at])
            yield whole if at is None else Lost(trace.name, EarlyEndError("the guest ended"), whole)

    monkeypatch.setattr(kernel_conform, "select", lambda word, thp, kvm: Selected(word, "6.1.0", Host(), "never", None))
    for module in (kernel_conform, kernel_shrink):
        monkeypatch.setattr(module, "results_of", crashing)
    assert main([*WORDS, str(tmp_path)]) == 3
    (line,) = (line for line in said(capsys.readouterr().err) if "reduced to" in line)
    (path,) = tmp_path.iterdir()
    assert line.startswith("unlockall-bench: crash at munlock: ") and line.endswith(f" reduced to 2: {path}")
    (trace,) = load_traces(path).by_name.values()
    assert [op_name(op) for op in trace.ops] == ["mlock", "munlock"]


def test_a_directory_that_cannot_be_made(play: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main([*WORDS, str(tmp_path / "file")]) == 2
    assert "cannot write into" in capsys.readouterr().err
