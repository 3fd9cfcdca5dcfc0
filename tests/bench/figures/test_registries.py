"""A new implementation is in every figure, and a new kind of figure in the page, by their registries alone."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from matplotlib.figure import Figure

from bench.__main__ import main
from bench.figures import inputs, kinds
from bench.figures.kind import Kind
from bench.figures.words import EXACT, Words, table
from bench.runs import storage
from bench.runs.loaded import LoadedRun
from mmmodel import kernels
from support import sample_run
from support.drawn import existing, legend_texts, texts_in, texts_outside

NEW = "maple-walk"


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have one implementation more in this process."""
    monkeypatch.setattr(kernels, "_implementations", dict(kernels._implementations))
    look = kernels.Look("#117733", "D", "-.", 1.2, 5.0, filled=False)
    kernels.register(replace(kernels.implementation("page-walk"), name=NEW, summary="a walk of another kind", look=look))


@pytest.mark.usefixtures("four")
def test_a_new_implementation_is_in_every_figure(tmp_path: Path) -> None:
    done = sample_run.points()
    walked = [one for one in done if one.point.implementation == "page-walk"]
    points = [msgspec.structs.replace(one.point, implementation=NEW) for one in walked]
    more = [msgspec.structs.replace(one, name=point.name, point=point) for one, point in zip(walked, points, strict=True)]
    directory = sample_run.write_run(tmp_path / "sample", done, timed=False)
    whole = [*done, *more]
    storage.save_counters(directory / storage.COUNTERS_FILE, "x", {}, whole)
    sample_run.SECONDS[NEW] = sample_run.SECONDS["page-walk"]
    try:
        storage.save_wall(directory / storage.WALL_FILE, sample_run.benchmarks(whole))
    finally:
        del sample_run.SECONDS[NEW]
    prepared = existing(kinds.prepare(inputs.load_run(directory)))
    assert [one.kind.name for one in prepared] == list(kinds.KINDS)
    for one in prepared:
        figure = one.draw()
        said = [*legend_texts(figure), *(text.get_text() for text in texts_in(figure))]
        assert any(NEW in text for text in said), one.kind.name
        assert texts_outside(figure) == [], one.kind.name
        cells = {cell for table in one.words().tables for row in table.rows for cell in row}
        assert any(NEW in cell for cell in cells) or one.kind.name == "order"


class Points(msgspec.Struct, frozen=True):
    """Numbers of a figure of one's own."""

    nr_points: int


def prepare(run: LoadedRun) -> list[Points]:
    return [Points(len(run.points))]


def describe(data: Points) -> Words:
    return Words("dots", "Dots", EXACT, "A dot.", "One dot.", (table("Dots", ("how many",), [(f"{data.nr_points}",)]),))


def draw(data: Points) -> Figure:
    figure = Figure()
    figure.subplots().plot([data.nr_points], [1], "o")
    return figure


def test_a_new_kind_of_figure_is_an_entry_of_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = ModuleType("dots_drawing")
    drawing.draw = draw  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dots_drawing", drawing)
    monkeypatch.setitem(kinds.KINDS, "dots", Kind("dots", prepare, describe, drawing="dots_drawing"))
    run = sample_run.write_run(tmp_path / "sample", timed=False)
    assert main(["plot", str(run), "--plots", str(tmp_path / "plots"), "--only", "dots"]) == 0
    page = (tmp_path / "plots" / "index.html").read_text(encoding="utf-8")
    assert 'src="sample/dots.svg"' in page
    assert "A dot." in page
    assert (tmp_path / "plots" / "sample" / "dots.svg").stat().st_size > 1000
