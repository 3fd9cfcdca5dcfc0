"""The `capture` command."""

import json
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.capture import schema
from bench.workloads import layout
from support.captured import Child, child

TEXT = "7f0000000000-7f0000004000 rw-p 00000000 00:00 0 \n"


def test_a_process_is_written_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with child() as one:
        for name in ("it.json.gz", "it.json"):
            assert main(["capture", str(one.pid), "-o", str(tmp_path / name)]) == 0
            said = capsys.readouterr()
            assert said.out == "" and "VMAs" in said.err and "it did not change meanwhile" in said.err
        assert main(["capture", str(one.pid), "--anonymise", "--method", "pagemap"]) == 0
    packed, plain = (layout.load(str(tmp_path / name)) for name in ("it.json.gz", "it.json"))
    assert packed.document == plain.document
    assert packed.nr_present > 1000
    shown = json.loads(capsys.readouterr().out)
    assert shown["program"] == "anonymous" and shown["source"]["method"] == "pagemap"


def test_a_text_is_turned_into_a_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "maps.txt"
    path.write_text(TEXT)
    assert main(["capture", str(path), "-o", str(tmp_path / "it.json")]) == 0
    assert "0 to 4 pages in memory, in 1 VMAs not known which; by maps" in capsys.readouterr().err
    assert main(["report", "--layout", str(tmp_path / "it.json")]) == 2
    assert "does not say which pages are in memory" in capsys.readouterr().err


def test_a_picture_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capture", "python_lmdb_64g", "-o", str(tmp_path / "it.json"), "--plots", str(tmp_path / "figures")]) == 0
    assert "figure: " in capsys.readouterr().err
    drawn = (tmp_path / "figures" / "address-space-python_lmdb_64g.svg").read_text(encoding="utf-8")
    assert "LMDB map: 64 GiB reserved" in drawn  # what it says to those who cannot see it


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capture", "--schema"]) == 0
    assert capsys.readouterr().out == schema.shipped()


@pytest.fixture(scope="module")
def other() -> Child:
    """A process that has ended."""
    with child() as one:
        return one


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ([], 2, "give a process"),
        (["1", "--schema"], 2, "give a process"),
        (["go119", "--method", "pagemap"], 2, "for a live process"),
        (["go119", "--page-flags"], 2, "for a live process"),
        (["go119", "-o", "/nosuch/it"], 2, "its directory is not there"),
        (["go119", "-o", "/dev/null"], 2, "no regular file"),
        (["ENDED"], 2, "there is no process"),
        (["2"], 2, "no memory of its own"),
        (["go119", "--method", "guess"], 2, "invalid choice"),
    ],
)
def test_bad_input_is_one_line(other: Child, words: list[str], code: int, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capture", *(str(other.pid) if word == "ENDED" else word for word in words)]) == code
    said = capsys.readouterr()
    assert said.out == "" and why in said.err and said.err.count("\n") == 1
