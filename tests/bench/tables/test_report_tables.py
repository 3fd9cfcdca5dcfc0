"""What the terminal shows."""

import msgspec
import pytest

from bench.analysis import reported
from bench.analysis.stats import Interval
from bench.tables import formats, report_tables
from bench.tables.table import Page, Table
from mmmodel.constants import PAGE_SIZE
from support.rows import report_rows


def rendered(one: Table) -> str:
    return " ".join(cell for row in ((one.title,), one.heads, *one.rows) for cell in row)


def test_the_report_table_has_every_number() -> None:
    text = rendered(report_tables.report_table(report_rows()))
    for word in ("2 TiB", "12 TiB", "536,870,912", "per-page", "hole-skip", "page-walk", "report/64GiB", "545 ms", "ns/page"):
        assert word in text, word


def test_piped_tables_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    formats.show(Page((report_tables.report_table(report_rows()),)), "terminal")
    text = capsys.readouterr().out
    assert text.replace("µ", "u").isascii()
    assert "\x1b" not in text
    assert "536,870,912" in text and "report/64GiB" in text  # nothing was cut


def test_the_reporters_figures_are_told_apart() -> None:
    text = rendered(report_tables.reported_table(reported.REPORTED, reported.REPORTED_SPAN, PAGE_SIZE))
    assert "NOT measured here" in text
    for figure in ("4.172", "5.310", "32.126", "5.10.12", "debug", "7.77"):
        assert figure in text


def test_the_sentence_says_what_happened() -> None:
    text = report_tables.sentence(report_rows())
    assert text.count(".") - text.count("0.") >= 1
    assert "\n" not in text
    for word in ("2 TiB", "no page in memory", "per-page took 545 ms", "536,870,912", "hole-skip", "page-walk", "times faster"):
        assert word in text, word


def test_the_sentence_without_a_comparison() -> None:
    rows = [row for row in report_rows() if row.implementation == "page-walk"]
    assert "page-walk took" in report_tables.sentence(rows)
    assert "faster" not in report_tables.sentence(rows)


def test_the_sentence_names_all_that_were_measured_and_does_not_call_slower_faster() -> None:
    others = [row for row in report_rows() if row.implementation != "per-page"]
    text = report_tables.sentence([msgspec.structs.replace(row, speedup=None) for row in others])
    assert "hole-skip took" in text and "page-walk took" in text and "faster" not in text
    rows = [msgspec.structs.replace(row, speedup=row.speedup and Interval(0.5, 0.4, 0.6)) for row in report_rows()]
    text = report_tables.sentence(rows)
    assert "2 times slower" in text and "faster" not in text
