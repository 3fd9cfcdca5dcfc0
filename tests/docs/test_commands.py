"""What the pages tell people to type works: every command of run.py is run, the long ones on small sizes."""

import configparser
import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.commands import COMMANDS, speed
from bench.measuring import footprint
from bench.measuring.repetition import Repetition
from bench.workloads.scenario import MiB, Point
from mmmodel.kernels import EVERY_IMPLEMENTATION, IMPLEMENTATIONS
from support.pages import FENCED, PAGES, ROOT, Command, blocks, commands

BRIEF = ("--processes", "1", "--values", "1")
SIZES = {"--size": "16MiB", "--span": "16MiB", "--random": "20", "--populate": "none,64KiB"}
PLACEHOLDERS = {"A": "reference", "B": "reference", "RUN": "reference", "FILE": "tests/data/traces/traces.jsonl"}
PLACEHOLDERS |= {"PID": str(os.getpid()), "smaps.txt": "/proc/self/smaps", "mine.json.gz": "go119"}
PLACEHOLDERS |= {"examples/hole_skip.py": str(ROOT / "examples" / "hole_skip.py")}


def without(words: Sequence[str], *options: str) -> list[str]:
    """Leave options and their values out."""
    return [word for before, word in zip(["", *words], words, strict=False) if word not in options and before not in options]


def _without_booting(words: Sequence[str]) -> list[str]:
    """The same command on the running kernel in the place of others, which tests/bench/kernels boots."""
    found: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        if before in ("--on-a", "--on-b"):
            word = IMPLEMENTATIONS[before == "--on-b"]
        if before == "--on" and words[0] in ("report", "run", "sweep") and word not in EVERY_IMPLEMENTATION:
            word = "host"
            if word in found or "coredump" in words:  # which the running kernel is not measured on
                found.pop()  # the option
                continue
        found.append(word)
    return found


def small(words: Sequence[str]) -> list[str]:
    """The same command, where it would take long on less and once. Times against a base: tests/bench/gate."""
    name, *rest = _without_booting([PLACEHOLDERS.get(word, word) for word in words])
    named = any(not word.startswith("-") for word in without(rest, "--impl", "--on", "--size", "--op", "-o"))
    rest = [SIZES.get(before, word) for before, word in zip(["", *rest], rest, strict=False)]
    if name in ("report", "run") and not named:
        rest += ["report", "--size", SIZES["--size"]]
    if name == "report":
        rest += [*BRIEF, *(["--impl", "page-walk"] if "--layout" in rest else [])]
    if name == "run":
        rest = [word for word in rest if word != "--fast" and not re.fullmatch(r"-[pn]\d+", word)]
        rest.append("--debug-single-value")
    if name == "sweep":
        rest += BRIEF
    if name == "reference":
        rest += [*BRIEF, "--suite", "quick", "--to", "made"]
    if name == "gate":
        rest = [*without(rest, "--base", "--only"), "--suite", "quick", "--expectation", "quick.json"]
    if rest[:1] in (["history"], ["costs"]):  # what it measured, in place of the kernels that it measures
        return [name, rest[0], str(ROOT / "results" / "records" / f"kernel-{rest[0]}.json"), *rest[rest.index("--plots") :]]
    if name == "scan" and "--on" in rest:  # as above
        return [name, "--show", str(ROOT / "results" / "records" / "scan.json")]
    if name == "scan":
        rest = [word for word in rest if word != "--against-model"]  # some minutes: tests/bench/scan/test_against_model.py
        return [name, *(str(ROOT / word) if word.startswith("results/") else word for word in rest)]
    if name == "races" and not rest:  # all of them: tests/docs/test_races.py
        rest = ["munlock-vs-truncate"]
    if name == "kernel":
        rest = without(rest, "--thp", "--mthp")  # the running kernel has what it has
        rest = ["host" if before == "--on" else word for before, word in zip(["", *rest], rest, strict=False)]
    return [name, *rest]


