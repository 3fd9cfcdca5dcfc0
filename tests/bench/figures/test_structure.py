"""Every figure: scales, labels, legends, and that what is drawn is what the numbers say."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.figures import inputs, kinds
from bench.figures.distribution.words import sample_words
from bench.figures.kind import Prepared
from bench.figures.ratio.words import legend_words
from bench.figures.scaling.words import exponent_words
from bench.figures.style import PARTS, looks, save
from mmmodel.kernels import implementations
from support import sample_run
from support.drawn import existing, labels_of, legend_texts, points, texts_in, texts_outside, xs, ys

Drawn = dict[str, tuple[Any, Figure]]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Return every figure of the made-up run, with its numbers."""
    run = inputs.load_run(sample_run.write_run(tmp_path_factory.mktemp("results") / "sample"))
    return {one.words().name: (one.data, one.draw()) for one in existing(kinds.prepare(run))}


def test_scaling_is_log_log_and_complete(drawn: Drawn) -> None:
    data, figure = drawn["scaling-report"]
    time_axes, entry_axes, local_time, local_entries = figure.axes
    for axes, local, field in ((time_axes, local_time, "seconds"), (entry_axes, local_entries, "entries")):
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        assert (local.get_xscale(), local.get_yscale()) == ("log", "linear")
        assert local.get_xlabel() == "reserved address space"
        for curve in data.curves:
            cost = getattr(curve, field)
            assert set(zip(curve.spans, cost.values, strict=True)) <= points(axes)
            assert set(cost.local) <= {y for _, y in points(local)}
    assert {y for curve in data.curves for y in curve.seconds.shown} <= {y for _, y in points(time_axes)}


def test_the_legend_of_scaling_has_the_exponents(drawn: Drawn) -> None:
    data, figure = drawn["scaling-report"]
    said = legend_texts(figure)
    for curve in data.curves:
        for cost in (curve.seconds, curve.entries):
            assert f"{curve.implementation}: k = {exponent_words(cost)}" in said


def test_ratios_have_their_intervals_and_a_line_at_one(drawn: Drawn) -> None:
    data, figure = drawn["ratio"]
    time_axes, entry_axes = figure.axes[:2]
    shown = points(time_axes)
    for axes in (time_axes, entry_axes):
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        assert any(set(ys(line)) == {1.0} and len(ys(line)) == 2 for line in axes.lines)
    for one in data.ratios:
        assert {(point.fraction, end) for point in one.points
                for end in (point.seconds.estimate, point.seconds.low, point.seconds.high)} <= shown  # fmt: skip
        assert {(point.fraction, point.entries) for point in one.points} <= points(entry_axes)


def test_crossovers_are_marked_and_told(drawn: Drawn) -> None:
    data, figure = drawn["ratio"]
    circles = {(x, y) for x, y in points(figure.axes[0]) if y == 1.0 and 0 < x < 1}
    said = legend_texts(figure)
    assert len(said) == len(data.ratios)
    assert circles == {(crossing.fraction, 1.0) for one in data.ratios for crossing in one.crossings}
    for one in data.ratios:
        assert len(one.crossings) == 1
        assert legend_words(one) in said
        assert f"{one.slower} / {one.faster}: times cross at " in legend_words(one)


def test_a_ratio_that_does_not_cross_says_so(drawn: Drawn) -> None:
    data, _ = drawn["ratio"]
    ratios = tuple(msgspec.structs.replace(one, crossings=()) for one in data.ratios)
    figure = Prepared(kinds.KINDS["ratio"], msgspec.structs.replace(data, ratios=ratios)).draw()
    assert all(text.endswith(": no crossover of times in this range") for text in legend_texts(figure))


def test_costs_are_numbers_on_a_log_scale_and_shares_in_a_fixed_order(drawn: Drawn) -> None:
    data, figure = drawn["cost"]
    numbers, shares = figure.axes[::2], figure.axes[1::2]
    assert [axes.get_title("left") for axes in numbers] == [phase.title for phase in data.phases]
    for index, (logs, bars) in enumerate(zip(numbers, shares, strict=True)):
        totals = [bar.total(index) for bar in data.bars]
        assert logs.get_xscale() == "log"
        drawn_totals = [xs(line)[0] for line in logs.lines if line.get_marker() != "None"]
        assert drawn_totals == [total for total in totals if total]
        assert [text.get_text() for text in logs.texts if text.get_text()[0].isdigit() or text.get_text() == "none"] == [
            f"{total:,}" if total else "none" for total in totals
        ]
        expected = [(100 * value / bar.total(index), PARTS[part]["hatch"])
                    for bar in data.bars for part, value in enumerate(bar.values[index]) if value]  # fmt: skip
        patches = [patch for patch in bars.patches if isinstance(patch, Rectangle)]
        assert [patch.get_hatch() or "" for patch in patches] == [hatch for _, hatch in expected]
        assert [patch.get_width() for patch in patches] == pytest.approx([share for share, _ in expected])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [bar.implementation for bar in data.bars]


