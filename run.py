#!/usr/bin/env python3
"""Set up the project's own environment beside this file, then run a command in it.

    python3 run.py report      the main job: the report reproduced
    python3 run.py test        linter, type checker, and the tests in three settings
    python3 run.py COMMAND     any other command of `python -m bench`, see below

Needs nothing but Python 3.11 or later with its venv module. Only the standard
library is used, and only syntax that older Pythons can read too, so that they
end with a clear line and not with a syntax error.
"""

import sys

if sys.version_info < (3, 11):
    sys.stderr.write("run.py: needs Python 3.11 or later, this is %s\n" % sys.version.split()[0])
    sys.exit(2)

import ast
import contextlib
import fcntl
import hashlib
import json
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "unlockall-bench.stamp"
LOCK = ROOT / ".venv.lock"
TEST_EXTRA = "dev"  # of pyproject.toml: what the test command needs


class SetupError(Exception):
    """The environment could not be made; the text is one line for the user."""


def say(text: str) -> None:
    """Print one line of progress on standard error."""
    print("run.py: " + text, file=sys.stderr, flush=True)


def wanted_stamp(extra: str) -> "dict[str, str]":
    """Return what an environment that fits this checkout has in its stamp file."""
    return {
        "pyproject": hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest(),
        "root": str(ROOT),  # an editable install knows its place, so a moved checkout needs a new one
        "python": "%s %s" % (Path(sys.executable).resolve(), sys.version.split()[0]),
        "extra": extra,
    }


