"""The file of weights: what it must be, and that a fit finds the weights that made its data."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bench.errors import MeasurementError
from bench.prediction import fitting, weights
from bench.prediction.fitting import Row
from bench.prediction.terms import CALLS
from bench.prediction.weights import predict

WALKED = ("model_pgd_read", "model_pud_read", "model_pmd_read")


def changed(tmp_path: Path, **fields: object) -> Path:
    """Write the weights of the package with the first kernel changed."""
    found = msgspec.json.decode(msgspec.json.encode(weights.shipped()))
    found["kernels"][0] |= fields
    path = tmp_path / "weights.json"
    path.write_bytes(msgspec.json.encode(found))
    return path


def test_the_shipped_file_has_every_kernel_and_kind_of_call() -> None:
    found = weights.shipped()
    assert [one.series for one in found.kernels] == ["5.10", "6.1", "6.12"]
    for one in found.kernels:
        assert set(one.spread) == set(CALLS.values())
        assert all(term.unit and term.meaning for term in one.terms)
        assert 0 < one.spread["unlock"] < 0.05


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"implementation": "nosuch"}, "no implementation"),
        ({"terms": []}, "not those of the cost model"),
        ({"spread": {"unlock": 0.1}}, "spread"),
        ({"spread": {"unlock": -1.0, "lock": 0.1, "unmap": 0.1}}, "negative"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, fields: dict[str, object], said: str) -> None:
    with pytest.raises(MeasurementError, match=said):
        weights.load(changed(tmp_path, **fields))


def test_a_fit_finds_the_weights_that_made_the_data() -> None:
    def row(source: int, layout: int, constant: int) -> Row:
        entries, pmds, pages = 512 * (1 + layout % 3), 700 * layout, 1 + layout * layout % 7
        counters = {"model_pgd_read": 1, "model_pud_read": 2, "model_pmd_read": pmds, "model_pte_read": entries}
        counters |= {"model_mlock_pte_range": 1 + layout % 3, "model_pte_lock": 1 + layout % 3, "model_vmas_changed": 0}
        counters |= {"model_pages_looked_up": entries, "unevictable_pgs_munlocked": pages}
        return Row(source, f"l{layout}", 0, "munlock", counters, constant + 17 * pmds + 6 * entries + 700 * pages)

    rows = [row(0, layout, 5000) for layout in range(1, 9)] + [row(1, layout, 9000) for layout in range(1, 9)]
    done = fitting.fit("6.1", "", "page-walk", rows)
    found = {one.name: one.weight for one in done.weights.terms}
    assert found["pmd_entry"] == pytest.approx(17, rel=1e-3)
    assert found["unlock_page"] == pytest.approx(700, rel=1e-3)
    assert found["pte"] + found["page_table"] / 512 == pytest.approx(6, rel=1e-3)  # that they come together
    assert max(abs(one.error) for one in done.left_out) < 1e-3
    first = rows[0]
    assert predict(done.weights, "munlock", first.counters).instructions == pytest.approx(first.measured, rel=1e-3)


def test_one_layout_is_too_few() -> None:
    with pytest.raises(MeasurementError, match="two layouts"):
        fitting.fit("6.1", "", "page-walk", [Row(0, "one", 0, "munlock", {}, 100)])
