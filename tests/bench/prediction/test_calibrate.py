"""`predict --calibrate` and `--try` on a machine that takes as long as it is told: what is kept, and when a trial fails."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.commands import predict_calibrate
from bench.errors import UsageError
from bench.kernels.host import Host
from bench.kernels.protocol import Hello
from bench.kernels.selection import Selected
from bench.measuring import kernel_calls, timed_points
from bench.measuring.kernel_calls import Value
from bench.prediction import times
from bench.prediction.points import CALIBRATION, TRIAL, on
from bench.prediction.weights import Cost, KernelWeights
from bench.targets import kernel, registry
from bench.targets.kernel import KernelTarget
from bench.workloads.scenario import Operation, Point, Scenario

NS = 1e9
TARGET = KernelTarget("host", Selected("host", "6.18.1", Host(), "never", None))


class Machine:
    """A kernel on which an instruction takes a time, and each point as many of them as it has pages."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.factor = 1.0  # ns an instruction
        self.booted: list[tuple[Point, ...]] = []
        monkeypatch.setattr(kernel, "find", lambda word: TARGET)
        monkeypatch.setattr(KernelTarget, "check", lambda target, point: None)
        monkeypatch.setattr(kernel_calls, "boot", self.boot)
        monkeypatch.setattr(kernel_calls, "stamps_per_second", lambda: NS)
        monkeypatch.setattr(predict_calibrate, "predicted", self.predicted)
        monkeypatch.setattr(registry, "load", lambda names, progress: None)

    def boot(
        self, target: KernelTarget, points: Sequence[Point], hello: Callable[[Hello], None], rounds: int
    ) -> Generator[Value, None, None]:
        """Carry points out, round by round."""
        self.booted.append(tuple(points))
        hello(Hello("6.18.1", 1, True, True))
        for number in range(rounds):
            for point in points:
                instructions = self.predicted(point.operation, point.scenario).instructions
                yield Value(point, int(1000 + self.factor * instructions * (1 + 0.02 * (number % 2))))

    def predicted(self, operation: Operation, scenario: Scenario, weights: KernelWeights | None = None) -> Cost:
        """Return what a point costs."""
        pages = scenario.populate.nr_pages(scenario.span)
        return Cost(2000.0 + 1000 * pages, 2000.0 + 1000 * pages, 2000.0 + 1000 * pages)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return Machine(monkeypatch)


def test_a_calibration_is_kept_and_a_trial_on_the_same_machine_holds(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--calibrate", "host"]) == 0
    kept = times.load(predict_calibrate.calibration_file()).targets["host"]
    assert (kept.series, kept.release, len(kept.measured)) == ("6.12", "6.18.1", len(CALIBRATION))
    assert {len(one.seconds) for one in kept.measured} == {timed_points.ROUNDS}
    for line in kept.lines.values():
        assert line.factor == pytest.approx(1e-9, rel=0.03) and line.overhead == pytest.approx(1e-6, rel=0.1)
    assert main(["predict", "--try", "host"]) == 0
    assert "20 of 20 lie in their 90 % interval" in capsys.readouterr().out
    assert not {*machine.booted[0]} & {*machine.booted[1]}  # nothing is tried that was calibrated


def test_a_trial_on_a_machine_that_became_slower_fails(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--calibrate", "host"]) == 0
    machine.factor = 3.0
    assert main(["predict", "--try", "host"]) == 1
    said = capsys.readouterr().out
    assert "20 of 20 lie" not in said and " !" in said


def test_points_of_calibration_and_trial_differ_and_are_small() -> None:
    assert not {*CALIBRATION} & {*TRIAL}
    assert all(scenario.populate.nr_pages(scenario.span) <= 5000 for _, scenario in (*CALIBRATION, *TRIAL))


def test_a_busy_machine_is_given_up_after_a_whole_round(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [on(operation, scenario, "host") for operation, scenario in TRIAL]
    monkeypatch.setattr(timed_points, "ENOUGH_SECONDS", -1.0)
    seen: list[None] = []
    found = timed_points.seconds_of(TARGET, points, lambda said: None, lambda: seen.append(None))
    assert {len(one) for one in found.values()} == {timed_points.LEAST_ROUNDS}
    assert len(seen) == timed_points.LEAST_ROUNDS * len(points) and len(found) == len(points)


def test_an_emulated_kernel_keeps_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KernelTarget, "unit", "instructions")
    with pytest.raises(UsageError, match="keeps no time"):
        timed_points.seconds_of(TARGET, [], lambda said: None, lambda: None)
