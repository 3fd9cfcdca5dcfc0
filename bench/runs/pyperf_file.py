"""What a pyperf file of this program says: its values checked, its points, its facts of the machine.

What cannot be right is refused here, with the file and the measurement named.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import pyperf

from bench.errors import MeasurementError, UsageError, one_line
from bench.runs import storage
from bench.runs.kernel_record import KERNEL_KEYS, kernel_of
from bench.runs.loaded import LoadedPoint, Process
from bench.runs.storage import PREFIX
from bench.workloads import ideas, sizes
from bench.workloads.scenario import PointName, parse_name

LARGEST = (1 << 63) - 1  # count


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


def timed_point(path: Path, name: str, benchmark: pyperf.Benchmark) -> LoadedPoint:
    """Return what a pyperf file knows of a point, starts in seconds since the epoch; raise if its processes measured unlike."""
    parts = _named(path, name)
    told = [run.get_metadata() for run in benchmark.get_runs()]
    for key in ("digest", "counters", "source", *KERNEL_KEYS):
        if len({one.get(PREFIX + key) for one in told}) > 1:
            raise MeasurementError(f"results file {path}: runs of {name} are mixed, their {key} differs")
    ours = {key.removeprefix(PREFIX): value for key, value in told[0].items() if key.startswith(PREFIX)}
    for key, part in (("operation", parts.operation), ("scenario", parts.scenario), ("implementation", parts.implementation)):
        if ours.get(key, part) != part:
            raise MeasurementError(f"results file {path}: {name} was measured as {key} {one_line(ours[key], 60)}")
    if all(key in ours for key in ideas.FACTS):
        kernel, summary = (str(ours[key]) for key in ideas.FACTS)
        ideas.remember([{"name": parts.implementation, "kernel": kernel, "summary": summary, "path": ""}])
    return LoadedPoint(
        name=parts,
        digest=str(ours.get("digest", "")),
        span=number_of_things(path, name, ours.get("span")) or _span_of(parts.size),
        nr_vmas=number_of_things(path, name, ours.get("vmas")),
        nr_populated=number_of_things(path, name, ours.get("populated")),
        counters_digest=str(ours.get("counters", "")),
        processes=_processes(benchmark),
        kernel=kernel_of(ours),
    )


def _processes(benchmark: pyperf.Benchmark) -> tuple[Process, ...]:
    """Return the processes that measured, others only calibrated; their starts in seconds since the epoch."""
    return tuple(
        Process(tuple(map(float, run.values)), _timestamp(run.get_metadata().get("date")))
        for run in benchmark.get_runs()
        if run.values
    )


def seconds_by_process(benchmark: pyperf.Benchmark) -> list[float]:
    """Return what a call took, in seconds, in each process that measured."""
    return [one.seconds for one in _processes(benchmark)]


def _timestamp(date: object) -> float | None:
    """Return when a process started, in seconds since the epoch; None if that is not known."""
    try:
        # pyperf writes local time without a zone. UTC stands for it: only differences are used.
        return datetime.fromisoformat(f"{date}+00:00").timestamp()
    except ValueError:
        return None


def number_of_things(path: Path, name: str, value: object) -> int | None:
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


def facts_of(benchmark: pyperf.Benchmark) -> dict[str, str]:
    """Return the facts that a pyperf file tells, under the names that counters.json has for them."""
    told = benchmark.get_metadata()
    return {ours: one_line(told[theirs], 120) for theirs, ours in _PYPERF_FACTS.items() if theirs in told}
