"""A run as it was kept, found by name or path, read and checked: a directory of results/, or a plain pyperf file.

What cannot be right is refused here, with the file and the measurement named,
so that what computes and shows need not look again.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import pyperf

from bench.analysis import stats
from bench.errors import MeasurementError, UsageError, one_line
from bench.measuring import counting
from bench.runs import storage
from bench.runs.storage import PREFIX
from bench.workloads import sizes
from bench.workloads.scenario import PointName, parse_name, size_part

LARGEST = (1 << 63) - 1  # count


class Times(msgspec.Struct, frozen=True):
    """Times of one call, in seconds."""

    values: tuple[float, ...]  # of all processes
    means: tuple[float, ...]  # of each process's values


class Measured(msgspec.Struct, frozen=True):
    """What a run knows of one point. None and "" where its files do not say."""

    name: PointName
    digest: str = ""  # of the parameters
    span: int | None = None  # bytes
    nr_vmas: int | None = None
    nr_populated: int | None = None  # pages in memory before the call
    counters: dict[str, int] | None = None
    counters_digest: str = ""
    times: Times | None = None


class Run(msgspec.Struct, frozen=True):
    """One run."""

    where: str  # name or path, as it was asked for
    points: dict[str, Measured]  # by name, in the order of the files
    facts: dict[str, str]  # of the machine and the software
    settings: bool  # whether the facts tell all settings of the environment, so that one which is missing was not set


class Files(msgspec.Struct, frozen=True):
    """What the files of a run hold, each right by itself."""

    path: Path  # of the run's directory, or of its only file
    counters_file: Path
    content: storage.CountersFile | None  # of the counters' file, if there is one
    wall_file: Path
    benchmarks: dict[str, pyperf.Benchmark]  # by name, of pyperf's file, if there is one


def read(path: Path) -> Files:
    """Read the files of a run."""
    counters_file, wall_file = _files(path)
    content = storage.load_counters(counters_file) if counters_file else None
    benchmarks = load_times(wall_file) if wall_file else {}
    return Files(path, counters_file or path, content, wall_file or path, benchmarks)


def load(where: str, directory: Path) -> Run:
    """Return the run that `where` names: a path, or a name in the directory of runs; raise if it cannot be trusted."""
    return run_of(read(find(where, directory)), one_line(where, 160))


def run_of(files: Files, where: str) -> Run:
    """Return what the files of a run say together, under the name `where`; raise if that cannot be."""
    points: dict[str, Measured] = {}
    facts: dict[str, str] = {}
    for name, benchmark in files.benchmarks.items():
        points[name] = _timed(files.wall_file, name, benchmark)
        for key, fact in _facts_of(benchmark).items():  # a file that was added to may hold several
            before = facts.setdefault(key, fact)
            facts[key] = before if fact in before.split(" and ") else f"{before} and {fact}"
    if files.content:
        facts |= {key: one_line(value, 120) for key, value in files.content.machine.items()}
        points = _joined({one.name: _counted(files.counters_file, one) for one in files.content.points}, points, files.path)
    if not points:
        raise MeasurementError(f"{one_line(files.path, 160)} holds no measurement")
    return Run(where, points, _normalized(facts), settings=files.content is not None)


def find(where: str, directory: Path) -> Path:
    """Return the file or run directory that `where` names; raise UsageError if there is none."""
    for path in (Path(where), directory / where) if where else ():
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
    known = _listed(_runs_in(directory)) or "no runs"
    raise UsageError(f"there is no file, no directory and no run {one_line(where, 120)!r}; {directory} has {known}")


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


def load_times(path: Path) -> dict[str, pyperf.Benchmark]:
    """Read a pyperf file of this program; every value a finite number of seconds above zero."""
    try:
        found = storage.load_wall(path)
    except MeasurementError as error:
        raise MeasurementError(_bad_value(path) or str(error)) from None
    except (ArithmeticError, AssertionError, EOFError, LookupError, RecursionError, zlib.error) as error:
        raise MeasurementError(f"results file {path} is no pyperf file: {one_line(error)}") from None
    for name, benchmark in found.items():
        unit = benchmark.get_unit()
        if unit != "second":
            raise MeasurementError(f"results file {path}: {one_line(name, 80)} is in {unit}s; only times are shown here")
        _check_values(path, name, (value for run in benchmark.get_runs() for value in run.values))
        if not benchmark.get_nvalue():
            raise MeasurementError(f"results file {path}: {one_line(name, 80)} has no value")
    return found


def _check_values(path: Path, name: str, values: Iterable[object]) -> None:
    """Raise MeasurementError unless all values are times."""
    for value in values:
        if not _is_time(value):
            shown = one_line(value, 40)
            raise MeasurementError(
                f"results file {path}: {one_line(name, 80)} has the value {shown}, which is no finite number above zero"
            )


def _is_time(value: object) -> bool:
    """Tell whether a value is a finite number above zero; JSON has NaN, too, and integers beyond all floats."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value) and value > 0
    except OverflowError:
        return False


