"""Two runs compared: what is equal, what differs, and when a word is said about times."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bench.analysis import comparison
from bench.analysis.comparison import Comparison
from bench.analysis.stats import Interval
from bench.errors import MeasurementError
from bench.runs import kernel_record, loading
from support import kept, real

PER_PAGE = "munlockall/report/64MiB/per-page"
NUMBER = itertools.count()


def compare(a: Path, b: Path) -> Comparison:
    return comparison.compare(loading.load(str(a), a), loading.load(str(b), b))


def timed_run(directory: Path, processes: Sequence[Sequence[float]], **told: str | int) -> Path:
    return kept.write(directory / str(next(NUMBER)), times=[kept.timed(kept.point(), processes, **told)])


@pytest.mark.parametrize(
    ("factor", "words"), [(1.0, {"not resolved"}), (1.3, {"slower", "not resolved"}), (0.7, {"faster", "not resolved"})]
)
def test_a_run_that_takes_longer(tmp_path: Path, factor: float, words: set[str]) -> None:
    found = compare(kept.write_curve(tmp_path / "a"), kept.write_curve(tmp_path / "b", factor)).points
    assert set(found["time_verdict"]) == words
    own = found[found["implementation"] == "per-page"]
    assert own["time_ratio"].to_numpy() == pytest.approx(factor)
    assert len(set(own["time_verdict"])) == 1
    assert (found["time_b_s"] / found["time_a_s"]).to_numpy() == pytest.approx(found["time_ratio"].to_numpy())
    assert set(found["count_same"]) == {"equal"}


@pytest.mark.parametrize("lacking", ["a", "b"])
def test_instructions_that_one_run_lacks_have_no_ratio(tmp_path: Path, lacking: str) -> None:
    (tmp_path / "run").mkdir()
    kernel_record.save(tmp_path / "run", "python -m bench made-up", kept.MACHINE, [], [real.cost("6.1.192", (1000,))])
    whole = loading.load(str(tmp_path / "run"), tmp_path)
    without = {name: replace(one, instructions=()) for name, one in whole.points.items()}
    both, one = whole, replace(whole, points=without)
    (row,) = comparison.compare(*((one, both) if lacking == "a" else (both, one))).points.to_dict("records")
    assert row["status"] == "compared" and pd.isna(row.get("instructions_ratio"))
    (row,) = comparison.compare(both, both).points.to_dict("records")
    assert row["instructions_ratio"] == 1


@pytest.mark.parametrize("processes", [[[1.0, 1.1, 0.9]], [[1.0]]])
def test_never_a_verdict_without_an_interval(tmp_path: Path, processes: list[list[float]]) -> None:
    many = [[1.0], [1.01], [0.99]]
    for a, b in ((processes, many), (many, processes)):
        a_hundred = [[value * 100 for value in values] for values in b]
        found = compare(timed_run(tmp_path, a), timed_run(tmp_path, a_hundred)).points.iloc[0]
        assert found["time_ratio"] == pytest.approx(100, rel=0.05)
        assert found[["time_ratio_low", "time_ratio_high", "time_verdict"]].isna().all()


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.8, 0.9, "faster"),
        (1.1, 1.2, "slower"),
        (0.9, 1.1, "not resolved"),
        (1.0, 1.1, "not resolved"),
        (0.9, 1.0, "not resolved"),
        (0.0, float("inf"), ""),
    ],
)
def test_words(low: float, high: float, word: str) -> None:
    assert comparison.verdict(Interval((low + high) / 2, low, high)) == word


TIMES = st.lists(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=3), min_size=1, max_size=4)


@settings(max_examples=10, deadline=None)
@given(TIMES, TIMES)
def test_swapped_runs_swap_the_words(
    tmp_path_factory: pytest.TempPathFactory, a: list[list[float]], b: list[list[float]]
) -> None:
    directory = tmp_path_factory.mktemp("swapped")
    one, other = timed_run(directory, a), timed_run(directory, b)
    there, back = compare(one, other).points.iloc[0], compare(other, one).points.iloc[0]
    assert there["time_ratio"] == pytest.approx(1 / back["time_ratio"])
    opposite = {"faster": "slower", "slower": "faster"}
    if isinstance(there["time_verdict"], str):
        assert back["time_verdict"] == opposite.get(there["time_verdict"], there["time_verdict"])
    else:
        assert not isinstance(back["time_verdict"], str)


def test_counters_are_compared_exactly(tmp_path: Path) -> None:
    points = [kept.point(), kept.point("page-walk")]
    large = (1 << 60) + 1
    a = kept.write(tmp_path / "a", [kept.counted(points[0], large), kept.counted(points[1], 3)])
    b = kept.write(tmp_path / "b", [kept.counted(points[0], large + 1, model_faults=2), kept.counted(points[1], 3)])
    found = compare(a, b)
    assert list(found.points["count_same"]) == ["differ", "equal"]
    assert set(found.counters["counter"]) == {"model_pte_read", "model_pages_looked_up", "model_faults"}
    assert found.counters.set_index("counter")["a"].isna().to_dict()["model_faults"]  # absent, not zero
    assert int(found.counters["b"].iloc[0]) - int(found.counters["a"].iloc[0]) == 1
    assert found.points["time_ratio"].isna().all() and found.points["time_verdict"].isna().all()


def test_a_pyperf_file_and_a_run_directory(tmp_path: Path) -> None:
    run = kept.write_curve(tmp_path / "run")
    found = compare(run, run / "wall.json").points
    assert set(found["count_same"]) == {"equal"}
    assert found["time_ratio"].to_numpy() == pytest.approx(1)
    other = timed_run(tmp_path, [[1.0], [1.1]], mlock_counters="0" * 16)
    assert compare(run, other).points.set_index("name")["count_same"][PER_PAGE] == "differ"
    assert compare(run, timed_run(tmp_path, [[1.0]])).points["count_same"].isna().all()


def test_points_of_one_run_only_are_listed(tmp_path: Path) -> None:
    common, here, there = kept.point("page-walk"), kept.point("per-page"), kept.point("hole-skip")
    a = kept.write(tmp_path / "a", [kept.counted(here, 5), kept.counted(common, 5)])
    b = kept.write(tmp_path / "b", [kept.counted(common, 5), kept.counted(there, 5)])
    status = compare(a, b).points.set_index("name")["status"]
    assert dict(status) == {here.name: "only in A", common.name: "compared", there.name: "only in B"}


def test_other_parameters_under_the_same_name(tmp_path: Path) -> None:
    one, other = kept.point(), kept.point("page-walk")
    a = kept.write(tmp_path / "a", times=[kept.timed(one, [[1.0]]), kept.timed(other, [[1.0]])])
    b = kept.write(tmp_path / "b", times=[kept.timed(one, [[1.0]], mlock_digest="f" * 16), kept.timed(other, [[1.0]])])
    found = compare(a, b).points.set_index("name")
    assert dict(found["status"]) == {one.name: "other parameters", other.name: "compared"}
    assert found.loc[one.name, ["time_ratio", "time_a_s", "time_b_s", "count_same"]].isna().all()
    only = timed_run(tmp_path, [[1.0]], mlock_digest="f" * 16)
    with pytest.raises(MeasurementError, match=f"the same parameters: {PER_PAGE} was not"):
        compare(a, only)


def test_nothing_in_common(tmp_path: Path) -> None:
    a = kept.write(tmp_path / "a", [kept.counted(kept.point(), 5)])
    b = kept.write(tmp_path / "b", [kept.counted(kept.point("page-walk"), 5)])
    with pytest.raises(MeasurementError, match="have no measurement in common"):
        compare(a, b)


def test_exponents_over_the_sizes_that_both_have(tmp_path: Path) -> None:
    def run(name: str, shifts: Sequence[int], power: int) -> Path:
        points = [kept.point(span=1 << shift) for shift in shifts]
        return kept.write(
            tmp_path / name, [kept.counted(one, 2 ** (power * shift)) for one, shift in zip(points, shifts, strict=True)]
        )

    found = compare(run("a", (20, 21, 22, 23), 1), run("b", (21, 22, 23, 25), 2)).exponents
    assert len(found) == 1 and found["nr_sizes"].iloc[0] == 3
    assert found["count_exponent_a"].iloc[0] == pytest.approx(1) and found["count_exponent_b"].iloc[0] == pytest.approx(2)
    assert compare(run("c", (20, 21, 22), 1), run("d", (21, 22, 23), 1)).exponents.empty


def test_facts_that_differ(tmp_path: Path) -> None:
    here = kept.MACHINE | {"env_NUMBA_OPT": "1", "numba": "0.68"}
    there = kept.MACHINE | {"cpu_model": "Abacus 2", "numpy": "2.4"}
    points = [kept.counted(kept.point(), 5)]
    found = compare(kept.write(tmp_path / "a", points, machine=here), kept.write(tmp_path / "b", points, machine=there))
    # A setting that is missing was not set; a library that is missing is not known.
    assert found.facts == (("cpu_model", "Abacus 1", "Abacus 2"), ("env_NUMBA_OPT", "1", "not set"))
    assert found.other_machine == ["cpu_model"]


def test_facts_of_plain_pyperf_files(tmp_path: Path) -> None:
    one = timed_run(tmp_path, [[1.0]], python_version="3.11.7 (64-bit)", python_implementation="cpython", mlock_source="a")
    other = timed_run(tmp_path, [[1.0]], python_version="3.14.0 (64-bit)", python_implementation="cpython", mlock_source="b")
    found = compare(one, other)
    assert set(found.facts) == {("python", "cpython 3.11.7", "cpython 3.14.0"), ("source_digest", "a", "b")}
    assert found.other_machine == []
    # A pyperf file does not tell settings, so one that it lacks may have been set.
    machine = kept.MACHINE | {"env_NUMBA_OPT": "1"}
    run = kept.write(tmp_path / "run", [kept.counted(kept.point(), 5)], machine=machine)
    assert ("python", "cpython 3.11.7", "cpython 3.14.0") in compare(run, other).facts
    assert compare(run, one).facts == (("source_digest", "5ca1ab1e", "a"),)
