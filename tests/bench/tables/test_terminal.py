"""What the terminal shows."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from bench.analysis import reported
from bench.tables import terminal
from mmmodel.constants import PAGE_SIZE
from support.rows import report_rows


def rendered(one: Table) -> str:
    out = io.StringIO()
    Console(file=out, width=terminal.PIPED_WIDTH, color_system=None).print(one)
    return out.getvalue()


def test_the_report_table_has_every_number() -> None:
    text = rendered(terminal.report_table(report_rows()))
    for word in ("2 TiB", "12 TiB", "536,870,912", "per-page", "hole-skip", "page-walk", "report/64GiB", "537 ms", "ns/page"):
        assert word in text, word
    assert "..." not in text
    assert "\u2026" not in text  # nothing was cut


def test_piped_tables_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.console().print(terminal.report_table(report_rows()))
    text = capsys.readouterr().out
    assert text.isascii()
    assert "\x1b" not in text


def test_the_reporters_figures_are_told_apart() -> None:
    text = rendered(terminal.reported_table(reported.REPORTED, reported.REPORTED_SPAN, PAGE_SIZE))
    assert "NOT measured here" in text
    for figure in ("4.172", "5.310", "32.126", "5.10.12", "debug", "7.77"):
        assert figure in text


def test_the_sentence_says_what_happened() -> None:
    text = terminal.sentence(report_rows())
    assert text.count(".") - text.count("0.") >= 1
    assert "\n" not in text
    for word in ("2 TiB", "no page in memory", "per-page took 537 ms", "536,870,912", "hole-skip", "page-walk", "times faster"):
        assert word in text, word


def test_the_sentence_without_a_comparison() -> None:
    rows = [row for row in report_rows() if row.implementation == "page-walk"]
    assert "page-walk took" in terminal.sentence(rows)
    assert "faster" not in terminal.sentence(rows)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.604, "604 ms"),
        (1.0, "1 s"),
        (3.7, "3.7 s"),
        (9.87e-6, "9.87 us"),
        (123.4, "123 s"),
        (4321.0, "4,321 s"),
        (2e-10, "0.2 ns"),
    ],
)
def test_durations(value: float, text: str) -> None:
    assert terminal.seconds(value) == text
