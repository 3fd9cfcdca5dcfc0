"""Repeated scans: what counts as the same verdicts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import scan_repeated
from bench.scan.results import SCHEMA, KernelScan, Scan, save
from support.fake_scan import PAGE, PMD, Cost, Fake, constant, per, per_axis, scanned

LAWS: dict[str, Cost] = {"munmap": constant, "core dump": per(PAGE, 120.0), "fork": per_axis("pages", 70.0)}


def of(costs: dict[str, Cost], seed: int = 1) -> KernelScan:
    """Return a scan of a fake kernel some of whose values are disturbed."""
    return scanned(Fake(costs, noise=0.03, seed=seed))


def test_verdicts_are_the_same_though_values_are_not() -> None:
    one, two = of(LAWS), of(LAWS, seed=2)
    assert one != two
    assert scan_repeated.differing([scan_repeated.verdicts([kernel]) for kernel in (one, two, one)]) == {}
    said = scan_repeated.verdicts([one])["9.9"]
    assert said == {"core dump": "span per 4096 B", "munmap": "nothing", "fork": "pages"}


@pytest.mark.parametrize("other", [{**LAWS, "munmap": per(PAGE, 9.0)}, {**LAWS, "core dump": per(PMD, 6e4)}])
def test_another_law_and_another_step_are_other_verdicts(other: dict[str, Cost]) -> None:
    runs = [scan_repeated.verdicts([of(costs)]) for costs in (LAWS, LAWS, other)]
    (words,) = scan_repeated.differing(runs).values()
    assert words[0] == words[1] != words[2]
    assert scan_repeated.same(runs) == 2


def test_runs_are_recorded_and_a_difference_is_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    coming = [of(LAWS), of(LAWS, seed=2), of({**LAWS, "munmap": per(PAGE, 9.0)})]

    def scan(words: list[str], output: Path) -> tuple[int, str]:
        assert words == ["--on", "9.9", "--only", "munmap,coredump,fork"]
        save(output, Scan(SCHEMA, "scan", "made up", "2026-01-01T00:00:00", {}, [coming.pop(0)]))
        return 0, ""

    monkeypatch.setattr(scan_repeated, "scan", scan)
    path = tmp_path / "record.json"
    words = ["--on", "9.9", "--only", "munmap,coredump,fork", "--record", str(path)]
    assert scan_repeated.main([*words, "--runs", "2"]) == 0
    kept = json.loads(path.read_text())
    assert (kept["same"], kept["runs"], kept["differing"]) == (2, 2, {})
    assert kept["kernels"] == {"9.9": "9.9.0-fake"} and set(kept["verdicts"]["9.9"]) == set(LAWS)
    coming[:0] = [of(LAWS), of(LAWS)]
    assert scan_repeated.main([*words, "--runs", "3"]) == 1
    kept = json.loads(path.read_text())
    assert (kept["same"], kept["runs"], list(kept["differing"])) == (2, 3, ["9.9: munmap"])
    assert "2 of 3 scans gave the verdicts of the first" in capsys.readouterr().out


def test_a_scan_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(scan_repeated, "scan", lambda words, output: (2, "there is no kernel"))
    assert scan_repeated.main(["--on", "3.2"]) == 3
    assert "run 1: exit code 2: there is no kernel" in capsys.readouterr().out


def test_scans_that_were_kept_are_compared_and_only_those_of_one_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / f"{number}.json" for number in range(3)]
    for path, costs, only in zip(
        paths, (LAWS, LAWS, {**LAWS, "munmap": per(PAGE, 9.0)}), ("", "", " --only fork"), strict=True
    ):
        command = f"scan --on 9.9{only} -o {path}"
        save(path, Scan(SCHEMA, "scan", command, "2026-01-01T00:00:00Z", {}, [of(costs)]))
    words = ["--kept", str(paths[0]), "--kept", str(paths[1]), "--record", str(tmp_path / "record.json")]
    assert scan_repeated.main(words) == 0
    kept = json.loads((tmp_path / "record.json").read_text())
    assert (kept["same"], kept["runs"], kept["command"]) == (2, 2, "scan --on 9.9")
    assert scan_repeated.main([*words, "--kept", str(paths[2])]) == 3
    assert "is of another command: scan --on 9.9 --only fork" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        scan_repeated.main(["--on", "9.9", *words])
