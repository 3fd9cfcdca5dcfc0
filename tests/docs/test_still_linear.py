"""docs/still-linear.md: written from the kept scan, and up to date; the script, on a scan whose laws are known."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from bench.commands.scan import KEPT
from bench.scan.results import SCHEMA, Scan, load, save
from support.fake_scan import PAGE, Cost, Fake, constant, per, scanned

SCRIPT = Path(__file__).parents[2] / "docs" / "still-linear.py"
spec = importlib.util.spec_from_file_location("still_linear_page", SCRIPT)
assert spec is not None
assert spec.loader is not None
still_linear = importlib.util.module_from_spec(spec)
spec.loader.exec_module(still_linear)
LAWS: dict[str, Cost] = {"munmap": constant, "core dump": per(PAGE, 119.0), "mincore": per(PAGE, 9.0)}
MENDED: dict[str, Cost] = {"munmap": constant, "mincore": per(PAGE, 9.0)}


def made(costs: dict[str, Cost]) -> Scan:
    """Return a scan of two kernels in name only, which cost the same."""
    kernels = [scanned(Fake(costs, name=name)) for name in ("6.1", "7.3")]
    return Scan(SCHEMA, "scan", "made up", "2026-01-01T00:00:00", {}, kernels)


def test_the_page_is_up_to_date() -> None:
    assert still_linear.PAGE.read_text(encoding="utf-8") == still_linear.render(load(KEPT)), "run: python3 docs/still-linear.py"


def test_the_page_tells_what_walks_what_it_costs_and_what_the_model_counts() -> None:
    page = still_linear.render(made(LAWS))
    assert "Scanned: 6.1 (6.1.0-fake), 7.3 (7.3.0-fake)." in page
    offenders, modelled, answers = (page.split(f"## {title}")[1] for title in (
        "Calls that walk what nobody touched", "The worst offender, modelled", "What calls depend on",
    ))  # fmt: skip
    assert offenders.split("\n## ")[0].count("| core dump |") == 2
    assert "| munmap | nothing | nothing |" in answers and "| mincore | output | output |" in answers
    (row,) = [line for line in modelled.splitlines() if line.startswith("| 128 GiB |")]
    span, before, _, after, _, *instructions = [cell.strip() for cell in row.strip("|").split("|")]
    assert (span, before) == ("128 GiB", f"{128 << 18:,}")
    assert after == f"{1 + 64 + 128}"  # the page, 128 MiB to the next GiB by 2 MiB, then by GiB
    assert len(instructions) == 2 and len(set(instructions)) == 1 and instructions[0].startswith("3.99")  # 119 a page


def test_a_scan_without_offenders_says_so() -> None:
    assert still_linear.NONE_LEFT in still_linear.render(made(MENDED))
    assert still_linear.NONE_LEFT not in still_linear.render(made(LAWS))


def test_the_script_writes_the_page_and_its_figure_and_checks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, page = tmp_path / "scan.json", tmp_path / "still-linear.md"
    save(kept, made(LAWS))
    monkeypatch.setattr(still_linear, "KEPT", kept)
    monkeypatch.setattr(still_linear, "PAGE", page)
    assert still_linear.run([]) == 0
    assert (tmp_path / "figures" / "scan.svg").stat().st_size > 5_000
    assert "(figures/scan.svg)" in page.read_text()
    assert still_linear.run(["--check"]) == 0
    page.write_text(page.read_text() + "edited\n")
    assert still_linear.run(["--check"]) == 1
