"""The figure of the report: what is in it, whatever was measured."""

from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from bench.analysis.reported import REPORTED, REPORTED_SPAN
from bench.analysis.stats import Interval
from bench.figures import inputs
from bench.figures.kinds import prepare
from bench.figures.report.drawing import draw
from bench.figures.report.numbers import Call, Report
from bench.figures.report.words import KERNELS, implementation_words
from bench.figures.style import looks
from bench.runs.record import Counted
from bench.workloads.scenario import SCENARIOS, GiB, MiB
from mmmodel.kernels import IMPLEMENTATIONS
from support.drawn import labels_of, legend_texts, points, texts_outside, xs, ys
from support.sample_run import counted, write_run

SPANS = (1 << 31, 1 << 36, REPORTED_SPAN)
LAYOUT = SCENARIOS["layout"].resized(12 << 40)


def drawn(directory: Path, done: list[Counted]) -> tuple[Report, Figure]:
    """Return the only figure of a run of these, and its numbers."""
    (one,) = prepare(inputs.load_run(write_run(directory / "run", done)), ["report"])
    assert not isinstance(one, inputs.Skipped)
    return one.data, one.draw()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Figure]:
    """Return the figure of a whole report: three spans and a layout."""
    scenarios = [*(SCENARIOS["report"].resized(span) for span in SPANS), LAYOUT]
    done = [counted(scenario, implementation) for scenario in scenarios for implementation in IMPLEMENTATIONS]
    return drawn(tmp_path_factory.mktemp("whole"), done)


def crosses_in(axes: Any) -> list[tuple[float, float]]:
    """Return where real kernels are marked."""
    return [(xs(line)[0], ys(line)[0]) for line in axes.lines if line.get_marker() == "x"]


def test_both_panels_show_every_number(whole: tuple[Report, Figure]) -> None:
    data, figure = whole
    time_axes, entry_axes = figure.axes
    assert len(data.all_calls) == 4 * len(IMPLEMENTATIONS)
    for axes, field in ((time_axes, "seconds.estimate"), (entry_axes, "nr_entries")):
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        shown = points(axes)
        for call in data.all_calls:
            assert (float(call.span), float(attrgetter(field)(call))) in shown, call
    ends = {y for line in time_axes.lines for y in ys(line)}
    assert {end for call in data.all_calls for end in (call.seconds.low, call.seconds.high)} <= ends


def test_the_reports_span_the_program_and_the_real_kernels_are_marked(whole: tuple[Report, Figure]) -> None:
    _, figure = whole
    time_axes, entry_axes = figure.axes
    assert set(crosses_in(time_axes)) == {(REPORTED_SPAN, one.seconds) for one in REPORTED}
    for axes in (time_axes, entry_axes):
        places = {xs(line)[0] for line in axes.lines if line.get_transform() != axes.transData}
        assert places == {REPORTED_SPAN, LAYOUT.span}
        assert {"the report", LAYOUT.layout} <= {text.get_text() for text in axes.texts}
    assert legend_texts(figure) == [*map(implementation_words, IMPLEMENTATIONS), KERNELS]


def test_a_programs_points_have_no_line(whole: tuple[Report, Figure]) -> None:
    for axes in whole[1].axes:
        alone = [line for line in axes.lines if xs(line) == [LAYOUT.span]]
        assert len(alone) == len(IMPLEMENTATIONS)
        assert {line.get_linestyle() for line in alone} == {"None"}


def test_the_most_and_the_least_at_the_reports_span_stand_beside_their_points(whole: tuple[Report, Figure]) -> None:
    entries = sorted(call.nr_entries for call in whole[0].at_reported_span())
    said = {text.get_text(): text.xy for text in whole[1].axes[1].texts if isinstance(text, Annotation)}
    for value in (entries[0], entries[-1]):
        assert said[f"{value:,}"] == (REPORTED_SPAN, value)


@pytest.mark.parametrize(
    ("scenario", "span", "implementations"),
    [
        ("thp", 4 * MiB, ["page-walk"]),
        ("sparse-2MiB", 64 * GiB, list(IMPLEMENTATIONS)),
        ("report", GiB, ["page-walk"]),
        ("report", REPORTED_SPAN, ["page-walk"]),
        ("report", 4096, list(IMPLEMENTATIONS)),
    ],
)
def test_one_span_has_labelled_axes_and_no_marks_from_far_away(
    tmp_path: Path, scenario: str, span: int, implementations: list[str]
) -> None:
    done = [counted(SCENARIOS[scenario].resized(span), implementation) for implementation in implementations]
    data, figure = drawn(tmp_path, done)
    time_axes, entry_axes = figure.axes
    for axis in (time_axes.xaxis, time_axes.yaxis, entry_axes.xaxis, entry_axes.yaxis):
        assert len(labels_of(axis)) >= 2
    assert texts_outside(figure) == []
    most = max(call.seconds.high for call in data.calls)
    assert most < time_axes.get_ylim()[1] < 10 * most
    assert crosses_in(time_axes) == []
    assert legend_texts(figure) == [implementation_words(name) for name in implementations]


def test_layouts_alone_have_a_figure(tmp_path: Path) -> None:
    data, figure = drawn(tmp_path, [counted(LAYOUT, implementation) for implementation in IMPLEMENTATIONS])
    assert data.name == "report-layout"
    assert figure.texts[0].get_text() == f"munlockall() on the address space of {LAYOUT.layout}"


def test_a_count_of_zero_is_left_out_not_invented() -> None:
    calls = tuple(Call("page-walk", span, Interval(1.0, 1.0, 1.0), 3, 0) for span in SPANS)
    time_axes, entry_axes = draw(Report("report", "report", "", calls, (), ())).axes
    assert [len(xs(line)) for line in time_axes.lines if line.get_marker() != "None"] == [len(SPANS)]
    assert [line for line in entry_axes.lines if line.get_marker() != "None"] == []


def test_implementations_differ_in_more_than_colour() -> None:
    for key in ("color", "marker", "linestyle"):
        assert len({str(look[key]) for look in looks().values()}) == len(looks())


def luminance(color: str) -> float:
    """Return the relative luminance of a colour, as WCAG has it."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_implementations_differ_in_greyscale_and_all_are_clear_on_white() -> None:
    levels = sorted(luminance(look["color"]) for look in looks().values())
    assert min((two + 0.05) / (one + 0.05) for one, two in pairwise(levels)) > 1.4
    assert 1.05 / (levels[-1] + 0.05) >= 3  # WCAG 2.1, 1.4.11: graphical objects


def test_where_implementations_coincide_every_marker_remains_visible() -> None:
    """Of two markers one is open, or the later is smaller."""
    for first, second in pairwise(looks().values()):
        assert "none" in (first.get("markerfacecolor"), second.get("markerfacecolor"))
        assert first["markersize"] != second["markersize"]
    assert max(look["linewidth"] for look in looks().values()) <= 1.5
