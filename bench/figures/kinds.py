"""The kinds of figures that there are. A new one is a folder, and a name in each of the two lists here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.figures import cost, distribution, order, ratio, report, scaling
from bench.figures.inputs import Skipped
from bench.figures.kind import Kind, Prepared
from bench.runs.loaded import LoadedRun

# In the order of the page.
KINDS: dict[str, Kind[Any]] = {one.KIND.name: one.KIND for one in (report, scaling, ratio, cost, distribution, order)}


def prepare(run: LoadedRun, kinds: Sequence[str] = tuple(KINDS)) -> list[Prepared[Any] | Skipped]:
    """Return every figure of these kinds, or why a run has none."""
    return [one for kind in kinds for one in KINDS[kind].prepared(run)]
