"""The pyperformance manifest: what it names is there, and installs what the project needs."""

import tomllib
from pathlib import Path

import pytest

from bench.commands import OneLineParser
from bench.workloads import selection

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"


def rows() -> list[tuple[str, str]]:
    """Return (name, metadata file) of each benchmark."""
    lines = (BENCHMARKS / "MANIFEST").read_text().splitlines()
    assert lines[:3] == ["[benchmarks]", "", "name\tmetafile"]
    found = []
    for line in lines[3 : lines.index("", 3)]:
        name, where = line.split("\t")
        directory = where.strip("<>").partition(":")[2] or name
        found.append((name, f"bm_{directory}/" + ("pyproject.toml" if ":" not in where else f"bm_{name}.toml")))
    return found


@pytest.mark.parametrize(("name", "metafile"), rows())
def test_each_benchmark_is_there_and_asks_for_known_points(name: str, metafile: str) -> None:
    content = tomllib.loads((BENCHMARKS / metafile).read_text())
    assert content["tool"]["pyperformance"]["name"] == name
    assert (BENCHMARKS / metafile).with_name("run_benchmark.py").exists()
    parser = OneLineParser()
    selection.add_arguments(parser)
    selection.add_operations(parser)
    args = parser.parse_args(content["tool"]["pyperformance"]["extra_opts"])
    assert selection.scenarios(args)
    assert selection.operations(args.op)


def test_the_group_names_benchmarks() -> None:
    text = (BENCHMARKS / "MANIFEST").read_text()
    assert set(text.partition("[group default]\n")[2].split()) <= {name for name, _ in rows()}


def test_what_is_installed_is_what_the_project_needs() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert (BENCHMARKS / "bm_unlockall" / "requirements.txt").read_text().splitlines() == wanted
