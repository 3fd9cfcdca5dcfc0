"""The page of figures: what is in it, escaping, and that it needs nothing from elsewhere."""

import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from bench.__main__ import main
from bench.figures import inputs, kinds, page, words
from bench.runs.loaded import slug
from bench.workloads.scenario import SCENARIOS
from mmmodel.kernels import IMPLEMENTATIONS
from support import sample_run
from support.drawn import existing
from support.sample_run import write_run

HOSTILE = "</title><script>alert('1')</script><img src=http://x.invalid/ onerror=\"x\">&amp;$\\frac{$\x1b[31m\u202e\u4e2d"
VOID = {"meta", "img", "link", "br"}


class Reader(HTMLParser):
    """Reads a page strictly: every element is closed in its place."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the figures of the made-up run, made by the command."""
    base = tmp_path_factory.mktemp("plotted")
    run = write_run(base / "results" / "sample")
    assert main(["plot", str(run), "--plots", str(base / "plots")]) == 0
    return base


def test_every_figure_is_in_the_page_with_its_tables(written: Path) -> None:
    run = inputs.load_run(written / "results" / "sample")
    reader = Reader((written / "plots" / "index.html").read_text(encoding="utf-8"))
    prepared = [one.words() for one in existing(kinds.prepare(run))]
    assert [image["src"] for image in reader.all("img")] == [f"sample/{one.name}.svg" for one in prepared]
    assert all(image["alt"] for image in reader.all("img"))
    for image in reader.all("img"):
        assert (written / "plots" / str(image["src"])).is_file()
    for one in prepared:
        assert {one.caption, one.alternative} <= set(reader.text)
        for table in one.tables:
            assert {cell for row in table.rows for cell in row} | set(table.heads) <= set(reader.cells)
    assert {"python -m bench sample", "made up"} <= set(reader.text) | set(reader.cells)


def test_counters_and_times_are_told_apart(written: Path) -> None:
    text = (written / "plots" / "index.html").read_text(encoding="utf-8")
    prepared = existing(kinds.prepare(inputs.load_run(written / "results" / "sample")))
    shown = {said.name: said.kind for said in (one.words() for one in prepared)}
    assert shown["cost"] == words.EXACT
    assert shown["order"] == shown["distribution"] == words.TIMES
    for kind in shown.values():
        assert f"Shows {kind}." in text


def test_the_page_is_accessible(written: Path) -> None:
    reader = Reader((written / "plots" / "index.html").read_text(encoding="utf-8"))
    assert reader.all("html") == [{"lang": "en"}]
    assert len(reader.all("table")) == len(reader.all("caption"))
    assert {head.get("scope") for head in reader.all("th")} == {"col", "row"}
    ids = [str(attributes["id"]) for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    keys = ("aria-labelledby", "aria-describedby")
    named = {attributes[key] for _, attributes in reader.tags for key in keys if key in attributes}
    assert named <= set(ids)
    assert {str(link["href"]).removeprefix("#") for link in reader.all("a") if str(link["href"]).startswith("#")} <= set(ids)


def test_the_page_needs_nothing_from_elsewhere(written: Path) -> None:
    reader = Reader((written / "plots" / "index.html").read_text(encoding="utf-8"))
    assert not reader.all("script") + reader.all("link") + reader.all("iframe")
    targets = [attributes[key] for _, attributes in reader.tags for key in ("src", "href") if key in attributes]
    assert targets
    assert not [target for target in targets if ":" in str(target) or str(target).startswith("/")]


def test_figures_say_in_words_what_they_show(written: Path) -> None:
    space = "{http://www.w3.org/2000/svg}"
    for one in existing(kinds.prepare(inputs.load_run(written / "results" / "sample"))):
        said = one.words()
        svg = written / "plots" / "sample" / f"{said.name}.svg"
        root = ET.parse(svg).getroot()
        assert [child.tag for child in root][:2] == [f"{space}title", f"{space}desc"]
        assert [child.text for child in root][:2] == [said.title, said.alternative]


def test_whatever_comes_out_of_files_is_escaped(tmp_path: Path) -> None:
    name = '<b>&"x y'
    scenarios = [msgspec.structs.replace(SCENARIOS["report"].resized(1 << shift), name="x<&$\\frac{$", summary=HOSTILE)
                 for shift in (31, 32, 33)]  # fmt: skip
    done = [sample_run.counted(one, implementation) for one in scenarios for implementation in IMPLEMENTATIONS]
    run = write_run(tmp_path / name, done, command=HOSTILE, machine={HOSTILE: HOSTILE})
    assert main(["plot", str(run), "--plots", str(tmp_path / "plots")]) == 0
    text = (tmp_path / "plots" / "index.html").read_text(encoding="utf-8")
    reader = Reader(text)
    assert not reader.all("script")
    assert {str(image["src"]).split("/")[0] for image in reader.all("img")} == {slug(name)}
    assert "alert('1')" in "".join(reader.text)  # it is there, as text
    assert not {"\x1b", "\u202e"} & set(text)
    for svg in (tmp_path / "plots").rglob("*.svg"):
        assert {child.tag.rpartition("}")[2] for child in ET.parse(svg).getroot()} <= {"title", "desc", "metadata", "defs", "g"}


def test_a_page_of_two_runs_keeps_them_apart(written: Path) -> None:
    run = inputs.load_run(written / "results" / "sample")
    said = existing(kinds.prepare(run, ["cost"]))[0].words()
    shown = {name: page.Shown(said, f"{name}/a.svg") for name in ("one", "two")}
    runs = {name: msgspec.structs.replace(run, name=name) for name in shown}
    reader = Reader(page.render([page.Section(runs[name], (shown[name],), ()) for name in shown]))
    ids = [str(attributes["id"]) for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [image["src"] for image in reader.all("img")] == ["one/a.svg", "two/a.svg"]


def test_what_is_skipped_is_said_on_the_page_and_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "counted", timed=False)
    assert main(["plot", str(run), "--plots", str(tmp_path / "plots")]) == 0
    out = capsys.readouterr().out
    text = "".join(Reader((tmp_path / "plots" / "index.html").read_text(encoding="utf-8")).text)
    for kind in ("report", "scaling", "ratio", "distribution", "order"):
        assert f"skipped: {kind} of counted: it needs" in out
        assert f"{kind}: it needs" in text
