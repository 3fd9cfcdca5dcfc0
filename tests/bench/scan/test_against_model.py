"""Kept scans held against the model: laws that are the kernel's, and one that is not and is caught."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import bench.scan.against_model as against_model_module
from bench.__main__ import main
from bench.errors import EXIT_USAGE
from bench.scan.against_model import Held, against_model
from bench.scan.by_model import ModelMachine
from bench.scan.calls import CALLS
from bench.scan.layouts import LAYOUTS
from bench.scan.machine import Shot
from bench.scan.results import SCHEMA, CallScan, KernelScan, Scan, Series, Sized, save
from mmmodel.constants import PAGE_SIZE, PMD_SIZE
from support.fake_scan import PAGE, PMD, Cost, constant, per, per_axis

SPANS = (PAGE_SIZE, PMD_SIZE, 1 << 30, 1 << 31, 1 << 32)
COUNTS = {"pages": (1, 64, 128, 512), "tables": (1, 32, 128, 512), "VMAs": (2, 64, 256, 1024)}


def series(call: str, layout: str, cost: Cost) -> CallScan:
    """Return one call on one layout, measured three times on each size, at a cost that is known."""
    axis = LAYOUTS[layout].axis
    sizes = SPANS if axis == "span" else COUNTS[axis]
    sized = tuple(Sized(n, (cost(LAYOUTS[layout], n),) * 3) for n in sizes)
    return CallScan(call, (Series(layout, sized, "a kernel in name only" if axis == "span" else ""),))


def kernel(release: str, *calls: CallScan) -> KernelScan:
    """Return a scan of a kernel."""
    return KernelScan(release.rpartition(".")[0], release, "instructions", calls)


OF_5_10 = kernel(
    "5.10.262",
    series("munlockall", "locked", per(PAGE, 90.0)),
    series("munlock", "locked", per(PAGE, 95.0)),
    series("core dump", "one page", per(PAGE, 130.0)),
    series("munmap", "pages", per_axis("pages", 300.0)),
)
OF_6_1 = kernel(
    "6.1.192",
    series("munmap", "tables", per_axis("tables", 900.0)),
    series("exit", "VMAs", per_axis("VMAs", 700.0)),
    series("core dump", "one page", per(PAGE, 119.0)),
    series("mincore", "one page", per(PAGE, 9.0)),
    series("fork", "pages", per_axis("pages", 80.0)),
)


def test_laws_of_a_kernel_are_those_of_its_model() -> None:
    found = against_model(OF_5_10)
    assert (found.implementation, found.wrong, len(found.held)) == ("per-page", [], 4)
    found = against_model(OF_6_1)
    assert (found.implementation, found.wrong, len(found.held)) == ("page-walk", [], 3)
    assert found.left_out == ("mincore: is not modelled (mincore)", "fork: its work on pages is not counted")


def test_a_law_that_is_none_of_the_models_is_caught() -> None:
    wrong = kernel(
        "6.1.192",
        series("munlockall", "locked none", per(PAGE, 90.0)),  # of 5.10
        series("core dump", "one page", per(PMD, 9000.0)),  # of a walk
        series("fork", "rw", per(PAGE, 5.0)),
    )
    assert against_model(wrong).wrong == [
        Held("munlockall", "locked none", "linear, a page of span", "nothing", agrees=False),
        Held("core dump", "one page", "linear, 512 pages of span", "linear, a page of span", agrees=False),
        Held("fork", "rw", "linear, a page of span", "nothing", agrees=False),
    ]


def far(call: str, layout: str, cost: Cost) -> CallScan:
    """Return a call whose spans reach so far that a constant cost is one."""
    sized = tuple(Sized(n, (cost(LAYOUTS[layout], n),) * 3) for n in (PAGE_SIZE, PMD_SIZE, 1 << 30, 1 << 38))
    return CallScan(call, (Series(layout, sized),))


def test_what_depends_on_nothing_is_held_where_nobody_touched_memory() -> None:
    independent = [far(call, layout, constant) for call in ("munmap", "mprotect", "fork", "exit") for layout in ("none", "rw")]
    found = against_model(kernel("6.12.118", *independent, far("munmap", "one page", constant)))
    assert (found.implementation, found.wrong, len(found.held)) == ("folio-walk", [], 8)
    locked = [far(call, "locked none", constant) for call in ("munmap", "exit")]
    assert against_model(kernel("6.1.192", *locked)).wrong == []


def test_what_the_model_cannot_lay_out_is_told() -> None:
    """mlock2() of memory without access fails on 5.10, whatever is locked by it."""
    (wrong,) = against_model(kernel("5.10.262", far("munmap", "locked none", constant))).wrong
    assert wrong.modelled.startswith("[Errno 12]")


def test_a_cost_that_the_model_has_is_missed_where_a_scan_found_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(against_model_module, "UNTOUCHED", ("locked",))
    wrong = kernel("5.10.262", series("munmap", "locked", constant))
    whole = msgspec.structs.replace(wrong.calls[0].series[0], stopped="")
    (held,) = against_model(kernel("5.10.262", CallScan("munmap", (whole,)))).wrong
    assert held == Held("munmap", "locked", "nothing", "linear, a page of span", agrees=False)


def test_what_the_model_leaves_out_is_named() -> None:
    calls = [series(name, "VMAs", per_axis("VMAs", 700.0)) for name in ("core dump", "munlock", "munmap")]
    found = against_model(kernel("6.1.192", *calls))
    assert (found.wrong, [one.call for one in found.held]) == ([], ["munmap"])
    assert found.left_out == (
        "core dump: the program header of each VMA, in its file, is not counted",
        "munlock: looking at each VMA that is not locked is not counted",
    )


def test_a_kernel_older_than_all_models_is_held_against_none() -> None:
    found = against_model(kernel("4.19.0", series("core dump", "one page", per(PAGE, 119.0))))
    assert (found.implementation, found.held) == ("", ()) and "no implementation models 4.19.0" in found.left_out[0]


@pytest.mark.parametrize("name", CALLS)
def test_the_model_carries_a_call_out_or_says_that_it_has_none(name: str) -> None:
    call, machine = CALLS[name], ModelMachine("page-walk", "6.1")
    for layout in (call.on(one) for one in call.layouts):
        if reason := machine.problem(call, layout):
            assert reason.startswith("is not modelled (")
            continue
        outcome = machine.outcome(Shot(call, layout, layout.sizes[0]))
        assert outcome.fate == "done" or "madvise" in name, (layout.name, outcome)  # advice that the model has none of


def test_what_the_command_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scan.json"
    wrong = kernel("6.1.192", series("fork", "rw", per(PAGE, 5.0)))
    save(path, Scan(SCHEMA, "scan", "made up", "2026-01-01T00:00:00", {}, [OF_6_1, wrong]))
    assert main(["scan", "--show", str(path), "--against-model"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert any(line.endswith("6.1 against page-walk: 3 of 3 laws are the model's") for line in lines)
    assert any("6.1: fork on rw: measured linear, a page of span; page-walk: nothing" in line for line in lines)
    save(path, Scan(SCHEMA, "scan", "made up", "2026-01-01T00:00:00", {}, [OF_6_1]))
    assert main(["scan", "--show", str(path), "--against-model"]) == 0
    assert main(["scan", "--on", "6.1", "--against-model"]) == EXIT_USAGE
    assert "give it with --show FILE" in capsys.readouterr().err
