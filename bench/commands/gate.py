"""The `gate` command: read the command line, have the gate measure and judge, tell, end with the exit code of the verdict."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench import environment
from bench.commands import gate_kernels, parser_of
from bench.errors import UsageError, one_line, unknown
from bench.gate import arms, engine, expectation, render, times
from bench.gate.checks import CHECKS
from bench.gate.engine import Outcome, Request
from bench.gate.verdict import EXIT_CODES, overall
from bench.progress import progress_bar
from bench.runs import storage
from bench.tables import formats
from bench.tables.changes import change_lines
from bench.tables.table import Page
from bench.targets import registry
from bench.workloads import suite
from mmmodel.kernels import IMPLEMENTATIONS

PARTS = ("counters", "laws", "times")
REPORTS = ("json", "markdown", "junit")
SUITE, ROUNDS, TOLERANCE = "reference", 14, 3.0


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; the meaning of its words is checked later."""
    parser = parser_of("gate")
    parser.epilog = "exit codes: 0 pass, 1 regression, 2 bad usage, 3 measurement error, 4 inconclusive"
    parser.add_argument("--base", metavar="REV", help="time this tree against that revision, in turn, on this machine")
    parser.add_argument("--only", metavar="PARTS", help=f"some of {','.join(PARTS)}; default all, times with --base only")
    parser.add_argument("--accept", action="store_true", help="write what is counted now as what is expected")
    parser.add_argument("--expectation", type=Path, help=f"file to compare with, default results/{expectation.FILE}")
    parser.add_argument("--suite", choices=tuple(suite.SUITES), help=f"what is counted, default {SUITE}")
    parser.add_argument("--rounds", type=int, help=f"rounds of the timing, default {ROUNDS}")
    parser.add_argument("--tolerance", type=float, metavar="PERCENT", help=f"slowdown that is none, default {TOLERANCE:g}")
    parser.add_argument("--seed", type=int, help="of the order of the arms")
    parser.add_argument("--kernel", metavar="KERNEL", help="judge a real kernel: a version of the cache, or an image's path")
    parser.add_argument("--base-kernel", metavar="KERNEL", help="the kernel that --kernel is held against, in instructions")
    known = ", ".join(dict.fromkeys(group.operation for group in suite.KERNELS))
    parser.add_argument("--op", action="append", help=f"calls on kernels, of {known}; default {', '.join(suite.UNLOCKING)}")
    for name in REPORTS:
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"write the report as {name} too")
    formats.add_option(parser)
    return parser.parse_args(argv)


def read_request(args: argparse.Namespace) -> Request:
    """Check what the words of a command line mean."""
    if args.op:
        raise UsageError("--op is for real kernels: it needs --kernel and --base-kernel")
    default = ("counters", "laws", "times") if args.base else ("counters", "laws")
    parts = tuple(args.only.split(",")) if args.only else default
    others = [part for part in parts if part not in PARTS]
    if others:
        raise unknown(f"unknown part {one_line(others[0], 60)!r}; known are ", others[0], PARTS)
    if ("times" in parts) != bool(args.base):
        raise UsageError("times are judged against another checkout: --only times and --base REV need each other")
    suite_name, rounds = args.suite or SUITE, ROUNDS if args.rounds is None else args.rounds
    tolerance = TOLERANCE if args.tolerance is None else args.tolerance
    if not 0 < tolerance < times.Rule().resolution * 100:
        raise UsageError(f"--tolerance must be above 0 and below {times.Rule().resolution * 100:g} percent")
    checks = CHECKS[suite_name]
    if args.only and "laws" in parts and not checks.laws:
        raise UsageError(f"suite {suite_name} has no laws; use --only counters")
    rule = times.Rule(tolerance=tolerance / 100, nr_benchmarks=max(1, len(checks.timed)))
    if rounds < rule.least_rounds:
        raise UsageError(f"--rounds must be at least {rule.least_rounds} to judge {len(checks.timed)} benchmarks")
    return Request(
        expectation=args.expectation or _expectation_file(args.accept),
        suite=suite_name,
        checks=checks,
        accept=args.accept,
        parts=parts,
        base=args.base,
        rounds=rounds,
        seed=args.seed or 0,
        rule=rule,
    )


def _expectation_file(accept: bool) -> Path:
    """Return the expectation of the checkout, which `--accept` writes, or else the one that the package was built with."""
    own, *others = (directory / expectation.FILE for directory in environment.results_directories())
    return own if accept else next((path for path in (own, *others) if path.is_file()), own)


def _reports(args: argparse.Namespace) -> dict[str, Path]:
    """Return the files that reports go to, by format."""
    reports = {name: getattr(args, name) for name in REPORTS if getattr(args, name)}
    for path in reports.values():
        storage.check_parent(path)
    return reports


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    args = _parse(argv)
    if args.kernel is not None or args.base_kernel is not None:
        kernels, reports = gate_kernels.read_request(args), _reports(args)
        return _tell(gate_kernels.run(kernels), reports, args.wide)
    request, reports = read_request(args), _reports(args)
    with progress_bar() as progress:
        registry.load(IMPLEMENTATIONS, progress)
        if request.accept:
            changed, lost = engine.accept(request, progress)
            if lost:
                print(f"what was expected before is lost: {lost}")
            print("\n".join(change_lines(changed)))
            print(f"accepted: written to {request.expectation}" if changed else "nothing changed")
            return 0
        outcome = engine.measure_and_judge(request, progress)
    return _tell(_report_of(outcome), reports, args.wide)


def _report_of(outcome: Outcome) -> render.Report:
    """Return the report on the model."""
    verdict = overall(outcome.findings)
    return render.Report(
        schema=render.SCHEMA,
        kind="gate",
        command=environment.command_line(),
        created=storage.now(),
        machine=environment.machine_facts(),
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        findings=outcome.findings,
        times={name: {arm: getattr(one, arm) for arm in arms.ARMS} for name, one in outcome.times.items()},
    )


def _tell(report: render.Report | render.KernelReport, reports: dict[str, Path], wide: bool) -> int:
    """Print and write the reports; return the exit code."""
    findings = report.findings
    encoded = {
        "json": lambda: render.json(report),
        "markdown": lambda: render.markdown(findings).encode(),
        "junit": lambda: render.junit(findings),
    }
    for name, path in reports.items():
        storage.write_atomic(path, encoded[name]())
    if render.shown(findings):
        formats.show(Page((render.table(findings),)), wide=wide)
    print(render.summary(findings))
    return report.exit_code
