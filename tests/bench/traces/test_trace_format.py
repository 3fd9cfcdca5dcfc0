"""Trace files: what is right is read and written unchanged; what is wrong is one line with file, line and field."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.traces import trace_format as tr
from support.recordings import FILES

DATA = Path(__file__).resolve().parents[2] / "data" / "traces"
MLOCK = {"op": "mlock", "addr": "0x1000000000", "len": "0x1000"}
TOUCH = {"op": "touch", "addr": "0x1000000000", "len": "0x1000", "access": "read"}
MMAP = {"op": "mmap", "addr": "0x1000000000", "len": "0x1000", "prot": "rw", "flags": []}


def a_trace(*ops: object, **fields: object) -> dict[str, Any]:
    return {"name": "r1", "window": ["0x1000000000", "0x6000000000"], "ops": list(ops), **fields}


def load(tmp_path: Path, *lines: object) -> tr.Loaded[tr.Trace]:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    return tr.load_traces(path)


@pytest.mark.parametrize("name", ["traces", "thp-traces", "edges-traces", "edges-thp-traces"])
def test_recorded_traces_are_written_as_they_were(name: str) -> None:
    loaded = tr.load_traces(DATA / f"{name}.jsonl")
    lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in tr.encode_lines(list(loaded.by_name.values())).splitlines()] == list(
        map(json.loads, lines)
    )


@pytest.mark.parametrize("name", [f"{prefix}linux-{kernel}" for prefix, _ in FILES for kernel in ("5.10", "6.1")])
def test_recorded_results_are_written_as_they_were(name: str) -> None:
    loaded = tr.load_results(DATA / f"{name}.jsonl")
    lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in tr.encode_lines(list(loaded.by_name.values())).splitlines()] == list(
        map(json.loads, lines)
    )


def test_every_op_is_understood(tmp_path: Path) -> None:
    ops = [
        MMAP,
        TOUCH,
        {**TOUCH, "stride": 8192},
        MLOCK,
        {**MLOCK, "op": "munlock"},
        {**MLOCK, "op": "munmap"},
        {**MLOCK, "op": "madvise_dontneed"},
        {**MLOCK, "op": "mlock2", "flags": 1},
        {**MLOCK, "op": "mprotect", "prot": "none"},
        {"op": "mlockall", "flags": 3},
        {"op": "munlockall"},
        {"op": "rlimit_memlock", "bytes": 0},
        {"op": "drop_cap_ipc_lock"},
    ]
    trace = load(tmp_path, a_trace(*ops)).by_name["r1"]
    assert {tr.op_name(op) for op in trace.ops} == set(tr.OP_NAMES)
    assert json.loads(tr.encode_lines([trace])) == a_trace(*ops)


@pytest.mark.parametrize(
    ("addr", "nbytes"),
    [
        ("0xffffffffffffffff", "0x1"),
        ("0x800000001000", "0x1000"),
        ("0x1000000000", "0x800000000000"),
        ("0x1000000000", "0xffffffffffffffff"),
        ("0x1000", "0xfffffffffffff000"),
        ("0xfffffffffffff000", "0x0"),
    ],
)
def test_any_words_are_a_range(tmp_path: Path, addr: str, nbytes: str) -> None:
    trace = a_trace({**MLOCK, "addr": addr, "len": nbytes}, {**TOUCH, "addr": addr})
    assert json.loads(tr.encode_lines(list(load(tmp_path, trace).by_name.values()))) == trace


WRONG = [
    (b"{", "line 1: Input data was truncated"),
    (b"[]", "line 1: Expected `object`"),
    (b"\xff\xfe", "line 1: JSON is malformed"),
    (b"[" * 100_000, "line 1:"),
    (b'{"a":' * 100_000, "line 1:"),
    ({"name": "r1"}, "line 1: Object missing required field `window`"),
    (a_trace(name=""), "line 1: name: "),
    (a_trace(name="../etc"), "line 1: name: "),
    (a_trace(name="\x1b[2J"), "line 1: name: "),
    (a_trace(window=["0x1000"]), "line 1: window: "),
    (a_trace(window=[1, 2]), "line 1: window[0]: "),
    (a_trace(window=["0x1", "0x6000000000"]), "line 1: window: not page-aligned"),
    (a_trace(window=["0x6000000000", "0x1000000000"]), "line 1: window: its end is not after its start"),
    (a_trace(window=["0x1000", "0x1000"]), "line 1: window: its end is not after its start"),
    (a_trace(window=["0x1000000000", "0x1000000000000"]), "line 1: window: ends beyond the address space"),
    (a_trace(window=["0x0", "0x6000000000"]), "line 1: window: overlaps the program's own memory, 0x400000 to 0x500000"),
    (a_trace(MLOCK, {"op": "exec", "argv": ["sh"]}), "line 1: ops[1].op: Invalid value 'exec'; known are mmap, "),
    (a_trace({}), "line 1: ops[0]: Object missing required field `op`"),
    (a_trace({**MLOCK, "prot": "rw"}), "line 1: ops[0]: Object contains unknown field `prot`"),
    (a_trace({"op": "mlock", "addr": "0x1000"}), "line 1: ops[0]: Object missing required field `len`"),
    (a_trace({**MLOCK, "addr": 4096}), "line 1: ops[0].addr: Expected `str`"),
    (a_trace({**MLOCK, "addr": "__import__('os')"}), "line 1: ops[0].addr: Expected `str` matching"),
    (a_trace({**MLOCK, "addr": "-0x1000"}), "line 1: ops[0].addr: "),
    (a_trace({**MLOCK, "len": "0x11111111111111111"}), "line 1: ops[0].len: "),
    (a_trace({**MLOCK, "addr": "0x10000000000000000"}), "line 1: ops[0].addr: "),
    (a_trace({**MLOCK, "addr": "0x1000", "len": "0x7fffffffffff"}), "line 1: ops[0].addr: 0x1000 + 0x7fffffffffff overlaps"),
    (a_trace({**MMAP, "addr": "0x4ff000"}), "line 1: ops[0].addr: 0x4ff000 + 0x1000 overlaps the program's own memory"),
    (a_trace({**MMAP, "prot": "x"}), "line 1: ops[0].prot: "),
    (a_trace({**MMAP, "flags": ["hugetlb"]}), "line 1: ops[0].flags[0]: "),
    (a_trace({**TOUCH, "access": "exec"}), "line 1: ops[0].access: "),
    (a_trace({**TOUCH, "stride": 0}), "line 1: ops[0].stride: "),
    (a_trace({**TOUCH, "len": "0x7000000000", "stride": 1}), "line 1: ops[0].len: 0x7000000000 at a stride of 1 is more than"),
    (a_trace({"op": "mlockall", "flags": 1 << 40}), "line 1: ops[0].flags: "),
    (a_trace({"op": "rlimit_memlock", "bytes": -1}), "line 1: ops[0].bytes: "),
    (a_trace({"op": "rlimit_memlock", "bytes": 1.5}), "line 1: ops[0].bytes: "),
]


@pytest.mark.parametrize(("line", "message"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_what_is_wrong_is_named(line: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, line)
    text = str(caught.value)
    assert text.startswith(f"trace file {tmp_path / 't.jsonl'}, {message}")
    assert text.isprintable()
    assert len(text) < 1000


def test_the_line_is_the_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"line 3: name: 'r1' is the name of an earlier line too"):
        load(tmp_path, a_trace(), b"", a_trace())
    with pytest.raises(UsageError, match="line 2: Input data"):
        load(tmp_path, a_trace(), b"{")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is empty"):
        load(tmp_path, b" \n\n")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path, message in ((tmp_path, "is not a regular file"), (Path("/dev/zero"), "is not a regular file")):
        with pytest.raises(UsageError, match=message):
            tr.load_traces(path)
    for name in ("nosuch", "a\0b"):
        with pytest.raises(UsageError, match="cannot read trace file"):
            tr.load_traces(tmp_path / name)


def test_there_is_an_end_to_ops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"line 1: ops: Expected `array` of length <= 100000"):
        load(tmp_path, a_trace(*[{"op": "munlockall"}] * (tr.MAX_OPS + 1)))
    monkeypatch.setattr(tr, "MAX_ALL_OPS", 5)
    with pytest.raises(UsageError, match="line 2: more than 5 ops in one file"):
        load(tmp_path, a_trace(MLOCK, MLOCK, MLOCK), a_trace(MLOCK, MLOCK, MLOCK, name="r2"))


def test_there_is_an_end_to_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tr, "MAX_LINE_BYTES", 1000)
    with pytest.raises(UsageError, match="line 2: longer than"):
        load(tmp_path, a_trace(), b" " * 1001)
    monkeypatch.setattr(tr, "MAX_FILE_BYTES", 2000)
    with pytest.raises(UsageError, match="line 4: the file is larger than"):
        load(tmp_path, a_trace(), *[b" " * 900] * 3)


STEP = {"errno": 0, "locked_vm_kb": 0, "vmas": [], "pages": [], "vmstat": {}}
WRONG_RESULTS = [
    ({"name": "r1", "steps": []}, "line 1: Object missing required field `kernel`"),
    ({"name": "r1", "kernel": "k", "steps": [{}]}, "line 1: steps[0]: Object missing required field `errno`"),
    ({"name": "r1", "kernel": "k", "steps": [{**STEP, "vmas": [[1]]}]}, "line 1: steps[0].vmas[0][0]: Expected `str`"),
    ({"name": "r1", "kernel": "k", "steps": [{**STEP, "vmstat": {"a": "b"}}]}, "line 1: steps[0].vmstat[...]: "),
]


@pytest.mark.parametrize(("line", "message"), WRONG_RESULTS)
def test_wrong_results_are_named(line: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(line), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        tr.load_results(path)
    assert str(caught.value).startswith(f"results file {path}, {message}")
