"""Progress where there is no terminal: a plain line now and then, and nothing for what is quick."""

import io
import subprocess
import sys
import time

import pytest
from rich.console import Console
from rich.progress import Progress

from bench import progress
from bench.measuring import counting
from bench.measuring.repetition import Repetition
from bench.targets import registry
from bench.workloads import selection
from bench.workloads.scenario import SCENARIOS, Point, Scenario
from support.progress_lines import said


def test_long_work_tells_what_it_is_doing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.2)
    with progress.progress_bar() as display:
        task = display.add_task("counting munlockall/report/2TiB/per-page", total=9, completed=3)
        time.sleep(0.5)
        display.remove_task(task)
        display.add_task("timing\x1b[2J", total=None)
        time.sleep(0.4)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0] == "unlockall-bench: counting munlockall/report/2TiB/per-page, 3 of 9, 0 s"
    assert lines[-1].startswith("unlockall-bench: timing?[2J, 1 s")
    assert len(lines) >= 2 and said(err) == []


def test_quick_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar() as display:
        display.add_task("counting", total=1)
    assert capsys.readouterr() == ("", "")


def test_a_line_comes_during_a_call_of_the_model() -> None:
    """In a process of its own: the call takes about a second, however fast the machine is compiled."""
    program = (
        "from bench import progress\n"
        "from bench.targets import registry\n"
        "from bench.workloads.scenario import SCENARIOS, Point\n"
        "progress.PLAIN_SECONDS = 0.05\n"
        "call = registry.prepare(Point(SCENARIOS['report'], 'per-page')).call\n"
        "with progress.progress_bar() as display:\n"
        "    display.add_task('calling', total=1)\n"
        "    call()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert len(done.stderr.splitlines()) >= 3, done.stderr


def test_what_will_take_minutes_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    done = counting.count(Point(SCENARIOS["report"].resized(1 << 20), "page-walk"))
    monkeypatch.setattr(counting, "count", lambda _: done)
    told = io.StringIO()
    display = Progress(console=Console(file=told), disable=True)
    asan = selection.layout_scenario("c_asan_gcc")
    counting.count_points([Point(asan, name) for name in ("per-page", "page-walk")], display)
    assert told.getvalue().startswith("unlockall-bench: counting munlockall/layout/c_asan_gcc/per-page will take about ")
    assert told.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("scenario", "implementation", "is_long"),
    [
        (SCENARIOS["report"], "per-page", False),
        (SCENARIOS["sparse-2MiB"].resized(1 << 45), "per-page", True),
        (SCENARIOS["sparse-1GiB"].resized(1 << 40), "page-walk", False),
        (SCENARIOS["dense"], "per-page", False),
        (SCENARIOS["report"].resized(100 << 40), "page-walk", False),
    ],
)
def test_expected_seconds_tell_minutes_from_seconds(scenario: Scenario, implementation: str, is_long: bool) -> None:
    point = Point(scenario, implementation)
    assert (registry.implementation(implementation).expected_seconds(point) > counting.LONG_SECONDS) is is_long


def test_expected_seconds_of_timing_count_every_process_and_call() -> None:
    repetition = Repetition(processes=3, values=4, warmups=1, loops=10)
    assert repetition.expected_seconds(0.5, 7.0) == 3 * (1 + 7 + 5 * 10 * 0.5)


@pytest.mark.parametrize(("terminal", "lines"), [(False, True), (True, False)])
def test_beside_what_others_show_nothing_is_shown_on_a_terminal(
    terminal: bool, lines: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.1)
    monkeypatch.setattr(progress, "Console", lambda **words: Console(**words, force_terminal=terminal))
    with progress.progress_bar(others=True) as display:
        display.add_task("timing", total=2)
        time.sleep(0.4)
    assert ("timing" in capsys.readouterr().err) is lines
