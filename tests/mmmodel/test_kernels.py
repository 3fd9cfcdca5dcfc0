"""The registry of kernels and implementations."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmmodel import Mm, kernels
from mmmodel.kernels import LINUX_5_10, LINUX_6_12, implementation, implementations, kernel_of


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test register what it likes."""
    monkeypatch.setattr(kernels, "_implementations", dict(kernels._implementations))


def test_names_lead_to_kernels_which_are_ordered() -> None:
    assert [(one.name, one.kernel.name) for one in implementations()][:4] == [
        ("per-page", "5.10"), ("hole-skip", "5.10"), ("page-walk", "6.1"), ("folio-walk", "6.12"),
    ]  # fmt: skip
    assert kernel_of("hole-skip").version < kernel_of("page-walk").version < kernel_of("folio-walk").version
    assert [one.name for one in implementations()[:3] if not one.steps_over_holes] == ["per-page"]


def test_what_takes_part_in_one_operation_is_known_and_in_no_other() -> None:
    (walk,) = (one for one in kernels.every_implementation() if one not in implementations())
    assert (walk.name, walk.only, walk.kernel) == ("dump-walk", "coredump", LINUX_6_12)
    assert (*kernels.IMPLEMENTATIONS, walk.name) == kernels.EVERY_IMPLEMENTATION
    assert kernels.newest_until(999) == implementation("folio-walk")


@pytest.mark.parametrize("ask", [implementation, kernel_of, Mm])
def test_an_unknown_name_is_told_the_known_ones(ask: Callable[[str], object]) -> None:
    with pytest.raises(ValueError, match=r"unknown implementation 'fast': choose from per-page, hole-skip, page-walk"):
        ask("fast")


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("like", ["per-page", "page-walk", "folio-walk"])
def test_one_that_is_registered_runs_by_the_rules_of_its_kernel(like: str) -> None:
    kernels.register(replace(implementation(like), name="mine"))
    mine, other = Mm("mine"), Mm(like)
    assert mine.impl == "mine" and implementations()[-1].name == "mine"
    assert mine.machine.arrays["mms"][1] == other.machine.arrays["mms"][1]  # the default limit among them
    for space in (mine, other):
        address = space.mmap(None, 1 << 20, 3, 0x22)
        space.touch(address, 1 << 19, "write")
        space.mlock(address, 1 << 20)
        space.munlock(address, 1 << 19)
    assert mine.observable_state() == other.observable_state() and mine.vmstat() == other.vmstat()


@pytest.mark.usefixtures("registry")
def test_a_newcomer_of_a_later_kernel_is_not_5_10() -> None:
    later = replace(LINUX_6_12, name="7.3", version=703)
    kernels.register(replace(implementation("folio-walk"), name="later", kernel=later))
    space = Mm("later")
    address = space.mmap(None, 4096, 3, 0x22)
    space.touch(address, 1, "write")
    space.mlock(address, 4096)
    assert space.machine.implementation.kernel is later
    assert space.call_counters()["model_mlock_pte_range"] == 1


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "is known already"),
        ({"name": "x", "algorithm": 99}, "unknown algorithm 99"),
        ({"name": "x", "kernel": LINUX_5_10}, r"does not fit Linux 5\.10"),
        ({"name": "x", "kernel": LINUX_6_12}, r"does not fit Linux 6\.12"),
    ],
)
def test_what_does_not_fit_is_not_registered(change: dict[str, Any], message: str) -> None:
    before = implementations()
    with pytest.raises(ValueError, match=message):
        kernels.register(replace(implementation("page-walk"), **change))
    assert implementations() == before


def test_names_are_had_without_numba_or_numpy() -> None:
    program = "import sys, mmmodel, mmmodel.kernels, mmmodel.constants, mmmodel.counters, mmmodel.arguments;"
    program += "print(*{'numba', 'numpy', 'llvmlite'} & set(sys.modules))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == ""
