"""The numbers behind the figures: what each shows, taken from one run's files. Nothing is drawn or worded here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.figures import values
from bench.figures.cost import numbers as cost
from bench.figures.inputs import Run, Skipped
from bench.figures.ratio import numbers as density
from bench.figures.scaling import numbers as scaling

Prepared = scaling.Scaling | density.Density | cost.Breakdown | values.Distribution | values.Order
# kind of figure, as --only has it -> what prepares it
KINDS: dict[str, Callable[[Run], Sequence[Prepared | Skipped]]] = {
    scaling.NAME: scaling.prepare,
    density.NAME: density.prepare,
    cost.NAME: cost.prepare,
    values.DISTRIBUTION: values.distribution,
    values.ORDER: values.run_order,
}


def prepare(run: Run, kinds: Sequence[str] = tuple(KINDS)) -> list[Prepared | Skipped]:
    """Return the numbers of every figure of these kinds, or why a run has none."""
    return [one for kind in kinds for one in KINDS[kind](run)]
