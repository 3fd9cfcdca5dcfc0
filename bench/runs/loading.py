"""A run as it was kept, found by name or path, read and checked: a directory of results/, or one of its files alone.

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
from bench.runs.kernel_record import InstructionsFile, load_instructions, nr_populated
from bench.runs.loaded import LoadedPoint, LoadedRun, Process
from bench.runs.pyperf_file import LARGEST, facts_of, load_times, number_of_things, timed_point
from bench.runs.record import Counted, digest_of
from bench.workloads import ideas
from bench.workloads.scenario import PointName, size_part


class _Files(msgspec.Struct, frozen=True):
    """What the files of a run hold, each right by itself."""

    counters_file: Path
    content: storage.CountersFile | None  # of the counters' file, if there is one
    wall_file: Path
    benchmarks: dict[str, pyperf.Benchmark]  # by name, of pyperf's file, if there is one
    instructions: InstructionsFile | None  # of the file of instructions, if there is one

    @property
    def head(self) -> storage.CountersFile | InstructionsFile | None:
        """The file that tells command, date and machine; pyperf's does not."""
        return self.content or self.instructions


def _read(path: Path) -> _Files:
    """Read the files of a run."""
    counters_file, wall_file, instructions_file = _files(path)
    content = storage.load_counters(counters_file) if counters_file else None
    ideas.remember(content.ideas if content else ())
    benchmarks = load_times(wall_file) if wall_file else {}
    instructions = load_instructions(instructions_file) if instructions_file else None
    return _Files(counters_file or path, content, wall_file or path, benchmarks, instructions)


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
    head, points = files.head, timed
    if head:
        facts |= {key: one_line(value, 120) for key, value in head.machine.items()}
    if files.content:
        points = _joined({one.name: _counted_point(files.counters_file, one) for one in files.content.points}, timed, path)
    if files.instructions:
        points = points | _points_with_instructions(files.instructions, points, path)
    if not points:
        raise MeasurementError(f"{one_line(path, 160)} holds no measurement")
    return LoadedRun(
        where=where or path.name,
        name=path.resolve().name,
        command=head.command if head else "",
        created=head.created if head else "",
        machine=head.machine if head else {},
        points=_since_first_start(points),
        facts=_normalized(facts),
        settings=head is not None,
    )


def _since_first_start(points: Mapping[str, LoadedPoint]) -> dict[str, LoadedPoint]:
    """Return the points with starts relative to the first process of all that are counted or real, or of all if none is."""
    known = [one for one in points.values() if one.record or one.kernel] or points.values()
    first = min((one.started for point in known for one in point.processes if one.started is not None), default=0.0)

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
            if any((path / name).is_file() for name in storage.RUN_FILES):
                return path
            inside = _listed(_runs_in(path))
            hint = f"; the runs in it are {inside}" if inside else ""
            raise UsageError(f"{one_line(path, 120)} is no run: it has none of {', '.join(storage.RUN_FILES)}{hint}")
    if not where:
        raise UsageError("the name of a run is empty")
    known = "; ".join(f"{one} has {_listed(_runs_in(one)) or 'no runs'}" for one in directories if one.is_dir())
    made = known or f"{directories[0]} does not exist: run in a checkout, or make a run by `report`"
    said = f"there is no file, no directory and no run {one_line(where, 120)!r}; "
    raise unknown(said, where, [name for one in directories for name in _runs_in(one)], made)


def _files(path: Path) -> tuple[Path | None, Path | None, Path | None]:
    """Return the files of counters, of times and of instructions that a run has."""
    if path.is_dir():
        counters, wall, instructions = (path / name if (path / name).is_file() else None for name in storage.RUN_FILES)
        return counters, wall, instructions
    if path.name == storage.COUNTERS_FILE:
        return path, None, None
    return (None, None, path) if path.name == storage.INSTRUCTIONS_FILE else (None, path, None)


def _runs_in(directory: Path) -> list[str]:
    """Return the names of the runs in a directory, newest name last."""
    found = (path for name in storage.RUN_FILES for path in directory.glob(f"*/{name}"))
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


def _points_with_instructions(
    content: InstructionsFile, known: Mapping[str, LoadedPoint], path: Path
) -> dict[str, LoadedPoint]:
    """Return the points of instructions.json; raise if a name is that of something else in the run's other files."""
    kernels = {one.name: one for one in content.kernels}
    found = {}
    for one in content.points:
        if one.name in known:
            raise MeasurementError(f"{path}: {one.name} is in two files of the run")
        point = one.point
        found[one.name] = LoadedPoint(
            name=PointName(point.operation, point.scenario.name, size_part(point.scenario), point.implementation),
            digest=point.digest,
            span=number_of_things(path, one.name, point.scenario.span),
            nr_populated=nr_populated(point),
            kernel=kernels[point.implementation],
            instructions=one.starts,
        )
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