def test_distributions_show_every_process_and_their_number(drawn: Drawn) -> None:
    data, figure = drawn["distribution"]
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title("left") for axes in panels] == [group.group for group in data.groups]
    for axes, group in zip(panels, data.groups, strict=True):
        curves = [line for line in axes.lines if line.get_marker() != "None"]
        assert [len(xs(line)) for line in curves] == [len(one.by_process) for one in group.samples]
        for line, one in zip(curves, group.samples, strict=True):
            assert xs(line) == pytest.approx([value - 1 for value in one.relative])
            assert ys(line) == pytest.approx([number / 6 for number in (1, 2, 3, 4, 5, 6)])
            assert any(sample_words(one) in text.get_text() for text in axes.texts)
            assert sample_words(one).endswith("n = 6")
        assert not [one for one in axes.collections if isinstance(one, PolyCollection)]  # no violins


def test_run_order_shows_every_process_by_time_and_by_number(drawn: Drawn) -> None:
    data, figure = drawn["order"]
    by_time, by_number = figure.axes
    assert {(one.minutes, one.relative) for one in data.values} <= points(by_time)
    assert {(one.number, one.relative) for one in data.values} <= points(by_number)
    markers = {line.get_marker(): line.get_color() for line in by_time.lines if line.get_marker() != "None"}
    drawn_names = {one.name for one in implementations()}
    assert {one.implementation for one in data.values} == drawn_names
    assert markers == {look["marker"]: look["color"] for name, look in looks().items() if name in drawn_names}


def test_nothing_that_is_drawn_leaves_the_figure(drawn: Drawn) -> None:
    for name, (_, figure) in drawn.items():
        assert len(texts_in(figure)) > 10
        assert texts_outside(figure) == [], name


def test_nothing_is_cut_off_by_a_panel(drawn: Drawn) -> None:
    """Marks and lines lie within the limits of their panel; a line that spans it (axhline, axvline) ends on them."""
    for name, (_, figure) in drawn.items():
        for axes in figure.axes:
            (left, right), (bottom, top) = axes.get_xlim(), sorted(axes.get_ylim())
            for line in axes.lines:
                spans = line.get_transform() != axes.transData
                for x, y in zip(xs(line), ys(line), strict=True):
                    assert spans or (left <= x <= right and bottom <= y <= top), (name, axes.get_title("left"), x, y)
                assert spans or not line.get_clip_on() or line.get_marker() == "None", (name, line)


def test_every_log_axis_has_two_labels_or_more(drawn: Drawn) -> None:
    for name, (_, figure) in drawn.items():
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                if axis.get_scale() == "log":
                    assert len(labels_of(axis)) >= 2, (name, axes.get_title("left"))


def test_titles_name_the_scenario(drawn: Drawn) -> None:
    for name, (data, figure) in drawn.items():
        said = [text.get_text() for text in figure.texts]
        kind = kinds.KINDS[name.partition("-")[0]]
        assert said[0] == kind.describe(data).title
        assert getattr(data, "scenario", "") in said[0]
        assert getattr(data, "summary", "") in ("", *said)


def test_one_format_of_numbers(drawn: Drawn) -> None:
    """Thousands have commas, and no number stands in words or with an exponent."""
    for name, (_, figure) in drawn.items():
        figure.draw_without_rendering()
        for text in texts_in(figure):
            said = text.get_text()
            assert not re.search(r"(?<![\d.])\d{5}|\d \d{3}|illion|\d[eE][+-]?\d", said), (name, said)


def test_parts_of_a_whole_differ_in_greyscale() -> None:
    def lightness(color: str) -> float:
        red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    levels = [lightness(part["facecolor"]) for part in PARTS]
    assert levels == sorted(levels)
    assert min(b - a for a, b in pairwise(levels)) > 0.08
    assert all(one["hatch"] != two["hatch"] for one, two in pairwise(PARTS))


def test_a_full_disk_leaves_the_old_file(drawn: Drawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "order.svg").write_text("old", encoding="utf-8")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Exception, match="No space left on device"):
        save(drawn["order"][1], tmp_path / "order", "t", "d")
    assert [path.name for path in tmp_path.iterdir()] == ["order.svg"]
    assert (tmp_path / "order.svg").read_text(encoding="utf-8") == "old"
