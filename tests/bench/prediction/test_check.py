"""`predict --check`: the measured file is within its bars, and what is wrong is noticed."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from bench.__main__ import main
from bench.prediction import weights
from bench.prediction.terms import TERMS
from bench.prediction.weights import SMALL, implementation_of
from bench.traces.cost_format import encode_costs, load_costs
from mmmodel.kernels import implementation

RECORDS = Path(__file__).parents[3] / "results" / "records"
MEASURED = RECORDS / "call-costs.jsonl"
SHORT = ("untouched_2^30", "one_per_1G_32G")  # that the model counts in no time
UNTOUCHED = 2  # ops of the first: its first munlock()


def short_file(path: Path, kernel: str = "linux-6.1") -> Path:
    """Write the quick layouts of the measured file with the figures of one kernel."""
    chosen = [one for one in load_costs(MEASURED) if one.name in SHORT]
    kept = [msgspec.structs.replace(one, instructions={kernel: one.instructions[kernel]}) for one in chosen]
    path.write_bytes(encode_costs(kept))
    return path


def test_the_measured_file_is_within_its_bars(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--check", str(MEASURED), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["checks"]
    costs = load_costs(MEASURED)
    assert len(found) == sum(cost is not None for one in costs for each in one.instructions.values() for cost in each)
    for one in found:
        assert abs(one["error"]) <= (0.05 if one["measured"] < SMALL else 0.02), one


def test_a_wrong_weight_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = msgspec.to_builtins(weights.shipped())
    for kernel in shipped["kernels"]:
        for term in kernel["terms"]:
            term["weight"] *= 1.5 if term["name"] == "pmd_entry" else 1
    wrong = tmp_path / "wrong.json"
    wrong.write_bytes(msgspec.json.encode(shipped))
    costs = short_file(tmp_path / "costs.jsonl")
    assert main(["predict", "--check", str(costs)]) == 0
    assert main(["predict", "--check", str(costs), "--weights", str(wrong)]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1].endswith("over theirs.") and "over its bar" in " ".join(shown[-3:])


def test_a_bar_of_nothing_fails(tmp_path: Path) -> None:
    costs = short_file(tmp_path / "costs.jsonl")
    assert main(["predict", "--check", str(costs), "--bar", "0", "--small-bar", "0"]) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line: line | {"instructions": {"linux-6.1": [None]}}, "1 numbers for 5 ops"),
        (lambda line: line | {"instructions": {"linux-6.1": [None, None, -1, None, None]}}, "instructions"),
        (lambda line: line | {"instructions": {"linux-2.4": [None, None, 1, None, 1]}}, "no weights for kernel '2.4'"),
        (lambda line: line | {"instructions": {"minix": [None, None, 1, None, 1]}}, "'minix' is no kernel"),
        (lambda line: line | {"instructions": {"linux-6.1": [None] * 5}}, "no call of it was measured"),
        (lambda line: line | {"ops": "none"}, "ops"),
        (lambda line: line | {"window": ["0x0", "0x1000", "0x2000"]}, "window"),
        (lambda line: [line], "Expected `object`"),
    ],
)
def test_bad_files_end_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], change, said: str) -> None:  # type: ignore[no-untyped-def]
    path = short_file(tmp_path / "costs.jsonl")
    line = json.loads(path.read_bytes().splitlines()[0])
    path.write_text(json.dumps(change(line)) + "\n")
    assert main(["predict", "--check", str(path)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and said in told[0]


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"name": "x"}', "\x00\xff"])
def test_files_that_are_none_end_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    path = tmp_path / "costs.jsonl"
    path.write_text(text)
    assert main(["predict", "--check", str(path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--check"],
        ["--check", "--fit", "x"],
        ["--check", "/nowhere"],
        ["--check", str(MEASURED), "--bar", "-1"],
        ["--calibrate"],
    ],
)
def test_bad_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", *arguments]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_strides_are_numbers_or_hexadecimal_and_names_may_have_signs() -> None:
    found = {one.name: one for one in load_costs(MEASURED)}
    assert "untouched_2^36" in found
    assert found["one_per_2M_8G"].ops[1].stride == 1 << 21  # type: ignore[union-attr]


def test_a_kernel_is_modelled_by_its_own_series_or_the_one_before() -> None:
    assert implementation_of("5.10") == implementation_of("5.15") == implementation_of("6.0") == "per-page"
    assert implementation_of("6.1") == implementation_of("6.2") == "page-walk"
    assert implementation_of("6.12") == "folio-walk"
    assert all(implementation(implementation_of(one.series)).algorithm in TERMS for one in weights.shipped().kernels)
