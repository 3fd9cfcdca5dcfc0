"""Targets: whatever is registered can be measured, and what it cannot on_progress is not asked for."""

import errno
import time
from collections.abc import Mapping

import pytest
from rich.progress import Progress

from bench.__main__ import main
from bench.commands import replay
from bench.errors import MeasurementError, UsageError
from bench.measuring import counting, timing
from bench.targets import registry, selection
from bench.targets.kernel import KernelTarget
from bench.targets.target import OnProgress, Prepared, PreparingTarget
from bench.workloads import layout as layouts
from bench.workloads.scenario import LAYOUT, SCENARIOS, Operation, Point, refuse_call
from bench.workloads.selection import OPERATIONS, layout_scenario
from bench.workloads.suite import Group
from mmmodel import Mm
from mmmodel.constants import PAGE_SIZE
from mmmodel.coredump import DumpRun
from mmmodel.kernels import every_implementation


class FakeKernel:
    """A target that is no model: each call takes a second of its own clock, and nobody knows what it did."""

    name, summary, family, kernel = "fake", "a target that is no model", "fake", "7.3"

    def __init__(self, counters: dict[str, int] | None = None, needed: int = 0) -> None:
        self._counters, self._needed = counters, needed
        self.now = 0.0
        self.loaded = 0

    def load(self, on_progress: OnProgress) -> None:
        self.loaded += 1
        on_progress(1, 1, "fake")

    def facts(self) -> Mapping[str, str | int]:
        return {"kernel_release": "7.3.0"}

    def source_digest(self) -> str:
        return ""

    def check(self, point: Point) -> None:
        """Refuse nothing."""

    def expected_seconds(self, point: Point) -> float:
        """Return that nothing is known."""
        return 0.0

    def needed_bytes(self, point: Point) -> int:
        return self._needed

    def prepare(self, point: Point) -> Prepared:
        return Prepared(self.name, point.scenario.span, 1, 0, self._call, self._restore, lambda: self._counters, lambda: None)

    def _call(self) -> None:
        self.now += 1.0

    def _restore(self) -> None:
        self.now += 10.0


POINT = Point(SCENARIOS["report"], "fake")


def register(monkeypatch: pytest.MonkeyPatch, one: PreparingTarget) -> None:
    known = registry.targets() | {one.name: one}
    monkeypatch.setattr(registry, "targets", lambda: known)


def test_a_target_of_ones_own_is_found_loaded_once_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeKernel()
    register(monkeypatch, fake)
    assert registry.names()[-1] == "fake"
    registry.load(["fake", "fake"], Progress(disable=True))
    assert fake.loaded == 1
    monkeypatch.setattr(time, "perf_counter", lambda: fake.now)
    assert timing.time_calls(registry.prepare(POINT), loops=3) == 3.0
    facts = timing.facts_of(POINT, registry.prepare(POINT), "")
    assert facts["kernel_release"] == "7.3.0" and facts["mlock_implementation"] == "fake" and "mlock_source" not in facts


def test_what_has_no_counters_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, FakeKernel())
    with pytest.raises(UsageError, match="fake has no counters"):
        counting.count(POINT)


def test_a_state_that_cannot_be_seen_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, FakeKernel(counters={"instructions": 5}))
    small = SCENARIOS["report"].resized(1 << 21)
    points = Group(small).points(registry.names())
    found = counting.count_points(points, Progress(disable=True))
    assert found[-1].counted.counters == {"instructions": 5} and found[-1].state is None


def test_only_what_has_steps_replays_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, FakeKernel())
    assert "fake" in registry.targets() and "fake" not in registry.trace_targets()
    with pytest.raises(UsageError, match="unknown implementation 'fake'; known are per-page"):
        replay.read_request(["--random", "1", "--impl", "fake"])


def test_every_target_is_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    register(monkeypatch, FakeKernel())
    assert main(["list"]) == 0
    assert "a target that is no model" in capsys.readouterr().out


def test_a_target_says_what_memory_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, FakeKernel(needed=1 << 60))
    with pytest.raises(UsageError, match=r"would need 1152921504606846976 bytes .1 EiB."):
        registry.prepare(POINT)


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown implementation 'nosuch'; known are per-page"):
        registry.implementation("nosuch")
    with pytest.raises(UsageError, match=r"there is no target 'nosuch': give per-page, .*, host, a version such as 5\.10"):
        registry.find("nosuch")


