"""The `gate` command: measure, judge, tell, and end with the exit code of the verdict."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.progress import Progress

from bench import environment
from bench.analysis.counter_diff import Change, changes
from bench.commands import parser_of
from bench.errors import MeasurementError, UsageError, one_line
from bench.gate import arms, counters, curves, expectation, laws, render, times
from bench.gate.count import Counter
from bench.gate.expectation import Expected
from bench.gate.verdict import EXIT_CODES, Finding, Part, overall
from bench.progress import progress_bar
from bench.runs import storage
from bench.tables import formats
from bench.tables.changes import change_lines
from bench.tables.table import Page
from bench.targets import registry
from bench.workloads import suite
from bench.workloads.scenario import Point
from bench.workloads.suite import Checks

PARTS = ("counters", "laws", "times")
ROUNDS = 14
Counts = Mapping[str, Expected | str]


class Request(msgspec.Struct, frozen=True):
    """A checked command line."""

    expectation: Path
    suite: str
    checks: Checks
    accept: bool
    parts: tuple[str, ...]
    base: str | None
    rounds: int
    seed: int
    rule: times.Rule
    reports: dict[str, Path]


class Measured(msgspec.Struct):
    """What a gate measured and found so far."""

    findings: list[Finding] = []
    times: dict[str, times.Arms] = {}


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; the meaning of its words is checked later."""
    parser = parser_of("gate")
    parser.epilog = "exit codes: 0 pass, 1 regression, 2 bad usage, 3 measurement error, 4 inconclusive"
    parser.add_argument("--base", metavar="REV", help="time this tree against that revision, in turn, on this machine")
    parser.add_argument("--only", metavar="PARTS", help=f"some of {','.join(PARTS)}; default all, times with --base only")
    parser.add_argument("--accept", action="store_true", help="write what is counted now as what is expected")
    parser.add_argument("--expectation", type=Path, help=f"file to compare with, default results/{expectation.FILE}")
    parser.add_argument("--suite", choices=tuple(suite.SUITES), default="reference", help="what is counted, default reference")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of the timing, default {ROUNDS}")
    parser.add_argument("--tolerance", type=float, default=3.0, metavar="PERCENT", help="slowdown that is none, default 3")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the arms")
    for name in ("json", "markdown", "junit"):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"write the report as {name} too")
    return parser.parse_args(argv)


def read_request(argv: Sequence[str]) -> Request:
    """Read a command line and check what its words mean."""
    args = _parse(argv)
    default = ("counters", "laws", "times") if args.base else ("counters", "laws")
    parts = tuple(args.only.split(",")) if args.only else default
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise UsageError(f"unknown part {one_line(unknown[0], 60)!r}; known are {', '.join(PARTS)}")
    if ("times" in parts) != bool(args.base):
        raise UsageError("times are judged against another checkout: --only times and --base REV need each other")
    if not 0 < args.tolerance < times.Rule().resolution * 100:
        raise UsageError(f"--tolerance must be above 0 and below {times.Rule().resolution * 100:g} percent")
    checks = suite.CHECKS[args.suite]
    if args.only and "laws" in parts and not checks.laws:
        raise UsageError(f"suite {args.suite} has no laws; use --only counters")
    rule = times.Rule(tolerance=args.tolerance / 100, nr_benchmarks=max(1, len(checks.timed)))
    if args.rounds < rule.least_rounds:
        raise UsageError(f"--rounds must be at least {rule.least_rounds} to judge {len(checks.timed)} benchmarks")
    reports = {name: getattr(args, name) for name in ("json", "markdown", "junit") if getattr(args, name)}
    for path in reports.values():
        storage.make_directory(path.parent)
    return Request(
        expectation=args.expectation or environment.base_directory() / "results" / expectation.FILE,
        suite=args.suite,
        checks=checks,
        accept=args.accept,
        parts=parts,
        base=args.base,
        rounds=args.rounds,
        seed=args.seed,
        rule=rule,
        reports=reports,
    )


def count_twice(points: Sequence[Point], progress: Progress) -> tuple[Counts, Counts]:
    """Count all points in two processes at once, each with another hash seed; return what each says."""
    for point in points:
        registry.check_memory(point)
    task = progress.add_task("counting, twice", total=None)
    both = [Counter(points, {"PYTHONHASHSEED": seed}) for seed in ("1", "2")]
    first, second = (one.results() for one in both)
    progress.remove_task(task)
    return first, second


