"""docs/still-linear.md: written from the committed scan, and up to date; the scan shows what is known of the kernels."""

import importlib.util
from pathlib import Path

import pytest

from bench.figures.inputs import Skipped
from bench.figures.kinds import KERNEL_KINDS
from bench.kernels.selection import series_of
from bench.scan.results import Scan, load
from bench.scan.verdict import of_kernel
from mmmodel.constants import PAGE_SIZE

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "still-linear.py"
spec = importlib.util.spec_from_file_location("still_linear", SCRIPT)
assert spec is not None
assert spec.loader is not None
still_linear = importlib.util.module_from_spec(spec)
spec.loader.exec_module(still_linear)
REMAKE = "run: python3 docs/still-linear.py"


@pytest.fixture(scope="module")
def scan() -> Scan:
    """The committed scan."""
    return load(still_linear.KEPT)


def test_the_page_is_up_to_date(scan: Scan) -> None:
    assert still_linear.PAGE.read_text(encoding="utf-8") == still_linear.render(scan), REMAKE


def test_the_figure_is_what_the_code_draws(scan: Scan) -> None:
    (prepared,) = KERNEL_KINDS["scan"].prepared(scan)
    assert not isinstance(prepared, Skipped)
    svg = (ROOT / "docs" / "figures" / "scan.svg").read_text(encoding="utf-8")
    said = svg.partition("<desc>")[2].partition("</desc>")[0]
    assert said and all(f"{name}: " in said for name, _ in prepared.data.calls), REMAKE


def test_forty_calls_and_more_were_scanned_on_kernels_from_old_to_new(scan: Scan) -> None:
    series = [series_of(one.release) for one in scan.kernels]
    assert series == sorted(set(series)) and series[0] == (5, 10) and len(series) > 1
    assert all(not one.error and one.unit == "instructions" for one in scan.kernels)
    assert all(sum(bool(call.series) for call in one.calls) >= 40 for one in scan.kernels)


def test_unlocking_was_mended_after_5_10_and_a_core_dump_never(scan: Scan) -> None:
    for name in ("munlockall", "munlock", "munmap", "exit"):
        old, *new = (of_kernel(one)[name] for one in scan.kernels)
        assert old.law is not None
        assert (old.answer, old.layout, old.law.unit) == ("span", "locked", PAGE_SIZE), name
        assert all(one.answer != "span" for one in new), name
    for one in scan.kernels:
        verdict = of_kernel(one)["core dump"]
        assert verdict.law is not None
        assert (verdict.answer, verdict.law.unit) == ("span", PAGE_SIZE), one.name


def test_nothing_is_found_that_is_not_there(scan: Scan) -> None:
    """munmap(), mprotect(), fork() and exit() of memory that nobody touched and nobody locked, on every kernel."""
    for kernel in scan.kernels:
        calls = {one.name: one for one in kernel.calls}
        for name in ("munmap", "mprotect", "fork", "exit"):
            for series in calls[name].series:
                law = series.law(kernel.unit)
                if series.layout in ("none", "rw", "one page"):
                    assert law is not None and law.kind == "nothing", (kernel.name, name, series.layout)
