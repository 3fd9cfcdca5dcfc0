"""The scan command: what it prints, writes, refuses, and its exit codes. Kernels in name only."""

from pathlib import Path

import msgspec
import pytest

from bench.__main__ import main
from bench.commands import scan as command
from bench.scan.results import SCHEMA, Scan, load, save
from support.fake_scan import PAGE, Cost, Fake, constant, no_law, per, scanned

LAWS: dict[str, Cost] = {"munmap": constant, "core dump": per(PAGE, 120.0), "mincore": per(PAGE, 9.0)}


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Fake]:
    """Have every kernel that is named be a fake of that name."""
    made: dict[str, Fake] = {}

    def machines(words: list[str]) -> list[Fake]:
        return [made.setdefault(word, Fake(LAWS, name=word)) for word in words]

    monkeypatch.setattr(command, "machines", machines)
    monkeypatch.setattr("bench.targets.kernel.find", lambda word: word)
    return made


ONLY = "--only=munmap,core dump,mincore"


@pytest.mark.usefixtures("fakes")
def test_a_scan_is_shown_kept_and_shown_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = tmp_path / "scan.json"
    assert main(["scan", "--on", "6.1", "--on", "6.12", ONLY, "-o", str(kept), "--plots", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "120 a 4 KiB" in out and "nothing" in out and "output" in out
    assert "64.4 G" in out  # instructions at 2 TiB: 2**29 * 120 + 2,000
    assert max(map(len, out.splitlines())) <= 80
    assert (tmp_path / "scan.svg").stat().st_size > 5000
    assert main(["scan", "--show", str(kept)]) == 0
    assert capsys.readouterr().out == out
    assert main(["scan", "--show", str(kept), "--details"]) == 0
    assert "6.12 (6.12.0-fake), in instructions" in capsys.readouterr().out


def test_a_call_that_became_linear_ends_in_exit_code_1(
    fakes: dict[str, Fake], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "scan.json"
    assert main(["scan", "--on", "6.12", ONLY, "-o", str(kept)]) == 0
    assert main(["scan", "--on", "6.12", ONLY, "--fail-if-linear", str(kept)]) == 0
    assert "no call became linear" in capsys.readouterr().err
    fakes["6.12"] = Fake({**LAWS, "munmap": per(PAGE, 80.0)}, name="6.12")
    assert main(["scan", "--on", "6.12", ONLY, "--fail-if-linear", str(kept)]) == 1
    err = capsys.readouterr().err
    assert "munmap on rw became linear in the span: nothing in 6.12.0-fake" in err
    assert "1 calls became linear" in err


def test_the_committed_scan_against_itself_has_nothing_new_and_an_older_kernel_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a kernel's CI would see it, if what 6.12 does became what 5.10 did."""
    assert main(["scan", "--show", str(command.KEPT), "--fail-if-linear"]) == 0
    kept = load(command.KEPT)
    old = next(one for one in kept.kernels if one.name.startswith("5.10"))
    worse = tmp_path / "worse.json"
    save(worse, msgspec.structs.replace(kept, kernels=[msgspec.structs.replace(old, name="bzImage", release="6.12.200")]))
    capsys.readouterr()
    assert main(["scan", "--show", str(worse), "--fail-if-linear"]) == 1
    err = capsys.readouterr().err
    for call in ("munmap", "munlock", "munlockall", "exit"):
        assert f"bzImage: {call} on locked became linear in the span: nothing in 6.12" in err
    assert "core dump on one page" not in err  # it was so before


def test_times_that_scatter_are_said_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [scanned(Fake({"munmap": no_law, "exit": constant}, unit=unit, name=unit)) for unit in ("seconds", "instructions")]
    save(tmp_path / "scan.json", Scan(SCHEMA, "scan", "made up", "2026-01-01T00:00:00", {}, found))
    assert main(["scan", "--show", str(tmp_path / "scan.json")]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "seconds: 1 calls are unclear: times scatter." in out and "instructions: 1 calls" not in out


def test_a_kernel_that_fails_ends_in_exit_code_3_and_what_was_measured_is_kept(
    monkeypatch: pytest.MonkeyPatch, fakes: dict[str, Fake], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = scanned(Fake(LAWS, name="6.1")), scanned(Fake(LAWS, name="7.3"))
    monkeypatch.setattr(command, "scan", lambda *rest: [good, type(bad)("7.3", "7.3", bad.unit, (), "the guest ended")])
    assert main(["scan", "--on", "6.1", "--on", "7.3", ONLY, "-o", str(tmp_path / "scan.json")]) == 3
    assert "WARNING: 7.3: the guest ended" in capsys.readouterr().out
    assert [one.error for one in load(tmp_path / "scan.json").kernels] == ["", "the guest ended"]


def test_a_reproducer_is_printed_or_written_as_a_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "--reproducer", "munmap", "--layout", "one page"]) == 0
    program = capsys.readouterr().out
    assert "munmap" in program and "int main(void)" in program
    assert main(["scan", "--reproducer", "munmap", "--layout", "one-page", "-o", str(tmp_path / "a.c")]) == 0
    assert (tmp_path / "a.c").read_text() == program


def test_calls_are_listed_with_their_layouts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 40
    assert next(line for line in lines if line.startswith("core dump: ")).endswith("VMAs)")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give one of --on KERNEL, --show FILE, --reproducer CALL and --list"),
        (["--on", "6.1", "--list"], "not --on and --list"),
        (["--on", "6.1", "--only", "munlok"], "there is no call 'munlok'; did you mean munlock? --list"),
        (["--on", "nosuch"], "no kernel 'nosuch': give host, a version"),
        (["--on", "6.1", "--limit", "0"], "--limit 0: more than 0 seconds"),
        (["--on", "6.1", "--limit", "nan"], "--limit nan: more than 0 seconds"),
        (["--on", "6.1", "--fail-if-linear", "none.json"], "there is no file none.json"),
        (["--on", "6.1", "-o", "none/scan.json"], "there is no directory none"),
        (["--reproducer", "munlok"], "there is no call 'munlok'; did you mean munlock? --list"),
        (["--reproducer", "munmap", "--layout", "nosuch"], "there is no layout 'nosuch'; layouts are none"),
        (["--reproducer", "mincore", "--layout", "locked"], "mincore is not scanned on 'locked'"),
        (["--reproducer", "munmap", "--layout", "pages"], "pages varies pages"),
        (["--list", "--layout", "rw"], "--layout is of --reproducer"),
        (["--list", "-o", "a.json"], "--list writes no file"),
        (["--show", "a.json", "--only", "exit"], "--only chooses what is measured"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["scan", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and said in err
    assert [*tmp_path.iterdir()] == []


def test_a_file_that_is_no_scan_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text("{}")
    assert main(["scan", "--show", str(tmp_path / "a.json")]) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_scan_of_the_running_kernel(tmp_path: Path) -> None:
    """munmap() of memory that nobody touched: a walk of the tables that exist, on any kernel of this century."""
    kept = tmp_path / "scan.json"
    assert main(["scan", "--on", "host", "--only", "munmap", "--limit", "0.5", "-o", str(kept)]) == 0
    (kernel,) = load(kept).kernels
    assert kernel.unit == "seconds"
    (call,) = kernel.calls
    law = next(one.law("seconds") for one in call.series if one.layout == "rw")
    assert law is not None and law.kind != "linear"
