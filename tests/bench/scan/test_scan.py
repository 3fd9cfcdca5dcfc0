"""Scans of a fake kernel whose laws are known."""

from collections.abc import Iterator, Sequence

import pytest

from bench.errors import UsageError
from bench.kernels.errors import EarlyEndError
from bench.scan.call import Call
from bench.scan.calls import CALLS
from bench.scan.machine import Outcome, Shot
from bench.scan.results import KernelScan
from bench.scan.scan import chosen, scan
from bench.scan.verdict import Verdict, of_kernel, offenders
from support.fake_scan import PAGE, PMD, PUD, Cost, Fake, constant, per, per_axis, scanned

LAWS: dict[str, Cost] = {
    "munmap": constant,
    "core dump": per(PAGE, 120.0),
    "mremap move": per(PMD, 60.0),
    "exit": per(PUD, 900.0),
    "fork": per_axis("pages", 70.0),
    "madvise dontneed": per_axis("tables", 900.0),
    "mprotect": per_axis("VMAs", 400.0),
    "mincore": per(PAGE, 9.0),
}
ANSWERS = {
    "munmap": ("nothing", 1),
    "core dump": ("span", PAGE),
    "mremap move": ("span", PMD),
    "exit": ("span", PUD),
    "fork": ("pages", 1),
    "madvise dontneed": ("tables", 1),
    "mprotect": ("VMAs", 1),
    "mincore": ("output", PAGE),
}


def answers(found: KernelScan) -> dict[str, tuple[str, int]]:
    """Return the verdicts, and the step of each walk."""
    return {name: (one.answer, one.law.unit if one.law else 0) for name, one in of_kernel(found).items()}


@pytest.mark.parametrize("seed", range(5))
def test_every_law_is_found_in_instructions_of_which_some_are_disturbed(seed: int) -> None:
    assert answers(scanned(Fake(LAWS, noise=0.03, seed=seed))) == ANSWERS


@pytest.mark.parametrize("seed", range(5))
def test_every_law_is_found_in_times_that_scatter(seed: int) -> None:
    assert answers(scanned(Fake(LAWS, unit="seconds", noise=0.05, seed=seed))) == ANSWERS


def test_what_a_law_costs_at_two_tebibytes() -> None:
    verdict = of_kernel(scanned(Fake(LAWS)))["core dump"]
    assert verdict.predicted(float(1 << 41)) == pytest.approx(2000 + 120 * (1 << 29), rel=0.001)
    assert of_kernel(scanned(Fake(LAWS)))["fork"].predicted(float(1 << 41)) is None


def test_a_call_that_hangs_or_crashes_is_told_and_the_others_go_on() -> None:
    fates = {"exit": ("hung", 1 << 28), "munmap": ("crashed", 0), "fork": ("absent", 0)}
    fake = Fake(LAWS, fates=fates)  # type: ignore[arg-type]
    found = of_kernel(scanned(fake))
    assert (found["munmap"].answer, found["munmap"].why) == ("missing", "it crashed")
    assert (found["fork"].answer, found["fork"].why) == ("missing", "it absent")
    assert found["exit"].answer == "too few"  # sizes before the one that hung it are kept, and are no law
    assert {name: one for name, one in answers(scanned(fake)).items() if name not in fates} == {
        name: one for name, one in ANSWERS.items() if name not in fates
    }
    assert len([shot for shot in fake.shots if shot.call.name == "munmap" and shot.n > 1 << 30]) == 0


def test_no_size_is_tried_that_would_take_too_long() -> None:
    slow = Fake({"exit": lambda layout, n: 2000.0 + 1e-9 * float(layout.span(n)) ** 2})
    found = of_kernel(scanned(slow, limit=0.5))["exit"]
    assert found.answer == "no law"
    longest = max(shot.n for shot in slow.shots if shot.layout.axis == "span")
    assert 1e-9 * float(longest) ** 2 / 1e8 < 15  # the first round is not bounded: to 1 GiB


def test_what_cannot_be_ended_is_announced_where_it_takes_long() -> None:
    said: list[str] = []
    scan([Fake({"core dump": lambda layout, n: 2e9 + 0.2 * n**1.3})], chosen("core dump"), said.append)
    assert said and all("cannot be ended: about" in line for line in said)


def test_the_larger_sizes_double_only_where_the_cost_grows() -> None:
    fake = Fake({"munmap": constant})
    scanned(fake)
    spans = sorted({shot.n for shot in fake.shots if shot.layout.name == "rw" and shot.n})
    assert spans == [PAGE, PMD, PUD, 1 << 38]
    assert len([shot for shot in fake.shots if shot.layout.name == "rw" and shot.n == 1 << 38]) == 3
    fake = Fake({"munmap": per(PUD, 900.0)})
    scanned(fake)
    spans = sorted({shot.n for shot in fake.shots if shot.layout.name == "rw" and shot.n})
    assert spans == [PAGE, PMD, PUD, 1 << 34, 1 << 36, 1 << 38]  # what lies between is measured where the cost grew


def test_few_pages_far_apart_are_enough_for_a_law_of_pages_and_tell_nothing_of_the_span() -> None:
    found = {}
    for name, cost in (("munmap", per_axis("pages", 70.0)), ("exit", per(PAGE, 120.0))):
        (series,) = (one for one in scanned(Fake({name: cost})).calls[0].series if one.layout == "page per GiB")
        law = series.law("instructions")
        found[name] = law and law.kind
        assert [one.n for one in series.sizes] == [1, 4, 8, 16]
    assert found == {"munmap": "linear", "exit": "nothing"}


def test_a_kernel_that_does_not_come_up_is_told_and_another_is_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(shots: Sequence[Shot]) -> Iterator[tuple[Shot, Outcome]]:
        raise EarlyEndError("the guest ended", ("Kernel panic - not syncing: fake",))

    broken = Fake(LAWS, name="1.0")
    monkeypatch.setattr(broken, "carry_out", breaks)
    bad, good = scan([broken, Fake(LAWS)], chosen("munmap"), lambda line: None)
    assert "Kernel panic" in bad.error
    assert (good.error, of_kernel(good)["munmap"].answer) == ("", "nothing")
    assert of_kernel(bad)["munmap"] == Verdict("munmap", "missing", "it was not reached")


def test_offenders_of_the_newest_kernel_come_first() -> None:
    old = scanned(Fake({**LAWS, "munmap": per(PAGE, 500.0)}, name="5.10"))
    new = scanned(Fake(LAWS, name="7.3"))
    assert [name for name, _ in offenders([old, new])] == ["core dump", "mremap move", "exit", "munmap"]


def test_a_name_that_is_no_call_or_layout_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean munlock"):
        chosen("munlok")
    with pytest.raises(UsageError, match="no layout 'nosuch'; layouts are none"):
        chosen(None, "nosuch")
    with pytest.raises(UsageError, match="mincore is scanned on none of these layouts"):
        chosen("mincore", "locked")
    assert [one.name for one in chosen("coredump, mremap-move,vfork+exec")] == ["core dump", "mremap move", "vfork + exec"]
    assert {one.layouts for one in chosen("exit,fork", "rw,none")} == {("none", "rw")}
    assert not [one for one in chosen(None, "locked") if one.layouts != ("locked",)]
    with pytest.raises(UsageError, match="twice"):
        chosen("exit,exit")
    assert len(chosen(None)) == len(CALLS) >= 40
    assert all(isinstance(one, Call) for one in chosen(None))
