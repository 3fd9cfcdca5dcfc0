"""Several runs of which one is bad: its name is in the line that says so, wherever it stands, and nothing is written."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bench.__main__ import main
from bench.runs import storage
from support import kept

HALF = 0.5


def cut(path: Path) -> None:
    """Leave half of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * HALF)])


def of_another_schema(path: Path) -> None:
    """Write a schema that is not known."""
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | {"schema": 99}))


def twice(path: Path) -> None:
    """Have the first point twice."""
    content = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode(content | {"points": [*content["points"], content["points"][0]]}))


DAMAGE: dict[str, tuple[str, Callable[[Path], None]]] = {
    "half of the counters": (storage.COUNTERS_FILE, cut),
    "half of the times": (storage.WALL_FILE, cut),
    "another schema": (storage.COUNTERS_FILE, of_another_schema),
    "a point twice": (storage.COUNTERS_FILE, twice),
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three runs of the same points, good ones."""
    points = [kept.point(one, span) for one in ("per-page", "page-walk") for span in (1 << 26, 1 << 27, 1 << 28, 1 << 29)]
    for name in ("one", "two", "three"):
        whole = [kept.counted(one, one.scenario.span >> 12) for one in points]
        kept.write(tmp_path / "results" / name, whole, [kept.timed(one, [[1.0, 1.1]] * 3) for one in points])
    return tmp_path / "results"


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("place", range(3))
def test_one_bad_run_of_several(damage: str, place: int, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["one", "two", "three"]
    file, harm = DAMAGE[damage]
    harm(results / names[place] / file)
    before = sorted(results.parent.rglob("*"))
    plots = results.parent / "plots"
    asked = [["plot", *names, "--plots", str(plots)]]
    asked += [["compare", *pair] for pair in (names[:2], names[1:], [names[0], names[2]]) if names[place] in pair]
    asked += [["table", names[place]]]
    for words in asked:
        assert main([*words, "--results", str(results)]) in (2, 3)
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert str(results / names[place]) in err
    assert sorted(results.parent.rglob("*")) == before
    good = [name for name in names if name != names[place]]
    assert main(["compare", *good, "--results", str(results)]) == 0


@pytest.mark.parametrize("place", range(2))
def test_one_run_that_is_not_there(place: int, results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["one", "two"]
    names[place] = "nosuch"
    for words in (["plot", *names, "--plots", str(results.parent / "plots")], ["compare", *names]):
        assert main([*words, "--results", str(results)]) in (2, 3)
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1) and "nosuch" in err
    assert not (results.parent / "plots").exists()
