"""Points predicted: what a call on a scenario would cost a kernel, counted by the model."""

from __future__ import annotations

from typing import Final

import msgspec

from bench.prediction.weights import Cost, KernelWeights, predict
from bench.targets import registry
from bench.workloads.scenario import SCENARIOS, GiB, KiB, MiB, Operation, Point, Scenario, sparse

CALLS_OF: Final[dict[Operation, str]] = {"munlock-part": "munlock"}  # calls that operations are, where names differ
# What a target is calibrated with, and what its calibration is tried on: other spans and densities, and other calls. Few pages
# in memory: each is a fault to be made and given up again, which takes a user-mode Linux far longer than the measured call.
CALIBRATION: Final[tuple[tuple[Operation, Scenario], ...]] = tuple(
    (operation, scenario)
    for operation in ("munlockall", "munmap", "mlockall")
    for scenario in (
        SCENARIOS["report"].resized(2 * MiB),
        SCENARIOS["report"].resized(4 * GiB),
        SCENARIOS["sparse-2MiB"].resized(GiB),
        SCENARIOS["sparse-64KiB"].resized(128 * MiB),
        SCENARIOS["dense"].resized(2 * MiB),
        SCENARIOS["dense"].resized(16 * MiB),
    )
)
TRIAL: Final[tuple[tuple[Operation, Scenario], ...]] = tuple(
    (operation, scenario)
    for operation in ("munlockall", "munlock", "munmap", "mlockall")
    for scenario in (
        SCENARIOS["report"].resized(GiB),
        sparse(512 * KiB, 512 * MiB),
        sparse(16 * KiB, 32 * MiB, "random"),
        SCENARIOS["head-tail"].resized(2 * GiB),
        SCENARIOS["dense"].resized(8 * MiB),
    )
)


def predicted(operation: Operation, scenario: Scenario, kernel: KernelWeights) -> Cost:
    """Return what a call on a scenario would cost a kernel."""
    point = Point(scenario, kernel.implementation, operation)
    prepared = registry.implementation(kernel.implementation).prepare(point)
    prepared.call()
    counters = prepared.counters() or {}
    return predict(kernel, CALLS_OF.get(operation, operation), counters)


def on(operation: Operation, scenario: Scenario, target: str) -> Point:
    """Return the point on a target, in which the name of the target takes the place of an implementation."""
    return msgspec.structs.replace(Point(scenario, target, operation))
