"""The report command, end to end on small sizes, and its decisions."""

import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from rich.progress import Progress

from bench.__main__ import main
from bench.commands import report
from bench.errors import EXIT_INTERRUPTED, UsageError
from bench.measuring import collect, counting, timing
from bench.measuring.counting import count, count_points
from bench.runs import storage
from bench.targets import model, registry
from bench.workloads.scenario import SCENARIOS, Operation, Point, Scenario
from bench.workloads.suite import Group
from mmmodel.kernels import EVERY_IMPLEMENTATION, IMPLEMENTATIONS


def run(tmp_path: Path, *arguments: str) -> int:
    return main(["report", *arguments, "--results", str(tmp_path / "results"), "--plots", str(tmp_path / "plots")])


def runs(tmp_path: Path) -> list[Path]:
    """Return what is in sight among the results."""
    return [path for path in (tmp_path / "results").iterdir() if not path.name.startswith(".")]


def test_a_whole_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "report", "--size", "1GiB", "--processes", "1", "--values", "1") == 0
    out, err = capsys.readouterr()
    assert err == ""
    for word in ("report/1GiB", "262,144", "per-page", "hole-skip", "page-walk", "all left the same state."):
        assert word in out, word
    (directory,) = (tmp_path / "results").iterdir()
    assert str(directory) in out
    counted = storage.load_counters(directory / storage.COUNTERS_FILE)
    times = storage.load_wall(directory / storage.WALL_FILE)
    assert [one.name for one in counted.points] == list(times)
    assert {one.point.implementation for one in counted.points} == set(IMPLEMENTATIONS)
    per_page = counted.points[0]
    assert per_page.counters["model_pages_looked_up"] == 262144
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["report.png", "report.svg"]


def test_a_report_of_core_dumps_before_and_after(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "one-page",
        "--size",
        "1GiB",
        "--op",
        "coredump",
        "--impl",
        "per-page,dump-walk",
        "--processes",
        "1",
        "--values",
        "1",
    )
    assert run(tmp_path, *words) == 0
    out, _ = capsys.readouterr()
    for word in ("one-page/1GiB", "262,144", "per-page", "dump-walk", "For coredump on 1 GiB", "all left the same state."):
        assert word in out, word
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        "report-coredump-one-page.png", "report-coredump-one-page.svg",
    ]  # fmt: skip


def test_a_report_is_of_one_call_and_of_those_that_take_part_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["--op", "coredump,exit"], "report is of one call; run takes several"),
        (["--impl", "dump-walk"], "dump-walk takes part in coredump alone"),
        (["--op", "coredumps"], "unknown operation 'coredumps'; known are .*coredump"),
    ):
        with pytest.raises(UsageError, match=said):
            report.read_request(words)
    points = report.read_request(["--op", "coredump"]).measurements().points
    assert {point.group for point in points} == {
        *(f"coredump/one-page/{size}" for size in ("2GiB", "64GiB", "256GiB")),
        "coredump/layout/cryptsetup237_luksFormat_hm8_default",
    }


def test_a_difference_between_implementations_ends_it_before_any_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def biased(point: Point) -> Any:
        done = count(point)
        return type(done)(done.counted, point.implementation, done.seconds)

    def timed(*_: object) -> None:
        raise AssertionError("timed although the implementations differ")

    monkeypatch.setattr(counting, "count", biased)
    monkeypatch.setattr(timing, "run_plan", timed)
    assert run(tmp_path, "report", "--size", "1GiB") == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "per-page and hole-skip leave different states after munlockall/report/1GiB" in err
    assert runs(tmp_path) == []


def test_a_failed_measurement_leaves_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(timing, "WARM_UP_SPAN", 1)
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert run(tmp_path, "report", "--size", "1GiB") == 3
    assert "measuring munlockall/report/1GiB/per-page failed" in capsys.readouterr().err
    assert runs(tmp_path) == []
    assert list((tmp_path / "plots").iterdir()) == []


