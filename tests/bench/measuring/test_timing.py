"""Timing: what is inside the clock, and that nothing is believed that was not asked for."""

import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

import pyperf
import pytest

from bench.environment import source_digest
from bench.errors import MeasurementError
from bench.measuring import footprint, timing
from bench.measuring.counting import count
from bench.measuring.repetition import Repetition
from bench.measuring.timing import Plan
from bench.runs.record import digest_of
from bench.runs.storage import PREFIX
from bench.targets import registry
from bench.targets.target import Prepared
from bench.workloads.scenario import SCENARIOS, Point

POINT = Point(SCENARIOS["report"].resized(1 << 30), "page-walk")


class FakeSpace:
    """Counts restores, each of which takes a second of the fake clock; a call takes a tenth."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def prepared(self) -> Prepared:
        return Prepared("page-walk", 1 << 30, 1, 0, self.call, self.restore, counters=dict, state=str)

    def restore(self) -> None:
        self.now += 1.0
        self.log.append("restore")

    def call(self) -> None:
        self.now += 0.1
        self.log.append("call")


def test_each_call_is_on_a_restored_space_and_only_calls_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    space = FakeSpace()
    monkeypatch.setattr(time, "perf_counter", lambda: space.now)
    assert timing.time_calls(space.prepared(), loops=6) == pytest.approx(0.6)
    assert space.log == ["restore", "call"] * 6


def test_each_call_of_the_footprint_of_counting_is_on_a_restored_space(monkeypatch: pytest.MonkeyPatch) -> None:
    space = FakeSpace()
    monkeypatch.setattr(time, "perf_counter", lambda: space.now)
    monkeypatch.setattr(footprint, "COUNTED_POINTS", {"one": POINT})
    monkeypatch.setattr(registry, "prepare", lambda point: space.prepared())
    assert footprint.call_seconds() == {"one": pytest.approx(0.1)}
    assert space.log == ["restore", "call"] * (1 + footprint.CALLS)


def benchmark(point: Point, **changes: Any) -> pyperf.Benchmark:
    metadata = {"name": point.name, "unit": "second", "loops": 1, PREFIX + "digest": point.digest}
    metadata |= {PREFIX + "implementation": point.implementation, PREFIX + "source": source_digest(), **changes}
    return pyperf.Benchmark([pyperf.Run([1.0], metadata=metadata, collect_metadata=False)])


def stub_run(monkeypatch: pytest.MonkeyPatch, write: Callable[[str], None], code: int = 0, err: str = "") -> list[list[str]]:
    """Put `write(output path)` in the worker_end of the measuring program; return the commands it got."""
    commands: list[list[str]] = []

    def run(command: list[str]) -> Any:
        commands.append(command)
        write(command[command.index("-o") + 1])
        return subprocess.CompletedProcess(command, code, "", err)

    monkeypatch.setattr(timing, "_run", run)
    return commands


def test_what_comes_back_is_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_BOUNDSCHECK", "1")
    commands = stub_run(monkeypatch, lambda path: benchmark(POINT).dump(path))
    assert [one.get_name() for one in timing.run_plan(Plan((POINT,)), Repetition(7, 2, 0, 5))] == [POINT.name]
    assert {"--processes=7", "--values=2", "--warmups=0", "--loops=5"} <= set(commands[0])
    assert any(word.startswith("--inherit-environ=") and "NUMBA_BOUNDSCHECK" in word for word in commands[0])


OTHER = Point(SCENARIOS["report"].resized(1 << 30), "per-page")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (benchmark(OTHER), "asked for munlockall/report/1GiB/page-walk, but measured was munlockall/report/1GiB/per-page"),
        (benchmark(POINT, **{PREFIX + "implementation": "per-page"}), "implementation differs"),
        (benchmark(POINT, **{PREFIX + "source": "0123456789abcdef"}), "source differs"),
        (benchmark(POINT, **{PREFIX + "digest": OTHER.digest}), "digest differs"),
    ],
)
def test_another_workers_time_is_not_believed(monkeypatch: pytest.MonkeyPatch, wrong: pyperf.Benchmark, why: str) -> None:
    stub_run(monkeypatch, lambda path: wrong.dump(path))
    with pytest.raises(MeasurementError, match=why):
        timing.run_plan(Plan((POINT,)), Repetition())


@pytest.mark.parametrize("bad", range(3))
@pytest.mark.parametrize("key", ["digest", "implementation", "source", "counters"])
def test_every_worker_has_to_measure_the_same(key: str, bad: int) -> None:
    plan = Plan((POINT,), {POINT.name: "c" * 16})
    runs: list[pyperf.Run] = []
    for number in range(3):
        changes = {PREFIX + "counters": "c" * 16} | ({PREFIX + key: "0123456789abcdef"} if number == bad else {})
        runs += benchmark(POINT, **changes).get_runs()
    assert timing.checked(pyperf.Benchmark([*runs[:bad], *runs[bad + 1 :]]), POINT, plan).get_nvalue() == 2
    with pytest.raises(MeasurementError, match=f"a worker of .* measured something else .{key} differs"):
        timing.checked(pyperf.Benchmark(runs), POINT, plan)


@pytest.mark.parametrize("seed", range(1, 5))
def test_calls_with_and_without_counting_take_turns_in_both_orders(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """With counting a call takes two seconds here, without it one."""
    order: list[str] = []

    def run(program: str, settings: Mapping[str, str]) -> Any:
        if program != "call_seconds":
            return None
        order.append(settings["MMMODEL_COUNTING"])
        return dict.fromkeys(footprint.COUNTED_POINTS, 2.0 if order[-1] == "1" else 1.0)

    monkeypatch.setattr(footprint, "_run", run)
    pairs = footprint.counting_pairs(seed)
    assert pairs == {key: [(2.0, 1.0)] * footprint.ROUNDS for key in footprint.COUNTED_POINTS}
    rounds = {"".join(order[at : at + 2]) for at in range(0, len(order), 2)}
    assert rounds == {"10", "01"}


def test_a_crash_is_an_error_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    stub_run(monkeypatch, lambda path: None, 1, "Traceback\n  File x\nRuntimeError: python failed with exit code 1\n")
    with pytest.raises(MeasurementError, match="RuntimeError: python failed"):
        timing.run_plan(Plan((POINT,)), Repetition())


def test_no_result_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stub_run(monkeypatch, lambda path: None)
    with pytest.raises(MeasurementError, match="cannot read"):
        timing.run_plan(Plan((POINT,)), Repetition())


@pytest.mark.parametrize("implementation", ["per-page", "page-walk"])
def test_a_real_worker_measures_what_it_was_told(implementation: str) -> None:
    points = [Point(SCENARIOS["sparse-2MiB"].resized(1 << 24), name) for name in ("page-walk", implementation)]
    points = points[-1:] if points[0] == points[1] else points  # as a second one in the plan, too
    digest = digest_of(count(points[-1]).counted.counters)
    plan = Plan(tuple(points), {points[-1].name: digest})
    last = timing.run_plan(plan, Repetition(processes=1, values=2, warmups=0, loops=3))[-1]
    assert last.get_name() == f"munlockall/sparse-2MiB/16MiB/{implementation}"
    assert last.get_nvalue() == 2
    assert min(last.get_values()) > 0
    metadata = last.get_metadata()
    assert metadata[PREFIX + "populated"] == 8
    assert metadata[PREFIX + "implementation"] == implementation
    assert metadata[PREFIX + "counters"] == digest
    assert metadata["loops"] == 3


def test_a_timed_call_that_does_other_work_than_the_counted_one_is_no_time() -> None:
    plan = Plan((POINT,), {POINT.name: "0123456789abcdef"})
    with pytest.raises(MeasurementError, match=r"measuring .* failed"):
        timing.run_plan(plan, Repetition(processes=1, values=1, warmups=0))


def test_a_loop_of_pyperfs_may_be_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    space = FakeSpace()
    monkeypatch.setattr(time, "perf_counter", lambda: space.now)
    assert timing._timed(space.prepared(), "", 5, 3) == pytest.approx(15 * 0.1)
    assert space.log == ["restore", "call"] * 15


def test_a_plan_says_how_many_calls_a_loop_is() -> None:
    plan = Plan((POINT,), loops={POINT.name: 7})
    (found,) = timing.run_plan(plan, Repetition(processes=1, values=1, warmups=0, loops=3))
    assert (found.get_metadata()["loops"], found.get_metadata()["inner_loops"]) == (3, 7)
    raw, value = found.get_runs()[0]._get_raw_values()[0], found.get_values()[0]
    assert raw == pytest.approx(value * 3 * 7)
