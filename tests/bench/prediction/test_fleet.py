"""`predict --rank`: one table of many files; bad ones are a line each; an interruption costs nothing that was told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from bench.__main__ import main
from bench.commands import predict_calibrate, predict_fleet
from bench.commands.predict_fleet import Answers
from bench.measuring import pool
from bench.measuring.pool import Function, Task
from bench.prediction.fleet import Answer
from bench.targets import registry

KERNEL = ("--kernel", "6.1")


def address_space(path: Path, nr_pages: int) -> Path:
    """Write a layout with one VMA, so many of whose pages are in memory."""
    vma = {"start": "0x7f0000000000", "end": "0x7f0000400000", "perms": "rw-p", "flags": ["rd", "wr"], "path": "",
           "present": [[0, nr_pages]], "thp": [], "lockable": True}  # fmt: skip
    head = {"format": 1, "program": "p", "command": "p", "kernel": "6.1", "page_size": 4096, "threads": 1}
    path.write_text(json.dumps({**head, "vmas": [vma]}))
    return path


class Here:
    """Answers questions in this process, and may be interrupted after some."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.until = 1000

    def each(self, function: Function, tasks: Iterable[Task], scheduler: str = "") -> Iterator[tuple[int, bytes]]:
        """Yield answers, the last of those at hand first."""
        every = list(enumerate(tasks))[: self.until]
        for index, task in reversed(every):
            self.asked.append(Path(task.name).name)
            yield index, function(task.request)
        if len(every) == self.until:
            raise KeyboardInterrupt


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Here:
    made = Here()
    for module in (predict_fleet, predict_calibrate):
        monkeypatch.setattr(module, "cache_directory", lambda: tmp_path / "cache" / "unlockall-bench")
    monkeypatch.setattr(pool, "answer_each", made.each)
    monkeypatch.setattr(predict_fleet, "CHUNK_FILES", 1)
    monkeypatch.setattr(registry, "load", lambda names, progress: None)
    return made


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    directory = tmp_path / "fleet"
    (directory / "below").mkdir(parents=True)
    for name, nr_pages in (("few", 3), ("below/many", 900), ("some", 40)):
        address_space(directory / name, nr_pages)
    return directory


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, list[dict[str, object]]]:
    """Return what was printed as JSON."""
    found: dict[str, list[dict[str, object]]] = json.loads(capsys.readouterr().out)
    return found


def names(rows: list[dict[str, object]]) -> list[str]:
    """Return the names of files."""
    return [Path(str(one["file"])).name for one in rows]


def test_files_are_ranked_and_the_worst_is_first(here: Here, fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(fleet), *KERNEL, "--format", "json"]) == 0
    found = told(capsys)
    assert names(found["files"]) == ["many", "some", "few"] and not found["errors"]
    assert [one["pages_in_memory"] for one in found["files"]] == [900, 40, 3]
    assert main(["predict", str(fleet), *KERNEL, "--top", "1"]) == 0
    shown = capsys.readouterr().out
    assert "below/many" in shown and "fleet/few" not in shown and "3 files predicted, 1 shown" in shown


