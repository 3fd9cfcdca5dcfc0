"""Races as tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from bench.number_format import count
from bench.races.results import Result
from bench.tables.table import Cells, Page, Table

NOTHING = "-"


def _row(result: Result) -> Cells:
    broken = result.broken
    shortest = min((len(one.schedule) for one in broken.values()), default=None)
    return (
        " ".join(result.without) or NOTHING,
        "; ".join(result.outcomes) or NOTHING,
        "; ".join(broken) or NOTHING,
        count(result.stored),
        count(result.matched),
        count(result.depth),
        f"to {result.limit}" if result.limit else "yes",
        "yes" if result.reduced else "no",
        NOTHING if shortest is None else count(shortest),
    )


def races_page(results: Sequence[Result]) -> Page:
    """Return a table for each race: how it can end, what breaks, how much was looked at, the shortest way to what breaks."""
    heads = ("states", "matched", "depth", "complete", "reduced", "shortest")
    return Page(
        tuple(
            Table(
                f"{race.name}: {race.summary}",
                ("without", "ends as", "broken"),
                heads,
                (tuple(map(_row, of_race)),),
                less=("depth", "matched", "reduced"),
            )
            for race, of_race in groupby(results, key=lambda result: result.race)
        )
    )