def time_against(request: Request, progress: Progress) -> tuple[list[Finding], dict[str, times.Arms]]:
    """Time this tree against the base, judge, and look again at what seems slower."""
    assert request.base is not None
    with arms.prepared(request.base) as prepared:
        task = arms.calibrated(request.checks.timed, prepared["head"])
        measured = arms.time_arms(prepared, task, request.rounds, request.seed, progress)
        findings = times.judge(measured, request.rule)
        slower = {one.name: one for one in findings if one.verdict == "regression"}
        if not slower:
            return findings, measured
        repeated = arms.time_arms(prepared, task.only(slower), request.rounds, request.seed + 1, progress)
    second = {one.name: one for one in times.judge(repeated, request.rule)}
    judged = [times.confirmed(slower[one.name], second[one.name]) if one.name in slower else one for one in findings]
    return judged, measured | {f"{name} (again)": one for name, one in repeated.items()}


@contextmanager
def _telling(part: Part, measured: Measured) -> Iterator[None]:
    """Make a measurement that failed a finding, so that the reports have it too."""
    try:
        yield
    except MeasurementError as error:
        measured.findings.append(Finding(part, "the measurement", "error", one_line(error)))


def _measure_and_judge(request: Request, progress: Progress) -> Measured:
    """Do the parts that were asked for."""
    measured = Measured()
    first: Counts = {}
    if {"counters", "laws"} & set(request.parts):
        with _telling("counters", measured):
            expected = expectation.load(request.expectation).points if "counters" in request.parts else {}
            first, second = count_twice(suite.points_of(suite.SUITES[request.suite]), progress)
            if "counters" in request.parts:
                measured.findings += counters.judge(expected, first, second)
    if first and "laws" in request.parts and request.checks.laws:
        with _telling("laws", measured):
            counted = {name: one for name, one in first.items() if isinstance(one, Expected)}
            seconds = curves.time_laws(request.checks, progress)
            measured.findings += laws.judge_laws(request.checks.laws, counted, seconds)
            measured.findings += laws.judge_floors(request.checks.floors, counted, seconds)
    if "times" in request.parts:
        with _telling("times", measured):
            findings, measured.times = time_against(request, progress)
            measured.findings += findings
    return measured


def _old_expectation(path: Path) -> Mapping[str, Expected]:
    """Return what was expected so far; nothing if that cannot be read, which is told."""
    if not path.exists():
        return {}
    try:
        return expectation.load(path).points
    except MeasurementError as error:
        print(f"what was expected before is lost: {error}")
        return {}


def _accept(request: Request, progress: Progress) -> list[Change]:
    """Count twice and write the expectation; return what changed."""
    points = suite.points_of(suite.SUITES[request.suite])
    first, second = count_twice(points, progress)
    accepted: dict[str, Expected] = {}
    for point in points:
        one = first.get(point.name)
        if not isinstance(one, Expected) or one != second.get(point.name):
            raise MeasurementError(f"{point.name} cannot be accepted: {one if isinstance(one, str) else 'two runs differ'}")
        accepted[point.name] = one
    old = _old_expectation(request.expectation)
    storage.make_directory(request.expectation.parent)
    command = f"python -m bench gate --accept --suite {request.suite}"
    expectation.save(request.expectation, request.suite, command, accepted)
    before, after = ({name: one.facts for name, one in points.items()} for points in (old, accepted))
    return changes(before, after)


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    request = read_request(argv)
    with progress_bar() as progress:
        registry.load(registry.names(), progress)
        if request.accept:
            changed = _accept(request, progress)
            print("\n".join(change_lines(changed)))
            print(f"accepted: written to {request.expectation}" if changed else "nothing changed")
            return 0
        measured = _measure_and_judge(request, progress)
    return _tell(request, measured)


def _tell(request: Request, measured: Measured) -> int:
    """Print and write the reports; return the exit code."""
    findings = measured.findings
    verdict = overall(findings)
    values = {name: {arm: getattr(one, arm) for arm in arms.ARMS} for name, one in measured.times.items()}
    report = render.Report(
        schema=render.SCHEMA,
        kind="gate",
        command=environment.command_line(),
        created=storage.now(),
        machine=environment.machine_facts(),
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        findings=findings,
        times=values,
    )
    encoded = {
        "json": lambda: render.json(report),
        "markdown": lambda: render.markdown(findings).encode(),
        "junit": lambda: render.junit(findings),
    }
    for name, path in request.reports.items():
        storage.write_atomic(path, encoded[name]())
    if render.shown(findings):
        formats.show(Page((render.table(findings),)), "terminal")
    print(render.summary(findings))
    return EXIT_CODES[verdict]
