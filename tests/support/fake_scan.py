"""A kernel in name only, whose calls cost what known laws say."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.scan.call import Call
from bench.scan.layouts import Layout
from bench.scan.machine import Fate, Outcome, Shot
from bench.scan.results import KernelScan
from bench.scan.scan import chosen, scan
from bench.targets.kernel import Unit

Cost = Callable[[Layout, int], float]  # of a layout, of a size
PAGE, PMD, PUD = 1 << 12, 1 << 21, 1 << 30


def steps(size: int, unit: int) -> int:
    """Return how many units a size has or begins."""
    return -(-size // unit)


def constant(layout: Layout, n: int) -> float:
    """A call that depends on nothing."""
    return 2000.0


def no_law(layout: Layout, n: int) -> float:
    """A call that costs as the root of a span."""
    return 2000.0 + math.sqrt(layout.span(n))


def per(unit: int, each: float) -> Cost:
    """A call that visits a span in steps."""
    return lambda layout, n: 2000.0 + each * steps(layout.span(n), unit)


def per_axis(axis: str, each: float) -> Cost:
    """A call that visits pages, tables or VMAs."""
    return lambda layout, n: 2000.0 + (each * n if layout.axis == axis else each)


class Fake:
    """A machine: costs by call, times that scatter by `noise`, and calls that crash or hang it from a size on."""

    def __init__(
        self,
        costs: Mapping[str, Cost],
        *,
        unit: Unit = "instructions",
        noise: float = 0.0,
        seed: int = 1,
        fates: Mapping[str, tuple[Fate, int]] | None = None,
        name: str = "9.9",
        most: int = 1 << 38,
    ) -> None:
        self.name, self.unit, self.most = name, unit, most
        self._costs, self._noise, self._fates = costs, noise, fates or {}
        self._random = random.Random(seed)
        self.shots: list[Shot] = []

    def release(self) -> str:
        """Return what it says that it is."""
        return f"{self.name}.0-fake"

    def problem(self, call: Call, layout: Layout) -> str:
        """Return that it can carry out everything."""
        return ""

    def carry_out(self, shots: Sequence[Shot]) -> Iterator[tuple[Shot, Outcome]]:
        """Yield what the laws say."""
        for shot in shots:
            self.shots.append(shot)
            fate, size = self._fates.get(shot.call.name, ("done", 0))
            if fate != "done" and shot.n >= size:
                yield shot, Outcome(fate, why=f"it {fate}")
                continue
            # Under QEMU a tick disturbs few values, and much; times scatter on both sides.
            cost = self._costs[shot.call.name](shot.layout, shot.n or shot.layout.sizes[0])
            scatter = self._random.lognormvariate(0, self._noise) if self._noise else 1.0
            tick = 8000.0 if self.unit == "instructions" and self._random.random() < self._noise else 0.0
            yield shot, Outcome("done", (cost if self.unit == "instructions" else cost * 1e-9 * scatter) + tick)


def scanned(fake: Fake, limit: float = 5.0) -> KernelScan:
    """Return the scan of a fake machine, of the calls whose costs it has."""
    (found,) = scan([fake], chosen(",".join(fake._costs)), lambda line: None, limit=limit)
    return found
