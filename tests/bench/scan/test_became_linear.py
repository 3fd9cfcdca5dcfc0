"""Two scans held against each other, and kept."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import environment
from bench.errors import MeasurementError
from bench.scan.became_linear import base_of, became_linear, names, unclear
from bench.scan.results import KernelScan, Scan, load, save
from support.fake_scan import PAGE, Cost, Fake, constant, no_law, per, scanned

QUIET: dict[str, Cost] = {"munmap": constant, "exit": constant, "mincore": per(PAGE, 9.0)}


def kept(*kernels: KernelScan) -> Scan:
    """Return a scan as it is kept."""
    return Scan(1, "scan", "scan", "2026-01-01T00:00:00Z", environment.machine_facts(), kernels)


def test_a_call_that_became_linear_is_found_and_no_other() -> None:
    base = scanned(Fake(QUIET))
    assert became_linear(base, scanned(Fake(QUIET, seed=2))) == []
    worse = scanned(Fake({**QUIET, "munmap": per(PAGE, 50.0)}))
    changes = became_linear(base, worse)
    assert names(changes) == ["munmap"]
    assert {one.before for one in changes} == {"nothing"}
    assert became_linear(worse, worse) == []  # it was so before
    assert became_linear(worse, base) == []  # and it may be mended
    assert names(became_linear(scanned(Fake({"exit": constant})), worse)) == ["munmap"]  # a new call


def test_only_one_layout_may_have_become_linear() -> None:
    worse: Cost = lambda layout, n: 2000.0 + (n / 4096 * 90 if layout.name == "locked" else 0)  # noqa: E731  # a law like the others
    (change,) = became_linear(scanned(Fake(QUIET)), scanned(Fake({**QUIET, "exit": worse})))
    assert (change.call, change.layout, change.before) == ("exit", "locked", "nothing")


def test_a_call_of_which_it_is_not_clear_is_named() -> None:
    base, found = scanned(Fake(QUIET)), scanned(Fake({**QUIET, "munmap": no_law}))
    assert (became_linear(base, found), unclear(base, found)) == ([], ["munmap"])


def test_a_kernel_is_held_against_its_own_series_or_the_newest_before_it() -> None:
    scan = kept(*(scanned(Fake(QUIET, name=name)) for name in ("6.12", "5.10", "7.3")))
    found = [base_of(scan, release).name for release in ("5.10.99", "6.1.5", "6.12", "6.18.3", "8.0.1", "4.19.1")]
    assert found == ["5.10", "5.10", "6.12", "6.12", "7.3", "5.10"]
    with pytest.raises(MeasurementError, match="no kernel"):
        base_of(kept(), "6.1")


def test_a_kept_scan_is_read_back_with_the_same_laws(tmp_path: Path) -> None:
    scan = kept(scanned(Fake(QUIET)))
    save(tmp_path / "scan.json", scan)
    again = load(tmp_path / "scan.json")
    assert again.kernels[0].calls == scan.kernels[0].calls
    assert [*tmp_path.iterdir()] == [tmp_path / "scan.json"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda call: call.update(name="munlok"), "is not known"),
        (lambda call: call["series"][0].update(layout="nosuch"), "the layout nosuch, which is not known"),
        (lambda call: call["series"][0]["sizes"].reverse(), "do not ascend"),
        (lambda call: call["series"][0]["sizes"][0].update(values=[]), "without values"),
        (lambda call: call["series"][0]["sizes"][0].update(values=[0]), "not above zero"),
        (lambda call: call.update(more=1), "not of schema"),
    ],
)
def test_a_scan_that_contradicts_itself_is_refused(change: Callable[[Any], None], problem: str, tmp_path: Path) -> None:
    path = tmp_path / "scan.json"
    save(path, kept(scanned(Fake(QUIET))))
    data = json.loads(path.read_text())
    change(data["kernels"][0]["calls"][0])
    path.write_text(json.dumps(data))
    with pytest.raises(MeasurementError, match=problem):
        load(path)
