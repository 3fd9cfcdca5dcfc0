"""The commands `table` and `compare`, as somebody uses them."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from bench.__main__ import main
from bench.workloads.scenario import SCENARIOS
from support import kept

Run = Callable[..., str]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    kept.write_curve(tmp_path / "a")
    kept.write_curve(tmp_path / "b", 1.5)
    return tmp_path


@pytest.fixture
def run(runs: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command that succeeds; return its standard output."""

    def command(*words: str, err: str = "") -> str:
        assert main([*words, "--results", str(runs), "--wide"]) == 0
        captured = capsys.readouterr()
        assert captured.err == err
        return captured.out

    return command


def csv(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def line_of(text: str, *words: str) -> str:
    return next(line for line in text.splitlines() if all(word in line for word in words))


def test_table_in_the_terminal(run: Run) -> None:
    out = run("table", "a")
    titles = ("Counters (exact)", "Times (geometric mean", "Scaling: cost ~ span**k")
    assert [title in out for title in titles] == [True] * 3
    assert "16,384" in line_of(out, "munlockall/report/64MiB", "per-page")
    times = out[out.index("Times") :]
    assert "16.4 µs" in line_of(times, "64MiB", "per-page") and "6 in 3" in line_of(times, "64MiB", "per-page")
    assert "0.997 .. 1.003" in line_of(out[out.index("Scaling") :], "per-page")
    assert "model_" not in out and "nan" not in out.lower() and "<NA>" not in out


def test_a_terminal_that_knows_only_ascii(runs: Path) -> None:
    words = [sys.executable, "-m", "bench", "table", "a", "--times", "--wide", "--results", str(runs)]
    done = subprocess.run(words, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=True)
    assert b"16.4 ?s" in done.stdout and done.stderr == b""


def test_kinds_of_table(run: Run) -> None:
    assert "Times" not in run("table", "a", "--counters") and "k (time)" not in run("table", "a", "--counters")
    assert "Counters" not in run("table", "a", "--times") and "k (entries)" not in run("table", "a", "--times")
    assert run("table", "a", "--exponents").startswith("Scaling")
    assert run("table", "a", "--format", "markdown").startswith("### Counters")
    assert r"\toprule" in run("table", "a", "--format", "latex")


def test_table_for_programs(run: Run) -> None:
    whole = csv(run("table", "a", "--format", "csv"))
    assert len(whole) == 6
    assert {"span_bytes", "count_model_pte_read", "time_mean_s", "time_mean_low_s", "time_speedup_high"} <= set(whole)
    assert whole["time_mean_s"].iloc[0] == pytest.approx(16384e-9 * (0.995 * 1.005) ** (1 / 3))
    counts = csv(run("table", "a", "--format", "csv", "--counters", "--impl", "page-walk"))
    assert len(counts) == 3 and not [name for name in counts if str(name).startswith("time_")]
    exponents = csv(run("table", "a", "--format", "csv", "--exponents"))
    assert {"time_exponent", "time_exponent_low", "time_exponent_high", "count_exponent"} <= set(exponents)


def test_a_filter_leaves_the_ratio_as_it_was(run: Run) -> None:
    whole = csv(run("table", "a", "--format", "csv"))
    some = csv(run("table", "a", "--format", "csv", "--impl", "page-walk", "--scenario", "report", "--op", "munlockall"))
    kept_rows = whole[whole["implementation"] == "page-walk"].reset_index(drop=True)
    pd.testing.assert_frame_equal(some, kept_rows)


def test_why_an_interval_is_missing_is_said_once(runs: Path, run: Run) -> None:
    points = [kept.point(), kept.point("page-walk"), kept.point("hole-skip")]
    kept.write(runs / "one", times=[kept.timed(one, [[1.0, 2.0]]) for one in points])
    why = "too few: an interval needs at least 3 processes"
    assert run("table", "one").count(why) == 1
    assert run("compare", "one", "one").count(why) == 1
    for out in (run("compare", "one", "one", "--format", format) for format in ("terminal", "markdown")):
        assert not any(word in out for word in ("faster", "slower", "not resolved"))
    assert why not in run("table", "a") and why not in run("compare", "a", "b")


def test_an_exponent_of_zero_counts_is_not_there(runs: Path, run: Run) -> None:
    kept.write(runs / "zero", [kept.counted(kept.point(span=1 << shift), 0) for shift in (20, 21, 22)])
    out = run("table", "zero")
    assert "- instead of an exponent" in out and "Times" not in out


def test_compare_in_the_terminal(run: Run) -> None:
    out = run("compare", "a", "b")
    first = line_of(out, "munlockall/report/64MiB", "per-page")
    assert all(word in first for word in ("equal", "1.500", "slower"))
    assert "not resolved" in out
    assert "6 compared; counters equal in 6, different in 0; B slower in 3; B not resolved in 3." in " ".join(out.split())
    assert "WARNING" not in out and "What differs" not in out and "Not compared" not in out
    assert "Scaling" in out


def test_what_cannot_be_compared_is_listed(runs: Path, run: Run) -> None:
    here = kept.point("hole-skip")
    times = [kept.timed(here, [[1.0]]), kept.timed(kept.point(), [[1.0]])]
    times.append(kept.timed(kept.point("page-walk"), [[1.0]], mlock_digest="f" * 16))
    kept.write(runs / "c", times=times)
    out = run("compare", "a", "c")
    listed = out[out.index("Not compared") :]
    assert "only in B" in line_of(listed, here.name)
    assert "only in A" in line_of(listed, "munlockall/report/1GiB/per-page")
    assert "other parameters" in line_of(listed, "munlockall/report/64MiB/page-walk")
    frame = csv(run("compare", "a", "c", "--format", "csv")).set_index("name")
    assert len(frame) == 7 and frame.loc[here.name, "status"] == "only in B"


def test_counters_that_differ_are_shown_with_both_values(runs: Path, run: Run) -> None:
    for name, entries, more in (("x", 10**12, {}), ("y", 10**12 + 1, {"model_faults": 0})):
        kept.write(runs / name, [kept.counted(kept.point(), entries, **more)])
    out = run("compare", "x", "y")
    assert "differ" in line_of(out, "munlockall/report/64MiB", "per-page", "-")
    changed = line_of(out, "model_pte_read")
    assert "1,000,000,000,000" in changed and "1,000,000,000,001" in changed
    assert "absent" in line_of(out, "model_faults")
    frame = csv(run("compare", "x", "y", "--format", "csv"))
    text = "model_pte_read: 1000000000000 -> 1000000000001"
    assert frame["count_changes"].iloc[0].startswith(text) and frame["count_changes"].iloc[0].endswith(
        "model_faults: absent -> 0"
    )
    assert list(frame.columns).index("count_changes") == list(frame.columns).index("count_same") + 1
    assert csv(run("compare", "x", "x", "--format", "csv"))["count_changes"].isna().all()


def test_other_machines_are_warned_about(runs: Path, run: Run) -> None:
    kept.write_curve(runs / "c", machine=kept.MACHINE | {"cpu_model": "Abacus 2", "python": "CPython 3.14.0"})
    warning = "A and B are of different machines (cpu_model): their times must not be compared as such."
    out = run("compare", "a", "c")
    assert " ".join(out.split()).startswith(f"WARNING: {warning}")
    assert not any(word in out for word in ("faster", "slower", "not resolved"))  # the machines may be all that differs
    assert "Abacus 2" in line_of(out, "cpu_model", "Abacus 1") and "cpython 3.14.0" in line_of(out, "python", "cpython 3.11.7")
    for form in ("markdown", "latex"):
        assert warning in run("compare", "a", "c", "--format", form)
    assert (
        len(
            csv(
                run("compare", "a", "c", "--format", "csv", err=f"WARNING: {warning} Counters and exponents of counters may.\n")
            )
        )
        == 6
    )


def test_machines_that_differ_do_not_matter_where_nothing_was_timed(runs: Path, run: Run) -> None:
    for name, machine in (("x", kept.MACHINE), ("y", kept.MACHINE | {"cpu_model": "Abacus 2"})):
        kept.write(runs / name, [kept.counted(kept.point(), 5)], machine=machine)
    assert "WARNING" not in run("compare", "x", "y")


def test_exponents_side_by_side(run: Run) -> None:
    out = run("compare", "a", "b", "--exponents")
    assert "k (entries) A" in out and "k (time) B" in out and "B is" not in out
    frame = csv(run("compare", "a", "b", "--exponents", "--format", "csv"))
    assert {"time_exponent_low_a", "time_exponent_high_b", "count_exponent_a"} <= set(frame)


def test_names_from_files_are_not_obeyed(runs: Path, run: Run) -> None:
    strange = kept.point()
    kept.write(
        runs / "c", [kept.counted(strange, 1)], machine=kept.MACHINE | {"cpu_model": "[red]A[/red]\x1b[2J", "cpu_count": 2}
    )
    out = run("compare", "a", "c")
    assert "[red]A[/red]?[2J" in out and "\x1b" not in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["table", "nosuch"], 2, "no run 'nosuch'; "),
        (["table", "."], 2, "is no run: it has none of counters.json, wall.json"),
        (["table"], 2, "required: run"),
        (["table", "a", "--format", "html"], 2, "invalid choice: 'html'"),
        (["table", "a", "--counters", "--times"], 2, "not allowed with"),
        (["table", "a", "--impl", "nosuch"], 2, "no implementation 'nosuch'; it has per-page, page-walk"),
        (["table", "a", "--op", "exit"], 2, "no operation 'exit'"),
        (["table", "a", "--scenario", "dense"], 2, "no scenario 'dense'"),
        (["table", "counted", "--times"], 3, "counted has no times"),
        (["table", "counted", "--exponents"], 3, "at 3 sizes"),
        (["compare", "a"], 2, "give the new run, B"),
        (["compare", "a", "other"], 3, "a and other have no measurement in common"),
        (["compare", "a", "counted", "--exponents"], 3, "at 3 sizes in common"),
    ],
)
def test_bad_input_is_told_in_one_line(
    runs: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    kept.write(runs / "counted", [kept.counted(kept.point(), 5)])
    kept.write(runs / "other", [kept.counted(kept.point("hole-skip"), 5)])
    assert main([*words, "--results", str(runs)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("unlockall-bench: ") and err.count("\n") == 1 and message in err


def test_a_run_that_is_gone_is_told(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(runs / "b")
    assert main(["compare", "a", "b", "--results", str(runs)]) == 2
    assert "no run 'b'" in capsys.readouterr().err


def test_for_programs_json_has_what_csv_has_and_more(run: Run) -> None:
    for words, parts in ((("table", "a"), ["points", "exponents"]), (("compare", "a", "b"), ["points", "exponents", "facts"])):
        found = json.loads(run(*words, "--format", "json"))
        assert list(found) == ["schema", "warnings", "remarks", *parts]
        frame = csv(run(*words, "--format", "csv"))
        assert [row["name"] for row in found["points"]] == list(frame["name"])
        assert set(found["points"][0]) == set(frame.columns)
        assert len(found["exponents"]) == 2


@pytest.mark.parametrize("words", [("table", "a"), ("compare", "a", "b")])
def test_what_is_piped_fits_80_columns(words: tuple[str, ...], runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--results", str(runs)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80 and lines == [line.rstrip() for line in lines]
    assert any("--wide shows every column" in line for line in lines)


def test_words_that_do_not_go_together_are_not_called_unknown(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = [kept.counted(kept.point(), 1), kept.counted(kept.point("page-walk", span=1 << 30), 1)]
    kept.write(runs / "both", both)
    words = ["table", "both", "--op", "munlockall", "--scenario", "report", "--results", str(runs)]
    assert main(words) == 0
    other = msgspec.structs.replace(kept.point(), operation="mmap", scenario=SCENARIOS["dense"])
    kept.write(runs / "two", [both[0], kept.counted(other, 1)])
    assert main(["table", "two", "--op", "mmap", "--scenario", "report", "--results", str(runs)]) == 3
    assert "has nothing of what was asked for together" in capsys.readouterr().err
    assert main(["table", "two", "--op", "munmpa", "--results", str(runs)]) == 2
    assert main(["table", "tow", "--results", str(runs)]) == 2
    assert "; did you mean two?" in capsys.readouterr().err


def test_that_digests_alone_differ_is_said_only_where_they_do(run: Run, runs: Path) -> None:
    """A pyperf file has no counters, only their digest."""
    for name in ("a", "b"):
        shutil.copy(runs / name / "wall.json", runs / f"{name}.json")
    same = str(runs / "a.json"), str(runs / "b.json")
    words = "which of them differ is not"
    assert words not in " ".join((run("compare", "a", "b") + run("compare", *same)).split())  # which is folded
    text = (runs / "a.json").read_text(encoding="utf-8")
    changed, number = re.subn(r'("mlock_counters": *)"[0-9a-f]{16}"', r'\1"0123456789abcdef"', text)
    assert number
    (runs / "c.json").write_text(changed, encoding="utf-8")
    assert words in " ".join(run("compare", same[0], str(runs / "c.json")).split())
