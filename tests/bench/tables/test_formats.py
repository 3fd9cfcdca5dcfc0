"""Tables as text: every format shows every cell as it is, whatever it holds."""

import csv
import io
import json
import re

import pandas as pd
import pytest
from rich.console import Console

from bench.tables import formats
from bench.tables.table import Page, Table

NASTY = ("a|b", "50 %", "x_y & z", "[red]no[/red]", "#1 $2 {3}", "~^\\", "<b>", "`*`")
TABLE = Table(
    "A [title] of 100 %",
    ("what", "cell"),
    ("n_1",),
    ((("same", NASTY[0], "1"), ("same", NASTY[1], "2")), (("other", "x", "3"),)),
)
EVERYTHING = Table("all", ("what",), (), (tuple((text,) for text in NASTY),))


def shown(page: Page, form: formats.Format, capsys: pytest.CaptureFixture[str]) -> str:
    formats.show(page, form)
    out, err = capsys.readouterr()
    assert err == ""
    return out


def unescaped(line: str) -> list[str]:
    """Return the cells of a line of a Markdown table."""
    cells = re.split(r"(?<!\\)\|", line)[1:-1]
    return [re.sub(r"\\(.)", r"\1", cell.strip()) for cell in cells]


def test_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(Page((TABLE, EVERYTHING), ("mind this",), ("a remark",)), "terminal", capsys)
    assert out.startswith("WARNING: mind this\nA [title] of 100 %") and out.endswith("a remark\n")
    assert all(text in out for text in NASTY)
    assert out.count("same") == 1  # not repeated below itself
    assert "\x1b" not in out


def test_a_narrow_terminal_cuts_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "console", lambda: Console(width=30, color_system=None))
    wide = Table("t", ("what",), ("n",) * 5, ((("x" * 30, *(f"{i:020}" for i in range(5))),),))
    out = shown(Page((wide,)), "terminal", capsys)
    words, *numbers = wide.rows[0]
    assert all(cell in out for cell in numbers) and out.count("x") == len(words) and "…" not in out


def test_on_a_narrow_terminal_words_fold_and_numbers_do_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "console", lambda: Console(width=40, force_terminal=True, color_system=None))
    text = " ".join(["word"] * 20)
    out = shown(Page((Table("t", ("what",), ("n",), (((text, "1,234,567 of 89"),),)),)), "terminal", capsys)
    assert out.count("word") == 20 and "1,234,567 of 89" in out and "…" not in out
    assert max(map(len, out.splitlines())) <= 40


@pytest.mark.parametrize(("nr_shown_once", "blank"), [(0, 0), (1, 1), (2, 2)])
def test_what_repeats_the_row_above_is_shown_once(nr_shown_once: int, blank: int, capsys: pytest.CaptureFixture[str]) -> None:
    rows = (("aa", "bb", "cc"), ("aa", "bb", "dd"))
    table = Table("t", ("1", "2", "3"), (), (rows, rows[:1]), nr_shown_once=nr_shown_once)
    lines = [line for line in shown(Page((table,)), "terminal", capsys).splitlines() if "cc" in line or "dd" in line]
    assert [sum(word in line for word in ("aa", "bb")) for line in lines] == [2, 2 - blank, 2]


def test_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(Page((TABLE, EVERYTHING), ("mind this",), ("a remark",)), "markdown", capsys)
    lines = out.splitlines()
    assert lines[0] == "> **WARNING**: mind this" and lines[-1] == "- a remark"
    tables = [unescaped(line) for line in lines if line.startswith("|")]
    assert tables[:5] == [
        ["what", "cell", "n_1"],
        ["---", "---", "---:"],
        ["same", "a|b", "1"],
        ["same", "50 %", "2"],
        ["other", "x", "3"],
    ]
    assert [cells[0] for cells in tables[7:]] == list(NASTY)


