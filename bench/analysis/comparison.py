"""Two runs, point by point: which counters differ, how the times relate, what the machines have in common.

Numbers only; nothing is formatted here and nothing is judged: a verdict on a
change is the gate's, which times both trees in turn.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import pandas as pd

from bench.analysis import dataframes, stats
from bench.analysis.counter_diff import Difference, differences
from bench.analysis.dataframes import COUNT, CURVE, GROUP, INSTRUCTIONS, POINT, TIME, Cell
from bench.errors import MeasurementError, UsageError
from bench.runs.loaded import LoadedPoint, LoadedRun, of_targets

# Facts of which any that differs makes it another machine, or the same one in another state. The rest is software.
MACHINE: Final = ("cpu_model", "cpu_count", "memory_bytes", "hostname", "system", "platform", "cpu_affinity", "aslr")
COLUMNS: Final = [
    *POINT,
    "status",  # "compared", "only in A", "only in B", "other parameters"
    "count_same",  # "equal", "differ", or nothing where one run has no counters
    "time_a_s",  # as bench.analysis.stats estimates times
    "time_b_s",
    "time_ratio",  # B / A, with its interval
    "time_ratio_low",
    "time_ratio_high",
    "time_verdict",  # of B: "faster", "slower", "not resolved"; nothing without an interval
]
COUNTED_THERE: Final = ["instructions_a", "instructions_b", "instructions_ratio"]  # more of them, where both have real kernels


TWO_TARGETS: Final = "A and B"  # in the place of a target's name where two are compared


class Fact(NamedTuple):
    """A fact that differs."""

    name: str
    a: str
    b: str


class Comparison(NamedTuple):
    """What two runs have to say about each other."""

    a: str
    b: str
    points: pd.DataFrame  # COLUMNS; a row for every point of either run
    counters: pd.DataFrame  # name, counter, a, b: those that differ; NA where a run does not have it
    exponents: pd.DataFrame  # CURVE, nr_sizes, then the exponents of both runs over the sizes that both have
    facts: tuple[Fact, ...]

    @property
    def other_machine(self) -> list[str]:
        """Names of the facts that say that the times are not of the same machine."""
        return [fact.name for fact in self.facts if fact.name in MACHINE]


def verdict(interval: stats.Interval) -> str:
    """Return in words what an interval of new / old times says; nothing if there is none."""
    if not interval.is_known:
        return ""
    if interval.contains(1.0):
        return "not resolved"
    return "faster" if interval.high < 1 else "slower"


def compare(a: LoadedRun, b: LoadedRun) -> Comparison:
    """Compare run B with run A; raise MeasurementError if they have nothing in common."""
    common = [name for name in a.points if name in b.points]
    if not common:
        raise MeasurementError(f"{a.where} and {b.where} have no measurement in common")
    alike = [name for name in common if not _unlike(a.points[name], b.points[name])]
    if not alike:
        raise MeasurementError(
            f"nothing that {a.where} and {b.where} have in common was measured with the same parameters: {common[0]} was not"
        )
    changed = {name: _differences(a.points[name], b.points[name]) for name in alike}
    names = [*a.points, *(name for name in b.points if name not in a.points)]
    rows = [_row(name, a.points.get(name), b.points.get(name)) for name in names]
    facts = _facts(a, b)
    if any(fact.name in MACHINE for fact in facts):  # the ratios say how the machines differ: no verdict on what was measured
        rows = [row | {"time_verdict": None} for row in rows]
    types = {name: "float64" if _is_number(name) else "str" for name in COLUMNS}
    if any("instructions_ratio" in row for row in rows):
        types |= dict.fromkeys(COUNTED_THERE[:2], "Int64") | {COUNTED_THERE[2]: "float64"}
    points = dataframes.typed(rows, types)
    counters: list[dict[str, Cell]] = [
        {"name": name, "counter": one.what, "a": one.old, "b": one.new} for name, found in changed.items() for one in found
    ]
    return Comparison(
        a.where,
        b.where,
        points,
        dataframes.typed(counters, {"name": "str", "counter": "str", "a": "Int64", "b": "Int64"}),
        _exponents(a, b, alike),
        facts,
    )


def part_of(run: LoadedRun, word: str, name: str) -> LoadedRun:
    """Return the part of a run that is of one target, its points under another `name`, for a comparison with another target."""
    found = of_targets(run, [word])
    points = {}
    for one in found.points.values():
        renamed = msgspec.structs.replace(one.name, implementation=name)
        points[str(renamed)] = msgspec.structs.replace(one, name=renamed, digest="")
    target = next(iter(found.points.values())).implementation
    return msgspec.structs.replace(found, points=points, where=f"{target} of {found.where}")


def between(a: LoadedRun, on_a: str, b: LoadedRun, on_b: str) -> Comparison:
    """Compare a target of run B with a target of run A; UsageError unless both are models, or kernels that run alike."""
    parts = [part_of(a, on_a, TWO_TARGETS), part_of(b, on_b, TWO_TARGETS)]
    kinds = [{one.kernel.runs_as if one.kernel else "" for one in part.points.values()} for part in parts]
    if kinds[0] != kinds[1]:
        shown = [", ".join(sorted(kind)) or "a model" for kind in kinds]
        raise UsageError(f"{on_a} ({shown[0]}) and {on_b} ({shown[1]}) were not measured in the same way")
    return compare(*parts)


def _is_number(column: str) -> bool:
    """Tell whether a column of COLUMNS holds numbers."""
    return column.startswith(TIME) and column != "time_verdict"


def _unlike(a: LoadedPoint, b: LoadedPoint) -> bool:
    """Tell whether two points of one name have different parameters, as far as the files say."""
    return bool(a.digest and b.digest and a.digest != b.digest)


def _differences(a: LoadedPoint, b: LoadedPoint) -> tuple[Difference, ...]:
    """Return the counters that differ; none where one run knows none."""
    return () if a.counters is None or b.counters is None else differences(a.counters, b.counters)


def _row(name: str, a: LoadedPoint | None, b: LoadedPoint | None) -> dict[str, Cell]:
    """Return the row of one point that either run has."""
    known = a or b
    assert known is not None
    parts = (known.name.operation, known.name.scenario, known.name.size)
    row: dict[str, Cell] = {"name": name, **dict(zip(GROUP, parts, strict=True)), "implementation": known.name.implementation}
    if a is None or b is None:
        return row | {"status": "only in B" if a is None else "only in A"}
    if _unlike(a, b):
        return row | {"status": "other parameters"}
    row |= {"status": "compared", "count_same": _same_counters(a, b)}
    for key, one in (("time_a_s", a), ("time_b_s", b)):
        if one.processes:
            row[key] = stats.geometric_mean(one.by_process).estimate
    if a.processes and b.processes:
        ratio = stats.ratio(b.by_process, a.by_process)
        row |= dataframes.interval_cells("time_ratio", ratio)
        row["time_verdict"] = verdict(ratio) or None
    if a.nr_instructions and b.nr_instructions:
        row |= {"instructions_a": a.nr_instructions, "instructions_b": b.nr_instructions}
        row["instructions_ratio"] = b.nr_instructions / a.nr_instructions
    return row


def _same_counters(a: LoadedPoint, b: LoadedPoint) -> str | None:
    """Tell whether the counters are equal; plain pyperf files have only a digest of them, or nothing."""
    if not a.counters_digest or not b.counters_digest:
        return None
    return "equal" if a.counters_digest == b.counters_digest else "differ"


def _exponents(a: LoadedRun, b: LoadedRun, alike: list[str]) -> pd.DataFrame:
    """Return the exponents of both runs, each over the sizes that both have."""
    found = []
    for run, suffix in ((a, "_a"), (b, "_b")):
        points = dataframes.points_frame(run)
        exponents = dataframes.exponents_frame(points[points["name"].isin(alike)], run)
        kept = [name for name in exponents.columns if name.startswith((COUNT, TIME, INSTRUCTIONS))]
        found.append(exponents.set_index([*CURVE, "nr_sizes"])[kept].add_suffix(suffix))
    return found[0].join(found[1], how="inner").reset_index()


def _facts(a: LoadedRun, b: LoadedRun) -> tuple[Fact, ...]:
    """Return the facts that differ; one that a file does not tell differs only if it would have told it."""
    names = dict.fromkeys([*a.facts, *b.facts])
    order = sorted(names, key=lambda name: MACHINE.index(name) if name in MACHINE else len(MACHINE))
    found = []
    for name in order:
        told = [run.facts.get(name, "not set" if run.settings and name.startswith("env_") else None) for run in (a, b)]
        if None not in told and told[0] != told[1]:
            found.append(Fact(name, str(told[0]), str(told[1])))
    return tuple(found)
