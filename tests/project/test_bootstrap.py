"""run.py, the bootstrap: what it takes for finished, and how it fails."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bench.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bootstrap(tmp_path: Path) -> ModuleType:
    """Return run.py as loaded from a checkout of its own, with no environment yet."""
    copy = tmp_path / "run.py"
    copy.write_bytes((ROOT / "run.py").read_bytes())
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", copy)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def finish(bootstrap: ModuleType, extra: str) -> None:
    bootstrap.PYTHON.parent.mkdir(parents=True, exist_ok=True)
    bootstrap.PYTHON.touch()
    bootstrap.STAMP.write_text(json.dumps(bootstrap.wanted_stamp(extra)))


def test_a_finished_environment_is_used_as_it_is(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(bootstrap, "")
    monkeypatch.setattr(bootstrap, "make_environment", lambda _: pytest.fail("made again"))
    bootstrap.ensure_environment("")


def test_one_for_the_tests_serves_all(bootstrap: ModuleType) -> None:
    finish(bootstrap, bootstrap.TEST_EXTRA)
    assert bootstrap.fits(bootstrap.read_stamp(), "")
    finish(bootstrap, "")
    assert not bootstrap.fits(bootstrap.read_stamp(), bootstrap.TEST_EXTRA)


@pytest.mark.parametrize("damage", ["no stamp", "half a stamp", "a list", "no python", "other project", "other place"])
def test_what_is_not_finished_is_made_again(bootstrap: ModuleType, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(bootstrap, "")
    if damage == "no stamp":
        bootstrap.STAMP.unlink()
    elif damage == "half a stamp":
        bootstrap.STAMP.write_text('{"pyproject": ')
    elif damage == "a list":
        bootstrap.STAMP.write_text("[]")
    elif damage == "no python":
        bootstrap.PYTHON.unlink()
    elif damage == "other project":
        (bootstrap.ROOT / "pyproject.toml").write_text("[project]\n# changed\n")
    else:
        bootstrap.STAMP.write_text(bootstrap.STAMP.read_text().replace(str(bootstrap.ROOT), "/elsewhere"))
    made: list[str] = []
    monkeypatch.setattr(bootstrap, "make_environment", made.append)
    bootstrap.ensure_environment("")
    assert made == [""]


def test_a_failed_installation_leaves_no_stamp(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(bootstrap, "")
    (bootstrap.ROOT / "pyproject.toml").write_text("[project]\n# changed\n")

    def fail(command: list[str], failure: str) -> None:
        assert not bootstrap.STAMP.exists()
        raise bootstrap.SetupError(failure)

    monkeypatch.setattr(bootstrap, "call", fail)
    with pytest.raises(bootstrap.SetupError, match="see above"):
        bootstrap.make_environment("")
    assert not bootstrap.STAMP.exists()
    assert bootstrap.read_stamp() == {}


def test_an_unfinished_environment_is_cleared_first(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "call", lambda command, _: commands.append(command))
    bootstrap.VENV.mkdir()
    bootstrap.make_environment("test")
    assert commands[0][1:] == ["-m", "venv", "--clear", str(bootstrap.VENV)]
    assert commands[1][-1] == f"{bootstrap.ROOT}[test]"
    assert json.loads(bootstrap.STAMP.read_text()) == bootstrap.wanted_stamp("test")


def test_failures_are_one_line(bootstrap: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    bootstrap.VENV.write_text("in the way")
    assert bootstrap.main(["list"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("run.py: ")


class FakeProcess:
    """Ends at once; ruff fails."""

    ran: list[tuple[list[str], dict[str, str]]]

    def __init__(self, command: list[str], *, env: dict[str, str], **options: Any) -> None:
        self.ran.append((command[2:], {key: value for key, value in env.items() if key.startswith("NUMBA_")}))
        options["stdout"].write(f"{command[2]} speaks\n".encode())
        self.returncode = 1 if command[2] == "ruff" else 0

    def poll(self) -> int:
        return self.returncode


@pytest.fixture
def ran(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """Return the steps that a run of the tests takes, as they come: arguments after `python -m`, settings of numba."""
    monkeypatch.setattr(FakeProcess, "ran", [], raising=False)
    monkeypatch.setattr(bootstrap.subprocess, "Popen", FakeProcess)
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # of whoever calls it: must not turn three runs into one
    return FakeProcess.ran


def test_every_step_runs_even_after_a_failure(
    bootstrap: ModuleType, ran: list[tuple[list[str], dict[str, str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bootstrap.run_tests(["-x"]) == 1
    assert sorted([(command[0], settings) for command, settings in ran], key=str) == sorted(
        [
            ("ruff", {}),
            ("mypy", {}),
            ("pytest", {}),
            ("pytest", {}),
            ("pytest", {}),
            ("pytest", {"NUMBA_DISABLE_JIT": "1"}),
            ("pytest", {"NUMBA_BOUNDSCHECK": "1"}),
        ],
        key=str,
    )
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "FAILED: ruff"
    assert out.count("pytest speaks") == 5
    assert "== ruff: FAILED" in out


def test_all_tests_run_compiled_and_those_of_the_model_in_every_setting(
    bootstrap: ModuleType, ran: list[tuple[list[str], dict[str, str]]]
) -> None:
    bootstrap.run_tests([])
    bench, races, rest = (command[2:] for command, settings in ran if command[0] == "pytest" and not settings)
    some, left_out = ([path for path in bench if path.startswith("--") is option] for option in (False, True))
    assert left_out == [f"--ignore={path}" for path in races]
    assert rest == [f"--ignore={path}" for path in (*some, *races)]  # together everything
    paths = {tuple(settings): command[2:] for command, settings in ran if command[0] == "pytest" and settings}
    assert all("tests/model" in each and all((ROOT / path).exists() for path in each) for each in paths.values())
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    assert all(f"{{posargs:{' '.join(each)}}}" in tox for each in paths.values())


def test_a_long_run_has_random_programs_alone(
    bootstrap: ModuleType, ran: list[tuple[list[str], dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its variables is read by the test that it is given to."""
    given: list[dict[str, str]] = []

    class Spy(FakeProcess):
        def __init__(self, command: list[str], *, env: dict[str, str], **options: Any) -> None:
            given.append(env)
            super().__init__(command, env=env, **options)

    monkeypatch.setattr(bootstrap.subprocess, "Popen", Spy)
    assert bootstrap.run_tests(["--long", "-x"]) == 0
    assert [command[-1] for command, _ in ran] == ["-x", "-x"]
    for (command, _), environment, variable in zip(ran, given, ("STATE_MACHINE_EXAMPLES", "RANDOM_TRACES"), strict=True):
        assert int(environment[variable]) >= 400
        assert f'"{variable}"' in (ROOT / command[-2]).read_text(encoding="utf-8")


