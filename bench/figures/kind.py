"""What a kind of figure is: how its numbers are taken from a run, put into words, and drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bench.figures.inputs import Skipped
from bench.figures.words import Words
from bench.runs.loaded import LoadedRun
from bench.runs.storage import COUNTERS_FILE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")  # the type of a figure's numbers


@dataclass(frozen=True)
class Kind(Generic[T]):
    """One kind of figure; the folder bench/figures/NAME has its parts."""

    name: str  # as --only has it
    # The numbers of every figure of this kind, or why there is none; of a run, or of what else its command measured.
    prepare: Callable[[Any], Sequence[T | Skipped]]
    describe: Callable[[T], Words]
    drawing: str  # the module whose draw() takes the numbers; loaded to draw alone, because it loads matplotlib

    def prepared(self, run: Any) -> list[Prepared[T] | Skipped]:
        """Return the figures of this kind that a run has, or why it has none."""
        uncounted = "" if not isinstance(run, LoadedRun) or run.counted_points else f"; this run has no {COUNTERS_FILE}"
        return [
            Skipped(one.name, one.reason + uncounted) if isinstance(one, Skipped) else Prepared(self, one)
            for one in self.prepare(run)
        ]


@dataclass(frozen=True)
class Prepared(Generic[T]):
    """The numbers of one figure."""

    kind: Kind[T]
    data: T

    def words(self) -> Words:
        """Return the figure in words."""
        return self.kind.describe(self.data)

    def draw(self) -> Figure:
        """Return the figure drawn."""
        draw: Callable[[T], Figure] = import_module(self.kind.drawing).draw
        return draw(self.data)


def kind_of(name: str) -> Kind[Any]:
    """Return the kind whose parts lie in the folder bench/figures/NAME: numbers.prepare, words.describe, drawing.draw."""
    parts = f"bench.figures.{name}"
    numbers, words = import_module(f"{parts}.numbers"), import_module(f"{parts}.words")
    return Kind(name, numbers.prepare, words.describe, drawing=f"{parts}.drawing")
