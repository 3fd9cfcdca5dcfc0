"""docs/gallery.md: written from the layouts and what is kept of them, and up to date."""

import importlib.util
import sys
from pathlib import Path

import msgspec
import pytest

from bench.capture import sources
from bench.workloads import layout

SCRIPT = Path(__file__).parents[2] / "docs" / "gallery.py"
spec = importlib.util.spec_from_file_location("gallery_page", SCRIPT)
assert spec is not None
assert spec.loader is not None
gallery = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = gallery  # where msgspec looks for the types of a record
spec.loader.exec_module(gallery)


def test_the_page_is_up_to_date() -> None:
    page = gallery.render(gallery.layouts_of(gallery.shipped()), gallery.record())
    assert gallery.PAGE.read_text(encoding="utf-8") == page, "run: python3 docs/gallery.py"


@pytest.mark.parametrize("name", ["go119", "redis7"])
def test_counts_are_those_of_the_model(name: str) -> None:
    path = gallery.ROOT / "bench" / "data" / "layouts" / (name + layout.SUFFIX)
    assert gallery.counted(path) == gallery.record()[name].entries_read


@pytest.mark.parametrize("series", ["5.10", "6.1"])
def test_visits_are_those_of_the_model(series: str) -> None:
    one = layout.load("redis7")
    found = gallery.visit(one, series)
    assert found == gallery.record()["redis7"].visits[series]
    if series == "5.10":
        assert found.visited == sum(map(gallery.looked_up, one.vmas))


def test_every_layout_is_predicted_before_and_after() -> None:
    rows, known = gallery.layouts_of(gallery.shipped()), gallery.record()
    for series in ("5.10", "6.1"):
        found = gallery.told(rows, known, series)
        assert set(found) == {one.name for one in rows}
        held = {name for name, one in found.items() if one.took is not None}
        assert held == {one.name for one in rows if gallery.as_captured(one) and (known[one.name].measured or [None])[0]}
        assert all(one.time.low < one.time.seconds < one.time.high for one in found.values())


def test_no_prediction_knows_its_own_answer() -> None:
    rows, known = gallery.layouts_of(gallery.shipped()), gallery.record()
    name = "node20_wasm5"
    before = gallery.told(rows, known, "5.10")
    assert before[name].took == known[name].measured[0] / 1e3
    changed = known | {name: msgspec.structs.replace(known[name], measured=(1e6, 1e6, 1e6))}
    after = gallery.told(rows, changed, "5.10")
    assert after[name].time == before[name].time and after[name].took == 1e3
    assert after["redis7"].time != before["redis7"].time


def test_every_layout_has_its_row_and_the_report_its_cause() -> None:
    page = gallery.PAGE.read_text(encoding="utf-8")
    names = [*layout.shipped_names(), *(path.name.removesuffix(layout.SUFFIX) for path in gallery.OWN.glob("*.gz"))]
    assert len(names) > len(layout.shipped_names())
    assert all(f"\n| {name.replace('_', chr(95))} |" in page for name in names)
    assert "CONFIG\\_CLASS\\_REGION\\_SIZE" in page or "CONFIG_CLASS_REGION_SIZE" in page


def test_own_captures_did_not_change_meanwhile_and_are_of_pagemap_scan() -> None:
    for path in sorted(gallery.OWN.glob("*.gz")):
        source = sources.read(str(path)).document.source
        assert source is not None
        assert (source.method, source.vmas_changed, source.pages_changed) == ("PAGEMAP_SCAN", 0, 0)
