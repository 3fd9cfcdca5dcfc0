"""Seconds that calls take on a real target: the running kernel, or a user-mode Linux."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from bench.errors import UsageError
from bench.measuring import kernel_calls
from bench.targets.kernel import KernelTarget
from bench.workloads.scenario import Point

ROUNDS: Final = 5


def seconds_of(
    target: KernelTarget,
    points: Sequence[Point],
    hello: Callable[[str], None],
    on_value: Callable[[], None],
    rounds: int = ROUNDS,
) -> dict[str, tuple[float, ...]]:
    """Return the seconds of each call, by the point's group; `hello` is told the kernel's release.

    UsageError for a target that keeps no time, and for a point that it cannot carry out.
    """
    if target.unit != "seconds":
        raise UsageError(f"{target.name} counts instructions and keeps no time: give host, or a user-mode Linux (uml-5.10)")
    for point in points:
        target.check(point)
    found: dict[str, tuple[float, ...]] = {}
    scale = kernel_calls.stamps_per_second()
    for value in kernel_calls.boot(target, points, lambda said: hello(said.kernel), rounds):
        found[value.point.group] = (*found.get(value.point.group, ()), value.cost / scale)
        on_value()
    return found
