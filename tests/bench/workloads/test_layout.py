"""Layout files: those that ship, and those that somebody made to break the reader."""

import gzip
import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.workloads import layout
from bench.workloads.layout import PageRange


def document(**changes: Any) -> dict[str, Any]:
    """Return a small valid layout."""
    vma = {
        "start": "0x10000",
        "end": "0x20000",
        "perms": "rw-p",
        "flags": ["rd", "wr", "ac"],
        "path": "",
        "present": [[0, 3], [8, 1]],
        "thp": [],
        "lockable": True,
    }
    content = {"format": 1, "program": "p", "command": "p -x", "kernel": "Linux 6.18", "page_size": 4096, "threads": 1}
    return {**content, "vmas": [vma], **changes}


def vma(**changes: Any) -> dict[str, Any]:
    """Return a layout whose only VMA has these fields changed."""
    whole = document()
    whole["vmas"][0].update(changes)
    return whole


def write(path: Path, content: Any) -> Path:
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    return path


@pytest.mark.parametrize("name", layout.shipped_names())
def test_shipped_layouts_are_valid_and_sum_up(name: str) -> None:
    loaded = layout.load(name)
    assert loaded.name == name == loaded.document.program
    assert loaded.span > 0
    assert 0 < loaded.nr_present < loaded.span // 4096


def test_all_shipped_layouts_are_there() -> None:
    assert len(layout.shipped_names()) == 23


def test_the_reports_program_is_the_captured_one() -> None:
    loaded = layout.load("cryptsetup237_luksFormat_hm8_default")
    assert (len(loaded.vmas), loaded.nr_present, loaded.locked) == (543, 9545, True)
    assert loaded.span == 13_675_972_366_336


def test_a_file_by_path(tmp_path: Path) -> None:
    loaded = layout.load(str(write(tmp_path / "my program!.json.gz", document())))
    assert loaded.name == "my-program-"
    assert (loaded.span, loaded.nr_present) == (0x10000, 4)


def test_plain_json_and_comments_are_welcome(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**vma(comment="an arena"), "comment": "of a friend"}))
    assert layout.load(str(path)).nr_present == 4


def test_addresses_as_maps_writes_them(tmp_path: Path) -> None:
    loaded = layout.load(
        str(write(tmp_path / "a.json.gz", vma(start="10000", end="7f0000020000", inode="08:01 5", offset="ff000")))
    )
    assert (loaded.vmas[0].first, loaded.vmas[0].last, loaded.vmas[0].file_offset) == (0x10000, 0x7F0000020000, 0xFF000)


def test_vsyscall_is_left_out(tmp_path: Path) -> None:
    content = document()
    vsyscall = {"start": "ffffffffff600000", "end": "ffffffffff601000", "perms": "--xp", "path": "[vsyscall]"}
    content["vmas"].append({**vsyscall, "flags": ["ex"], "present": [], "lockable": False})
    loaded = layout.load(str(write(tmp_path / "a.json.gz", content)))
    assert [vma.start for vma in loaded.vmas] == ["0x10000"]
    assert "0 VMAs" in refused(write(tmp_path / "b.json.gz", document(vmas=content["vmas"][1:])))


def refused(path: Path | str) -> str:
    """Return the one line that the file is refused with."""
    with pytest.raises(UsageError) as caught:
        layout.load(str(path))
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 1500
    return text


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (document(format=2), "format"),
        (document(page_size=16384), "page_size"),
        (document(vmas=[]), "0 VMAs"),
        (document(vmas="none"), "vmas"),
        (document(vmas=[None]), "vmas"),
        ({"traceEvents": []}, "not in the layout format"),
        ([], "not in the layout format"),
        (vma(start="0x10_000"), "hexadecimal"),
        (vma(start="0X10000"), "hexadecimal"),
        (vma(start="+10000"), "hexadecimal"),
        (vma(inode="5", offset="-1000"), "hexadecimal"),
        (vma(inode="5", offset="fff"), "page-aligned"),
        (vma(offset="1000"), "no inode"),
        (vma(inode="5", offset="fffffffff000"), "more of a file"),
        (vma(inode="5", lockable=False), "not lockable"),
        (vma(prot="rw-p"), "unknown field `prot`"),
        (document(vma=[]), "unknown field `vma`"),
        (vma(start="0xzz"), "hexadecimal"),
        (vma(start="0x-1000"), "hexadecimal"),
        (vma(start="0x" + "f" * 400), "hexadecimal"),
        (vma(start="0x10001"), "page-aligned"),
        (vma(end="0x10000"), "end is not after"),
        (vma(end="0xfffffffffffff000"), "beyond"),
        (vma(perms="rwxrwx"), "perms"),
        (vma(flags=["\x1b[31m"]), "flags"),
        (vma(present=[[0, 17]]), "leave the VMA"),
        (vma(present=[[-1, 2]]), "leave the VMA"),
        (vma(present=[[0, 0]]), "empty"),
        (vma(present=[[2, 2], [3, 1]]), "overlap"),
        (vma(present=[[4, 1], [2, 1]]), "overlap"),
        (vma(present=[[0, 1 << 70]]), "leave the VMA"),
        (vma(present=[[0.5, 1]]), "present"),
        (vma(present=[[0, 1, 2]]), "present"),
        (vma(zero=[[5, 1]]), "not among the pages present"),
        (vma(thp=[[0, 3]]), "huge pages"),
        (vma(zero=[[0, 1]], file=[[0, 1]]), "exclude each other"),
        (vma(lockable="no"), "lockable"),
        (document(vmas=document()["vmas"] * 2), "overlaps"),
    ],
)
def test_foreign_and_inconsistent_content(tmp_path: Path, content: Any, why: str) -> None:
    assert why in refused(write(tmp_path / "bad.json.gz", content))


