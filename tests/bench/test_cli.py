"""The command line: bad usage is one clear line and exit code 2, and nothing is written."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import commands, environment
from bench.__main__ import main
from bench.errors import UsageError
from bench.gate import arms
from support.progress_lines import said


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does."""
    return subprocess.run([sys.executable, "-m", "bench", *arguments], capture_output=True, text=True, check=False)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for name, line in commands.COMMANDS.items():
        assert name in text
        assert line in text


@pytest.mark.parametrize("command", commands.COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"unlockall-bench {command}" in capsys.readouterr().out


WRONG = [
    (["repotr"], "; did you mean report?"),
    (["report", "spares-2MiB"], "; did you mean sparse-2MiB?"),
    (["report", "--impl", "page-wakl"], "; did you mean page-walk?"),
    (["report", "--layout", "chromium"], "; did you mean chromium_renderer?"),
    (["report", "--procesess", "3"], "did you mean --processes?"),
    (["gate", "--only", "counter"], "; did you mean counters?"),
    (["gate", "--suite", "refrence"], "did you mean reference?"),
    (["plot", "--only", "scalling"], "; did you mean scaling?"),
    (["sweep", "--pattern", "randon"], "; did you mean random?"),
    (["sweep", "--op", "munlokall"], "; did you mean munlockall?"),
    (["replay", "--impl", "pagewalk", "--random", "1"], "; did you mean page-walk?"),
    (["table", "x", "--format", "jsn"], "did you mean json?"),
    (["report", "--size", "128TiB"], "; --levels 5 has 64 PiB"),
    (["report", "--size", "65PiB", "--levels", "5"], "(64 PiB)"),
    ([], "no command; commands are report, "),
    (["repotr"], "unknown command 'repotr'; commands are report, "),
    (["--nosuch"], "unknown command '--nosuch'"),
    (["report", "nosuch"], "unknown scenario 'nosuch'; known are report, sparse-1GiB"),
    (["report", "--impl", "fast"], "unknown implementation 'fast'; known are per-page, hole-skip, page-walk"),
    (["report", "--layout", "nosuch"], "unknown layout 'nosuch'"),
    (["report", "--layout", "/nosuch.json.gz"], "cannot read layout file /nosuch.json.gz: No such file"),
    (["report", "--size", "huge"], "size 'huge' is no number"),
    (["report", "--size=-2TiB"], "size '-2TiB' is negative"),
    (["report", "--size", "-4KiB"], "size '-4KiB' is negative"),
    (["report", "--size", "1000"], "not a multiple of the page size"),
    (["report", "--size", "128TiB"], "larger than the address space"),
    (["report", "--levels", "6"], "argument --levels: invalid choice"),
    (["report", "--values", "0"], "must be at least 1"),
    (["report", "--processes=-1"], "must be at least 1"),
    (["report", "--values", "x"], "argument --values: invalid int"),
    (["report", "--nosuch"], "unrecognized arguments: --nosuch"),
    (["report", "report", "report"], "report/2TiB is asked for twice"),
    (["report", "--layout", "sbcl", "--size", "2TiB"], "--size is for scenarios"),
    (["report", "dense", "--size", "16TiB"], "bytes ("),
    (["report", "--results", "/proc/nosuch"], "cannot write to directory /proc/nosuch"),
    (["report", "--plots", "/dev/null"], "cannot write to directory /dev/null"),
    (["list", "everything"], "unrecognized arguments: everything"),
]


@pytest.mark.parametrize(("arguments", "line"), WRONG, ids=[" ".join(arguments) or "nothing" for arguments, _ in WRONG])
def test_bad_usage(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.environment.base_directory", lambda: tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert line in err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_layouts_that_no_part_of_their_paths_tells_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.environment.base_directory", lambda: tmp_path)
    shipped = Path(commands.__file__).parents[1] / "data" / "layouts"
    paths = [tmp_path / folder / "app.json.gz" for folder in ("h 1", "h:1")]
    for path, name in zip(paths, ("sbcl", "go119"), strict=True):
        path.parent.mkdir()
        path.write_bytes((shipped / f"{name}.json.gz").read_bytes())
    assert main(["report", *(word for path in paths for word in ("--layout", str(path)))]) == 2
    assert f"{paths[0]} and {paths[1]} would both be named app" in capsys.readouterr().err


def test_a_link_to_nothing_is_told_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results").symlink_to(tmp_path / "nosuch")
    assert main(["report", "--results", str(tmp_path / "results")]) == 2
    assert "it is a link to nothing" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["report", "--results", str(tmp_path / "file")]) == 2
    assert "it is no directory" in capsys.readouterr().err