def ours() -> list[Command]:
    """The commands of bench, each that is the same when small once. What fetches or boots kernels: tests/bench."""
    found = [command for command in commands() if command.words[0] not in ("test", "speed", "COMMAND")]
    found = [command for command in found if command.words[:2] != ("kernel", "fetch") and "--kernel" not in command.words]
    return list({(*small(command.words), command.pipe): command for command in found}.values())


def run(words: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of bench as run.py does, in a copy of the tree."""
    command = [sys.executable, "-m", "bench", *words]
    environment = {**os.environ, "PYTHONPATH": str(directory)}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree for commands to read and write in, with an expectation of the quick suite."""
    place = tmp_path_factory.mktemp("tree")
    for name in ("bench", "mmmodel", "results/reference"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", place)
    (place / "tests").symlink_to(ROOT / "tests")
    done = run(["gate", "--suite", "quick", "--expectation", "quick.json", "--accept"], place)
    assert done.returncode == 0, done.stderr
    return place


def test_the_first_two_commands_are_report_and_test() -> None:
    first, second, *_ = (command for command in commands() if command.page == "README.md")
    assert (first.words, second.words) == (("report",), ("test",))


@pytest.mark.parametrize("command", ours(), ids=str)
def test_commands_work(command: Command, directory: Path) -> None:
    assert command.words[0] in COMMANDS
    (directory / "times.json").unlink(missing_ok=True)  # pyperf overwrites nothing
    done = run(small(command.words), directory)
    differs = command.words[0] == "replay" and bool(command.shown)  # what is shown there is a difference
    differs |= command.words[0] == "kernel" and bool(done.stdout) and done.stdout[0] == "{"  # as the running kernel may
    assert done.returncode == differs, done.stdout + done.stderr
    if command.pipe == "head -1":
        assert done.stdout.splitlines()[0] == command.shown[0]


def test_speed_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    less = {
        key: Point(one.scenario.resized(max(MiB, one.scenario.span >> 16)), one.implementation, one.operation)
        for key, one in speed.TIMED.items()
    }
    monkeypatch.setattr(speed, "TIMED", less)
    monkeypatch.setattr(speed, "REPETITIONS", dict.fromkeys(less, Repetition(processes=1, values=1, warmups=0)))
    monkeypatch.setattr(footprint, "HELP_RUNS", 1)
    monkeypatch.setattr(footprint, "first_compilation", lambda: 1.0)
    monkeypatch.setattr(footprint, "counting_pairs", lambda: {key: [(1.0, 1.0)] for key in footprint.COUNTED_POINTS})
    assert speed.main(["--results", str(tmp_path)]) == 0
    assert "raw data: " in capsys.readouterr().out


def test_environments_of_tox_are_there() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    named = {name for page in PAGES for names in re.findall(r"tox -e ([\w,]+)", page.read_text()) for name in names.split(",")}
    assert named | set(tox["tox"]["env_list"].split(", ")) <= {section.removeprefix("testenv:") for section in tox.sections()}


def test_files_that_the_pages_name_are_there() -> None:
    named = re.compile(r"\b(?:bench|mmmodel|tests|docs|benchmarks|results/reference)/[\w./-]+\.(?:py|md|json|jsonl|toml)\b")
    for page in PAGES:
        for name in named.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
            assert (ROOT / name).exists(), (page.name, name)


def test_python_examples_run_and_print_what_their_comments_say() -> None:
    programs = [block for block in blocks() if block.language == "python"]
    assert programs
    for block in programs:
        less = block.text.replace("1 << 41", "1 << 24")  # the same lines, in a moment also without compiled code
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(less, block.page, "exec"), {})
        promised = [int(number) for number in re.findall(r"print\(.*# (\d+)", block.text)]
        factor = 1 << 17 if less != block.text else 1
        assert [int(line) * factor for line in out.getvalue().split()] == promised
