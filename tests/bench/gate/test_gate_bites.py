"""The whole gate on trees that are broken on purpose, in processes and repositories of their own.

Without compiled code and with the quick suite. The same trees with the whole suite and compiled, and the slower ones
at full length, are run by tests/mutations/gate_proofs.py; what that saw is in results/records.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gate_proofs
from gate_mutants import BROKEN, COUNTERS, SLOWER, GateMutant

PLAIN = {"NUMBA_DISABLE_JIT": "1"}


@pytest.fixture(scope="module")
def expectation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the unbroken tree counts, accepted by its own command, and confirmed by its own gate."""
    path = tmp_path_factory.mktemp("gate") / "expectation.json"
    with gate_proofs.copy_of_the_tree() as tree:
        done = run(tree, path, "--accept")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1].startswith("accepted: ")
        done = run(tree, path, "--only", "counters")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "pass" in done.stdout
    return path


def run(tree: Path, path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return gate_proofs.gate(tree, "--suite", "quick", "--expectation", str(path), *words, settings=PLAIN)


@pytest.mark.parametrize("broken", [*COUNTERS, *BROKEN], ids=lambda one: one.mutant.name.replace(" ", "-"))
def test_a_broken_tree_is_caught(broken: GateMutant, expectation: Path) -> None:
    with gate_proofs.copy_of_the_tree() as tree:
        gate_proofs.break_it(tree, broken)
        done = run(tree, expectation, "--only", "counters")
    assert gate_proofs.as_it_must(broken, done), done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_hand_in_the_reference_is_caught(expectation: Path, tmp_path: Path) -> None:
    edited = tmp_path / "edited.json"
    shutil.copy(expectation, edited)
    edited.write_text(edited.read_text().replace('"model_pte_read": 512', '"model_pte_read": 511', 1))
    done = run(gate_proofs.ROOT, edited, "--only", "counters")
    assert done.returncode == 3
    assert "edited by hand" in done.stdout
    again = run(gate_proofs.ROOT, edited, "--accept")
    assert "what was expected before is lost" in again.stdout
    assert edited.read_text() == expectation.read_text()


def test_a_slower_tree_is_caught_and_the_others_are_not_blamed(expectation: Path, tmp_path: Path) -> None:
    slower = next(one for one in SLOWER if one.mutant.name == "page-walk 30 % slower")
    junit, report = tmp_path / "junit.xml", tmp_path / "report.json"
    with gate_proofs.copy_of_the_tree() as tree:
        gate_proofs.break_it(tree, slower)
        words = ("--only", "times", "--base", "HEAD", "--rounds", "8", "--junit", str(junit), "--json", str(report))
        done = run(tree, expectation, *words)
        assert not list((tree / ".git").glob("worktrees/*"))
    assert done.returncode == 1, done.stdout + done.stderr
    verdicts = {one["name"]: one["verdict"] for one in json.loads(report.read_bytes())["findings"]}
    assert verdicts["munlock/dense/256KiB/page-walk"] == "regression"
    assert "regression" not in (verdicts["munlock/dense/256KiB/per-page"], verdicts["munlock/dense/256KiB/hole-skip"])
    assert junit.exists()


def test_an_interrupted_timing_leaves_nothing(tmp_path: Path) -> None:
    with gate_proofs.copy_of_the_tree() as tree:
        words = [sys.executable, "-m", "bench", "gate", "--suite", "quick", "--only", "times", "--base", "HEAD"]
        environment = {**os.environ, **PLAIN, "PYTHONPATH": str(tree), "TMPDIR": str(tmp_path)}
        process = subprocess.Popen(words, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, start_new_session=True)  # fmt: skip
        while process.poll() is None and not list(tmp_path.glob("*/plan.json")):  # until a worker is started
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (130, "", "unlockall-bench: interrupted\n")
        assert not list((tree / ".git").glob("worktrees/*"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--base", "no-such-revision"], "names no commit"),
        (["--only", "times"], "need each other"),
        (["--only", "counters", "--base", "HEAD"], "need each other"),
        (["--only", "speed"], "unknown part 'speed'"),
        (["--rounds", "6"], "at least 8 to judge 8"),
        (["--tolerance", "-1"], "--tolerance must be"),
        (["--suite", "quick", "--only", "laws"], "has no laws"),
        (["--json", "/proc/y.json"], "cannot write to directory /proc: "),
    ],
)
def test_bad_usage_is_no_regression(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    from bench.__main__ import main

    assert main(["gate", *words] if words[0] != "--base" else ["gate", "--only", "times", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("form", ["json", "markdown", "junit"])
def test_a_reports_directory_is_not_made(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from bench.__main__ import main

    assert main(["gate", "--suite", "quick", "--only", "counters", f"--{form}", str(tmp_path / "nosuch" / "report")]) == 2
    assert f"there is no directory {tmp_path / 'nosuch'} to write report to" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
