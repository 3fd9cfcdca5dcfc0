"""The figure of a scan: calls down, kernels across, on made-up kernels."""

import pytest
from matplotlib.colors import to_rgb

from bench import environment
from bench.figures.inputs import Skipped
from bench.figures.kinds import KERNEL_KINDS
from bench.figures.scan.drawing import draw
from bench.figures.scan.numbers import Offences, prepare
from bench.scan.results import KernelScan, Scan
from support.drawn import texts_in, texts_outside
from support.fake_scan import PAGE, PMD, Cost, Fake, constant, per, per_axis, scanned

LAWS: dict[str, Cost] = {
    "munmap": constant,
    "core dump": per(PAGE, 120.0),
    "mremap move": per(PMD, 60.0),
    "mincore": per(PAGE, 9.0),
    "fork": per_axis("pages", 70.0),
}


def kept(*kernels: KernelScan) -> Scan:
    """Return a scan as it is kept."""
    return Scan(1, "scan", "", "", environment.machine_facts(), kernels)


def test_calls_are_sorted_by_what_they_cost_and_those_that_depend_on_nothing_are_left_out() -> None:
    (found,) = prepare(kept(scanned(Fake(LAWS, name="5.10")), scanned(Fake({**LAWS, "munmap": per(PAGE, 9.0)}, name="6.1"))))
    assert isinstance(found, Offences)
    assert [name for name, _ in found.calls] == ["core dump", "munmap", "mremap move", "mincore", "fork"]
    assert found.calls[0][1][0].per_page == pytest.approx(120.0)
    assert found.calls[2][1][0].per_page == pytest.approx(60.0 / 512)
    assert [cell.per_page for cell in found.calls[1][1]] == [None, pytest.approx(9.0)]
    (alone,) = prepare(kept(scanned(Fake(LAWS))))
    assert isinstance(alone, Offences) and alone.same == ("munmap",)


def test_kernels_of_another_unit_have_no_place() -> None:
    (found,) = prepare(kept(scanned(Fake(LAWS, name="6.1")), scanned(Fake(LAWS, unit="seconds", name="host"))))
    assert isinstance(found, Offences) and found.kernels == ("6.1",)


def test_every_cell_says_in_words_what_its_colour_shows() -> None:
    (found,) = prepare(kept(scanned(Fake(LAWS, name="5.10")), scanned(Fake(LAWS, name="6.1"))))
    assert isinstance(found, Offences)
    figure = draw(found)
    said = [text.get_text() for text in texts_in(figure)]
    assert said.count("120 a 4 KiB") == 2 and "60 a 2 MiB" in said and "output" in said and "pages" in said
    assert texts_outside(figure) == []


def test_dearer_is_darker_also_in_grey() -> None:
    (found,) = prepare(kept(scanned(Fake(LAWS))))
    assert isinstance(found, Offences)
    (axes,) = draw(found).axes
    shades = {}
    for patch, (name, _) in zip(axes.patches, found.calls, strict=True):
        red, green, blue = to_rgb(patch.get_facecolor())
        shades[name] = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    assert shades["core dump"] < shades["mincore"] < shades["mremap move"] < shades["fork"] == 1.0


def test_nothing_scanned_is_no_figure() -> None:
    assert [type(one) for one in prepare(kept())] == [Skipped]
    assert [type(one) for one in prepare(kept(scanned(Fake({"munmap": constant}))))] == [Skipped]
    assert "scan" in KERNEL_KINDS