@pytest.mark.parametrize(("share", "numbers"), [("0.1", ["250", "40"]), ("1e-9", ["1", "1"]), ("2", ["5000", "800"])])
def test_a_share_of_a_long_run(
    share: str,
    numbers: list[str],
    bootstrap: ModuleType,
    ran: list[tuple[list[str], dict[str, str]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bootstrap.run_tests([f"--long={share}"]) == 0
    said = capsys.readouterr().out
    assert f"STATE_MACHINE_EXAMPLES={numbers[0]} " in said and f"RANDOM_TRACES={numbers[1]} " in said
    assert len(ran) == 2


def test_what_is_no_share_is_told(bootstrap: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("soon", "nan", "inf"):
        assert bootstrap.run_tests([f"--long={word}"]) == 2
        assert f"--long={word}: give a share" in capsys.readouterr().err


def test_a_long_run_starts_what_it_says(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The steps as they are, by real processes that collect and run nothing."""
    monkeypatch.setattr(bootstrap, "ROOT", ROOT)
    monkeypatch.setattr(bootstrap, "PYTHON", Path(sys.executable))
    assert bootstrap.run_tests(["--long=0.001", "--collect-only", "-p", "no:cacheprovider"]) == 0
    out = capfd.readouterr().out
    assert "tests/model/test_state_machine.py::test_random_programs[5.10]" in out
    assert "tests/model/test_random_traces.py::test_model_agrees_with_oracle" in out
    assert out.rstrip().endswith("all steps passed")


def test_an_interrupted_run_stops_its_steps(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(bootstrap, bootstrap.TEST_EXTRA)
    bootstrap.PYTHON.unlink()
    bootstrap.PYTHON.symlink_to(sys.executable)
    processes: list[subprocess.Popen[bytes]] = []

    def interrupt(_: float) -> None:
        processes.extend(step.process for step in started)
        raise KeyboardInterrupt

    started: list[Any] = []

    class Spy(bootstrap.Step):  # type: ignore[misc, name-defined]  # a module loaded by its path
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            started.append(self)

    sleep: tuple[str, dict[str, str], list[str]] = ("sleep", {}, ["-c", "import time; time.sleep(60)"])
    monkeypatch.setattr(bootstrap, "test_steps", lambda: [sleep, sleep])
    monkeypatch.setattr(bootstrap, "Step", Spy)
    monkeypatch.setattr(bootstrap.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        bootstrap.run_tests([])
    assert processes
    assert all(process.poll() is not None for process in processes)


def test_it_needs_no_installed_package() -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-I", str(ROOT / "run.py"), "--help"], capture_output=True, text=True, check=True
    )
    assert "python3 run.py report" in done.stdout
    for name, text in COMMANDS.items():
        assert re.search(rf"^ +{name} +{re.escape(text)}$", done.stdout, re.MULTILINE)


def test_help_of_the_test_command_sets_nothing_up(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "ensure_environment", lambda _: pytest.fail("set up"))
    assert bootstrap.main(["test", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(title in said for title, _, _ in (*bootstrap.test_steps(), *bootstrap.long_steps()))