def _bad_value(path: Path) -> str:
    """Return what is wrong with the first wrong value of a file that pyperf refuses without saying which; else ""."""
    try:
        for benchmark in json.loads(path.read_bytes())["benchmarks"]:
            for run in benchmark["runs"]:
                _check_values(path, benchmark["metadata"]["name"], run.get("values", ()))
    except MeasurementError as error:
        return str(error)
    except Exception:  # anything may be wrong with a wrong file; pyperf said what
        pass
    return ""


def _named(path: Path, name: str) -> PointName:
    """Return the parts of a name that a file holds."""
    try:
        if one_line(name) != name:
            raise UsageError(f"{one_line(name, 80)!r} is no printable name")
        return parse_name(name)
    except UsageError as error:
        raise MeasurementError(f"results file {path}: {error}") from None


def _timed(path: Path, name: str, benchmark: pyperf.Benchmark) -> Measured:
    """Return what a pyperf file knows of a point; raise if its processes did not all measure the same."""
    parts = _named(path, name)
    told = [run.get_metadata() for run in benchmark.get_runs()]
    for key in ("digest", "counters", "source"):
        if len({one.get(PREFIX + key) for one in told}) > 1:
            raise MeasurementError(f"results file {path}: runs of {name} are mixed, their {key} differs")
    ours = {key.removeprefix(PREFIX): value for key, value in told[0].items() if key.startswith(PREFIX)}
    for key, part in (("operation", parts.operation), ("scenario", parts.scenario), ("implementation", parts.implementation)):
        if ours.get(key, part) != part:
            raise MeasurementError(f"results file {path}: {name} was measured as {key} {one_line(ours[key], 60)}")
    return Measured(
        name=parts,
        digest=str(ours.get("digest", "")),
        span=_number(path, name, ours.get("span")) or _span_of(parts.size),
        nr_vmas=_number(path, name, ours.get("vmas")),
        nr_populated=_number(path, name, ours.get("populated")),
        counters_digest=str(ours.get("counters", "")),
        times=Times(tuple(map(float, benchmark.get_values())), tuple(stats.process_means(benchmark))),
    )


def _number(path: Path, name: str, value: object) -> int | None:
    """Return a number of pages or the like; None where there is none."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise MeasurementError(f"results file {path}: {name} has {one_line(value, 40)} where a number of things should be")
    return value


def _span_of(size: str) -> int | None:
    """Return the span in bytes that a name says; None for a layout's."""
    try:
        return sizes.parse_bytes(size)
    except UsageError:
        return None


def _counted(path: Path, one: counting.Counted) -> Measured:
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
    return Measured(
        name=PointName(one.point.operation, scenario.name, size_part(scenario), one.point.implementation),
        digest=one.point.digest,
        span=_number(path, one.name, one.span),
        nr_vmas=_number(path, one.name, one.nr_vmas),
        nr_populated=_number(path, one.name, one.nr_populated),
        counters=one.counters,
        counters_digest=counting.digest_of(one.counters),
    )


def _joined(counted: Mapping[str, Measured], timed: Mapping[str, Measured], path: Path) -> dict[str, Measured]:
    """Return the points of a run's two files as one; raise if they are not of the same work."""
    found = dict(counted)
    for name, one in timed.items():
        other = counted.get(name, one)
        for key in ("digest", "counters_digest"):
            told, known = getattr(one, key), getattr(other, key)
            if told and told != known:
                raise MeasurementError(f"{path}: {name} was timed on other work than was counted ({key} differs)")
        found[name] = msgspec.structs.replace(other, times=one.times)
    return found


# pyperf's names of facts, and those of counters.json.
_PYPERF_FACTS = {
    "cpu_model_name": "cpu_model",
    "cpu_count": "cpu_count",
    "hostname": "hostname",
    "platform": "platform",
    "python_implementation": "python_implementation",
    "python_version": "python_version",
    "numba_version": "numba",
    "numpy_version": "numpy",
    "perf_version": "pyperf",
    "cpu_affinity": "cpu_affinity",
    "aslr": "aslr",
    PREFIX + "source": "source_digest",
}


def _facts_of(benchmark: pyperf.Benchmark) -> dict[str, str]:
    """Return the facts that a pyperf file tells, under the names that counters.json has for them."""
    told = benchmark.get_metadata()
    return {ours: one_line(told[theirs], 120) for theirs, ours in _PYPERF_FACTS.items() if theirs in told}


def _normalized(facts: Mapping[str, str]) -> dict[str, str]:
    """Return the facts with Python's version written one way: both files tell it, differently."""
    found = dict(facts)
    implementation, version = found.pop("python_implementation", ""), found.pop("python_version", "")
    if version and "python" not in found:
        found["python"] = f"{implementation} {version.split()[0]}"
    if "python" in found:
        found["python"] = found["python"].lower()
    return found
