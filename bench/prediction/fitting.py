"""Weights fitted to what real kernels executed: relative least squares without negative weights, and each layout left out once.

Each file was measured by a program of its own, and what that does between reading the clock and making the call is in its
figures. So the constant of a kind of call is one for each file; kept is that of the first file that has such calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import optimize

from bench.errors import MeasurementError
from bench.prediction.terms import CALLS, TERMS, Calls, Term, events
from bench.prediction.weights import SMALL, KernelWeights, Weight
from mmmodel.kernels import implementation

Floats = npt.NDArray[np.float64]
CALL: Final = "_call"  # how the names of constants end
COVERED: Final = 0.9  # of layouts that are left out, within the spread
KINDS: Final[tuple[Calls, ...]] = ("unlock", "lock", "unmap", "exit")  # in the order of their fits
ROUNDS: Final = 8  # of reweighting
TRUSTED: Final = 0.02  # relative error beyond which a call counts for less: an interruption is as much of a short call
DIGITS: Final = 6  # significant, of what is kept


class Row(NamedTuple):
    """One measured call."""

    source: int  # number of its file
    layout: str
    op: int  # number of the call in its trace
    call: str
    counters: dict[str, int]
    measured: int  # instructions


class LeftOut(NamedTuple):
    """A call predicted by weights that were fitted without its layout."""

    row: Row
    predicted: float  # instructions

    @property
    def error(self) -> float:
        """Relative error of the prediction."""
        return self.predicted / self.row.measured - 1


class Fit(NamedTuple):
    """The weights of a kernel, and what they are worth."""

    weights: KernelWeights
    within: list[LeftOut]  # every call, by the weights fitted on all of them
    left_out: list[LeftOut]


class _Problem:
    """The calls of one kind as a matrix: a column for each term that is still to be found, and constants for each file."""

    def __init__(self, algorithm: int, rows: Sequence[Row], known: dict[str, float]) -> None:
        numbers = [events(algorithm, row.call, row.counters) for row in rows]
        self.rows = rows
        self.keys: list[tuple[str, int | None]] = []
        for name in numbers[0]:
            if name.endswith(CALL):
                self.keys += [(name, source) for source in sorted({row.source for row in rows})]
            elif name not in known:
                self.keys.append((name, None))
        pairs = list(zip(rows, numbers, strict=True))
        columns = [[one[name] if source in (None, row.source) else 0.0 for name, source in self.keys] for row, one in pairs]
        self.matrix = np.array(columns).reshape(len(rows), len(self.keys))
        self.measured = np.array([float(row.measured) for row in rows])
        self.given = np.array([sum(known.get(name, 0.0) * number for name, number in one.items()) for _, one in pairs])

    def solved(self, mask: npt.NDArray[np.bool_]) -> Floats:
        """Return weights of at least 0, by some of the calls, with the least sum of squares of relative errors."""
        scaled = self.matrix[mask] / self.measured[mask, None]
        norms = np.linalg.norm(scaled, axis=0)
        norms[norms == 0] = 1.0
        wanted = (self.measured[mask] - self.given[mask]) / self.measured[mask]
        trust = np.ones(len(wanted))
        for _ in range(ROUNDS):
            found, _ = optimize.nnls(scaled / norms * trust[:, None], wanted * trust, maxiter=100 * scaled.shape[1])
            errors = np.abs(scaled / norms @ found - wanted)
            trust = np.sqrt(1 / np.maximum(1.0, errors / TRUSTED))
        return np.asarray(found / norms, dtype=np.float64)

    def errors(self, weights: Floats) -> Floats:
        """Return the standard error of each weight; 0 of one that is held at 0."""
        scaled = self.matrix / self.measured[:, None]
        free = weights > 0
        residual = (self.given + self.matrix @ weights) / self.measured - 1
        degrees = max(1, len(self.rows) - int(free.sum()))
        covariance = np.linalg.pinv(scaled[:, free].T @ scaled[:, free]) * float(residual @ residual) / degrees
        found = np.zeros(len(weights))
        found[free] = np.sqrt(np.maximum(np.diag(covariance), 0))
        return found

    def left_out(self, tick: Callable[[], None]) -> list[LeftOut]:
        """Return each call as it is predicted without its layout."""
        found = []
        layouts = [(row.source, row.layout) for row in self.rows]
        for layout in dict.fromkeys(layouts):
            mask = np.array([one != layout for one in layouts])
            without = self.solved(mask)
            found += [
                LeftOut(self.rows[index], float(self.given[index] + self.matrix[index] @ without))
                for index in map(int, np.flatnonzero(~mask))
            ]
            tick()
        return found


def fit(series: str, release: str, name: str, rows: Sequence[Row], tick: Callable[[], None] = lambda: None) -> Fit:
    """Fit the weights of a kernel; `name`: the implementation that counted. MeasurementError if there are too few rows.

    Kind by kind: what unlocking has in common with other calls is found by unlocking calls alone.
    """
    algorithm = implementation(name).algorithm
    known: dict[str, float] = {}
    errors: dict[str, float] = {}
    within: list[LeftOut] = []
    left_out: list[LeftOut] = []
    for kind in KINDS:
        mine = [row for row in rows if CALLS[row.call] == kind]
        if not mine:
            continue
        if len({row.layout for row in mine}) < 2:
            raise MeasurementError(f"weights of {series} need calls that {kind} on two layouts or more")
        problem = _Problem(algorithm, mine, known)
        solved = problem.solved(np.ones(len(mine), dtype=np.bool_))
        predicted = problem.given + problem.matrix @ solved
        within += [LeftOut(*pair) for pair in zip(mine, map(float, predicted), strict=True)]
        left_out += problem.left_out(tick)
        for (term, _), weight, error in zip(problem.keys, solved, problem.errors(solved), strict=True):
            known.setdefault(term, float(weight))  # of constants that of the first file
            errors.setdefault(term, float(error))
    kept = [_kept(term, known, errors) for term in TERMS[algorithm]]
    spread = {kind: _spread(left_out, kind, False) for kind in KINDS}
    small = {kind: max(spread[kind], _spread(left_out, kind, True)) for kind in KINDS}
    return Fit(KernelWeights(series, release, name, tuple(kept), spread, small), within, left_out)


def _kept(term: Term, weights: dict[str, float], errors: dict[str, float]) -> Weight:
    """Return the weight of a term, 0 of one that no measured call had."""
    weight, error = _rounded(weights.get(term.name, 0.0)), _rounded(errors.get(term.name, 0.0))
    return Weight(term.name, term.calls, term.unit, term.meaning, weight, error)


def _rounded(value: float) -> float:
    """Return a number with as many digits as are kept, so that equal fits make equal files."""
    return float(f"{value:.{DIGITS}g}")


def _spread(found: Sequence[LeftOut], kind: Calls, small: bool) -> float:
    """Return the relative error that COVERED of the calls of a kind stayed within."""
    errors = [abs(one.error) for one in found if CALLS[one.row.call] == kind and (one.row.measured < SMALL) == small]
    return _rounded(float(np.quantile(errors, COVERED))) if errors else 0.0