def read_stamp() -> "dict[str, str]":
    """Return the stamp of the present environment, {} if there is none that was finished."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) and PYTHON.exists() else {}


def fits(stamp: Mapping[str, str], extra: str) -> bool:
    """Tell whether an environment with this stamp can be used as it is."""
    # One that was made for the tests has all that the other commands need.
    return any(stamp == wanted_stamp(one) for one in {extra, TEST_EXTRA})


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Hold the lock of this checkout's environment; a dead holder's lock is free."""
    with LOCK.open("w") as handle:
        os.set_inheritable(handle.fileno(), True)  # an installer that outlives a killed run.py keeps the lock
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another run.py that is setting up %s" % VENV)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def call(command: Sequence[str], failure: str) -> None:
    """Run a set-up command quietly; on failure show the end of what it printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, close_fds=False, check=False)
    if done.returncode:
        for line in done.stdout.strip().splitlines()[-15:]:
            print("    " + line, file=sys.stderr)
        raise SetupError(failure)


def make_environment(extra: str) -> None:
    """Create or bring up to date .venv; its stamp is written last, after all else succeeded."""
    old = read_stamp()
    keep = {key: old.get(key) for key in ("root", "python")} == {key: wanted_stamp(extra)[key] for key in ("root", "python")}
    STAMP.unlink(missing_ok=True)  # whatever happens from here on, nobody takes it for finished
    started = time.monotonic()
    if not keep:
        say("creating %s (first run only; about a minute)" % VENV)
        call(
            [sys.executable, "-m", "venv", "--clear", str(VENV)],
            "this Python cannot make virtual environments; on Debian and Ubuntu install python3-venv",
        )
    say("installing the project and what it needs")
    target = str(ROOT) + ("[%s]" % extra if extra else "")
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    call([*pip, "install", "--quiet", "-e", target], "pip could not install the project, see above")
    part = STAMP.with_suffix(".part")
    part.write_text(json.dumps(wanted_stamp(extra)), encoding="utf-8")
    part.replace(STAMP)
    say("ready after %.0f s" % (time.monotonic() - started))


def ensure_environment(extra: str) -> None:
    """Return once .venv fits this checkout; immediate when it already does."""
    if fits(read_stamp(), extra):
        return
    try:
        with locked():
            if not fits(read_stamp(), extra):  # another run may have made it meanwhile
                make_environment(extra)
    except OSError as error:
        raise SetupError("cannot set up %s: %s" % (VENV, error)) from error


# In one process, which explores each race once for all of them.
RACE_TESTS = ("tests/bench/races", "tests/bench/commands/test_races.py", "tests/docs/test_races.py")
BENCH_TESTS = ("tests/bench", "tests/mutations")
# What depends on how the model is compiled; with bounds checking also every scenario and operation of the benchmark.
MODEL_TESTS = ("tests/model",)
BOUNDS_TESTS = (*MODEL_TESTS, "tests/bench/commands/test_report.py")


def without(paths: "Iterable[str]") -> "list[str]":
    """Return the options of pytest that leave paths out."""
    return ["--ignore=" + path for path in paths]


LONG = "--long"  # option of the test command
AT_ONCE = 2  # steps, if there are as many CPUs


def test_steps() -> "list[tuple[str, dict[str, str], list[str]]]":
    """Return the steps of the test command: title, extra environment, arguments of Python.

    The longest comes first, and what would compile the same as another step comes when that has done it.
    """
    pytest = ["-m", "pytest", "-q"]
    return [
        ("tests of the benchmark", {}, [*pytest, *BENCH_TESTS, *without(RACE_TESTS)]),
        ("ruff", {}, ["-m", "ruff", "check", "."]),
        ("mypy", {}, ["-m", "mypy"]),
        ("tests of the model, compiled with bounds checking", {"NUMBA_BOUNDSCHECK": "1"}, [*pytest, *BOUNDS_TESTS]),
        ("tests of the races", {}, [*pytest, *RACE_TESTS]),
        ("all other tests, compiled", {}, [*pytest, *without((*BENCH_TESTS, *RACE_TESTS))]),
        ("tests of the model, plain Python", {"NUMBA_DISABLE_JIT": "1"}, [*pytest, *MODEL_TESTS]),
    ]


def long_steps(share: float = 1.0) -> "list[tuple[str, dict[str, str], list[str]]]":
    """Return the steps of `test --long`: random programs that were never run before, so many that each takes half an hour.

    `share`: of that many, to see that it works.
    """
    pytest = ["-m", "pytest", "-q"]
    programs, traces = (str(max(1, round(share * number))) for number in (2500, 400))
    return [
        ("random programs", {"STATE_MACHINE_EXAMPLES": programs}, [*pytest, "tests/model/test_state_machine.py"]),
        ("random traces", {"RANDOM_TRACES": traces}, [*pytest, "tests/model/test_random_traces.py"]),
    ]


def shown(title: str, settings: Mapping[str, str], command: Sequence[str]) -> str:
    """Return a step in words: what it is, and as a command line."""
    return "%s: %s" % (title, shlex.join(["%s=%s" % pair for pair in settings.items()] + ["python", *command]))


class Step:
    """A step of the test command that has been started; what it prints is kept until it ends."""

    def __init__(self, title: str, settings: Mapping[str, str], command: Sequence[str]) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
        self.title = title
        self.started = time.monotonic()
        self.output = tempfile.TemporaryFile()  # noqa: SIM115  # closed by end()
        self.process = subprocess.Popen(
            [str(PYTHON), *command], cwd=ROOT, env={**clean, **settings}, stdout=self.output, stderr=subprocess.STDOUT
        )
        print("== " + shown(title, settings, command), flush=True)

    def end(self, verdict: str) -> None:
        """Print what it has printed, and the verdict."""
        self.output.seek(0)
        print("\n" + self.output.read().decode(errors="replace").rstrip())
        print("== %s: %s, %.0f s\n" % (self.title, verdict, time.monotonic() - self.started), flush=True)
        self.output.close()


def run_tests(arguments: Sequence[str]) -> int:
    """Run every step, two at a time, also after one has failed; return 1 if any failed.

    `arguments`: for pytest, but `--long` or `--long=SHARE`, which has other steps.
    """
    shares = [one.partition("=")[2] for one in arguments if one.partition("=")[0] == LONG]
    arguments = [one for one in arguments if one.partition("=")[0] != LONG]
    try:
        waiting = long_steps(float(shares[-1] or 1)) if shares else test_steps()
    except (ValueError, OverflowError):
        print("run.py: %s=%s: give a share of half an hour, as 0.1" % (LONG, shares[-1]), file=sys.stderr)
        return 2
    running: "list[Step]" = []
    failed: "list[str]" = []
    try:
        while waiting or running:
            while waiting and len(running) < min(AT_ONCE, len(os.sched_getaffinity(0))):
                title, settings, command = waiting.pop(0)
                running.append(Step(title, settings, [*command, *(arguments if "pytest" in command else [])]))
            for step in [one for one in running if one.process.poll() is not None]:
                running.remove(step)
                step.end("FAILED" if step.process.returncode else "ok")
                failed += [step.title] if step.process.returncode else []
            time.sleep(0.05)
    finally:
        for step in running:  # interrupted
            step.process.terminate()
            step.process.wait()
            step.end("stopped")
    print("FAILED: " + ", ".join(failed) if failed else "all steps passed", flush=True)
    return 1 if failed else 0


def commands() -> "dict[str, str]":
    """Return the commands of bench and what each does, read from the source: nothing needs to be installed."""
    tree = ast.parse((ROOT / "bench" / "commands" / "__init__.py").read_text(encoding="utf-8"))
    assigned = (node for node in ast.walk(tree) if isinstance(node, (ast.Assign, ast.AnnAssign)))
    for node in assigned:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if node.value is not None and any(isinstance(one, ast.Name) and one.id == "COMMANDS" for one in targets):
            return dict(ast.literal_eval(node.value))
    raise LookupError("bench/commands has no COMMANDS")


def overview() -> str:
    """Return the text of --help."""
    found = commands()
    width = max(map(len, found))
    lines = ["    %s  %s" % (name.ljust(width), text) for name, text in found.items()]
    return "\n".join([str(__doc__), "Commands of `python -m bench`; COMMAND --help tells a command's options:", "", *lines])


def test_overview() -> str:
    """Return the text of `test --help`."""
    lines, long = (["    " + shown(*step) for step in steps] for steps in (test_steps(), long_steps()))
    return "\n".join(
        [
            "python3 run.py test [--long[=SHARE]] [PYTEST OPTION ...]",
            "",
            "Run every step, %d at a time, also after one has failed; exit code 1 if any failed:" % AT_ONCE,
            "",
            *lines,
            "",
            "With --long instead, for about half an hour, the model against its oracle on programs that nobody has run before:",
            "",
            *long,
            "",
            "Other options go to pytest, as in: python3 run.py test -k mlockall. Its help: .venv/bin/python -m pytest --help",
        ]
    )


def main(argv: Sequence[str]) -> int:
    """Set up, then run the tests or hand over to `python -m bench`."""
    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        return 0 if argv else 2
    testing = argv[0] == "test"
    if testing and {"-h", "--help"} & set(argv[1:]):
        print(test_overview())
        return 0
    try:
        ensure_environment(TEST_EXTRA if testing else "")
    except SetupError as error:
        say(str(error))
        return 2
    if testing:
        return run_tests(argv[1:])
    return os.execv(PYTHON, [str(PYTHON), "-m", "bench", *argv])  # does not come back


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
