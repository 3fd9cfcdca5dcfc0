"""The `plot` command: what it writes and where, the same bytes twice, and what is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import environment
from bench.__main__ import main
from bench.figures import kinds
from support.sample_run import write_run


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the figures of the made-up run, made by the command."""
    base = tmp_path_factory.mktemp("plotted")
    run = write_run(base / "results" / "sample")
    assert main(["plot", str(run), "--plots", str(base / "plots")]) == 0
    return base


def test_figures_of_a_run_lie_beside_it_and_those_of_the_reference_in_plots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "base_directory", lambda: tmp_path)
    for name in ("reference", "mine"):
        write_run(tmp_path / "results" / name, timed=False)
    for arguments, page in (
        ([], "plots/index.html"),
        (["mine"], "results/mine/figures/index.html"),
        (["mine", "reference", "--only", "cost"], "results/mine/figures/index.html"),
        (["--only", "cost"], "results/reference/figures/index.html"),  # plots/ keeps all that it has
    ):
        assert main(["plot", *arguments]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == f"page:    {tmp_path / page}"
    assert (tmp_path / "plots" / "reference" / "cost.svg").is_file()
    assert (tmp_path / "results" / "mine" / "figures" / "mine" / "cost.svg").is_file()


def test_two_processes_write_the_same_bytes(written: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "plot", str(written / "results" / "sample"), "--plots", str(tmp_path)]
    other = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run(command, check=True, env=os.environ | other, capture_output=True)
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) == 2 * len(kinds.KINDS) + 1
    assert files == sorted(path.relative_to(written / "plots") for path in (written / "plots").rglob("*") if path.is_file())
    for file in files:
        assert (tmp_path / file).read_bytes() == (written / "plots" / file).read_bytes(), file


def test_only_some_figures(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["plot", "sample", "--results", str(written / "results"), "--plots", str(tmp_path), "--only", "order,cost"]
    assert main(arguments) == 0
    assert {path.name for path in (tmp_path / "sample").iterdir()} == {"cost.svg", "cost.png", "order.svg", "order.png"}
    assert capsys.readouterr().out.splitlines()[-1] == f"page:    {tmp_path / 'index.html'}"


def test_a_plain_pyperf_file_is_a_run(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.json"
    file.write_bytes((written / "results" / "sample" / "wall.json").read_bytes())
    assert main(["plot", str(file)]) == 0
    out = capsys.readouterr().out
    made = {path.name for path in (tmp_path / "mine-figures" / "mine.json").iterdir()}
    assert made == {"distribution.svg", "distribution.png", "order.svg", "order.png"}
    for name in ("report", "scaling", "ratio", "cost"):
        assert f"skipped: {name} of mine.json: " in out
    assert out.count("; this run has no counters.json") == 4
    page = (tmp_path / "mine-figures" / "index.html").read_text(encoding="utf-8")
    assert "left out" not in page and "<td>0 calls in" not in page


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run the command, which fails; return exit code and message."""
    code = main(["plot", *arguments])
    (line,) = capsys.readouterr().err.splitlines()
    return code, line


def test_bad_requests_write_nothing(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample, plots = str(written / "results" / "sample"), tmp_path / "plots"
    copy = write_run(tmp_path / "other" / "sample", timed=False)
    counted = str(copy)
    cases = [
        ([sample, "--only", "pie"], 2, "unknown figure 'pie'; known are report, scaling, ratio, cost, distribution, order"),
        ([str(tmp_path / "nosuch")], 2, "there is no file, no directory and no run"),
        (
            [str(tmp_path / "other")],
            2,
            "is no run: it has none of counters.json, wall.json, instructions.json; the runs in it are sample",
        ),
        ([sample, counted], 2, "two runs are named sample"),
        ([str(written / "results" / "sample" / "wall.json"), "--only", "cost"], 2, "; this run has no counters.json"),
        ([counted, "--only", "ratio"], 2, "no figure can be made of sample: ratio: it needs"),
    ]
    for arguments, code, message in cases:
        found = fails([*arguments, "--plots", str(plots)], capsys)
        assert found[0] == code
        assert message in found[1]
    (copy / "counters.json").write_text("{", encoding="utf-8")
    code, line = fails([counted, "--plots", str(plots)], capsys)
    assert (code, "is not of schema" in line) == (3, True)
    assert not plots.exists()


def test_a_directory_that_cannot_be_written(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    code, line = fails([str(written / "results" / "sample"), "--plots", str(tmp_path / "file")], capsys)
    assert code == 2
    assert "cannot write to directory" in line
