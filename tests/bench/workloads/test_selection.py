"""From words of a command line to points: layouts whose files have one name."""

import argparse
import shutil
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.workloads import layout, selection
from bench.workloads.scenario import Point, size_part

SHIPPED = Path(layout.__file__).parents[1] / "data" / "layouts"


def placed(tmp_path: Path, **shipped: str) -> list[str]:
    """Copy shipped layouts to other places, "a__app" for a/app; return their paths."""
    paths = []
    for place, name in shipped.items():
        path = tmp_path.joinpath(*place.split("__")).with_suffix(".json.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SHIPPED / f"{name}.json.gz", path)
        paths.append(str(path))
    return paths


def names(*words: str) -> list[str]:
    """Return the third parts of the names of the layouts that are asked for."""
    found = selection.scenarios(argparse.Namespace(scenario=[], size=[], levels="4", layout=list(words)))
    assert all(layout.load(one.layout).digest == one.layout_digest for one in found)
    return [size_part(one) for one in found]


def test_one_that_is_alone_has_its_files_name(tmp_path: Path) -> None:
    (path,) = placed(tmp_path, h1__app="sbcl")
    assert names(path) == ["app"]
    assert names(path, "go119", "sbcl") == ["app", "go119", "sbcl"]


def test_those_of_one_name_are_told_apart_by_the_shortest_part_of_their_paths(tmp_path: Path) -> None:
    first, second, other = placed(tmp_path, h1__app="sbcl", h2__app="go119", h2__tool="redis7")
    assert names(first, second, other) == ["h1-app", "h2-app", "tool"]
    deep = placed(tmp_path, x__run__app="sbcl", y__run__app="go119", z__other__app="redis7")
    assert names(*deep[:2]) == ["x-run-app", "y-run-app"]
    assert names(*deep) == ["x-run-app", "y-run-app", "z-other-app"]
    (file,) = placed(tmp_path, own__go119="sbcl")
    assert names("go119", file) == ["go119", "own-go119"]


def test_the_name_is_part_of_the_work_and_the_place_is_not(tmp_path: Path) -> None:
    first, second = placed(tmp_path / "one", h1__app="sbcl", h2__app="go119")
    moved, _ = placed(tmp_path / "two", h1__app="sbcl", h2__app="go119")
    asked = argparse.Namespace(scenario=[], size=[], levels="4", layout=[first, second])
    digests = [Point(one, "per-page").digest for one in selection.scenarios(asked)]
    asked.layout = [moved, second]
    assert [Point(one, "per-page").digest for one in selection.scenarios(asked)] == digests
    asked.layout = [first]
    assert Point(selection.scenarios(asked)[0], "per-page").digest not in digests


def test_one_file_twice_is_still_refused(tmp_path: Path) -> None:
    first, copy, other = placed(tmp_path, h1__app="sbcl", h2__app="sbcl", h3__app="go119")
    with pytest.raises(UsageError, match="layout/app is asked for twice"):
        names(first, copy)
    assert names(first, copy, other) == ["h1-app", "h2-app", "h3-app"]


def test_what_no_part_of_their_paths_tells_apart_is_refused(tmp_path: Path) -> None:
    paths = placed(tmp_path, **{"h 1__app": "sbcl", "h:1__app": "go119"})
    with pytest.raises(UsageError, match="would both be named app"):
        names(*paths)
    paths = placed(tmp_path, **{"h1__app": "sbcl", "h2__app": "go119", "h1-app": "redis7"})
    with pytest.raises(UsageError, match="would both be named h1-app"):
        names(*paths)