def test_a_word_names_a_model_or_a_kernel() -> None:
    assert registry.find("page-walk").name == "page-walk"
    host = registry.find("host")
    assert isinstance(host, KernelTarget) and (host.name, host.unit) == ("host", "seconds")
    with pytest.raises(UsageError, match=r"kernel 3\.2 is not in the cache: unlockall-bench kernel fetch 3\.2"):
        registry.find("3.2")
    with pytest.raises(UsageError, match=r"no kernel 'qemu:/nonexistent'"):
        registry.find("qemu:/nonexistent")


def test_targets_stay_in_the_order_in_which_they_are_named() -> None:
    chosen = selection.chosen(["page-walk", "host", "per-page"], [])
    assert chosen.order == ("page-walk", "host", "per-page")
    assert chosen.implementations == ("page-walk", "per-page") and [one.name for one in chosen.kernels] == ["host"]
    assert selection.chosen([], []) == selection.Chosen(registry.names())
    with pytest.raises(UsageError, match="--on names host twice"):
        selection.chosen(["host", "host"], [])
    with pytest.raises(UsageError, match="name all targets by --on"):
        selection.chosen(["host"], ["page-walk"])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_call_on_every_scenario_is_counted_or_refused_before_anything_is_built(operation: Operation) -> None:
    refused = set()
    for one in SCENARIOS.values():
        for pages in (1, 3, 4, 1024) if one.name != LAYOUT else (0,):
            scenario = one.resized(pages * 4096) if pages else one
            point = Point(scenario, "page-walk", operation)
            try:
                refuse_call(point)
            except UsageError:
                refused.add((one.name, pages))
            else:
                assert counting.count(point).counted.counters, point.name
    sized = {name for name in SCENARIOS if name != LAYOUT}
    layout = {(LAYOUT, 0)} if operation not in ("munlockall", "mlockall", "exit", "coredump") else set()
    short = {(name, pages) for name in sized for pages in (1, 3)} if operation == "munlock-part" else set()
    no_access = sized - {"dense", "thp", "one-page"} if operation == "touch" else set()
    closed = {(name, pages) for name in no_access for pages in (1, 3, 4, 1024)}
    assert refused == layout | short | closed


def test_an_implementation_of_one_operation_takes_part_in_no_other() -> None:
    (walk,) = (one.name for one in every_implementation() if one.only)
    assert walk in registry.names() and walk not in registry.trace_targets()
    groups = [Group(SCENARIOS["dense"], "munlockall"), Group(SCENARIOS["one-page"], "coredump")]
    chosen = selection.chosen([], [])
    assert [point.operation for point in chosen.points(groups) if point.implementation == walk] == ["coredump"]
    assert [point.operation for point in selection.chosen([], [walk]).points(groups)] == ["coredump"]
    for asked in (selection.chosen([], [f"page-walk,{walk}"]), selection.chosen([walk, "page-walk"], [])):
        with pytest.raises(UsageError, match=f"{walk} takes part in coredump alone, .* --op coredump"):
            asked.points(groups[:1])
    with pytest.raises(UsageError, match=rf"{walk} takes part in coredump alone \(--op coredump\), not in munlockall"):
        registry.prepare(Point(SCENARIOS["dense"], walk))


def test_a_core_dump_that_leaves_out_a_page_is_another_state(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Mm.coredump

    def lacking(space: Mm) -> list[DumpRun]:
        found = whole(space)
        return found if space.impl == "per-page" else [DumpRun(one.start, one.end - PAGE_SIZE) for one in found]

    scenario = SCENARIOS["one-page"].resized(4 << 20)
    points = Group(scenario, "coredump").points()
    with Progress(disable=True) as progress:
        results = counting.count_points(points, progress)
        assert len({one.state for one in results}) == 1 and len(results) == len(registry.names())
        assert counting.count(Point(scenario, "per-page", "exit")).state != results[0].state
        monkeypatch.setattr(Mm, "coredump", lacking)
        with pytest.raises(
            MeasurementError, match="per-page and hole-skip leave different states after coredump/one-page/4MiB"
        ):
            counting.count_points(points, progress)


def test_a_call_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    prepared = Prepared("page-walk", 4096, 1, 0, fail, fail, dict, str)
    monkeypatch.setattr(registry, "prepare", lambda _: prepared)
    point = Point(SCENARIOS["report"], "page-walk")
    with pytest.raises(MeasurementError, match=r"munlockall/report/2TiB/page-walk failed: .*Cannot allocate memory"):
        counting.count(point)


@pytest.mark.parametrize("name", ["cryptsetup237_luksFormat_hm8_default", "go119", "python_plain"])
def test_pages_of_a_layout_are_as_many_before_it_is_built_as_after(name: str) -> None:
    point = Point(layout_scenario(name), "page-walk")
    assert layouts.load(name).nr_populated == registry.prepare(point).nr_populated
