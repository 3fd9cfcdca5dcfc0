"""`predict --calibrate` and `--try`: how long an instruction takes on a target, and whether the intervals hold."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

from bench.commands.kernel_figures import say
from bench.errors import EXIT_DIFFERENCES
from bench.kernels.build import cache_directory
from bench.measuring import timed_points
from bench.prediction import times
from bench.prediction.points import CALIBRATION, CALLS_OF, TRIAL, on, predicted
from bench.prediction.times import COVERED, Calibration, Measured
from bench.prediction.weights import Cost, KernelWeights, Weights
from bench.progress import interruptible, progress_bar
from bench.runs import storage
from bench.tables import formats
from bench.tables.prediction_tables import calibration_table, trial_table
from bench.tables.table import Page
from bench.targets import kernel, registry
from bench.workloads.scenario import Operation, Scenario
from mmmodel.kernels import version_of

Points = tuple[tuple[Operation, Scenario], ...]


class Tried(NamedTuple):
    """What a target took, and what was predicted."""

    release: str
    weights: KernelWeights
    measured: list[Measured]
    costs: list[Cost]


def calibration_file() -> Path:
    """Return where the user's calibrations are kept."""
    return cache_directory() / times.FILE


def weights_for(release: str, weights: Weights) -> KernelWeights:
    """Return the weights of a kernel's series, or of the nearest one that there are weights for."""
    wanted = version_of(release)
    return min(weights.kernels, key=lambda one: abs(version_of(one.series) - wanted))


def _measure(word: str, points: Points, weights: Weights) -> Tried:
    """Time points on a target, and predict them."""
    target = kernel.find(word)
    said: list[str] = []
    with progress_bar() as progress, interruptible():
        task = progress.add_task(f"calls on {target.name}", total=len(points) * timed_points.ROUNDS)
        wanted = [on(operation, scenario, target.name) for operation, scenario in points]
        seconds = timed_points.seconds_of(target, wanted, said.append, lambda: progress.advance(task))
    chosen = weights_for(said[0], weights)
    with progress_bar() as progress:
        registry.load([chosen.implementation], progress)
    costs = [predicted(operation, scenario, chosen) for operation, scenario in points]
    calls = [CALLS_OF.get(operation, operation) for operation, _ in points]
    measured = [
        Measured(point.group, call, cost.instructions, seconds[point.group])
        for point, call, cost in zip(wanted, calls, costs, strict=True)
    ]
    return Tried(said[0], chosen, measured, costs)


def calibrate(options: argparse.Namespace, weights: Weights) -> int:
    """Measure a target and keep its factors."""
    done = _measure(options.calibrate, CALIBRATION, weights)
    lines = times.lines_of(done.measured)
    one = Calibration(options.calibrate, done.weights.series, done.release, storage.now(), tuple(done.measured), lines)
    times.save(calibration_file(), one)
    formats.show(Page((calibration_table(one),)), options.format, wide=options.wide)
    say(f"calibration: {calibration_file()}")
    return 0


def try_out(options: argparse.Namespace, weights: Weights) -> int:
    """Measure calls that no calibration had; return 1 if fewer lie in their intervals than should."""
    known = times.load(calibration_file())
    done = _measure(options.try_on, TRIAL, weights)
    calibration = known.targets.get(options.try_on) or known.nearest(done.weights.series)
    intervals = [times.seconds_of(cost, one.call, calibration) for one, cost in zip(done.measured, done.costs, strict=True)]
    table, inside = trial_table(options.try_on, done.measured, intervals)
    total = len(intervals)
    said = (
        f"{inside.points} of {total} lie in their {COVERED * 100:g} % interval by the median of {inside.of_calls // total}"
        f" calls; of single calls {inside.calls} of {inside.of_calls}."
    )
    formats.show(Page((table,), remarks=(said,)), options.format, wide=options.wide)
    return 0 if inside.points >= COVERED * total else EXIT_DIFFERENCES
