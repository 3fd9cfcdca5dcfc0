"""A run as it was kept, found by name or path, read and checked: a directory of results/, or a plain pyperf file.

What cannot be right is refused here, with the file and the measurement named,
so that what computes and shows need not look again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pyperf

from bench.errors import MeasurementError, UsageError, one_line, unknown
from bench.runs import storage
from bench.runs.loaded import LoadedPoint, LoadedRun, Process
from bench.runs.pyperf_file import LARGEST, facts_of, load_times, number_of_things, timed_point
from bench.runs.record import Counted, digest_of
from bench.workloads.scenario import PointName, size_part


class _Files(msgspec.Struct, frozen=True):
    """What the files of a run hold, each right by itself."""

    counters_file: Path
    content: storage.CountersFile | None  # of the counters' file, if there is one
    wall_file: Path
    benchmarks: dict[str, pyperf.Benchmark]  # by name, of pyperf's file, if there is one


def _read(path: Path) -> _Files:
    """Read the files of a run."""
    counters_file, wall_file = _files(path)
    content = storage.load_counters(counters_file) if counters_file else None
    benchmarks = load_times(wall_file) if wall_file else {}
    return _Files(counters_file or path, content, wall_file or path, benchmarks)


def load(where: str, *directories: Path) -> LoadedRun:
    """Return the run that `where` names: a path, or a name in a directory of runs; raise if it cannot be trusted."""
    return load_path(find(where, *directories), one_line(where, 160))


def load_path(path: Path, where: str = "") -> LoadedRun:
    """Return what the files of a run say together, under the name `where`; raise if that cannot be."""
    files = _read(path)
    timed = {name: timed_point(files.wall_file, name, benchmark) for name, benchmark in files.benchmarks.items()}
    facts: dict[str, str] = {}
    for benchmark in files.benchmarks.values():
        for key, fact in facts_of(benchmark).items():  # a file that was added to may hold several
            before = facts.setdefault(key, fact)
            facts[key] = before if fact in before.split(" and ") else f"{before} and {fact}"
    content, points = files.content, timed
    if content:
        facts |= {key: one_line(value, 120) for key, value in content.machine.items()}
        points = _joined({one.name: _counted_point(files.counters_file, one) for one in content.points}, timed, path)
    if not points:
        raise MeasurementError(f"{one_line(path, 160)} holds no measurement")
    return LoadedRun(
        where=where or path.name,
        name=path.resolve().name,
        command=content.command if content else "",
        created=content.created if content else "",
        machine=content.machine if content else {},
        points=_since_first_start(points),
        facts=_normalized(facts),
        settings=content is not None,
    )


def _since_first_start(points: Mapping[str, LoadedPoint]) -> dict[str, LoadedPoint]:
    """Return the points with starts relative to the first process of all that are counted, or of all if none is."""
    counted = [one for one in points.values() if one.record] or points.values()
    first = min((one.started for point in counted for one in point.processes if one.started is not None), default=0.0)

    def relative(one: Process) -> Process:
        return one if one.started is None else msgspec.structs.replace(one, started=one.started - first)

    return {
        name: msgspec.structs.replace(point, processes=tuple(map(relative, point.processes))) for name, point in points.items()
    }


def find(where: str, *directories: Path) -> Path:
    """Return the file or run directory that `where` names, the first there is; raise UsageError if there is none."""
    for path in (Path(where), *(directory / where for directory in directories)) if where else ():
        if path.is_file():
            return path
        if path.is_dir():
            if any((path / name).is_file() for name in (storage.COUNTERS_FILE, storage.WALL_FILE)):
                return path
            inside = _listed(_runs_in(path))
            hint = f"; the runs in it are {inside}" if inside else ""
            raise UsageError(
                f"{one_line(path, 120)} is no run: it has neither {storage.COUNTERS_FILE} nor {storage.WALL_FILE}{hint}"
            )
    if not where:
        raise UsageError("the name of a run is empty")
    known = "; ".join(f"{one} has {_listed(_runs_in(one)) or 'no runs'}" for one in directories if one.is_dir())
    made = known or f"{directories[0]} does not exist: run in a checkout, or make a run by `report`"
    said = f"there is no file, no directory and no run {one_line(where, 120)!r}; "
    raise unknown(said, where, [name for one in directories for name in _runs_in(one)], made)


def _files(path: Path) -> tuple[Path | None, Path | None]:
    """Return the files of counters and of times that a run has."""
    if path.is_dir():
        files = path / storage.COUNTERS_FILE, path / storage.WALL_FILE
        return files[0] if files[0].is_file() else None, files[1] if files[1].is_file() else None
    return (path, None) if path.name == storage.COUNTERS_FILE else (None, path)


def _runs_in(directory: Path) -> list[str]:
    """Return the names of the runs in a directory, newest name last."""
    found = (path for name in (storage.COUNTERS_FILE, storage.WALL_FILE) for path in directory.glob(f"*/{name}"))
    return sorted({path.parent.name for path in found if not path.parent.name.startswith(".")})


def _listed(names: list[str], most: int = 6) -> str:
    """Return the last few names as text."""
    return ", ".join(one_line(name, 60) for name in names[-most:]) + (" and others" if len(names) > most else "")


def _counted_point(path: Path, one: Counted) -> LoadedPoint:
    """Return what counters.json knows of a point."""
    if one_line(one.name) != one.name:
        raise MeasurementError(f"results file {path}: {one_line(one.name, 80)!r} is no printable name")
    for key, value in one.counters.items():
        # The kernel's own counters fall as well as rise; ours count what was done.
        if value < (0 if key.startswith("model_") else -LARGEST) or value > LARGEST:
            raise MeasurementError(f"results file {path}: {one.name} has {one_line(key, 60)} = {value}, which is no count")
    if one.span < 1:
        raise MeasurementError(f"results file {path}: {one.name} has a span of {one.span} bytes")
    scenario = one.point.scenario
    return LoadedPoint(
        name=PointName(one.point.operation, scenario.name, size_part(scenario), one.point.implementation),
        digest=one.point.digest,
        span=number_of_things(path, one.name, one.span),
        nr_vmas=number_of_things(path, one.name, one.nr_vmas),
        nr_populated=number_of_things(path, one.name, one.nr_populated),
        counters_digest=digest_of(one.counters),
        record=one,
    )


def _joined(counted: Mapping[str, LoadedPoint], timed: Mapping[str, LoadedPoint], path: Path) -> dict[str, LoadedPoint]:
    """Return the points of a run's two files as one; raise if they are not of the same work."""
    found = dict(counted)
    for name, one in timed.items():
        other = counted.get(name, one)
        for key in ("digest", "counters_digest"):
            told, known = getattr(one, key), getattr(other, key)
            if told and told != known:
                raise MeasurementError(f"{path}: {name} was timed on other work than was counted ({key} differs)")
        found[name] = msgspec.structs.replace(other, processes=one.processes)
    return found


def _normalized(facts: Mapping[str, str]) -> dict[str, str]:
    """Return the facts with Python's version written one way: both files tell it, differently."""
    found = dict(facts)
    implementation, version = found.pop("python_implementation", ""), found.pop("python_version", "")
    if version and "python" not in found:
        found["python"] = f"{implementation} {version.split()[0]}"
    if "python" in found:
        found["python"] = found["python"].lower()
    return found
