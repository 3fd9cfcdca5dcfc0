"""Checks of ideas of one's own, and how ideas reach other processes and kept runs."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bench.errors import MeasurementError, UsageError
from bench.measuring import counting, ideas, pool
from bench.measuring.idea_checks import Bad, Checker, Message, Task, Wrong
from bench.measuring.timing import Plan
from bench.progress import progress_bar
from bench.runs import loading, storage
from bench.targets import registry, selection
from bench.targets.target import TraceSettings
from bench.traces.replay import differences
from bench.workloads import ideas as known_ideas
from bench.workloads.scenario import SCENARIOS, MiB, Point
from mmmodel import idea_code, kernels
from mmmodel.kernels import EVERY_IMPLEMENTATION, IMPLEMENTATIONS
from support.own import EXAMPLES, idea_file

SMALL = SCENARIOS["dense"].resized(MiB)


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget the ideas of a test."""
    monkeypatch.setattr(kernels, "_implementations", dict(kernels._implementations))
    yield
    idea_code.check_bounds(False)


def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be as another process is, which knows no idea."""
    known = {name: one for name, one in kernels._implementations.items() if one.idea is None}
    monkeypatch.setattr(kernels, "_implementations", known)


def found(path: str, nr_traces: int = 4) -> list[Message]:
    """Return the messages about a file that say something is wrong."""
    messages: list[Message] = []
    (packed,) = known_ideas.packed([registry.from_file(path)])
    before = resource.getrlimit(resource.RLIMIT_CPU), sys.unraisablehook
    Checker(Task(idea=packed, nr_traces=nr_traces), messages.append).run()
    assert (
        resource.getrlimit(resource.RLIMIT_CPU),
        sys.unraisablehook,
    ) == before  # else the tests end soon
    return [one for one in messages if isinstance(one, Bad | Wrong)]


@pytest.mark.parametrize("name", ["hole_skip", "pmd_steps"])
def test_examples_do_what_their_kernel_does(name: str) -> None:
    assert found(str(EXAMPLES / f"{name}.py")) == []


def test_a_forgotten_zero_page_is_caught_by_a_trace_of_three_calls() -> None:
    *_, last = found(str(EXAMPLES / "forgets_zero_page.py"), nr_traces=60)
    assert isinstance(last, Wrong) and last.trace is not None and last.thp == "never"
    assert [type(op).__name__ for op in last.trace.ops][-1] in ("Mlock", "Mlock2", "Mlockall") and len(last.trace.ops) <= 3
    both = (registry.trace_targets()[name] for name in ("page-walk", "forgets_zero_page"))
    old, new = (list(one.steps(last.trace, TraceSettings())) for one in both)
    assert [[one.field for one in differences(*pair)] for pair in zip(old, new, strict=True)][-1][-1] == "vmstat"


def test_what_is_out_of_bounds_is_told(tmp_path: Path) -> None:
    *_, last = found(idea_file(tmp_path, "beyond", "s.vmas[1 << 40]['vm_flags'] = 0"))
    assert isinstance(last, Wrong) and last.what.startswith("IndexError after call ")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("nonsense(s)", r"line 6: NameError: .*nonsense"),
        ("s.nosuch[0] = 1", r"line 6: Unknown attribute 'nosuch'"),
        ("pass\n1 / 0", None),
    ],
)
def test_what_cannot_be_compiled_is_told_with_its_line(body: str, said: str | None, tmp_path: Path) -> None:
    first = found(idea_file(tmp_path, "mine", body), nr_traces=0)[:1]
    if said is None:
        assert not any(isinstance(one, Bad) for one in first)
        return
    assert isinstance(first[0], Bad)
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(first[0].line)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("while start < end:\n    cond_resched(s)", r"does not come to an end, more than 1 s .*: call \d+ of trace s0-\d"),
        ("munlock_pages(s, mm, 1 << 44, start, end)", r"crashes \(SIG(SEGV|BUS)\): call \d+ of trace s0-\d"),
    ],
)
def test_no_end_and_crashes_are_told_with_their_place(body: str, said: str, tmp_path: Path) -> None:
    name = registry.from_file(idea_file(tmp_path, "mine", body))
    with progress_bar() as progress, pytest.raises(MeasurementError, match=rf"mine\.py: {said}.*; nothing was measured$"):
        ideas.check([name, IMPLEMENTATIONS[0]], progress, Task(nr_traces=4, seconds=1))


# ---- from process to process ----


def test_another_process_knows_the_idea_by_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    point = Point(SMALL, registry.from_file(str(EXAMPLES / "hole_skip.py")), "munlock")
    source = registry.implementation("hole_skip").source_digest()
    request = msgspec.json.encode(pool.Request(point, known_ideas.packed(["hole_skip"])))
    plan = Plan((point,)).encoded()
    forgotten(monkeypatch)
    with pytest.raises(UsageError, match="unknown implementation 'hole_skip'"):
        registry.implementation("hole_skip")
    counted = msgspec.json.decode(pool.count_request(request), type=pool.Reply).done.counted
    built_in = counting.count(Point(SMALL, "hole-skip", "munlock")).counted
    assert counted.counters == built_in.counters
    forgotten(monkeypatch)
    Plan.decoded(plan)
    assert registry.implementation("hole_skip").source_digest() == source
    assert source != registry.implementation("hole-skip").source_digest()
    assert msgspec.json.decode(Plan((Point(SMALL, "hole-skip"),)).encoded())["ideas"] == []


def test_a_kept_run_tells_what_its_idea_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = registry.from_file(str(EXAMPLES / "pmd_steps.py"))
    counted = [counting.count(Point(SMALL, one, "munlock")).counted for one in ("per-page", name)]
    for directory in ("mine", "theirs"):
        (tmp_path / directory).mkdir()
    storage.save_counters(tmp_path / "mine" / "counters.json", "", {}, counted)
    storage.save_counters(tmp_path / "theirs" / "counters.json", "", {}, counted[:1])
    assert (EXAMPLES / "pmd_steps.py").read_text() == storage.load_counters(tmp_path / "mine" / "counters.json").ideas[0][
        "text"
    ]
    assert b"ideas" not in (tmp_path / "theirs" / "counters.json").read_bytes()
    forgotten(monkeypatch)
    loading.load(str(tmp_path / "mine"))
    assert "a missing page table is one step of 2 MiB" in kernels.implementation(name).summary


# ---- words of a command line ----


def test_files_join_all_implementations_or_those_that_are_named() -> None:
    path = str(EXAMPLES / "hole_skip.py")
    assert selection.chosen([], [path]).implementations == (*EVERY_IMPLEMENTATION, "hole_skip")
    assert selection.chosen([], [f"per-page,{path}"]).implementations == ("per-page", "hole_skip")
    assert selection.chosen([path, "page-walk"], []).order == ("hole_skip", "page-walk")
    assert registry.names() == EVERY_IMPLEMENTATION


def test_names_that_mean_something_else(tmp_path: Path) -> None:
    for name, said in (("host", "means a real kernel"), ("per-page", "comes with the model"), ("a b", "file's name")):
        with pytest.raises(UsageError, match=said):
            selection.chosen([], [idea_file(tmp_path, name, "pass")])
