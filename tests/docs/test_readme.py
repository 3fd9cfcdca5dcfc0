"""What README.md tells people to type works."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from bench import commands
from bench.__main__ import main
from bench.commands import replay, report
from bench.workloads.sizes import format_size

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = re.findall(r"^python3 run\.py (.*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("line", SHELL)
def test_commands_are_understood(line: str) -> None:
    command, *arguments = shlex.split(line, comments=True)
    if command == "test":
        return  # of run.py itself
    assert command in commands.COMMANDS
    if command == "replay":
        options = replay.read_request(arguments)
        assert options.random or (ROOT / options.file).is_file()
    if command == "report":
        assert report.read_request(arguments).groups


def test_both_commands_of_the_readme_are_there() -> None:
    assert [shlex.split(line, comments=True) for line in SHELL[:2]] == [["report"], ["test"]]


def test_the_shown_difference_is_found(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (line, shown) = re.findall(r"^\$ python3 run\.py (replay .*) \| head -1\n(.*)$", TEXT, re.MULTILINE)[0]
    monkeypatch.chdir(ROOT)
    assert main(shlex.split(line)) == 1
    assert capsys.readouterr().out.splitlines()[0] == shown


def test_the_python_example_runs() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    small = program.replace("1 << 41", "1 << 24")  # the same lines, for runs without compiled code
    assert small != program
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(small, "README.md", "exec"), {})
    assert out.getvalue() == f"{(1 << 24) // 4096}\n"
    assert f"# {(1 << 41) // 4096};" in program


def test_the_shown_table_is_of_the_default_report() -> None:
    for scenario in report.read_request([]).groups:
        name = scenario.layout or f"report/{format_size(scenario.span)}"
        assert name in TEXT, name
