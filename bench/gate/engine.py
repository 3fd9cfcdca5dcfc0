"""The gate itself: measures what was asked for, and has it judged; or accepts what is counted as what is expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.progress import Progress

from bench.analysis.counter_diff import Change, changes
from bench.errors import MeasurementError, UsageError, internal_error, one_line
from bench.gate import arms, counters, expectation, law_timing, laws, times
from bench.gate.checks import Checks
from bench.gate.counting_process import CountingProcess
from bench.gate.expectation import Expected
from bench.gate.verdict import Finding, Part
from bench.runs import storage
from bench.targets import registry
from bench.workloads import suite
from bench.workloads.scenario import Point

Counts = Mapping[str, Expected | str]  # by name: what was counted, or why not


class Request(msgspec.Struct, frozen=True):
    """What is to be measured and judged."""

    expectation: Path
    suite: str
    checks: Checks
    accept: bool
    parts: tuple[str, ...]
    base: str | None
    rounds: int
    seed: int
    rule: times.Rule


class Outcome(msgspec.Struct):
    """What a gate found and measured so far."""

    findings: list[Finding] = []
    times: dict[str, times.Arms] = {}


def measure_and_judge(request: Request, progress: Progress) -> Outcome:
    """Do the parts that were asked for."""
    outcome = Outcome()
    first: Counts = {}
    if {"counters", "laws"} & set(request.parts):
        with _failure_as_finding("counters", outcome):
            expected = expectation.load(request.expectation).points if "counters" in request.parts else {}
            first, second = _count_twice(suite.points_of(suite.SUITES[request.suite]), progress)
            if "counters" in request.parts:
                outcome.findings += counters.judge(expected, first, second)
    if first and "laws" in request.parts and request.checks.laws:
        with _failure_as_finding("laws", outcome):
            counted = {name: one for name, one in first.items() if isinstance(one, Expected)}
            seconds = law_timing.time_laws(request.checks, progress)
            outcome.findings += laws.judge_laws(request.checks.laws, counted, seconds)
            outcome.findings += laws.judge_bounds(request.checks.bounds, counted)
            outcome.findings += laws.judge_floors(request.checks.floors, counted, seconds)
    if "times" in request.parts:
        with _failure_as_finding("times", outcome):
            findings, outcome.times = _time_against(request, progress)
            outcome.findings += findings
    return outcome


@contextmanager
def _failure_as_finding(part: Part, outcome: Outcome) -> Iterator[None]:
    """Make a measurement that failed a finding, so that the reports have it too."""
    try:
        yield
    except MeasurementError as error:
        outcome.findings.append(Finding(part, "the measurement", "error", one_line(error)))
    except UsageError:
        raise
    except Exception as error:  # of this program; what the other parts find is told all the same
        outcome.findings.append(Finding(part, "the measurement", "error", internal_error(error)))


def _count_twice(points: Sequence[Point], progress: Progress) -> tuple[Counts, Counts]:
    """Count all points in two processes at once, each with another hash seed; return what each says."""
    for point in points:
        registry.check(point)
    task = progress.add_task("counting, twice", total=None)
    both = [CountingProcess(points, {"PYTHONHASHSEED": seed}) for seed in ("1", "2")]
    first, second = (one.results() for one in both)
    progress.remove_task(task)
    return first, second


def _time_against(request: Request, progress: Progress) -> tuple[list[Finding], dict[str, times.Arms]]:
    """Time this tree against the base, judge, and measure again what seems slower."""
    assert request.base is not None
    with arms.checked_out(request.base) as trees:
        task = arms.calibrated(request.checks.timed, trees["head"])
        measured = arms.time_arms(trees, task, request.rounds, request.seed, progress)
        findings = times.judge(measured, request.rule)
        slower = {one.name: one for one in findings if one.verdict == "regression"}
        if not slower:
            return findings, measured
        repeated = arms.time_arms(trees, task.only(slower), request.rounds, request.seed + 1, progress)
    second = {one.name: one for one in times.judge(repeated, request.rule)}
    judged = [times.confirmed(slower[one.name], second[one.name]) if one.name in slower else one for one in findings]
    return judged, measured | {f"{name} (again)": one for name, one in repeated.items()}


def accept(request: Request, progress: Progress) -> tuple[list[Change], str]:
    """Count twice and write the expectation; return what changed, and why what was expected before is lost, if it is."""
    points = suite.points_of(suite.SUITES[request.suite])
    first, second = _count_twice(points, progress)
    accepted: dict[str, Expected] = {}
    for point in points:
        one = first.get(point.name)
        if not isinstance(one, Expected) or one != second.get(point.name):
            raise MeasurementError(f"{point.name} cannot be accepted: {one if isinstance(one, str) else 'two runs differ'}")
        accepted[point.name] = one
    old, lost = _old_expectation(request.expectation)
    storage.make_directory(request.expectation.parent)
    command = f"python -m bench gate --accept --suite {request.suite}"
    expectation.save(request.expectation, request.suite, command, accepted)
    before, after = ({name: one.facts for name, one in points.items()} for points in (old, accepted))
    return changes(before, after), lost


def _old_expectation(path: Path) -> tuple[Mapping[str, Expected], str]:
    """Return what was expected so far, and why that cannot be read, if so."""
    if not path.exists():
        return {}, ""
    try:
        return expectation.load(path).points, ""
    except MeasurementError as error:
        return {}, str(error)