def test_an_interrupted_report_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C while the second point is timed: the first one's time and all counters are there when it is asked for again."""
    counted: list[str] = []
    timed: list[str] = []
    number = len(IMPLEMENTATIONS)
    stop = [False, True] + [False] * number  # by attempts to time a point

    def counting_once(point: Point) -> Any:
        counted.append(point.implementation)
        return count(point)

    def timing_once(plan: timing.Plan, repetition: Any) -> Any:
        if stop[len(timed)]:
            stop[len(timed)] = False
            raise KeyboardInterrupt
        timed.append(plan.points[0].implementation)
        return run_plan(plan, repetition)

    run_plan = timing.run_plan
    monkeypatch.setattr(counting, "count", counting_once)
    monkeypatch.setattr(timing, "run_plan", timing_once)
    words = ("report", "--size", "1GiB", "--processes", "1", "--values", "1")
    assert run(tmp_path, *words) == EXIT_INTERRUPTED
    assert runs(tmp_path) == []
    assert f"unlockall-bench: kept for the same command: {number} of {number} points, in " in capsys.readouterr().err
    assert run(tmp_path, *words, "--values", "2") == 0  # another command
    assert (counted, timed) == ([*IMPLEMENTATIONS] * 2, ["per-page", *IMPLEMENTATIONS])
    stop += [False] * 9
    counted.clear()
    timed.clear()
    capsys.readouterr()
    assert run(tmp_path, *words) == 0
    assert (counted, timed) == ([], [*IMPLEMENTATIONS[1:]])
    assert f"finished before: {number} of {number} points are counted, 1 are timed" in capsys.readouterr().err
    (last, _) = sorted(runs(tmp_path), key=lambda path: path.stat().st_mtime_ns)[::-1]
    assert [*storage.load_wall(last / storage.WALL_FILE)] == [
        one.name for one in storage.load_counters(last / storage.COUNTERS_FILE).points
    ]
    assert [path for path in (tmp_path / "results").iterdir() if path.name.startswith(".")] == []


def test_a_fresh_report_uses_nothing_that_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[bool] = []

    def collected(*_: object, fresh: bool = False, **more: object) -> None:
        done.append(fresh)
        raise UsageError("as far as that")

    monkeypatch.setattr(collect, "collected", collected)
    assert [run(tmp_path, "--size", "1GiB", *words) for words in ((), ("--fresh",))] == [2, 2]
    assert done == [False, True]


def test_the_curves_points_are_timed_less() -> None:
    asked = report.read_request([]).measurements()
    names = {point.name for point in asked.points}
    less = {name for name in names if name in asked.policy.less}
    assert less == {f"munlockall/report/{size}/{one}" for size in ("2GiB", "64GiB") for one in IMPLEMENTATIONS}
    assert {asked.policy.repetition(name, 0.5).processes for name in less} == {1}
    assert {asked.policy.repetition(name, 0.5).processes for name in names - less} == {3}
    assert {name.rpartition("/")[0] for name in names - less} == {
        "munlockall/report/2TiB",
        "munlockall/layout/cryptsetup237_luksFormat_hm8_default",
    }


def small(name: str) -> Scenario:
    return SCENARIOS[name] if name == "layout" else SCENARIOS[name].resized(min(SCENARIOS[name].span, 32 << 20))


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "layout"])
def test_every_scenario_builds_and_all_implementations_agree(name: str) -> None:
    results = [count(Point(small(name), implementation)) for implementation in IMPLEMENTATIONS]
    assert results[0].state == results[1].state == results[2].state
    assert len({done.counted.nr_populated for done in results}) == 1
    expected = model.needed_pages(Point(small(name), "page-walk"))
    assert results[0].counted.nr_populated == expected
    assert results[0].counted.span == small(name).span


@pytest.mark.parametrize("name", ["report", "sparse-2MiB", "dense", "many-vmas", "one-page"])
@pytest.mark.parametrize("operation", [one for one in get_args(Operation) if one != "touch"])  # PROT_NONE cannot be touched
def test_every_operation_leaves_the_same_state_by_all_implementations(name: str, operation: Operation) -> None:
    points = Group(small(name), operation).points()
    results = count_points(points, Progress(disable=True))
    number = len(EVERY_IMPLEMENTATION) if operation == "coredump" else len(IMPLEMENTATIONS)
    assert len({done.counted.name for done in results}) == number
    assert {done.counted.span for done in results} == {small(name).span}


@pytest.mark.parametrize("layout", ["redis7", "python_plain", "java17_g1_1g_thp", "cryptsetup237_open_glibc"])
def test_layouts_build_as_captured(layout: str) -> None:
    from bench.workloads.layout import load
    from bench.workloads.selection import layout_scenario

    loaded, scenario = load(layout), layout_scenario(layout)
    results = [count(Point(scenario, implementation)) for implementation in ("hole-skip", "page-walk")]
    assert results[0].state == results[1].state
    unlockable = sum(nr for vma in loaded.vmas if not vma.lockable for _, nr in vma.present)
    zero = sum(nr for vma in loaded.vmas for _, nr in vma.zero)
    for done in results:
        assert done.counted.span == loaded.span
        assert done.counted.nr_populated >= loaded.nr_present - unlockable - zero


def test_memory_is_checked_before_anything_is_built() -> None:
    with pytest.raises(UsageError, match=r"would need \d+ bytes"):
        registry.check(Point(SCENARIOS["dense"].resized(1 << 46), "page-walk"))
    registry.check(Point(SCENARIOS["report"].resized(1 << 46), "page-walk"))


def test_a_size_alone_is_of_the_report_and_its_program_stays() -> None:
    found = report.read_request(["--size", "64GiB"]).groups
    assert [(one.name, one.span) for one in found[:-1]] == [("report", 64 << 30)]
    assert found[-1].name == "layout"
