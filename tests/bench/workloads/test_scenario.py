"""Scenarios are data: names, sizes and parameters survive a round trip."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.runs import storage
from bench.workloads import scenario
from bench.workloads.scenario import SCENARIOS, Point, Populate
from mmmodel.constants import PAGE_SIZE
from mmmodel.kernels import IMPLEMENTATIONS
from support.pages import ROOT


def test_the_report_is_the_report() -> None:
    one = SCENARIOS["report"]
    assert one.span == 1 << 41
    assert one.populate.nr_pages(one.span) == 0
    assert Point(one, "page-walk").name == "munlockall/report/2TiB/page-walk"


@pytest.mark.parametrize("name", SCENARIOS)
def test_names_round_trip(name: str) -> None:
    points = [Point(SCENARIOS[name], implementation) for implementation in IMPLEMENTATIONS]
    assert len({point.name for point in points}) == len(IMPLEMENTATIONS)
    for point in points:
        parsed = scenario.parse_name(point.name)
        assert str(parsed) == point.name
        assert (parsed.scenario, parsed.implementation) == (name, point.implementation)


@pytest.mark.parametrize("name", SCENARIOS)
def test_points_round_trip_as_json(name: str) -> None:
    point = Point(SCENARIOS[name], "per-page")
    assert msgspec.json.decode(msgspec.json.encode(point), type=Point) == point


def test_digest_tells_unequal_work_of_one_name_apart() -> None:
    base = Point(SCENARIOS["sparse-random"], "per-page")
    other_seed = msgspec.structs.replace(base.scenario, populate=Populate("random", step=2 << 20, seed=2))
    assert Point(other_seed, "per-page").name == base.name
    assert Point(other_seed, "per-page").digest != base.digest


@given(st.integers(1, 1 << 30).map(lambda pages: pages * PAGE_SIZE))
def test_different_sizes_have_different_names(span: int) -> None:
    one, two = (Point(SCENARIOS["report"].resized(size), "per-page").name for size in (span, span + PAGE_SIZE))
    assert one != two


@pytest.mark.parametrize("name", ["", "report", "a/b/c", "a/b/c/d/e", "a//c/d"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UsageError, match="no name of a measurement"):
        scenario.parse_name(name)


def test_unknown_scenario_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown scenario 'nosuch'.*report, sparse-1GiB"):
        scenario.find("nosuch")


def test_pages_in_memory() -> None:
    assert Populate("every").nr_pages(1 << 30) == 262144
    assert Populate("every", step=1 << 21).nr_pages(1 << 30) == 512
    assert Populate("every", step=1 << 21).nr_pages((1 << 21) + PAGE_SIZE) == 2
    assert Populate("ends", head=1 << 20, tail=1 << 20).nr_pages(1 << 30) == 512
    assert Populate("ends", head=1 << 20, tail=1 << 20).nr_pages(1 << 20) == 256


@pytest.mark.parametrize(
    ("path", "name"), [("a/b/c.json.gz", "c"), ("x y.json", "x-y"), ("\x1b[m.json.gz", "--m"), ("", "layout"), ("é.gz", "é")]
)
def test_layout_names_are_safe(path: str, name: str) -> None:
    assert scenario.layout_name(path) == name


def test_names_of_layouts_keep_their_letters() -> None:
    assert scenario.layout_name("a/größe ψ.json.gz") == "größe-ψ"
    assert scenario.layout_name("日本.json") != scenario.layout_name("中国.json")


def test_digests_are_those_of_the_kept_runs() -> None:
    """Runs are compared by them: those of the reference were written by earlier versions."""
    kept = storage.load_wall(ROOT / "results" / "reference" / "wall.json")
    points = {one.name: one.point for one in storage.load_counters(ROOT / "results" / "reference" / "counters.json").points}
    told = {name: one.get_metadata()["mlock_digest"] for name, one in kept.items()}
    assert told and told == {name: points[name].digest for name in told}
