"""Seconds that calls take on a real target: the running kernel, or a user-mode Linux.

Points follow each other round by round, so that what else the machine does is not in all values of one point. On a machine that
is so busy that it takes longer than ENOUGH_SECONDS, rounds end early: with LEAST_ROUNDS there are values enough.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

from bench.errors import UsageError
from bench.measuring import kernel_calls
from bench.targets.kernel import KernelTarget
from bench.workloads.scenario import Point

ROUNDS: Final = 5
LEAST_ROUNDS: Final = 3
ENOUGH_SECONDS: Final = 30.0  # after which no further round is begun


def seconds_of(
    target: KernelTarget,
    points: Sequence[Point],
    hello: Callable[[str], None],
    on_value: Callable[[], None],
    rounds: int = ROUNDS,
) -> dict[str, tuple[float, ...]]:
    """Return the seconds of each call, by the point's group, as many of each; `hello` is told the kernel's release.

    UsageError for a target that keeps no time, and for a point that it cannot carry out.
    """
    if target.unit != "seconds":
        raise UsageError(f"{target.name} counts instructions and keeps no time: give host, or a user-mode Linux (uml-5.10)")
    for point in points:
        target.check(point)
    found: dict[str, tuple[float, ...]] = {}
    scale = kernel_calls.stamps_per_second()
    started = time.monotonic()
    with closing(kernel_calls.boot(target, points, lambda said: hello(said.kernel), rounds)) as values:
        for value in values:
            found[value.point.group] = (*found.get(value.point.group, ()), value.cost / scale)
            on_value()
            lengths = {len(one) for one in found.values()}
            is_round = len(found) == len(points) and len(lengths) == 1
            if is_round and min(lengths) >= LEAST_ROUNDS and time.monotonic() - started > ENOUGH_SECONDS:
                break
    return found