@pytest.mark.parametrize("cut", [1, 5, 11, 40, -9, -8, -4, -1])
def test_every_truncation_is_noticed(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.json.gz"
    path.write_bytes(gzip.compress(json.dumps(document()).encode())[:cut])
    assert any(word in refused(path) for word in ("truncated", "neither gzip nor JSON"))


def test_damage_and_trailing_data(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(json.dumps(document()).encode()))
    path = tmp_path / "bad.json.gz"
    path.write_bytes(bytes(packed) + b"more")
    assert "after its end" in refused(path)
    packed[-6] ^= 0xFF  # the checksum
    path.write_bytes(packed)
    assert "damaged" in refused(path)


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAX_JSON_BYTES", 1 << 20)
    packer = zlib.compressobj(9, wbits=31)
    packed = packer.compress(b" " * (32 << 20)) + packer.flush()
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(packed)
    assert len(packed) < 1 << 16
    assert "unpacks to more than 1 MiB" in refused(path)


def test_limits_on_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.json.gz", document())
    monkeypatch.setattr(layout, "MAX_RUNS", 1)
    assert "more than 1 runs" in refused(path)
    monkeypatch.setattr(layout, "MAX_FILE_BYTES", 10)
    assert "larger than" in refused(path)


def test_deep_nesting(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_bytes(b'{"x":' + b"[" * 100_000)
    assert "not in the layout format" in refused(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "unknown layout 'nosuch'" in refused("nosuch")
    assert "No such file" in refused(tmp_path / "nosuch.json.gz")
    assert "not a regular file" in refused(tmp_path)
    assert "not a regular file" in refused("/dev/zero")
    assert "cannot read" in refused("a\0b.json.gz")
    (tmp_path / "list.json").write_text("[1,2]", encoding="utf-8")
    assert "is not in the layout format: Expected `object`, got `array`" in refused(tmp_path / "list.json")
    assert "is no UTF-8" in refused(tmp_path / os.fsdecode(b"\xff.json.gz"))
    (tmp_path / "empty.json.gz").touch()
    assert "neither gzip nor JSON" in refused(tmp_path / "empty.json.gz")
    os.mkfifo(tmp_path / "pipe.json.gz")  # would block for ever
    assert "not a regular file" in refused(tmp_path / "pipe.json.gz")


def test_control_codes_of_a_name_do_not_reach_the_terminal(tmp_path: Path) -> None:
    assert "\x1b" not in refused(tmp_path / "\x1b[31mred.json.gz")


def pages_of(runs: tuple[PageRange, ...]) -> set[int]:
    return {page for first, nr in runs for page in range(first, first + nr)}


def runs_of(pages: set[int]) -> tuple[PageRange, ...]:
    runs: list[PageRange] = []
    for page in sorted(pages):
        if runs and sum(runs[-1]) == page:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((page, 1))
    return tuple(runs)


PAGES = st.sets(st.integers(0, 40)).map(runs_of)


@given(PAGES, PAGES)
def test_runs_as_sets_of_pages(one: tuple[PageRange, ...], two: tuple[PageRange, ...]) -> None:
    assert pages_of(layout.overlap(one, two)) == pages_of(one) & pages_of(two)
    assert pages_of(layout.without(one, two)) == pages_of(one) - pages_of(two)
