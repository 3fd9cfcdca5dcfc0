"""The races command: tables, a schedule step by step, kept and run again; one clear line for what cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.__main__ import main
from bench.races import invariants as inv
from bench.races.races import RACES

RACE = ["races", "mlock-vs-migration-held"]


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """Return what a command prints; of one that fails, its one line."""
    capsys.readouterr()
    assert main(["races", *words]) == code
    out, err = capsys.readouterr()
    assert all(len(line) <= 80 for line in out.splitlines()) or "--wide" in words
    if code != 2:
        return out
    assert out == "" and err.count("\n") == 1
    return err.removeprefix("unlockall-bench: ").strip()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A schedule that was kept."""
    path = tmp_path_factory.mktemp("kept") / "schedule.json"
    assert main([*RACE, "--without", "vm-io", "--save", str(path)]) == 0
    return path


def test_a_race_and_what_its_guards_are_for(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "mlock-vs-migration-held")
    assert "count too high" in out and "reference left" in out
    assert said(capsys, "mlock-vs-migration-held") == out
    one = said(capsys, "mlock-vs-migration-held", "--without", "vm-io")
    assert "count too high" in one and "reference left" not in one


def test_a_limit_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "to 20" in said(capsys, "munlock-vs-lru-add", "--states", "20")
    words = ("--without", "vm-io", "--preemptions", "0", "--explain")
    assert "stopped at 0 preemptions" in said(capsys, "mlock-vs-migration-held", *words)


def test_steps_can_be_taken_together(capsys: pytest.CaptureFixture[str]) -> None:
    whole, less = (said(capsys, "munlock-vs-lru-add", "--wide", *words).splitlines() for words in ((), ("--reduce",)))
    assert whole[0] == less[0] and whole != less
    assert any("no" in line.split() for line in whole) and any("yes" in line.split() for line in less)


def test_a_schedule_step_by_step(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "mlock-vs-migration-held", "--without", "vm-io", "--explain")
    lines = out.splitlines()
    assert lines[0] == f"mlock-vs-migration-held without vm-io: {inv.COUNT_TOO_HIGH}"
    steps = [line for line in lines[3:] if line[:3].strip().isdigit()]
    assert [int(line[:3]) for line in steps] == list(range(1, len(steps) + 1))
    assert lines[1].startswith(f"{len(steps)} steps, 1 preemption; ")
    assert any("BROKEN: count too high" in line for line in lines)
    assert any(line.endswith("V PUM2v") for line in steps)


