"""Trace files: what is right is read and written unchanged; what is wrong is one line with file, line and field."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.traces import trace_format as tr
from bench.traces.ops import MAX_OPS
from support.recordings import ALL_OPS_FILES, FILES

DATA = Path(__file__).resolve().parents[2] / "data" / "traces"
MLOCK = {"op": "mlock", "addr": "0x1000000000", "len": "0x1000"}
TOUCH = {"op": "touch", "addr": "0x1000000000", "len": "0x1000", "access": "read"}
MMAP = {"op": "mmap", "addr": "0x1000000000", "len": "0x1000", "prot": "rw", "flags": []}
MREMAP = {**MLOCK, "op": "mremap", "new_len": "0x2000", "flags": 1}
FORK = {"op": "fork", "child": 1}
FILE = {"op": "file", "file": 0, "len": "0x3000"}


def a_trace(*ops: object, **fields: object) -> dict[str, Any]:
    return {"name": "r1", "window": ["0x1000000000", "0x6000000000"], "ops": list(ops), **fields}


def load(tmp_path: Path, *lines: object) -> tr.Loaded[tr.Trace]:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    return tr.load_traces(path)


RECORDED = [prefix for prefix, _ in (*FILES, *ALL_OPS_FILES)]


@pytest.mark.parametrize("name", [f"{prefix}traces" for prefix in RECORDED])
def test_recorded_traces_are_written_as_they_were(name: str) -> None:
    loaded = tr.load_traces(DATA / f"{name}.jsonl")
    lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in tr.encode_lines(list(loaded.by_name.values())).splitlines()] == list(
        map(json.loads, lines)
    )


@pytest.mark.parametrize("name", [f"{prefix}linux-{kernel}" for prefix in RECORDED for kernel in ("5.10", "6.1")])
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
        {"op": "file", "file": 0, "len": "0x3000"},
        {**MMAP, "file": 0, "offset": "0x1000", "flags": ["shared"]},
        {"op": "ftruncate", "file": 0, "len": "0x2001"},
        {"op": "fork", "child": 1},
        {"op": "punch_hole", "proc": 1, "file": 0, "offset": "0x0", "len": "0x1000"},
        {**MLOCK, "op": "mremap", "new_len": "0x2000", "flags": 1},
        {**MLOCK, "op": "mremap", "proc": 1, "new_len": "0x2000", "flags": 3, "to": "0x1000100000"},
        {**MLOCK, "op": "madvise", "advice": "dontneed_locked"},
        {**MLOCK, "op": "msync", "flags": 2},
        {**TOUCH, "proc": 1},
        {"op": "exit", "proc": 1},
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
    (a_trace({**MLOCK, "proc": -1}), "line 1: ops[0].proc: Expected `int` >= 0"),
    (a_trace({**MLOCK, "proc": 8}), "line 1: ops[0].proc: Expected `int` <= 7"),
    (a_trace({**MLOCK, "proc": 1}), "line 1: ops[0].proc: there is no process 1 yet"),
    (a_trace({"op": "fork"}), "line 1: ops[0]: Object missing required field `child`"),
    (a_trace({"op": "fork", "child": 0}), "line 1: ops[0].child: Expected `int` >= 1"),
    (a_trace(FORK, FORK), "line 1: ops[1].child: 1 is the number of an earlier process"),
    (a_trace({"op": "exit"}), "line 1: ops[0].proc: process 0 is the last one, and there must be one to look at"),
    (a_trace(FORK, {"op": "exit"}, MLOCK), "line 1: ops[2].proc: process 0 has ended"),
    (a_trace(FORK, {"op": "exit", "proc": 1}, FORK), "line 1: ops[2].child: 1 is the number of an earlier process"),
    (a_trace({**FILE, "file": 16}), "line 1: ops[0].file: Expected `int` <= 15"),
    (a_trace({**FILE, "len": "0x1000000000001"}), "line 1: ops[0].len: 0x1000000000001 is more than a file may have here"),
    (a_trace(FILE, FILE), "line 1: ops[1].file: 0 is the number of an earlier file"),
    (a_trace({**MMAP, "file": 0}), "line 1: ops[0].file: process 0 has no file 0"),
    (a_trace(FORK, FILE, {**MMAP, "file": 0, "proc": 1}), "line 1: ops[2].file: process 1 has no file 0"),
    (a_trace({"op": "ftruncate", "file": 1, "len": "0x0"}), "line 1: ops[0].file: process 0 has no file 1"),
    (a_trace(FILE, {"op": "ftruncate", "file": 0, "len": "0xffffffffffffffff"}), "line 1: ops[1].len: 0xffffffffffffffff is"),
    (a_trace({**MMAP, "offset": "0x1000"}), "line 1: ops[0].offset: there is no file"),
    (a_trace({**MREMAP, "flags": "fixed"}), "line 1: ops[0].flags: Expected `int`"),
    (
        a_trace({**MREMAP, "flags": 3, "to": "0x4ff000"}),
        "line 1: ops[0].to: 0x4ff000 + 0x2000 overlaps the program's own memory",
    ),
    (a_trace({**MREMAP, "addr": "0x400000"}), "line 1: ops[0].addr: 0x400000 + 0x1000 overlaps the program's own memory"),
    (
        a_trace({**MLOCK, "op": "madvise", "advice": "cold"}),
        "line 1: ops[0].advice: Invalid enum value 'cold'; known are normal, ",
    ),
    (a_trace({"op": "rlimit_memlock", "bytes": 1.5}), "line 1: ops[0].bytes: "),
    (a_trace(MLOCK, mthp=["64KiB", "8KiB"]), "line 1: mthp[1]: Invalid enum value '8KiB'"),
    (a_trace(MLOCK, mthp="64KiB"), "line 1: mthp: Expected `array`, got `str`"),
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
        load(tmp_path, a_trace(*[{"op": "munlockall"}] * (MAX_OPS + 1)))
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


SEEN = {"locked_vm_kb": 4, "vmas": [["0x1000", "0x2000", "rw-p", True, 4, 4]], "pages": [[0, 1, "PMU"]]}


def test_results_of_several_processes_are_written_as_they_were(tmp_path: Path) -> None:
    step = {"errno": 0, **SEEN, "vmstat": None, "others": {"1": SEEN, "3": {**SEEN, "pages": None}}}
    line = {"name": "r1", "kernel": "k", "steps": [step, {**step, "others": {}}]}
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(line), encoding="utf-8")
    loaded = tr.load_results(path)
    assert json.loads(tr.encode_lines(list(loaded.by_name.values()))) == line
    assert loaded.by_name["r1"].steps[0].others == {
        1: tr.Memory(4, [("0x1000", "0x2000", "rw-p", True, 4, 4)], [(0, 1, "PMU")]),
        3: tr.Memory(4, [("0x1000", "0x2000", "rw-p", True, 4, 4)], None),
    }


STEP = {"errno": 0, "locked_vm_kb": 0, "vmas": [], "pages": [], "vmstat": {}}
WRONG_RESULTS = [
    ({"name": "r1", "steps": []}, "line 1: Object missing required field `kernel`"),
    ({"name": "r1", "kernel": "k", "steps": [{}]}, "line 1: steps[0]: Object missing required field `errno`"),
    ({"name": "r1", "kernel": "k", "steps": [{**STEP, "vmas": [[1]]}]}, "line 1: steps[0].vmas[0][0]: Expected `str`"),
    ({"name": "r1", "kernel": "k", "steps": [{**STEP, "vmstat": {"a": "b"}}]}, "line 1: steps[0].vmstat[...]: "),
    ({"name": "r1", "kernel": "k", "steps": [{**STEP, "others": {"9": {}}}]}, "line 1: steps[0].others: Expected `int` <= 7"),
    ({"name": "r1", "kernel": "k", "steps": [{**STEP, "others": {"1": {}}}]}, "line 1: steps[0].others[...]: Object missing"),
]


@pytest.mark.parametrize(("line", "message"), WRONG_RESULTS)
def test_wrong_results_are_named(line: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(line), encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        tr.load_results(path)
    assert str(caught.value).startswith(f"results file {path}, {message}")