def test_latex(capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(Page((TABLE, EVERYTHING), ("mind this",), ("a remark",)), "latex", capsys)
    assert "% WARNING: mind this\n" in out and "% a remark\n" in out
    body = [line for line in out.splitlines() if not line.startswith("% ")]
    assert r"\caption{A [title] of 100 \%}" in body and r"\begin{tabular}{llr}" in body
    assert body.count(r"\toprule") == body.count(r"\bottomrule") == 2
    assert r"same & a|b & 1 \\" in body and r"same & 50 \% & 2 \\" in body
    # What TeX takes for its own is escaped everywhere, and braces are in pairs.
    cells = [line.removesuffix(r" \\") for line in body if line.endswith(r" \\")][-len(NASTY) :]
    for cell in cells:
        bare = re.sub(r"\\[&%$#_{}]|\\text[a-z]+\{\}", "", cell)
        assert not set("&%$#_{}~^\\<>") & set(bare), cell


@pytest.mark.parametrize("nr_rows", [0, 1, 3])
def test_csv_has_the_same_columns_whatever_is_in_them(nr_rows: int, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame({"name": ["x"] * nr_rows, "count_x": pd.array([None] * nr_rows, dtype="Int64")})
    frame["time_x_s"] = [float("nan")] * nr_rows
    formats.show_csv(frame, Page((), ()))
    assert capsys.readouterr().out == "name,count_x,time_x_s\n" + "x,,\n" * nr_rows


def test_csv(capsys: pytest.CaptureFixture[str]) -> None:
    count = (1 << 60) + 1
    frame = pd.DataFrame({"name": [*NASTY[:2], 'say "a, b"'], "count_x": pd.array([count, None, 0], dtype="Int64")})
    frame["time_x_s"] = [1 / 3, float("nan"), 5e-324]
    formats.show_csv(frame, Page((), ("mind this",)))
    out, err = capsys.readouterr()
    assert err == "WARNING: mind this\n"
    rows = list(csv.reader(io.StringIO(out)))
    assert rows[0] == ["name", "count_x", "time_x_s"]
    assert [row[0] for row in rows[1:]] == list(frame["name"])
    assert [row[1] for row in rows[1:]] == [str(count), "", "0"]
    assert rows[2][2] == "" and float(rows[1][2]) == 1 / 3 and float(rows[3][2]) == 5e-324


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    count = (1 << 60) + 1
    frame = pd.DataFrame({"name": NASTY[:2], "count_x": pd.array([count, None], dtype="Int64"), "time": [1 / 3, float("nan")]})
    formats.show_frames({"points": frame, "facts": frame[:0]}, "json", Page((), ("mind this",), ("a remark",)))
    out, err = capsys.readouterr()
    assert err == ""
    rows = [{"name": NASTY[0], "count_x": count, "time": 1 / 3}, {"name": NASTY[1], "count_x": None, "time": None}]
    assert json.loads(out) == {
        "schema": 1,
        "warnings": ["mind this"],
        "remarks": ["a remark"],
        "points": rows,
        "facts": [],
    }


WIDE = Table(
    "a title of many words " * 6,
    ("what", "who"),
    ("first", "wide", "last", "wide"),
    ((("munlockall/layout/" + "x" * 500, "per-page", "1,111,111", "w" * 30, "2", "v" * 30),),),
    less=("last", "wide", "wide", "first"),
)


@pytest.mark.parametrize("columns", ["40", "200"])
def test_what_is_piped_has_80_columns_and_no_trailing_blanks(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = shown(Page((WIDE, TABLE), ("warn " * 40,), ("say " * 40,)), "terminal", capsys).splitlines()
    assert max(map(len, lines)) <= formats.PIPED_WIDTH == 80
    assert [line for line in lines if line != line.rstrip()] == []


def test_columns_that_are_worth_less_go_first_and_come_back_where_there_is_room(capsys: pytest.CaptureFixture[str]) -> None:
    some = ("what", "who", "first", "last")
    for width, heads in ((200, WIDE.heads), (100, (*some[:3], "wide", "last")), (70, some), (60, ("what", "who", "last"))):
        table, left_out = formats.fitted(WIDE, width)
        assert table.heads == heads
        assert left_out == [head for head in ("first", "wide", "last") if WIDE.heads.count(head) > heads.count(head)]
    assert formats.fitted(WIDE, 100)[0].rows[0][3] == "w" * 30  # of two alike the last goes first
    formats.show(Page((WIDE,)), wide=True)
    out = capsys.readouterr().out
    assert all(cell in out for cell in WIDE.rows[0]) and "Not shown" not in out
    assert "Not shown for lack of room: wide. --wide shows every column." in shown(Page((WIDE,)), "terminal", capsys)


def test_no_color_means_no_escape_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for value, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", value)
        assert (formats.console().color_system is not None) is coloured


def test_a_table_in_the_terminal_to_the_letter(capsys: pytest.CaptureFixture[str]) -> None:
    """Words to the left, numbers to the right, two blanks between, a rule under the heads, no frame."""
    table = Table(
        "Title", ("what", "of"), ("n", "more"), ((("aa", "b", "1", "22"), ("aa", "cc", "333", "4")), (("d", "e", "5", "6"),))
    )
    assert shown(Page((table,)), "terminal", capsys).splitlines() == [
        "Title",
        "what  of    n  more",
        "-------------------",
        "aa    b     1    22",
        "      cc  333     4",
        "",
        "d     e     5     6",
    ]


LONG_NAME = "munlockall/layout/cryptsetup237_luksFormat_hm8_default/per-page"


@pytest.mark.parametrize(("columns", "heads"), [(80, ["what", "seen"]), (120, ["kind", "what", "seen"])])
def test_names_fold_only_where_a_part_ends(
    columns: int, heads: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column of names and of sentences, beside one of sentences: what is worth less goes before a name is cut."""
    monkeypatch.setattr(formats, "console", lambda: Console(width=columns, color_system=None))
    text = " ".join(["some words of a sentence"] * 4)
    rows = (("a kind of its own", "munlockall/sparse-64KiB/256MiB/page-walk", text), ("b", LONG_NAME, text), ("c", text, text))
    out = shown(Page((Table("t", ("kind", "what", "seen"), (), (rows,), less=("kind",)),)), "terminal", capsys)
    lines = out.splitlines()
    assert max(map(len, lines)) <= columns and lines[1].split() == heads
    assert "munlockall/sparse-64KiB/256MiB/page-walk" in out
    assert all(part in out for part in LONG_NAME.split("/"))
    assert (LONG_NAME in out) is (columns == 120)
    assert out.count("sentence") == 4 * 4
