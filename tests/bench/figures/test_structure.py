"""Every figure of `plot`: scales, labels, legends, and that what is drawn is what the numbers say."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from bench import figures
from bench.analysis.reported import REPORTED, REPORTED_SPAN
from bench.figures import captions, drawing, inputs
from bench.figures.style import LOOKS, PARTS
from support import sample_run

Drawn = dict[str, tuple[figures.Prepared, Figure]]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Return every figure of the made-up run, with its numbers."""
    run = inputs.load_run(sample_run.write_run(tmp_path_factory.mktemp("results") / "sample"))
    return {one.name: (one, drawing.draw(one)) for one in figures.prepare(run)}


def points(axes: Axes) -> set[tuple[float, float]]:
    """Return every point of every line of a panel."""
    return {(float(x), float(y)) for line in axes.lines for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}


def legend_texts(figure: Figure) -> set[str]:
    """Return what the legends of a figure say."""
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    return {text.get_text() for legend in legends for text in legend.get_texts()}


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
    assert {y for curve in data.curves for y in (*curve.seconds.low, *curve.seconds.high)} <= {y for _, y in points(time_axes)}


def test_the_legend_of_scaling_has_the_exponents(drawn: Drawn) -> None:
    data, figure = drawn["scaling-report"]
    said = legend_texts(figure)
    for curve in data.curves:
        for cost in (curve.seconds, curve.entries):
            assert f"{curve.implementation}: k = {captions.exponent_words(cost.exponent)}" in said
    assert "real kernels, as reported in 2021 (not measured here)" in said


def test_scaling_marks_what_real_kernels_took(drawn: Drawn) -> None:
    time_axes = drawn["scaling-report"][1].axes[0]
    crosses = {(float(*line.get_xdata()), float(*line.get_ydata())) for line in time_axes.lines if line.get_marker() == "x"}
    assert crosses == {(REPORTED_SPAN, one.seconds) for one in REPORTED}


def test_ratios_have_their_intervals_and_a_line_at_one(drawn: Drawn) -> None:
    data, figure = drawn["ratio"]
    time_axes, entry_axes = figure.axes[:2]
    shown = points(time_axes)
    for axes in (time_axes, entry_axes):
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        assert any(set(line.get_ydata()) == {1.0} and len(line.get_ydata()) == 2 for line in axes.lines)
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
        (crossing,) = one.crossings
        place = captions.percent(crossing.fraction)
        assert f"{one.slower} / {one.faster}: times cross at {place} of pages in memory" in said


def test_a_ratio_that_does_not_cross_says_so(drawn: Drawn) -> None:
    data, _ = drawn["ratio"]
    ratios = tuple(msgspec.structs.replace(one, crossings=()) for one in data.ratios)
    figure = drawing.draw(msgspec.structs.replace(data, ratios=ratios))
    assert all(text.endswith(": no crossover of times in this range") for text in legend_texts(figure))


def test_bars_of_costs_are_shares_in_a_fixed_order(drawn: Drawn) -> None:
    data, figure = drawn["cost"]
    assert [axes.get_title("left") for axes in figure.axes] == [phase.title for phase in data.phases]
    for index, axes in enumerate(figure.axes):
        bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        expected = [(100 * value / bar.total(index), PARTS[part]["hatch"])
                    for bar in data.bars for part, value in enumerate(bar.values[index]) if value]  # fmt: skip
        assert [bar.get_hatch() or "" for bar in bars] == [hatch for _, hatch in expected]
        assert [bar.get_width() for bar in bars] == pytest.approx([share for share, _ in expected])
        totals = [text.get_text() for text in axes.texts if text.get_text()[0].isdigit() or text.get_text() == "none"]
        assert totals == [f"{bar.total(index):,}" if bar.total(index) else "none" for bar in data.bars]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [bar.implementation for bar in data.bars]


def test_distributions_show_every_process_and_their_number(drawn: Drawn) -> None:
    data, figure = drawn["distribution"]
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title("left") for axes in panels] == [group.group for group in data.groups]
    for axes, group in zip(panels, data.groups, strict=True):
        curves = [line for line in axes.lines if line.get_marker() != "None"]
        assert [len(line.get_xdata()) for line in curves] == [len(one.means) for one in group.samples]
        for line, one in zip(curves, group.samples, strict=True):
            assert list(line.get_xdata()) == pytest.approx([value - 1 for value in one.relative])
            assert line.get_ydata()[-1] == 1
            assert any(f"n = {len(one.means)}" in text.get_text() for text in axes.texts)
        assert not [one for one in axes.collections if isinstance(one, PolyCollection)]  # no violins


def test_run_order_shows_every_process_by_time_and_by_number(drawn: Drawn) -> None:
    data, figure = drawn["order"]
    by_time, by_number = figure.axes
    assert {(one.minutes, one.relative) for one in data.values} <= points(by_time)
    assert {(one.number, one.relative) for one in data.values} <= points(by_number)
    markers = {line.get_marker(): line.get_color() for line in by_time.lines if line.get_marker() != "None"}
    assert markers == {look["marker"]: look["color"] for look in LOOKS.values()}


def texts_of(axes: Axes) -> Iterator[Text]:
    """Yield every text of a panel; of tick labels those within its limits, since others are not drawn."""
    yield from axes.texts
    yield axes._left_title
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        yield axis.label
        yield from (tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high)


def test_nothing_that_is_drawn_leaves_the_figure(drawn: Drawn) -> None:
    for name, (_, figure) in drawn.items():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        width, height = canvas.get_width_height()
        texts = [text for axes in figure.axes if axes.get_visible() for text in texts_of(axes)]
        texts += [text for legend in figure.legends for text in legend.get_texts()]
        assert len(texts) > 10
        for text in texts:
            if text.get_text() and text.get_visible():
                box = text.get_window_extent()
                assert box.x0 >= 0 <= box.y0, (name, text.get_text(), box)
                assert box.x1 <= width, (name, text.get_text(), box)
                assert box.y1 <= height, (name, text.get_text(), box)


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
        drawing.save(drawn["order"][1], tmp_path / "order", "t", "d")
    assert [path.name for path in tmp_path.iterdir()] == ["order.svg"]
    assert (tmp_path / "order.svg").read_text(encoding="utf-8") == "old"
