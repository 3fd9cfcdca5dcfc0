"""The `run` command as pyperf's users know it: files, options, names, and no mixture of unlike runs."""

import argparse
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyperf
import pytest

from bench import environment
from bench.commands import run
from bench.errors import MeasurementError, UsageError
from bench.measuring.timing import Plan
from bench.runs import storage
from bench.runs.storage import PREFIX
from bench.workloads import suite
from bench.workloads.scenario import SCENARIOS, Point
from support.progress_lines import said

ROOT = Path(__file__).resolve().parents[3]
SMALL = ("report", "--size", "1MiB", "--impl", "page-walk", "-p1", "-n1", "-w0", "-l3", "--quiet")
NAME = "munlockall/report/1MiB/page-walk"


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """Run in a process of its own, since pyperf has one runner for each; workers do what is compiled or not here."""
    return subprocess.run([sys.executable, "-m", "bench", "run", *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_file_is_pyperfs_and_grows_by_append(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    done = command(*SMALL, "-o", str(path))
    assert (done.returncode, said(done.stderr)) == (0, []), done.stderr
    (benchmark,) = pyperf.BenchmarkSuite.load(str(path)).get_benchmarks()
    assert benchmark.get_name() == NAME
    told = benchmark.get_metadata()
    assert [told[PREFIX + key] for key in ("scenario", "span", "implementation")] == ["report", 1 << 20, "page-walk"]
    assert {"numba_version", "numpy_version", PREFIX + "counters", PREFIX + "source", PREFIX + "populated"} <= set(told)
    assert told["loops"] == 3

    assert command(*SMALL, "--append", str(path)).returncode == 0
    assert storage.load_wall(path)[NAME].get_nrun() == 2
    again = command(*SMALL, "-o", str(path))
    assert (again.returncode, again.stdout) == (2, "")
    assert "already exists" in again.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["times.json"]


def test_a_call_that_cannot_be_made_is_bad_usage(tmp_path: Path) -> None:
    for scenario in ("report", "sparse-2MiB"):
        done = command(scenario, "--op", "touch", "--results", str(tmp_path))
        assert (done.returncode, done.stdout) == (2, "")
        assert f"touch is not measured on {scenario}, which cannot be accessed (PROT_NONE)" in done.stderr


def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    for option in ("-o", "--append"):
        done = command(*SMALL, option, str(tmp_path / "nosuch" / "x.json"))
        assert (done.returncode, done.stdout) == (2, "")
        assert "there is no directory" in done.stderr and list(tmp_path.iterdir()) == []


def test_in_this_process_as_pyperf_can(tmp_path: Path) -> None:
    done = command(*SMALL, "--in-process", "-o", str(tmp_path / "times.json"))
    assert done.returncode == 0, done.stderr
    assert storage.load_wall(tmp_path / "times.json")[NAME].get_nvalue() == 1


def test_a_directory_whose_name_is_no_text_keeps_the_run(tmp_path: Path) -> None:
    results = tmp_path / os.fsdecode(b"\xff")
    done = command(*SMALL, "--results", str(results))
    assert done.returncode == 0, done.stderr
    (directory,) = results.iterdir()
    assert r"\xff'" in storage.load_counters(directory / storage.COUNTERS_FILE).command


def test_what_was_timed_is_kept_where_its_place_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    part = tmp_path / "part.json"
    part.write_bytes(b"times")
    with pytest.raises(MeasurementError, match="cannot write") as caught:
        run._keep_or_rescue(part, run.Destination(output=tmp_path / "gone" / "x.json"), [], Plan(()))
    (note,) = caught.value.__notes__
    assert Path(note.rpartition(" ")[2]).read_bytes() == b"times"


def times_file(path: Path, *seconds: float) -> Path:
    """Write a pyperf file of one process that timed these values."""
    metadata = {"name": NAME, "unit": "second", "loops": 1, PREFIX + "digest": POINT.digest, PREFIX + "counters": "c"}
    metadata[PREFIX + "source"] = environment.source_digest()
    storage.save_wall(path, [pyperf.Benchmark([pyperf.Run(list(seconds), metadata=metadata, collect_metadata=False)])])
    return path


def test_of_many_that_append_at_once_none_is_lost(tmp_path: Path) -> None:
    final, plan = tmp_path / "all.json", Plan((POINT,), {NAME: "c"})
    parts = [times_file(tmp_path / f"{number}.json", 1.0 + number) for number in range(12)]
    with ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda part: run.append(part, final, plan), parts))
    assert sorted(storage.load_wall(final)[NAME].get_values()) == [1.0 + number for number in range(12)]


def test_a_file_that_came_meanwhile_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    part, final = times_file(tmp_path / "part.json", 1.0), tmp_path / "final.json"
    final.write_bytes(b"another's")
    with pytest.raises(UsageError, match="is there by now"):
        run._keep_or_rescue(part, run.Destination(output=final), [], Plan((POINT,), {NAME: "c"}))
    assert final.read_bytes() == b"another's"
    assert [storage.load_wall(path)[NAME].get_values() for path in tmp_path.glob("*/wall.json")] == [(1.0,)]


def test_without_a_file_a_run_directory_is_made(tmp_path: Path) -> None:
    done = command(*SMALL, "--affinity", "0", "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (directory,) = tmp_path.iterdir()
    counted = storage.load_counters(directory / storage.COUNTERS_FILE)
    assert [one.name for one in counted.points] == list(storage.load_wall(directory / storage.WALL_FILE)) == [NAME]


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    words = [sys.executable, "-m", "bench", "run", *SMALL, "-p20", "-o", str(path)]
    process = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, start_new_session=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*/plan.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)  # a worker is at work
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "unlockall-bench: interrupted"
    assert list(tmp_path.iterdir()) == []


POINT = Point(SCENARIOS["report"].resized(1 << 20), "page-walk")
NEW = {"digest": "d", "source": "s", "counters": "c"}


def told(**changes: str) -> dict[str, pyperf.Benchmark]:
    metadata: dict[str, object] = {"name": NAME, "unit": "second", "loops": 1}
    metadata |= {PREFIX + key: value for key, value in {**NEW, **changes}.items()}
    return {NAME: pyperf.Benchmark([pyperf.Run([1.0], metadata=metadata, collect_metadata=False)])}


@pytest.mark.parametrize("key", run.SHARED)
def test_unlike_runs_are_not_mixed(key: str) -> None:
    run.refuse_mixture(told(), NEW, POINT)
    run.refuse_mixture({}, NEW, POINT)
    with pytest.raises(UsageError, match=f"whose {key} differs"):
        run.refuse_mixture(told(**{key: "other"}), NEW, POINT)


def arguments(**changes: object) -> argparse.Namespace:
    values: dict[str, object] = {
        "scenario": [],
        "size": [],
        "levels": "4",
        "impl": [],
        "layout": [],
        "op": [],
        "suite": None,
        "on": [],
    }
    values |= {"output": None, "append": None, "results": None, "compare_to": None, "track_memory": False, "tracemalloc": False}
    return argparse.Namespace(**{**values, **changes})


def test_without_a_scenario_a_suite_is_run() -> None:
    assert run._points(arguments()) == suite.points_of(suite.SUITES["default"])
    some = run._points(arguments(op=["exit"], impl=["page-walk"]))
    assert {(one.operation, one.implementation) for one in some} == {("exit", "page-walk")}
    assert run._points(arguments(suite="quick")) == suite.points_of(suite.SUITES["quick"])


def test_names_are_unique_and_stable() -> None:
    for name in suite.SUITES:
        names = [point.name for point in suite.points_of(suite.SUITES[name])]
        assert len(names) == len(set(names)), name
    assert "munlockall/report/2TiB/page-walk" in {point.name for point in suite.points_of(suite.SUITES["default"])}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scenario": ["report"], "suite": "quick"}, "--suite is for runs that name no scenario"),
        ({"size": ["1MiB"]}, "need a scenario"),
        ({"op": ["fly"]}, "unknown operation 'fly'"),
        ({"op": ["touch"]}, "does not measure touch"),
        ({"scenario": ["nosuch"]}, "unknown scenario 'nosuch'"),
        ({"scenario": ["report"], "impl": ["fast"]}, "unknown implementation 'fast'"),
    ],
)
def test_wrong_words_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run._points(arguments(**changes))