def test_what_one_file_alone_is_told_is_what_a_fleet_is_told(
    here: Here, fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--rank", str(fleet / "some"), *KERNEL, "--format", "json"]) == 0
    (ranked,) = told(capsys)["files"]
    assert main(["predict", str(fleet / "some"), *KERNEL, "--format", "json"]) == 0
    alone = next(one for one in told(capsys)["predictions"] if one["call"] == "munlockall")
    assert ranked["kernels"] == {"6.1": {key: alone[key] for key in ("visits", "instructions", "seconds")}}


def test_bad_files_are_a_line_each_and_end_nothing(here: Here, fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (fleet / "half").write_text('{"format": 1, "vmas": [')
    (fleet / "empty").write_text("")
    words = [str(fleet), str(fleet / "missing"), *KERNEL, "--format", "json"]
    assert main(["predict", "--rank", *words]) == 2
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert names(found["files"]) == ["many", "some", "few"]
    assert sorted(names(found["errors"])) == ["empty", "half", "missing"]
    lines = printed.err.splitlines()
    assert len(lines) == 3 and all(any(name in line for line in lines) for name in ("empty", "half", "missing"))


def test_a_call_that_may_take_too_long_is_told_by_the_exit_code(
    here: Here, fleet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(fleet), *KERNEL, "--fail-over", "10s"]) == 0
    assert main(["predict", str(fleet), *KERNEL, "--fail-over", "100us"]) == 1
    assert capsys.readouterr().out.count(" !") == 1


def interrupted(here: Here, fleet: Path) -> Path:
    """Interrupt a command after two of three files; return what it kept."""
    here.until = 2
    with pytest.raises(KeyboardInterrupt):
        predict_main = main(["predict", str(fleet), *KERNEL])
        if predict_main == 130:  # as the program ends at Ctrl-C
            raise KeyboardInterrupt
    here.until = 1000
    (kept,) = (fleet.parent / "cache" / "unlockall-bench").glob("predict-*.jsonl")
    return kept


def test_an_interrupted_command_goes_on(here: Here, fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = interrupted(here, fleet)
    assert here.asked == ["few", "many"]
    here.asked.clear()
    capsys.readouterr()
    assert main(["predict", str(fleet), *KERNEL, "--format", "json"]) == 0
    printed = capsys.readouterr()
    assert here.asked == ["some"] and names(json.loads(printed.out)["files"]) == ["many", "some", "few"]
    assert "after 2 of 3 files" in printed.err and not kept.exists()


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        (lambda kept, fleet: kept.write_bytes(kept.read_bytes()[:-5]), ["some", "many"]),  # killed while it wrote
        (lambda kept, fleet: address_space(fleet / "below/many", 1000), ["some", "many"]),  # a longer file
        (lambda kept, fleet: kept.write_bytes(b"{}\n" + kept.read_bytes()), ["some"]),
    ],
)
def test_what_was_kept_is_not_believed(
    here: Here, fleet: Path, change: Callable[[Path, Path], object], asked: list[str]
) -> None:
    change(interrupted(here, fleet), fleet)
    here.asked.clear()
    assert main(["predict", str(fleet), *KERNEL]) == 0
    assert here.asked == asked


def test_fresh_asks_all_again(here: Here, fleet: Path) -> None:
    interrupted(here, fleet)
    here.asked.clear()
    assert main(["predict", str(fleet), *KERNEL, "--fresh"]) == 0
    assert len(here.asked) == 3


@pytest.mark.parametrize("reply", [b"{}", msgspec.json.encode(Answers("other", (Answer("x"),)))])
def test_workers_of_other_sources_are_refused(
    here: Here, fleet: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reply: bytes
) -> None:
    monkeypatch.setattr(predict_fleet, "answer_request", lambda request: reply)
    assert main(["predict", str(fleet), *KERNEL]) == 3
    assert "worker" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--range", "0-1000"), ("--top", "0"), ("--top", "x")])
def test_bad_usage(here: Here, fleet: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(fleet), *words]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1 and not here.asked


def test_a_directory_without_files_is_refused(here: Here, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none").mkdir()
    assert main(["predict", str(tmp_path / "none")]) == 2
    assert "has no files" in capsys.readouterr().err


def test_questions_are_read_as_they_are_taken(fleet: Path) -> None:
    asked: list[list[int]] = []
    files = dict(enumerate([fleet / "few", fleet / "some"] * 20))
    questions = predict_fleet._questions(files, predict_fleet.Request((), {}), asked)
    assert next(questions).name.endswith("some") and asked == [[*range(predict_fleet.CHUNK_FILES)]]
    assert len(list(questions)) == 2 and [one for each in asked for one in each] == [*range(40)]
