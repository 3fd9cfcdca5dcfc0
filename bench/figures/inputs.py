"""Which runs figures are made of, and what of them: checked, grouped, in the usual order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from bench import environment
from bench.errors import MeasurementError, UsageError, one_line
from bench.runs import loading, storage
from bench.runs.loaded import LoadedPoint, LoadedRun
from bench.runs.record import Counted
from bench.workloads import participants, suite
from bench.workloads.scenario import SPARSE
from mmmodel.constants import PAGE_SIZE

REFERENCE = "reference"  # the run that is kept


class Skipped(msgspec.Struct, frozen=True):
    """A figure that this run cannot have."""

    name: str
    reason: str


def find_runs(paths: Sequence[Path], directories: Sequence[Path]) -> list[Path]:
    """Return runs by path or name; by default the reference, else the newest, of the first directory with any."""
    if paths:
        return [loading.find(str(path), *directories) for path in paths]
    for directory in directories:
        if (directory / REFERENCE / storage.COUNTERS_FILE).is_file():
            return [directory / REFERENCE]
        # Names end with time and digest, but begin with a command: the time in the file decides.
        heads = (storage.COUNTERS_FILE, storage.INSTRUCTIONS_FILE)  # which say when
        if found := {path.parent for name in heads for path in directory.glob(f"[!.]*/{name}")}:
            return [max(found, key=lambda path: (loading.load_path(path).created, path.name))]
    raise UsageError(f"there is no run in {one_line(directories[0], 120)}; make one by `report`, or name a run's directory")


def figures_directory(runs: Sequence[Path], every_kind: bool) -> Path:
    """Return where figures belong: plots/ has all of the reference's, which are kept; others lie beside the first run."""
    references = [(directory / REFERENCE).resolve() for directory in environment.results_directories()]
    if every_kind and len(runs) == 1 and runs[0].resolve() in references:
        return environment.base_directory() / "plots"
    first = runs[0]
    return first / "figures" if first.is_dir() else first.with_name(f"{first.stem}-figures")


def load_run(path: Path) -> LoadedRun:
    """Read and check a run: a directory or a file. Times may be missing, and in a file of pyperf's counters are."""
    run = loading.load_path(path)
    unknown = next((one for one in run.points.values() if not one.kernel and one.implementation not in names()), None)
    if unknown:
        raise MeasurementError(f"{one_line(unknown.name, 120)} is of an implementation that is not known")
    for one in run.counted_points:
        _check(one.counted)
    return run


def _check(one: Counted) -> None:
    """Raise MeasurementError if figures cannot be made of these numbers."""
    if one.span < PAGE_SIZE or not 0 <= one.nr_populated <= one.span // PAGE_SIZE:
        raise MeasurementError(f"{one_line(one.name, 120)} has a span or a number of pages in memory that cannot be")


def names() -> tuple[str, ...]:
    """Return the names of all implementations in their usual order."""
    return tuple(one.name for one in participants.every())


def having(points: Iterable[LoadedPoint], counters: Sequence[str]) -> list[LoadedPoint]:
    """Return the points that have all these counters: a run may lack one that came later, or have others."""
    return [one for one in points if all(name in one.counted.counters for name in counters)]


def skipped(name: str, reason: str, points: Iterable[LoadedPoint], counters: Sequence[str]) -> Skipped:
    """Return that a run cannot have a figure, with the first of the counters it needs that some point lacks."""
    lacking = next((name for one in points for name in counters if name not in one.counted.counters), "")
    return Skipped(name, reason + (f"; this run has calls without the counter {lacking}" if lacking else ""))


def by_group(points: Iterable[LoadedPoint]) -> dict[str, dict[str, LoadedPoint]]:
    """Return the points by group, then by implementation in their usual order, real kernels after them."""
    groups: dict[str, dict[str, LoadedPoint]] = {}
    for one in points:
        groups.setdefault(one.name.group, {})[one.implementation] = one
    return {
        group: {name: members[name] for name in dict.fromkeys((*names(), *members)) if name in members}
        for group, members in groups.items()
    }


def _is_another_sparse(group: suite.Group) -> bool:
    """Tell whether a group is of a sparse scenario that is not among the default ones."""
    return group.scenario.name.startswith(SPARSE) and group not in suite.DEFAULT


def main_groups(points: Iterable[LoadedPoint], most: int) -> dict[str, dict[str, LoadedPoint]]:
    """Return at most `most` groups worth a look of their own: those of the suites, else the largest of each scenario."""
    groups = by_group(points)
    # One of the sparse scenarios stands for the others, which come last.
    known = [one.points()[0].group for one in sorted(suite.EVERY_SCENARIO, key=_is_another_sparse)]
    known = [*(one.points()[0].group for one in suite.DEFAULT), *known]
    chosen = [name for name in dict.fromkeys(known) if name in groups]
    if not chosen:
        sizes: dict[tuple[str, str], list[tuple[float, str]]] = {}
        for name, members in groups.items():
            one = next(iter(members.values()))
            span = math.inf if one.span is None else one.span
            sizes.setdefault((one.name.operation, one.name.scenario), []).append((span, name))
        chosen = [max(several)[1] for several in sizes.values()]
    return {name: groups[name] for name in chosen[:most]}
