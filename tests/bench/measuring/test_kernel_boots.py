"""Several starts at once: on guests that are played, and small ones of a real kernel, where QEMU and the kernel are there."""

import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from bench.errors import MeasurementError
from bench.kernels.errors import MissingError
from bench.kernels.page_kinds import KINDS
from bench.kernels.protocol import Hello, Program
from bench.kernels.qemu import PROGRAM_NAME, Qemu
from bench.measuring import kernel_boots, page_costs
from bench.measuring.kernel_boots import Boot, Cost, Order, run, run_all
from bench.measuring.kernel_calls import BOOT_SECONDS
from bench.targets.kernel import KernelTarget, find
from bench.workloads.scenario import SCENARIOS, GiB, MiB
from bench.workloads.suite import Group
from support.fake_kernels import image, play, walk

DENSE = Group(SCENARIOS["dense"].resized(MiB), "munlock")


def test_starts_are_told_in_their_order_and_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_boots, "at_once", lambda: 2)
    both = threading.Barrier(2, timeout=30)  # is passed only if two are under way together

    def of(number: int) -> kernel_boots.Start:
        def begin(boot: Boot) -> None:
            both.wait()
            boot.releases.append(str(number))

        return begin

    assert [boot.releases for boot in run_all([of(number) for number in range(4)])] == [["0"], ["1"], ["2"], ["3"]]


def test_a_start_that_fails_keeps_what_it_had_and_a_mistake_of_ours_is_heard_of() -> None:
    def fails(boot: Boot) -> None:
        boot.costs["x"] = Cost((1,), 0)
        raise MeasurementError("no more")

    def broken(boot: Boot) -> None:
        raise ZeroDivisionError

    (boot,) = run_all([fails])
    assert (boot.costs, boot.error) == ({"x": Cost((1,), 0)}, "no more")
    with pytest.raises(ZeroDivisionError):
        run_all([broken])


def test_values_come_by_point_in_the_order_of_the_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    costs = iter(range(100, 200))
    play(monkeypatch, {"one": lambda program: next(costs)})
    (boot,) = run([Order(find(str(image(tmp_path / "one"))), [DENSE], rounds=3)])
    assert boot.releases == ["6.1.0-fake"]
    assert boot.costs == {"munlock/dense/1MiB": Cost((102, 103, 104), 0)}  # after settling and a first use


@pytest.mark.parametrize(("load", "times"), [(0.1, 1), (2.0, 1), (20.0, 10)])
def test_deadlines_grow_with_what_else_the_machine_does(
    load: float, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    given: list[int | None] = []

    def refuse(self: Qemu, programs: Sequence[Program], hello: Callable[[Hello], None], seconds: int | None) -> NoReturn:
        given.append(seconds)
        raise MeasurementError("seen enough")

    monkeypatch.setattr(Qemu, "run", refuse)
    run([Order(find(str(image(tmp_path / "one"))), [DENSE], rounds=1)])
    (seconds,) = given
    assert seconds is not None
    assert times * BOOT_SECONDS <= seconds < times * (BOOT_SECONDS + 20)


def test_pages_that_are_not_of_their_kind_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = find(str(image(tmp_path / "one")))
    play(monkeypatch, {"one": walk})
    assert [boot.error for boot in page_costs.run([target])] == [""]
    monkeypatch.setattr("support.fake_kernels.state", lambda program: "P")
    (boot,) = page_costs.run([target])
    assert boot.error == "0 of 4096 pages are of kind 'huge page' in the guest"


# ---- a real kernel ----


@pytest.fixture
def real() -> KernelTarget:
    """Return a kernel of the cache, or skip the test."""
    if shutil.which(PROGRAM_NAME) is None:
        pytest.skip("QEMU is not installed")
    try:
        return find("6.1")
    except MissingError as error:
        pytest.skip(str(error))


def test_a_real_kernel_repeats_and_steps_over_what_nobody_touched(real: KernelTarget) -> None:
    empty = [Group(SCENARIOS["report"].resized(span), "munlock") for span in (GiB, 4 * GiB)]
    first, second = run([Order(real, [DENSE, *empty])] * 2)
    assert (first.error, second.error) == ("", "")
    for boot in (first, second):
        one, four = (max(boot.costs[group.name].values) for group in empty)
        assert four - one < 3 * GiB // 4096  # less than an instruction for each page more
        assert min(boot.costs[DENSE.name].values) > 256  # more than one for each of 256 pages in memory
    least = [min(boot.costs[DENSE.name].values) for boot in (first, second)]
    assert max(least) / min(least) < 1.01


def test_pages_of_a_real_kernel_cost_what_was_seen_before(real: KernelTarget) -> None:
    (boot,) = page_costs.run([real])
    assert boot.error == ""
    assert boot.costs.keys() == {page_costs.key(kind, nr_pages) for kind in KINDS for nr_pages in kind.sizes}
    few, more = (min(boot.costs[f"page/{nr_pages}"].values) for nr_pages in (1024, 4096))
    assert (more - few) / 3072 == pytest.approx(725, rel=0.02)  # 719 on 6.1.176 and 731 on 6.1.192, by another program