def test_a_base_that_is_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"--base 'nosuchrev' names no commit of "), arms.checked_out("nosuchrev"):
        pass


def test_exit_codes_reach_the_shell() -> None:
    done = run("repotr")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert run("--help").returncode == 0


def test_a_hostile_layout_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "evil\x1b[2J.json.gz"
    path.write_bytes(b"\x1f\x8b" + b"\xff" * 100)
    done = run("report", "--layout", str(path))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    process = subprocess.Popen([sys.executable, "-m", "bench", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 141
    assert b"Traceback" not in errors
    assert b"Exception" not in errors


def test_list_names_everything() -> None:
    text = run("list").stdout
    for word in ("report", "many-vmas", "hole-skip", "cryptsetup237_luksFormat_hm8_default", "12.44 TiB", "65,536"):
        assert word in text, word
    assert text.isascii()
    # As the report has it: its zero pages are not among them.
    assert re.search(r"cryptsetup237_luksFormat_hm8_default .* 9,543$", text, re.MULTILINE)


def test_ctrl_c_leaves_what_was_measured_and_no_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "report", "--size", "1GiB", "report", "--processes", "50"]
    command += ["--results", str(tmp_path / "results"), "--plots", str(tmp_path / "plots")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if any((tmp_path / "results").glob(".report-*/*.counters.json")):
            break  # counted; it is timing now
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole group
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    *kept, last = said(err)
    assert last == "unlockall-bench: interrupted"
    (directory,) = (tmp_path / "results").iterdir()
    assert directory.name.startswith(".report-") and str(directory) in " ".join(kept)
    assert list((tmp_path / "plots").iterdir()) == []


def test_the_table_of_commands_is_true() -> None:
    modules = {path.stem for path in Path(commands.__file__).parent.glob("*.py")}
    parts = {name for name in modules if any(name.startswith(f"{command}_") for command in commands.COMMANDS)}
    shared = {"own_ideas"}  # by the commands that take a file of one's own
    assert modules - parts == {"__init__", *commands.COMMANDS} | shared
    assert all(line[0].islower() for line in commands.COMMANDS.values())


def test_an_error_that_nothing_foresaw_is_one_line_and_no_verdict(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(argv: list[str]) -> int:
        raise KeyError(f"no {argv}")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for command, code in (("list", 70), ("compare", 70), ("gate", 3)):  # 1 would say that differences were found
        monkeypatch.setattr(f"bench.commands.{command}.main", broken)
        assert main([command]) == code
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert "internal error: KeyError: 'no []'" in err
        where = re.search(r"traceback is in (\S+)", err)
        assert where
        assert "in broken" in Path(where[1]).read_text(encoding="utf-8")


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), MemoryError()])
def test_a_limit_of_the_system_is_told_as_such(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(argv: list[str]) -> int:
        raise error

    monkeypatch.setattr("bench.commands.list.main", refused)
    assert main(["list"]) == 3
    assert "needs more" in capsys.readouterr().err


def test_few_open_files_are_no_regression(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "bench", "gate", "--suite", "quick", "--only", "counters", "--expectation", str(tmp_path)]
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))  # noqa: E731
    done = subprocess.run(words, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_a_command_line_with_bytes_that_are_no_text_can_be_kept_and_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["report", "--results", os.fsdecode(b"results/a b'\xff\xe9"), "é"]
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    line = environment.command_line()
    line.encode()
    program = "import os, sys; sys.stdout.buffer.write(b'|'.join(map(os.fsencode, sys.argv[1:])))"
    shell = line.replace("python -m bench", f'{sys.executable} -c "$0"')
    done = subprocess.run(["bash", "-c", shell, program], capture_output=True, check=True)
    assert done.stdout == b"|".join(map(os.fsencode, words))
