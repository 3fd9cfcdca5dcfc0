"""From instructions to seconds: a factor and an overhead measured on a target, with the interval that nine of ten lie in.

What a call takes is modelled as `overhead + instructions * factor`. A calibration has points of several kinds on a target, each
called in several rounds; how far single calls scatter about that line, on a log scale, is the interval of others. So it has
what instructions do not tell, as caches, and what else the machine did meanwhile. Without one, factors are published figures:
6.9 ns (a user-mode Linux) and 7.8 ns (the report, in a virtual machine) for a look-up of 97 to 118 instructions, to four times
that for pages of which nothing is in a cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from bench.errors import MeasurementError, one_line
from bench.prediction.terms import CALLS, Calls
from bench.prediction.weights import Cost
from bench.runs.storage import encode_json, load_json, write_atomic
from mmmodel.kernels import version_of

Floats = npt.NDArray[np.float64]
SCHEMA: Final = 1
FILE: Final = "calibration.json"
COVERED: Final = 0.9
# Seconds an instruction, least and most that were reported of munlockall() on untouched memory: a page in 6.9 ns on a user-mode
# Linux 5.10, of which a look-up takes 118; 2^29 pages in 32.287 s on a debug build, where the same takes 97 without debugging.
PUBLISHED: Final = (6.9e-9 / 118, 32.287 / 2**29 / 97)


class Interval(NamedTuple):
    """A time, and what nine of ten lie in, in seconds."""

    seconds: float
    low: float
    high: float


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One call of a calibration."""

    name: str
    call: str
    instructions: float  # predicted
    seconds: tuple[float, ...]  # of each call


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Time of one kind of call: `overhead + instructions * factor`, within exp(spread) either way."""

    overhead: float  # seconds
    factor: float  # seconds an instruction
    spread: float  # of the logarithm, of nine of ten

    def interval(self, cost: Cost) -> Interval:
        """Return the time of a call."""
        times = [self.overhead + one * self.factor for one in (cost.instructions, cost.low, cost.high)]
        return Interval(times[0], times[1] / math.exp(self.spread), times[2] * math.exp(self.spread))


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured on one target."""

    target: str  # host, uml-5.10
    series: str  # of the kernel whose weights its calls were predicted by
    release: str
    created: str  # UTC, ISO 8601
    measured: tuple[Measured, ...]
    lines: dict[Calls, Line]


class Calibrations(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of the user's file."""

    schema: Literal[1]
    kind: Literal["calibration"]
    targets: dict[str, Calibration] = {}

    def nearest(self, series: str) -> Calibration | None:
        """Return the calibration whose kernel is nearest to a series, the later where two are; None without any."""
        wanted = version_of(series)
        return min(
            self.targets.values(), key=lambda one: (abs(version_of(one.series) - wanted), -version_of(one.series)), default=None
        )


def fit_line(measured: Sequence[Measured]) -> Line:
    """Return the line through calls of one kind; MeasurementError for fewer than three, or for what took no time.

    The spread is that of a single call: of its point about the line and of the call about its point.
    """
    if len(measured) < 3:
        raise MeasurementError("a calibration needs three calls of a kind or more")
    for one in measured:
        if not one.seconds or min(one.seconds) <= 0:
            raise MeasurementError(f"calibration: {one_line(one.name, 80)} took no time")
    instructions = np.array([one.instructions for one in measured])
    logs = np.log([float(np.median(one.seconds)) for one in measured])
    overhead, factor = _line(instructions, logs)
    told = np.log(overhead + factor * instructions)
    squares = [np.mean((np.log(one.seconds) - each) ** 2) for one, each in zip(measured, told, strict=True)]
    degrees = max(1, len(measured) - 2)  # calls of one point are not independent of each other: points count, not calls
    deviation = math.sqrt(float(np.sum(squares)) / degrees)
    quantile = float(stats.t.ppf((1 + COVERED) / 2, degrees))
    return Line(overhead, factor, quantile * deviation * math.sqrt(1 + 1 / len(measured)))


def _line(instructions: Floats, logs: Floats) -> tuple[float, float]:
    """Return the overhead and the factor, both of at least 0, with the least squares of the logarithms of seconds.

    A point that took twice as long then counts as one that took half: an error relative to the measured would favour the low.
    """
    seconds = np.exp(logs)
    scale = np.array([seconds.min(), float(np.median(seconds / instructions))])

    def residuals(relative: Floats) -> Floats:
        return np.asarray(np.log(scale[0] * relative[0] + scale[1] * relative[1] * instructions) - logs, dtype=np.float64)

    found = optimize.least_squares(residuals, [1.0, 1.0], bounds=([0.0, 1e-9], np.inf), x_scale="jac", xtol=1e-12, ftol=1e-12)
    overhead, factor = map(float, scale * found.x)
    return overhead, factor


def lines_of(measured: Sequence[Measured]) -> dict[Calls, Line]:
    """Return the line of each kind of call."""
    kinds: tuple[Calls, ...] = tuple(dict.fromkeys(CALLS[one.call] for one in measured))
    return {kind: fit_line([one for one in measured if CALLS[one.call] == kind]) for kind in kinds}


def seconds_of(cost: Cost, call: str, calibration: Calibration | None) -> Interval:
    """Return the time that a call takes: by a calibration, or by published factors."""
    kind = CALLS[call]
    line = calibration.lines.get("unmap" if kind == "exit" else kind) if calibration else None  # it is not timed by itself
    if line is not None:
        return line.interval(cost)
    low, high = cost.low * PUBLISHED[0], cost.high * PUBLISHED[1]
    return Interval(math.sqrt(low * high), low, high)


def load(path: Path) -> Calibrations:
    """Read the user's file; one without targets if there is none, MeasurementError if it is not what it should be."""
    if not path.exists():
        return Calibrations(SCHEMA, "calibration")
    return load_json(path, Calibrations)


def save(path: Path, one: Calibration) -> None:
    """Put a calibration into the user's file, in place of an earlier one of its target; as a whole or not at all."""
    before = load(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, encode_json(Calibrations(SCHEMA, "calibration", {**before.targets, one.target: one})))
