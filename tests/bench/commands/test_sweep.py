"""The sweep command: its grid, its names, what it refuses, and one small sweep for real."""

from pathlib import Path

import pytest

from bench.__main__ import main
from bench.commands import sweep
from bench.measuring.collect import Request
from bench.runs import storage
from bench.targets import model, registry
from bench.workloads import scenario
from bench.workloads.scenario import Point
from support.collecting import Log, log

__all__ = ["log"]


def request(*arguments: str) -> Request:
    return sweep.read_request(sweep._parse(arguments))


def names(*arguments: str) -> list[str]:
    return [point.name for point in request(*arguments).points]


def test_the_grid_is_every_combination_once() -> None:
    found = names("--span", "4MiB,16MiB", "--populate", "none,64KiB", "--pattern", "every,head", "--impl", "page-walk,per-page")
    assert found == [
        f"munlockall/{scenario}/{size}/{implementation}"
        for scenario in ("report", "sparse-64KiB", "head-64KiB")
        for size in ("4MiB", "16MiB")
        for implementation in ("per-page", "page-walk")
    ]
    operations = names("--span", "4MiB", "--populate", "none", "--impl", "page-walk", "--op", "exit,munmap", "--op", "mmap")
    assert operations == [f"{name}/report/4MiB/page-walk" for name in ("munmap", "exit", "mmap")]


def test_the_default_grid_fits_and_has_names_of_its_own() -> None:
    points = request().points
    assert len({point.name for point in points}) == len(points) == 36
    for point in points:
        assert model.needed_bytes(point) < 1 << 30


def test_names_find_the_same_scenario_again() -> None:
    patterns = ("--span", "4MiB", "--populate", "4KiB,64KiB", "--pattern", "every,random,head")
    for seed in ("1", "7"):
        for point in request(*patterns, "--seed", seed).points:
            assert scenario.find(point.scenario.name).resized(4 << 20) == point.scenario
    assert "munlockall/random-64KiB-seed7/4MiB/page-walk" in names(*patterns, "--seed", "7")


def test_the_line_asks_for_the_same() -> None:
    line = ("--span=1<<22", "--populate=65536,none", "--pattern=random", "--seed=7", "--values=2", "--counters-only")
    one = request(*line, "--results", "/elsewhere", "--scheduler", "tcp://127.0.0.1:8786", "--fresh")
    words = one.line.split()[4:]
    assert " ".join(words[:6]) == "--span 4MiB --populate 64KiB,none --pattern random"
    assert request(*words) == one == request(*line)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--span", "huge"], "size 'huge' is no number"),
        (["--span", "2GiB,"], "--span has an empty word"),
        (["--span", "2GiB,2048MiB"], "--span names the same twice"),
        (["--span", "128TiB"], "larger than the address space"),
        (["--span", "16MiB", "--populate", "1GiB"], "--populate 1GiB is more than a span of 16MiB"),
        (["--populate", "0"], "size '0' is zero"),
        (["--populate", "some"], "size 'some' is no number"),
        (["--populate", "none,none"], "--populate names the same twice"),
        (["--populate", "1000"], "not a multiple of the page size"),
        (["--pattern", "odd"], "unknown pattern 'odd'; known are every, random, head"),
        (["--seed", "-1"], "seed '-1' is no whole number"),
        (["--seed", "x"], "seed 'x' is no whole number"),
        (["--impl", "fast"], "unknown implementation 'fast'"),
        (["--op", "touch"], "touch is not for a sweep"),
        (["--op", "mmap"], "mmap finds nothing in memory"),
        (["--op", "munlock-part", "--span", "8KiB", "--populate", "none"], "munlock-part needs a span of at least 16384 bytes"),
        (["--processes", "0"], "must be at least 1"),
        (["--span", "64TiB", "--populate", "4KiB"], "of memory, and"),
        (["--results", "/dev/null"], "cannot write to directory /dev/null"),
        (["2GiB"], "unrecognized arguments: 2GiB"),
    ],
)
def test_bad_grids_are_refused_before_anything_runs(
    arguments: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], log: Log
) -> None:
    assert main(["sweep", "--results", str(tmp_path / "results"), *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert line in err
    assert log.counted == []
    assert list(tmp_path.iterdir()) == []


def test_a_small_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--span", "2MiB", "--populate", "64KiB", "--impl", "page-walk", "--processes", "1", "--values", "2"]
    assert main(["sweep", *arguments, "--wide", "--results", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    (directory,) = tmp_path.iterdir()
    assert out.splitlines()[-1] == f"raw data: {directory}"
    for word in ("munlockall", "sparse-64KiB", "page-walk", "2 MiB", "32"):
        assert word in out
    (counted,) = storage.load_counters(directory / storage.COUNTERS_FILE).points
    assert counted.nr_populated == 32
    (benchmark,) = storage.load_wall(directory / storage.WALL_FILE).values()
    assert (benchmark.get_name(), benchmark.get_nvalue()) == (counted.name, 2)


def test_counters_only(tmp_path: Path, capsys: pytest.CaptureFixture[str], log: Log) -> None:
    arguments = ["sweep", "--span", "2MiB", "--populate", "none,64KiB", "--counters-only", "--results", str(tmp_path)]
    assert main(arguments) == 0
    assert main(arguments) == 0
    assert (len(log.counted), log.timed) == (16, [])
    out = capsys.readouterr().out
    assert "spread" not in out
    assert "512" in out  # pages of 2 MiB, which per-page looks up
    first, second = sorted(tmp_path.iterdir())
    assert [path.name for path in first.iterdir()] == [storage.COUNTERS_FILE]
    assert (first / storage.COUNTERS_FILE).read_bytes() == (second / storage.COUNTERS_FILE).read_bytes()


@pytest.mark.parametrize("pattern", ["every", "random", "head"])
def test_populated_as_the_pattern_says(pattern: scenario.Pattern) -> None:
    point = Point(scenario.sparse(1 << 16, 1 << 22, pattern), "page-walk")
    runs = model.build(point)[0].observable_state().pages
    assert registry.prepare(point).nr_populated == sum(run.pages for run in runs) == 64
    assert (len(runs) == 1) == (pattern == "head")


@pytest.mark.parametrize(("name", "span"), [("sparse-2MiB", 1 << 30), ("sparse-1GiB", 1 << 37), ("sparse-64KiB", 1 << 28)])
def test_the_memory_that_is_checked_covers_page_tables(name: str, span: int) -> None:
    point = Point(scenario.find(name).resized(span), "page-walk")
    empty = model.build(Point(scenario.SCENARIOS["report"], "page-walk"))[0].memory_bytes()
    grown = model.build(point)[0].memory_bytes() - empty
    assert grown < model.needed_bytes(point) / 2 * 1.1
