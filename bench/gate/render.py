"""The gate's findings for people and for machines: terminal, JSON, Markdown, JUnit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import junitparser
import msgspec

from bench.gate.times import Rounds
from bench.gate.verdict import EXIT_CODES, WORST_FIRST, Finding, Verdict, overall
from bench.measuring.kernel_boots import Boot
from bench.runs.storage import encode_json
from bench.tables.formats import markdown_table
from bench.tables.table import Table

SCHEMA: Final = 1  # of the JSON report; 1: the first
WORDS: dict[Verdict, str] = {
    "pass": "pass",
    "faster": "faster",
    "regression": "REGRESSION",
    "error": "ERROR",
    "inconclusive": "inconclusive",
}
MARKDOWN_ROWS = 200  # a job summary has a limit of 1 MiB


class Report(msgspec.Struct, frozen=True):
    """Content of the JSON report."""

    schema: Literal[1]
    kind: Literal["gate"]
    command: str
    created: str  # UTC, ISO 8601
    machine: dict[str, str | int]
    verdict: Verdict
    exit_code: int
    findings: list[Finding]
    times: dict[str, dict[str, Rounds]]  # benchmark -> arm -> seconds


class KernelReport(msgspec.Struct, frozen=True):
    """Content of the JSON report on two real kernels."""

    schema: Literal[1]
    kind: Literal["gate-kernels"]
    command: str
    created: str  # UTC, ISO 8601
    machine: dict[str, str | int]
    verdict: Verdict
    exit_code: int
    findings: list[Finding]
    kernels: dict[str, str]  # by arm, as they are named
    boots: dict[str, list[Boot]]  # arm -> what calls cost in each start, in instructions


def summary(findings: Sequence[Finding]) -> str:
    """Return the verdict and what it is made of in one line."""
    verdict = overall(findings)
    counted = Counter(finding.verdict for finding in findings)
    parts = ", ".join(f"{counted[one]} {WORDS[one]}" for one in reversed(WORST_FIRST) if counted[one])
    return f"gate: {WORDS[verdict]} (exit code {EXIT_CODES[verdict]}); {len(findings)} checks: {parts or 'none'}"


def shown(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that a reader wants to see: all but passed counters, worst first, else in their order."""
    wanted = [one for one in findings if one.verdict != "pass" or one.part != "counters"]
    return sorted(wanted, key=lambda one: WORST_FIRST.index(one.verdict))


def table(findings: Sequence[Finding]) -> Table:
    """Return the table of what a reader wants to see."""
    rows = tuple((WORDS[one.verdict], one.part, one.name, one.text) for one in shown(findings))
    title = "Gate (counters that are as expected are not listed)"
    return Table(title, ("verdict", "part", "what", "seen"), (), (rows,), less=("part",), nr_shown_once=0)


def markdown(findings: Sequence[Finding]) -> str:
    """Return the report as Markdown, short enough for a job summary."""
    whole = table(findings)
    rows = whole.rows
    lines = [f"### {summary(findings)}", "", markdown_table(msgspec.structs.replace(whole, sections=(rows[:MARKDOWN_ROWS],)))]
    if len(rows) > MARKDOWN_ROWS:
        lines += ["", f"{len(rows) - MARKDOWN_ROWS} more rows are in the JSON report."]
    return "\n".join(lines) + "\n"


def junit(findings: Sequence[Finding]) -> bytes:
    """Return the report as JUnit XML: a suite for each part, a case for each check."""
    xml = junitparser.JUnitXml("unlockall-bench gate")
    for part in dict.fromkeys(one.part for one in findings):
        suite = junitparser.TestSuite(part)
        for one in (finding for finding in findings if finding.part == part):
            case = junitparser.TestCase(one.name, f"gate.{part}")
            kind = {"regression": junitparser.Failure, "error": junitparser.Error, "inconclusive": junitparser.Skipped}
            if one.verdict in kind:
                case.result = [kind[one.verdict](one.text)]
            else:
                case.system_out = one.text
            suite.add_testcase(case)
        xml.add_testsuite(suite)
    xml.update_statistics()
    return bytes(xml.tostring())


def json(report: Report | KernelReport) -> bytes:
    """Return the report as JSON; ends of intervals that are infinite become null."""
    return encode_json(report)
