"""What is kept of real kernels: written, read back, and refused where it cannot be right; models and kernels are told apart."""

import json
from pathlib import Path
from typing import Any

import pyperf
import pytest

from bench.errors import MeasurementError, UsageError
from bench.runs import kernel_record, loading, storage
from bench.runs.loaded import of_targets
from bench.runs.storage import PREFIX
from support import kept, real

BIG = (1 << 53) + 1  # no float holds it


def write(directory: Path) -> Path:
    """Write a run of a model, of kernels under QEMU, as user-mode Linux and of the host."""
    model = kept.point("page-walk")
    kept.write(directory, [kept.counted(model, 5)])
    costs = [
        real.cost("5.10.262", (BIG, BIG + 4, BIG + 2)),
        real.cost("6.1.9", (2040,)),
        real.cost("6.1.192", (2040, 2041, 2040), (2039,)),
        real.cost("host", (4e-6, 5e-6, 9e-6), (6e-6,), (7e-6,)),
        real.cost("uml-5.10", (2.5,)),
    ]
    kernel_record.save(directory, "python -m bench made-up", kept.MACHINE, [kept.timed(model, [[1e-6], [2e-6]])], costs)
    return directory


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    run = loading.load_path(write(tmp_path / "run"))
    group = "munlockall/report/64MiB"
    old = run.points[f"{group}/5.10.262"]
    assert old.instructions == ((BIG, BIG + 4, BIG + 2),) and old.nr_instructions == BIG + 2
    assert run.points[f"{group}/6.1.192"].instructions == ((2040, 2041, 2040), (2039,))
    assert old.kernel == real.facts("5.10.262") and not old.processes and old.record is None
    assert (old.span, old.nr_populated) == (64 << 20, 0)
    host = run.points[f"{group}/host"]
    assert host.by_process == [5e-6, 6e-6, 7e-6] and host.nr_instructions is None
    assert host.kernel == real.facts("host")
    assert run.points[f"{group}/page-walk"].kernel is None
    assert {name: one.runs_as for name, one in run.kernels.items()} == {
        "host": "running here",
        "uml-5.10": "user-mode Linux",
        "5.10.262": "QEMU",
        "6.1.9": "QEMU",
        "6.1.192": "QEMU",
    }


def test_what_asks_for_counters_does_not_meet_kernels(tmp_path: Path) -> None:
    run = loading.load_path(write(tmp_path / "run"))
    assert [one.implementation for one in run.counted_points] == ["page-walk"]
    assert [one.implementation for one in run.timed_points] == ["page-walk", "host", "uml-5.10"]
    assert len(run.kernel_points) == 5 and run.nr_foreign == 0


def test_a_run_of_instructions_alone_is_a_run(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    kernel_record.save(directory, "python -m bench made-up", kept.MACHINE, [], [real.cost("6.1.192", (2040,))])
    assert [path.name for path in directory.iterdir()] == [storage.INSTRUCTIONS_FILE]
    run = loading.load("run", tmp_path)
    assert run.command == "python -m bench made-up" and run.created and run.machine == kept.MACHINE
    assert list(loading.load_path(directory / storage.INSTRUCTIONS_FILE).points) == list(run.points)


def test_times_say_what_they_are_of(tmp_path: Path) -> None:
    write(tmp_path / "run")
    told = storage.load_wall(tmp_path / "run" / storage.WALL_FILE)["munlockall/report/64MiB/uml-5.10"].get_metadata()
    expected = {"measured": "real kernel", "kernel": "5.10.7", "runs_as": "user-mode Linux", "image": "a" * 64}
    expected |= {"operation": "munlockall", "scenario": "report", "implementation": "uml-5.10"}
    assert {key: told[PREFIX + key] for key in expected} == expected
    assert (told[PREFIX + "span"], told[PREFIX + "populated"], told["hostname"] != "") == (64 << 20, 0, True)


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("points", 0, "starts"), [], "has no value"),
        (("points", 0, "starts"), [[1], []], "has no value"),
        (("points", 0, "starts"), [[0]], "has 0 instructions, which cannot be"),
        (("points", 0, "starts"), [[1.5]], "is not of schema"),
        (("points", 0, "name"), "munlockall/report/2TiB/6.1.192", "is not what its parameters say"),
        (("kernels",), [], "does not say what kernel"),
        (("schema",), 2, "is not of schema"),
    ],
)
def test_what_cannot_be_right_is_refused(tmp_path: Path, path: tuple[str | int, ...], value: object, problem: str) -> None:
    file = tmp_path / storage.INSTRUCTIONS_FILE
    kernel_record.save_instructions(file, "", {}, [real.cost("6.1.192", (2040,))])
    content = json.loads(file.read_bytes())
    place: Any = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    file.write_text(json.dumps(content))
    with pytest.raises(MeasurementError, match=problem):
        loading.load_path(file)


def test_one_name_in_two_files_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    kernel_record.save(directory, "", {}, [], [real.cost("6.1.192", (2040,))])
    storage.save_wall(directory / storage.WALL_FILE, kernel_record.benchmarks([real.cost("6.1.192", (1.0,))]))
    with pytest.raises(MeasurementError, match="is in two files of the run"):
        loading.load_path(directory)


def test_times_of_two_kernels_under_one_name_are_refused(tmp_path: Path) -> None:
    one = kernel_record.benchmarks([real.cost("host", (1.0,), (2.0,))])[0]
    metadata = one.get_runs()[0].get_metadata() | {PREFIX + "kernel": "7.0"}
    mixed = pyperf.Benchmark([*one.get_runs(), pyperf.Run([1.0], metadata=metadata, collect_metadata=False)])
    storage.save_wall(tmp_path / "x.json", [mixed])
    with pytest.raises(MeasurementError, match="are mixed, their kernel differs"):
        loading.load_path(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("6.1", "6.1.192"),  # the newest, by number and not by letter
        ("6.1.9", "6.1.9"),
        ("5.10", "5.10.262"),
        ("host", "host"),
        ("page-walk", "page-walk"),
        ("uml-5.10", "uml-5.10"),
    ],
)
def test_a_word_names_a_target_of_a_run(tmp_path: Path, word: str, name: str) -> None:
    run = loading.load_path(write(tmp_path / "run"))
    assert [one.implementation for one in of_targets(run, [word]).points.values()] == [name]


def test_a_target_that_a_run_lacks_is_told(tmp_path: Path) -> None:
    run = loading.load_path(write(tmp_path / "run"))
    assert of_targets(run, []) is run
    with pytest.raises(UsageError, match="run has nothing of '7'; it has page-walk, host"):
        of_targets(run, ["7"])
