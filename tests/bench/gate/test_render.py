"""The gate's reports: each can be read back, and says what was found."""

import json
import math

import junitparser
import pytest

from bench.gate import render
from bench.gate.verdict import EXIT_CODES, Finding, Verdict, overall
from bench.tables import formats
from bench.tables.table import Page

FINDINGS = [
    Finding("counters", "munlockall/report/2TiB/page-walk", "pass", "24 counters as expected"),
    Finding("counters", "munlockall/dense/1GiB/per-page", "regression", "model_pte_read: 5 -> 6"),
    Finding("laws", "a | law <b>`", "inconclusive", "exponent 1 [0, 2]", {"interval_low": -math.inf}),
    Finding("times", "x", "error", "ended with exit code -6"),
]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], "error"),
        (["pass"], "pass"),
        (["pass", "inconclusive"], "inconclusive"),
        (["inconclusive", "regression", "pass"], "regression"),
        (["regression", "error"], "error"),
    ],
)
def test_the_worst_decides_and_nothing_is_not_enough(verdicts: list[Verdict], expected: Verdict) -> None:
    assert overall(Finding("laws", "x", verdict, "") for verdict in verdicts) == expected


def test_exit_codes_are_those_promised() -> None:
    assert EXIT_CODES == {"pass": 0, "faster": 0, "regression": 1, "error": 3, "inconclusive": 4}


def test_the_summary_counts() -> None:
    expected = "gate: ERROR (exit code 3); 4 checks: 1 pass, 1 inconclusive, 1 REGRESSION, 1 ERROR"
    assert render.summary(FINDINGS) == expected


def test_the_terminal_shows_what_matters_worst_first(capsys: pytest.CaptureFixture[str]) -> None:
    formats.show(Page((render.table(FINDINGS),)), "terminal")
    lines = capsys.readouterr().out.splitlines()
    order = [next(i for i, line in enumerate(lines) if word in line) for word in ("exit code -6", "5 -> 6", "exponent")]
    assert order == sorted(order)
    assert not any("as expected" in line for line in lines[2:])


def test_markdown_cells_hold_what_they_hold() -> None:
    text = render.markdown(FINDINGS)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 3
    assert "a \\| law \\<b\\>\\`" in text
    assert text.startswith("### gate: ERROR")


def test_a_long_report_stays_short_in_markdown() -> None:
    text = render.markdown([Finding("counters", f"b{i}", "regression", "x" * 200) for i in range(5000)])
    assert len(text.encode()) < 1 << 20
    assert "4800 more rows" in text


def test_junit_can_be_read() -> None:
    xml = junitparser.JUnitXml.fromstring(render.junit(FINDINGS))
    assert (xml.tests, xml.failures, xml.errors, xml.skipped) == (4, 1, 1, 1)
    cases = [case for suite in xml for case in suite]
    assert [type(case.result[0]).__name__ if case.result else "" for case in cases] == ["", "Failure", "Skipped", "Error"]
    assert cases[1].result[0].message == "model_pte_read: 5 -> 6"


def test_json_has_everything_and_no_infinity() -> None:
    report = render.Report(1, "gate", "command", "now", {"cpu": "x"}, "error", 3, FINDINGS, {"x": {"base": [[1.0]]}})
    found = json.loads(render.json(report), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert found["exit_code"] == 3
    assert [one["verdict"] for one in found["findings"]] == ["pass", "regression", "inconclusive", "error"]
    assert found["findings"][2]["numbers"] == {"interval_low": None}