def test_where_results_go_is_checked_before_anything_is_measured(tmp_path: Path) -> None:
    path = str(tmp_path / "x.json")
    with pytest.raises(UsageError, match="not both"):
        run._destination(arguments(output=path, append=path))
    with pytest.raises(UsageError, match="not both"):
        run._destination(arguments(output=path, results=tmp_path))
    with pytest.raises(UsageError, match="is no file"):
        run._destination(arguments(append=str(tmp_path)))
    with pytest.raises(UsageError, match="there is no directory /proc/nosuch"):
        run._destination(arguments(output="/proc/nosuch/x.json"))
    with pytest.raises(UsageError, match="cannot write to directory"):
        run._destination(arguments(output="/proc/x.json"))
    assert run._destination(arguments(track_memory=True)) == run.Destination()


@pytest.mark.parametrize("text", ["7000", "x", "0-x", "1,,2", "-1"])
def test_processors_that_are_not_there_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no list of this machine's processors"):
        run._check_affinity(text)
    run._check_affinity(str(min(os.sched_getaffinity(0))))


def test_what_pyperf_is_at_is_told_where_there_is_no_terminal(tmp_path: Path) -> None:
    """In a process of its own, with lines that come often; two points, each as long as its worker processes take to start."""
    program = (
        "import sys; from bench import progress; from bench.__main__ import main; progress.PLAIN_SECONDS = 0.2; "
        "from bench.measuring import counting; counting.LONG_SECONDS = 2.5; sys.exit(main(sys.argv[1:]))"
    )
    words = ("run", "report", "--size", "1MiB", "--size", "2MiB", "--impl", "page-walk", "-p3", "-n1", "-w0", "-l3")
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "--results", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [NAME, NAME.replace("1MiB", "2MiB")]
    for number, name in enumerate(names):
        assert f"unlockall-bench: timing {name}, {number} of 2, " in done.stderr
        assert f"unlockall-bench: timing {name} will take about 0 min" in done.stderr  # 3 processes, a second each to start


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-p3", "-n4", "-w2", "-l5"], 3 * (1 + 7 + (2 + 4) * 5 * 0.5)),
        (["-p3", "-n4", "-l5"], 3 * (1 + 7 + (1 + 4) * 5 * 0.5)),  # a value to warm up, as pyperf has it
        (["-p3", "-n4", "-w0"], (3 + 1) * (1 + 7 + 4 * 0.5)),  # a call is longer than pyperf's values: one loop
        (["--fast"], (10 + 1) * (1 + 7 + (1 + 2) * 0.5)),
    ],
)
def test_how_long_the_options_have_a_point_timed(words: list[str], expected: float) -> None:
    program = (
        "import json, sys; from bench.measuring.timing import PyperfProgram; program = PyperfProgram(); "
        "program.parse(sys.argv[1:]); print(json.dumps(program.expected_seconds(0.5, 7.0)))"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(expected)


def test_where_the_times_lie_is_told(tmp_path: Path) -> None:
    loud = [word for word in SMALL if word != "--quiet"]
    for option in ("-o", "--append"):
        path = tmp_path / "times.json"
        assert command(*loud, option, str(path)).stdout.endswith(f"raw data: {path}\n")
    assert storage.load_wall(path)[NAME].get_nrun() == 2
