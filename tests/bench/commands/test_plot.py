"""The figure of `report`: what is in it, and that the same rows give the same bytes."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from matplotlib.lines import Line2D

from bench.analysis.report_rows import Row
from bench.analysis.reported import REPORTED
from bench.figures import drawing
from bench.figures.report.drawing import report_figure
from bench.figures.style import LOOKS
from support.rows import report_rows


def lines_and_layouts() -> tuple[list[Row], list[Row]]:
    rows = report_rows()
    return [row for row in rows if row.scenario == "report"], [row for row in rows if row.scenario == "layout"]


def test_both_panels_show_every_number() -> None:
    lines, layouts = lines_and_layouts()
    time_axes, entry_axes = report_figure(lines, layouts, "report").axes
    for axes, field in ((time_axes, "seconds"), (entry_axes, "nr_entries")):
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        shown = {(float(x), float(y)) for line in axes.lines for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)}
        for row in (*lines, *layouts):
            assert (float(row.span), float(getattr(row, field))) in shown, row


def test_the_reports_point_and_the_real_kernels_are_marked() -> None:
    lines, layouts = lines_and_layouts()
    time_axes, entry_axes = report_figure(lines, layouts, "report").axes
    crosses = {float(line.get_ydata()[0]) for line in time_axes.lines if line.get_marker() == "x"}
    assert crosses == {one.seconds for one in REPORTED}
    for axes in (time_axes, entry_axes):
        assert any(set(line.get_xdata()) == {1 << 41} and line.get_linestyle() != "None" for line in axes.lines)
        assert "the report" in {text.get_text() for text in axes.texts}


def test_no_scenario_but_the_report_is_marked() -> None:
    lines, _ = lines_and_layouts()
    time_axes, _ = report_figure(lines, [], "dense").axes
    assert not [line for line in time_axes.lines if line.get_marker() == "x"]


def test_implementations_differ_in_more_than_colour() -> None:
    for key in ("color", "marker", "linestyle"):
        assert len({str(look[key]) for look in LOOKS.values()}) == len(LOOKS)


def test_implementations_differ_in_greyscale() -> None:
    def lightness(color: str) -> float:
        red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    levels = sorted(lightness(look["color"]) for look in LOOKS.values())
    assert min(b - a for a, b in pairwise(levels)) > 0.1


def test_a_count_of_zero_is_left_out_not_invented() -> None:
    import msgspec

    lines, _ = lines_and_layouts()
    zero = [msgspec.structs.replace(row, nr_entries=0) for row in lines if row.implementation == "page-walk"]
    rest = [row for row in lines if row.implementation != "page-walk"]
    _, entry_axes = report_figure(rest + zero, [], "report").axes
    shown: list[Line2D] = [line for line in entry_axes.lines if line.get_marker() == "o"]
    assert shown == []


def test_files_are_byte_identical_in_another_process(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "import matplotlib; matplotlib.rcParams['lines.linewidth'] = 9  # the user's own style\n"
        "from support.rows import report_rows; from bench.figures import drawing\n"
        "drawing.draw_report(report_rows(), Path(sys.argv[1]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    files = drawing.draw_report(report_rows(), one)
    subprocess.run([sys.executable, "-c", program, str(two)], env=environment, check=True)
    assert [file.name for file in files] == ["report.svg", "report.png"]
    for file in files:
        assert file.read_bytes() == (two / file.name).read_bytes(), file.name


def test_files_carry_no_date_and_a_text_alternative(tmp_path: Path) -> None:
    svg, png = drawing.draw_report(report_rows(), tmp_path)
    text = svg.read_text(encoding="utf-8")
    assert "dc:date" not in text
    assert "per-page at 2 TiB" in text
    assert b"Software" not in png.read_bytes()


def test_a_layout_alone_has_its_own_figure(tmp_path: Path) -> None:
    _, layouts = lines_and_layouts()
    assert [file.name for file in drawing.draw_report(layouts, tmp_path)] == ["layout.svg", "layout.png"]
