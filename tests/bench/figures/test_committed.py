"""plots/ as it is committed: what the code makes of results/reference, and small."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib as mpl
import pytest

from bench.__main__ import main
from bench.figures.style import CREATOR

ROOT = Path(__file__).parents[3]
PLOTS = ROOT / "plots"
REMAKE = "python3 run.py plot reference"
MOST_BYTES = 1_100_000
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with what the command makes now."""
    directory = tmp_path_factory.mktemp("plots")
    assert main(["plot", str(ROOT / "results" / "reference"), "--plots", str(directory)]) == 0
    return directory


def kept_files(directory: Path) -> list[str]:
    """Return what of a directory of figures is committed: all but PNG files, which are large."""
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.suffix in (".svg", ".html"))


def creator(svg: bytes) -> str:
    """Return which program made an SVG file."""
    found = re.search(rb"<dc:creator>.*?<dc:title>(.*?)</dc:title>", svg, re.DOTALL)
    return found[1].decode() if found else ""


def difference(committed: bytes, made: bytes) -> str:
    """Return what a figure says or shows otherwise than the code does; "" if nothing.

    The same matplotlib makes the same bytes. Another places letters and marks a little otherwise: then size and words are
    compared, and those hold every number that is drawn.
    """
    if creator(committed) == creator(made):
        return "" if committed == made else "bytes"
    one, two = ET.fromstring(committed), ET.fromstring(made)
    for name in ("width", "height", "viewBox"):
        if one.get(name) != two.get(name):
            return name
    return next((tag for tag in ("title", "desc") if one.findtext(SVG + tag) != two.findtext(SVG + tag)), "")


def test_the_same_files_are_made(made: Path) -> None:
    assert kept_files(PLOTS) == kept_files(made), f"run: {REMAKE}"


def test_the_page_is_what_the_code_makes(made: Path) -> None:
    assert (PLOTS / "index.html").read_text(encoding="utf-8") == (made / "index.html").read_text(encoding="utf-8"), REMAKE


def test_the_figures_are_what_the_code_draws(made: Path) -> None:
    figures = [name for name in kept_files(made) if name.endswith(".svg")]
    assert len(figures) >= 6
    for name in figures:
        assert difference((PLOTS / name).read_bytes(), (made / name).read_bytes()) == "", f"{name}; run: {REMAKE}"


def test_a_figure_that_is_not_what_the_code_draws_is_noticed(made: Path) -> None:
    svg = (made / "reference" / "report.svg").read_bytes()
    assert creator(svg) == CREATOR == f"Matplotlib {mpl.__version__}"
    other = svg.replace(CREATOR.encode(), b"Matplotlib 0.1")
    assert difference(svg, svg) == difference(other, svg) == ""
    assert difference(svg.replace(b"#C24E00", b"#C24E01").replace(b"#c24e00", b"#c24e01"), svg) == "bytes"
    assert difference(re.sub(rb"536,870,912 entries", b"536,870,913 entries", other), svg) == "desc"
    assert difference(other.replace(b"munlockall() on report", b"munlockall() on reports"), svg) == "title"
    assert difference(re.sub(rb'width="[\d.]+pt"', b'width="1pt"', other, count=1), svg) == "width"


def test_figures_have_a_white_ground_and_are_small(made: Path) -> None:
    """On a dark page black letters on nothing cannot be read."""
    for name in kept_files(made):
        if name.endswith(".svg"):
            (ground,) = re.findall(rb'<g id="patch_1">\n<path d="[^"]*"\s*style="fill: (#\w+)"/>', (made / name).read_bytes())
            assert ground == b"#ffffff", name
    assert sum((made / name).stat().st_size for name in kept_files(made)) < MOST_BYTES