def test_a_sequence_chart(capsys: pytest.CaptureFixture[str], kept: Path, tmp_path: Path) -> None:
    chart, again = tmp_path / "chart.svg", tmp_path / "again.svg"
    lines = said(capsys, "mlock-vs-migration-held", "--without", "vm-io", "--svg", str(chart)).splitlines()
    said(capsys, "--replay", str(kept), "--svg", str(again))
    assert chart.read_bytes() == again.read_bytes()
    root = ElementTree.parse(chart).getroot()
    space = "{http://www.w3.org/2000/svg}"
    title, description = (root.findtext(f"{space}{tag}", "") for tag in ("title", "desc"))
    assert title == lines[0]
    texts = ["".join(text.itertext()) for text in root.iter(f"{space}text")]
    steps = [line for line in lines[3:] if line[:3].strip().isdigit()]
    for number, line in enumerate(steps, 1):
        assert str(number) in texts
        name = description.split(f"{number}. ")[1].split(": ")[1].split("; ")[0].split(" (")[0]
        assert name in texts and name.split()[0] in line
    assert inv.COUNT_TOO_HIGH in texts and {"CPU 0: mlock", "CPU 1: migration"} <= set(texts)
    width, height = (float(root.get(side, "0")) for side in ("width", "height"))
    spans = [one for one in root.iter(f"{space}rect") if one.get("rx")]
    assert len(spans) > 5
    for one in spans:
        x, y, w, h = (float(one.get(side, "0")) for side in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width and 0 <= y <= y + h <= height


def test_nothing_broken_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "nothing is broken" in said(capsys, "munlock-vs-lru-add-5.10", "--explain")
    line = said(capsys, "munlock-vs-lru-add-5.10", "--save", str(tmp_path / "none.json"), code=2)
    assert "no schedule to keep" in line and not list(tmp_path.iterdir())


def test_a_kept_schedule_runs_again(capsys: pytest.CaptureFixture[str], kept: Path) -> None:
    explained = said(capsys, "mlock-vs-migration-held", "--without", "vm-io", "--explain").splitlines()
    replayed = said(capsys, "--replay", str(kept)).splitlines()
    assert replayed[0] == explained[0] and replayed[2:] == explained[3:]


def changed(kept: Path, tmp_path: Path, **fields: object) -> str:
    """Return the path of a copy of a kept schedule with other fields."""
    saved: dict[str, Any] = json.loads(kept.read_text())
    path = tmp_path / "changed.json"
    path.write_text(json.dumps({**saved, **fields}))
    return str(path)


def test_changed_sources_are_told(capsys: pytest.CaptureFixture[str], kept: Path, tmp_path: Path) -> None:
    assert main(["races", "--replay", changed(kept, tmp_path, sources="0" * 16)]) == 0
    assert "the sources have changed" in capsys.readouterr().err
    assert main(["races", "--replay", str(kept)]) == 0
    assert capsys.readouterr().err == ""


def test_a_schedule_that_goes_another_way_is_a_difference(
    capsys: pytest.CaptureFixture[str], kept: Path, tmp_path: Path
) -> None:
    steps = json.loads(kept.read_text())["steps"]
    for fields, told in (
        ({"steps": [*steps[:3], [steps[3][0], "another step"], *steps[4:]]}, "step 4 was 'another step'"),
        ({"steps": [*steps, [0, "one more"]]}, f"step {len(steps) + 1} cannot be taken any more"),
        ({"steps": [[7, "nobody's"]] * 30_000}, "step 1 cannot be taken any more"),
        ({"steps": [[-1, "nobody's"]]}, "step 1 cannot be taken any more"),
        ({"steps": [*steps[:2], [10**30, "nobody's"]]}, "step 3 cannot be taken any more"),
        ({"finding": "deadlock"}, "'deadlock' is not told of it any more"),
        ({"without": []}, "step "),  # with the guard VM_IO comes in the first store
    ):
        assert main(["races", "--replay", changed(kept, tmp_path, **fields)]) == 1, fields
        assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["mlock-vs-migratoin"], "unknown race 'mlock-vs-migratoin'"),
        (["mlock-vs-migration", "--without", "vm_io"], "did you mean vm-io?"),
        (["munlock-vs-lru-add", "--without", "vm-io"], "has no guard to leave out"),
        (["--without", "vm-io"], "name a race"),
        (["--explain"], "name a race"),
        (["--svg", "chart.svg"], "name a race"),
        (["mlock-vs-migration", "--svg", "/nowhere/chart.svg"], "/nowhere"),
        (["mlock-vs-migration", "--states", "0"], "--states 0: 1 or more"),
        (["mlock-vs-migration", "--preemptions", "-1"], "--preemptions -1: 0 or more"),
        (["mlock-vs-migration", "--states", "many"], "many"),
        (["--replay", "/nowhere/schedule.json"], "No such file"),
        (["mlock-vs-migration", "--replay", "x"], "give nothing else with it"),
    ],
)
def test_what_cannot_be_asked(capsys: pytest.CaptureFixture[str], words: list[str], told: str) -> None:
    assert told in said(capsys, *words, code=2)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"schema": 2}, "schema 2, and this reads 1"),
        ({"race": "none"}, "unknown race 'none'"),
        ({"without": ["sleep"]}, "has no guard 'sleep'"),
        ({"steps": "none"}, "no schedule"),
        ({"color": "red"}, "no schedule"),
    ],
)
def test_files_that_are_no_schedule(
    capsys: pytest.CaptureFixture[str], kept: Path, tmp_path: Path, fields: dict[str, object], told: str
) -> None:
    assert told in said(capsys, "--replay", changed(kept, tmp_path, **fields), code=2)


def test_a_file_of_other_bytes_is_no_schedule(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    deep = (b"[" * 200_000, b'{"schema": 1, "race": ' + b"[" * 200_000, b'{"schema": 1, "race": "two-lockers", "with')
    for number, data in enumerate((b"", b"\xff\xfe", b"[1]", b"{}", b" " * (1 << 20), *deep)):
        path = tmp_path / str(number)
        path.write_bytes(data)
        assert f"{number}: no schedule: " in said(capsys, "--replay", str(path), code=2)
    path.write_bytes(b" " * ((1 << 20) + 1))
    assert "longer than 1 MiB: no schedule" in said(capsys, "--replay", str(path), code=2)


def test_help_names_every_race(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["races", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert all(name in out.replace("- ", "-") for name in RACES)
