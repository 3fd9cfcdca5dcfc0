"""The replay command: the recorded traces without a difference, each kind of difference found, bad input in one line."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import main
from bench.commands import replay
from bench.traces import ops, trace_format
from bench.traces import replay as replay_steps
from bench.traces.checks import PROGRAM_BYTES
from mmmodel.kernels import IMPLEMENTATIONS, kernel_of
from support.recordings import KERNELS

DATA = Path(__file__).resolve().parents[2] / "data" / "traces"
KERNEL = {name: f"linux-{kernel_of(name).name}" for name in IMPLEMENTATIONS}
SETS = [("", "never"), ("thp-", "always")]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["replay", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(("prefix", "thp"), SETS)
@pytest.mark.parametrize("impl", KERNEL)
def test_the_model_does_what_the_kernel_did(impl: str, prefix: str, thp: str, capsys: pytest.CaptureFixture[str]) -> None:
    against = DATA / f"{prefix}{KERNEL[impl]}.jsonl"
    code, out, err = run(capsys, DATA / f"{prefix}traces.jsonl", "--impl", impl, "--thp", thp, "--against", against)
    assert (out, code) == ("", 0)
    traces = 10 if prefix else 40
    assert err == f"{traces} traces, {244 if prefix else 770} steps, 0 differences\n"


@pytest.mark.parametrize(("prefix", "thp"), SETS)
@pytest.mark.parametrize("impl", KERNELS.values())
def test_what_is_printed_is_the_recorded_file(impl: str, prefix: str, thp: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, DATA / f"{prefix}traces.jsonl", "--impl", impl, "--thp", thp)
    assert code == 0
    recorded = (DATA / f"{prefix}{KERNEL[impl]}.jsonl").read_text(encoding="utf-8").splitlines()
    expected = [{**json.loads(line), "kernel": f"model {impl}"} for line in recorded]
    assert [json.loads(line) for line in out.splitlines()] == expected


DIGEST = "d1af19e1d4a51b4d19f2e18206b7674ce7bdbec36bb8530d7d37ec351960d16b"
"""Of twenty traces of seed 5, on every machine and with every Python."""

DIGEST_ALL = "1434e929f4b7dfbf7cb216cde92102ffbc84325f3ee2b4a11769986682528e90"
"""Of twenty of all ops."""

PLANTED: list[tuple[str, Any]] = [
    ("errno", "EBUSY"),
    ("locked_vm_kb", -1),
    ("vmas", [["0x1000000000", "0x1000030000", "rw-p", True, 0, 0]]),
    ("pages", [[0, 1, "P"]]),
    ("vmstat", {"nr_mlock": 1}),
]
VMA_FIELDS = ["0x1", "0x2", "---s", True, 4, 8]


def planted(tmp_path: Path, step: int, field: str, value: object) -> tuple[Path, Path]:
    """Two recorded traces and their results, with one field of one step of the first changed."""
    traces, results = tmp_path / "traces.jsonl", tmp_path / "planted.jsonl"
    traces.write_text("".join((DATA / "traces.jsonl").read_text(encoding="utf-8").splitlines(True)[:2]), encoding="utf-8")
    lines = (DATA / "linux-6.1.jsonl").read_text(encoding="utf-8").splitlines()
    first = json.loads(lines[0])
    assert first["steps"][step][field] != value
    first["steps"][step][field] = value
    results.write_text("\n".join([json.dumps(first), lines[1]]), encoding="utf-8")
    return traces, results


@pytest.mark.parametrize(("field", "value"), PLANTED)
def test_a_planted_difference_is_found(field: str, value: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traces, results = planted(tmp_path, 4, field, value)
    code, out, err = run(capsys, traces, "--impl", "page-walk", "--against", results)
    assert code == 1
    (line,) = map(json.loads, out.splitlines())
    assert list(line) == ["trace", "step", "op", "field", "expected", "got"]
    assert (line["trace"], line["step"], line["field"], line["expected"]) == ("r1", 4, field, value)
    assert line["op"]["op"] == "madvise_dontneed"
    assert line["got"] != value
    assert err.endswith(" 1 differences\n")


@pytest.mark.parametrize("column", range(6))
def test_every_column_of_a_vma_is_compared(column: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row: list[object] = ["0x1000000000", "0x1000030000", "rw-p", False, 0, 0]
    row[column] = VMA_FIELDS[column]
    traces, results = planted(tmp_path, 0, "vmas", [row])
    assert run(capsys, traces, "--impl", "page-walk", "--against", results)[0] == 1


@pytest.mark.parametrize("field", trace_format.FIELDS)
def test_only_null_is_not_compared(field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traces, results = planted(tmp_path, 4, field, None)
    assert run(capsys, traces, "--impl", "page-walk", "--against", results)[0] == 0


def test_the_other_kernel_differs(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, DATA / "traces.jsonl", "--impl", "page-walk", "--against", DATA / "linux-5.10.jsonl")
    assert code == 1
    found = [json.loads(line) for line in out.splitlines()]
    assert {line["field"] for line in found} == {"errno", "pages", "vmstat"}
    assert [line["expected"] for line in found if line["field"] == "errno"] == ["ENOMEM"] * 8


def test_random_traces_are_the_same_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "random.jsonl"
    code, out, err = run(capsys, "--random", 20, "--seed", 5, "--out", path)
    assert code == 0
    assert err.endswith(" 0 differences\n")
    assert len(trace_format.load_traces(path).by_name) == 20
    assert hashlib.sha256(path.read_bytes()).hexdigest() == DIGEST
    more = tmp_path / "more.jsonl"
    assert run(capsys, "--random", 30, "--seed", 5, "--out", more, "--impl", "page-walk")[0] == 0
    assert more.read_bytes().startswith(path.read_bytes())
    assert "mlock2" in out
    assert "ENOMEM" in out
    assert run(capsys, path, "--impl", "hole-skip")[1].count("\n") == 20


def test_random_traces_of_all_ops_are_the_same_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "random.jsonl"
    code, out, err = run(capsys, "--random", 20, "--seed", 5, "--ops", "all", "--out", path, "--thp", "always")
    assert code == 0
    assert err.endswith(" 0 differences\n")
    assert [*trace_format.load_traces(path).by_name] == [f"a5-{number}" for number in range(20)]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == DIGEST_ALL
    assert {"mremap", "fork", "exit", "file", "ftruncate", "punch_hole", "msync", "madvise"} <= {*out.split()}


def test_memory_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ops = [
        {"op": "mmap", "addr": "0x1000000000", "len": "0x400000000000", "prot": "rw", "flags": ["noreserve"]},
        {"op": "mlock", "addr": "0x1000000000", "len": "0x400000000000"},
    ]
    path = tmp_path / "big.jsonl"
    line = {"name": "big", "window": ["0x1000000000", "0x7f0000000000"], "ops": ops}
    path.write_text("\n" + json.dumps(line), encoding="utf-8")
    code, _, err = run(capsys, path, "--impl", "page-walk")
    assert code == 2
    assert f"trace file {path}, line 2: ops[1].len: needs more memory than there is: " in err
    assert err.count("\n") == 1


def test_what_the_model_does_not_have_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    span = {"addr": "0x1000000000", "len": "0x1000"}
    ops = [
        {"op": "file", "file": 0, "len": "0x1000"},
        {"op": "mmap", **span, "prot": "rw", "flags": ["shared"], "file": 0},
        {"op": "madvise", **span, "advice": "willneed"},
    ]
    path = tmp_path / "ahead.jsonl"
    path.write_text(json.dumps({"name": "a", "window": ["0x1000000000", "0x2000000000"], "ops": ops}), encoding="utf-8")
    code, out, err = run(capsys, path, "--impl", "page-walk")
    assert (code, out) == (2, "")
    reason = "the model does not have madvise: MADV_WILLNEED (3) of a regular file"
    assert err == f"unlockall-bench: trace file {path}, line 1: ops[2]: {reason}\n"


def test_the_output_has_an_end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(replay, "MAX_LINE_BYTES", 5_000)
    code, out, err = run(capsys, DATA / "traces.jsonl", "--impl", "page-walk")
    assert code == 2
    assert all(json.loads(line) for line in out.splitlines())  # no half of one
    assert re.search(r"line \d+: ops\[\d+\]: the results up to here are longer than", err)
    monkeypatch.undo()
    monkeypatch.setattr(replay, "MAX_OUTPUT_BYTES", 10_000)
    code, out, err = run(capsys, DATA / "traces.jsonl", "--impl", "page-walk")
    assert code == 2
    assert len(out) <= 10_000
    assert "the output is larger than" in err


def test_an_output_that_cannot_be_written_is_told() -> None:
    command = [sys.executable, "-m", "bench", "replay", str(DATA / "thp-traces.jsonl"), "--impl", "page-walk"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "unlockall-bench: cannot write standard output: No space left on device\n")


GOOD = str(DATA / "traces.jsonl")
WRONG = [
    ([], "give a file of traces, or --random N"),
    ([GOOD], "--impl is needed"),
    ([GOOD, "--random", "3"], "give a file of traces, or --random N"),
    ([GOOD, "--impl", "fast"], "unknown implementation 'fast'; known are per-page, hole-skip, page-walk"),
    ([GOOD, "--impl", "per-page", "--thp", "maybe"], "argument --thp: invalid choice"),
    ([GOOD, "--impl", "per-page", "--ram", "lots"], "size 'lots' is no number"),
    ([GOOD, "--impl", "per-page", "--out", "x"], "--out is for --random"),
    ([GOOD, "--impl", "per-page", "--ops", "all"], "--ops is for --random"),
    (["/nosuch", "--impl", "per-page"], "cannot read trace file /nosuch: No such file"),
    ([GOOD, "--impl", "per-page", "--against", "/nosuch"], "cannot read results file /nosuch: No such file"),
    ([GOOD, "--impl", "per-page", "--against", GOOD], "line 1: Object missing required field `kernel`"),
    ([GOOD, "--impl", "per-page", "--against", str(DATA / "thp-linux-5.10.jsonl")], "has no trace r1"),
    ([GOOD, "--impl", "page-walk", "--mthp", "48KiB"], "--mthp 48KiB: sizes of large folios are 16KiB, 32KiB, "),
    (
        [GOOD, "--impl", "page-walk", "--mthp", "64KiB"],
        "line 1: mthp: page-walk is of Linux 6.1, which has no large folios of 64KiB",
    ),
    (["--random", "2", "--impl", "per-page", "--mthp", "64KiB"], "mthp: per-page is of Linux 5.10, which has no large folios"),
    (["--random", "0"], "--random 0: 1 to"),
    (["--random", "x"], "argument --random: invalid int"),
    (["--random", "2", "--against", GOOD], "--against needs a file of traces"),
    (["--random", "2", "--out", "/nosuch/x"], "cannot write /nosuch/x"),
    (["--random", "2", "--out", "/dev/null"], "cannot write /dev/null: it is not a regular file"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_bad_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_results_of_another_trace_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (DATA / "linux-6.1.jsonl").read_text(encoding="utf-8").splitlines()
    first = json.loads(lines[0])
    first["steps"].pop()
    path = tmp_path / "short.jsonl"
    path.write_text("\n".join([json.dumps(first), *lines[1:]]), encoding="utf-8")
    code, _, err = run(capsys, GOOD, "--impl", "page-walk", "--against", path)
    assert code == 2
    assert "line 1: steps: 8 of them for a trace of 9 ops" in err


def test_locked_vm_leaves_out_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    """mlockall() locks the program's own memory too, which no step shows."""
    from mmmodel import Mm

    one = trace_format.Trace("t", ("0x1000000000", "0x6000000000"), (ops.Mlockall(3), ops.Munlockall()))
    mm = Mm("page-walk")
    seen = []
    for step in replay_steps.replay(mm, one):
        seen.append((step.locked_vm_kb, mm.locked_vm))
    assert seen == [(0, PROGRAM_BYTES // 4096), (0, 0)]


def test_ctrl_c_is_heard_during_one_long_call() -> None:
    """As a call of the model: no Python runs in its thread until it is over."""
    program = (
        "import hashlib, os, signal, threading\n"
        "from bench.progress import interruptible\n"
        "threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "with interruptible(0.2):\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (130, "unlockall-bench: interrupted\n")
