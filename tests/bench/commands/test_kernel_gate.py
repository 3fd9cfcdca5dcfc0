"""`gate --kernel`, `kernel history` and `kernel costs` on kernels that are played: exit codes, reports, guests that fail."""

import json
from pathlib import Path

import junitparser
import pytest

from bench.__main__ import main
from bench.kernels import images
from bench.kernels.images import Image
from bench.kernels.protocol import Program
from bench.workloads.suite import KERNELS, UNLOCKING
from support.fake_kernels import every_page, image, play, walk
from support.progress_lines import said

LAW = "munlockall: an untouched span is not visited page by page, on report"


@pytest.fixture
def kernels(tmp_path: Path) -> dict[str, str]:
    """Give images of two kernels."""
    return {name: str(image(tmp_path / name)) for name in ("old", "new")}


def gate(kernels: dict[str, str], head: str, base: str, *words: str) -> int:
    """Run the gate."""
    return main(["gate", "--kernel", kernels[head], "--base-kernel", kernels[base], *words])


def verdicts(path: Path) -> dict[str, str]:
    """Return what a JSON report found."""
    return {one["name"]: one["verdict"] for one in json.loads(path.read_text(encoding="utf-8"))["findings"]}


def test_a_kernel_that_visits_every_page_is_dearer_and_breaks_the_laws(
    kernels: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started = play(monkeypatch, {"old": every_page, "new": walk})
    report, junit, markdown = (tmp_path / f"report.{suffix}" for suffix in ("json", "xml", "md"))
    words = ("--json", str(report), "--junit", str(junit), "--markdown", str(markdown))
    assert gate(kernels, "old", "new", *words) == 1
    found = verdicts(report)
    points = {group.name for group in KERNELS if group.operation in UNLOCKING}
    assert points <= found.keys()
    assert {found["munlockall/report/64GiB"], found[LAW]} == {"regression"}
    assert sorted(started) == ["new"] * 8 + ["old"] * 8  # two starts of each, huge pages or not, and again for what was dearer
    boots = json.loads(report.read_text(encoding="utf-8"))["boots"]
    assert [len(boots[arm]) for arm in ("base", "head")] == [4, 4]  # judged by all of them
    out = capsys.readouterr().out
    assert "REGRESSION" in out.splitlines()[-1] and "munlockall/report/64GiB" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert junitparser.JUnitXml.fromfile(str(junit)).failures > 0
    assert markdown.read_text(encoding="utf-8").startswith("### gate: REGRESSION (exit code 1)")


def test_the_other_way_round_it_is_faster_and_passes(
    kernels: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = play(monkeypatch, {"old": every_page, "new": walk})
    words = ("--json", str(tmp_path / "report.json"), "--junit", str(tmp_path / "report.xml"))
    assert gate(kernels, "new", "old", *words) == 0
    found = verdicts(tmp_path / "report.json")
    assert junitparser.JUnitXml.fromfile(str(tmp_path / "report.xml")).failures == 0
    assert {found["munlockall/sparse-2MiB/2GiB"], found[LAW]} == {"faster"}
    assert len(started) == 8  # nothing seemed dearer


def test_what_later_starts_do_not_confirm_is_no_regression(kernels: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def dearer_at_first(program: Program) -> int:
        return walk(program) * (3 if started.count("new") <= 4 else 2) // 2  # in two starts, each with huge pages and without

    started = play(monkeypatch, {"old": walk, "new": dearer_at_first})
    assert gate(kernels, "new", "old") != 1


def test_a_kernel_passes_against_itself_and_the_report_has_what_was_measured(
    kernels: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, {"old": walk, "new": walk})
    assert gate(kernels, "new", "old", "--op", "munlock,mprotect", "--json", str(tmp_path / "report.json")) == 0
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert {name.partition("/")[0].partition(":")[0] for name in verdicts(tmp_path / "report.json")} == {"munlock", "mprotect"}
    assert report["kind"] == "gate-kernels"
    assert [len(report["boots"][arm]) for arm in ("base", "head")] == [2, 2]
    # 4,096 pages at 700, and 2,000: by hand.
    assert report["boots"]["base"][0]["costs"]["munlock/dense/16MiB"]["values"] == [2_869_200] * 3


def test_a_guest_that_fails_is_told_and_what_came_before_is_kept(
    kernels: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play(monkeypatch, {"old": walk, "new": walk}, lambda name, number: name == "new" and number == 3)
    assert gate(kernels, "new", "old", "--json", str(tmp_path / "report.json")) == 3
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    failed = [one for one in report["boots"]["head"] if one["error"]]
    assert [one["error"] for one in failed] == ["the guest ended; its console: Kernel panic - not syncing: fake"]
    assert failed[0]["costs"]
    assert "ERROR" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said_of_it"),
    [
        (["--kernel", "NEW"], "--kernel and --base-kernel need each other"),
        (["--base-kernel", "NEW"], "--kernel and --base-kernel need each other"),
        (["--kernel", "NEW", "--base-kernel", "NEW", "--rounds", "14"], "--rounds is of the gate on the model"),
        (["--kernel", "NEW", "--base-kernel", "NEW", "--accept"], "--accept is of the gate on the model"),
        (["--kernel", "NEW", "--base-kernel", "NEW", "--base", "main"], "--base is of the gate on the model"),
        (["--kernel", "NEW", "--base-kernel", "NEW", "--op", "touch"], "--op touch is not in the suite for kernels"),
        (["--kernel", "NEW", "--base-kernel", "host"], "host is timed, and kernels are compared in instructions"),
        (["--kernel", "NEW", "--base-kernel", "/nosuch"], "no kernel '/nosuch'"),
        (["--op", "munlock"], "--op is for real kernels"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(
    words: list[str], said_of_it: str, kernels: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gate", *(kernels["new"] if word == "NEW" else word for word in words)]) == 2
    (line,) = said(capsys.readouterr().err)
    assert said_of_it in line


# ---- history and costs ----


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have two kernels in the cache: 5.10 visits every page, 6.1 does not."""
    paths = {word: image(tmp_path / word, f"{word}.0-fake") for word in ("5.10", "6.1")}
    monkeypatch.setattr(images, "cached", lambda: [Image(word, path) for word, path in paths.items()])
    play(monkeypatch, {"5.10": every_page, "6.1": walk})


@pytest.mark.usefixtures("cached")
def test_history_says_what_each_call_costs_from_kernel_to_kernel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernel", "history", "5.10", "6.1", "--plots", str(tmp_path / "plots")]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = {line.split()[0]: line.split()[1:] for line in lines if line.startswith("mun")}  # the last table: exact
    assert cells["munlock/dense/16MiB"] == [f"{600 + 900 * 4096:,}", f"{2000 + 700 * 4096:,}"]
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"kernel-history.svg", "kernel-history.png"}
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize("action", ["history", "costs"])
def test_what_was_measured_can_be_kept_and_shown_again(
    action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["kernel", action, "5.10", "6.1"]) == 0
    shown = capsys.readouterr().out
    assert main(["kernel", action, "5.10", "6.1", "--json"]) == 0
    (tmp_path / "kept.json").write_text(capsys.readouterr().out, encoding="utf-8")
    started = play(monkeypatch, {})
    assert main(["kernel", action, str(tmp_path / "kept.json")]) == 0
    assert (capsys.readouterr().out, started) == (shown, [])


@pytest.mark.usefixtures("cached")
def test_costs_are_fitted_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kernel", "costs", "5.10", "6.1"]) == 0
    rows = [line.rsplit(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    found = {cells[0].strip(): cells[1:] for cells in rows if len(cells) == 3}
    assert found["no PUD entry"] == ["100", "0"]
    assert found["page"] == ["900", "700"]
    assert found["swapped"] == ["900", "700"]


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize("action", ["history", "costs"])
def test_a_kernel_that_fails_is_told_after_the_others(
    action: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, {"5.10": every_page, "6.1": walk}, lambda name, number: name == "5.10")
    assert main(["kernel", action, "5.10", "6.1"]) == 3
    seen = capsys.readouterr()
    assert "6.1" in seen.out
    assert said(seen.err) == ["unlockall-bench: 5.10: the guest ended; its console: Kernel panic - not syncing: fake"]


@pytest.mark.parametrize("action", ["history", "costs"])
@pytest.mark.usefixtures("cached")
def test_bad_words_end_in_one_line(action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.json").write_text('{"schema": 1}', encoding="utf-8")
    file = str(tmp_path / "x.json")
    for words, code in ((["6.1", "6.1"], 2), (["6.1", file], 2), (["9.9"], 2), (["host"], 2), ([file], 3)):
        assert main(["kernel", action, *words]) == code
        assert len(said(capsys.readouterr().err)) == 1
