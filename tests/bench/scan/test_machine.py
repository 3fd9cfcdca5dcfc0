"""Shots on kernels that crash, hang or refuse: by a kernel in name only, which answers programs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.kernels.errors import DeadlineError, EarlyEndError, GuestError
from bench.kernels.host import Host
from bench.kernels.protocol import Answer, Hello, Program
from bench.kernels.qemu import Qemu
from bench.kernels.selection import Selected
from bench.scan.call import PLACE
from bench.scan.calls import CALLS
from bench.scan.layouts import LAYOUTS
from bench.scan.machine import KernelMachine, Shot, machines
from bench.targets.kernel import KernelTarget

HANG, CRASH = "c 0 a ", "c 0 19 "  # orders that begin so: mprotect() hangs it, mremap() crashes it
HELLO = Hello("9.9.0-fake", 1, True, True)


class Answering:
    """A kernel that answers every order with 0, but for those that hang or crash it, and those that a test names."""

    def __init__(self, results: dict[str, int] | None = None, died: int | None = None) -> None:
        self.starts = 0
        self._results, self._died = results or {}, died

    def run(
        self, programs: Sequence[Program], hello: Callable[[Hello], None], seconds: int | None = None
    ) -> Iterator[list[Answer]]:
        """Answer each program."""
        self.starts += 1
        hello(HELLO)
        for program in programs:
            answers = []
            for order in program.orders:
                if order.startswith(HANG):
                    raise DeadlineError("the guest has said nothing for 120 s")
                if order.startswith(CRASH):
                    raise EarlyEndError("the guest ended", ("Kernel panic - not syncing: fake",))
                result = next((value for start, value in self._results.items() if order.startswith(start)), 0)
                answers.append(Answer(result, 1234, None))
            if self._died is not None:
                answers[-1].died = self._died
            yield answers


def _dies(programs: Sequence[Program], hello: Callable[[Hello], None], seconds: int | None = None) -> Iterator[list[Answer]]:
    """End before saying anything."""
    raise EarlyEndError("the guest ended")


def machine(monkeypatch: pytest.MonkeyPatch, kernel: Answering) -> KernelMachine:
    """Return a machine whose guests are those of a kernel in name only."""
    target = KernelTarget("9.9", Selected("9.9", "9.9.0", Qemu(Path("none")), "never", None))
    found = KernelMachine(target)
    monkeypatch.setattr(found, "_machine", lambda device: kernel)
    return found


def shots(*names: str) -> list[Shot]:
    """Return the first two sizes of some calls, each on memory with one page."""
    return [Shot(CALLS[name], LAYOUTS["one page"], size) for size in LAYOUTS["one page"].sizes[:2] for name in names]


def test_a_call_that_hangs_or_crashes_the_kernel_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Answering()
    wanted = shots("munmap", "mprotect", "mremap move", "madvise dontneed")
    found = [*machine(monkeypatch, kernel).carry_out(wanted)]
    assert [shot for shot, _ in found] == wanted
    fates = {shot.call.name: outcome.fate for shot, outcome in found}
    assert fates == {"munmap": "done", "mprotect": "hung", "mremap move": "crashed", "madvise dontneed": "done"}
    assert "Kernel panic" in next(outcome.why for shot, outcome in found if shot.call.name == "mremap move")
    assert kernel.starts == 3  # once more after each; the second sizes of both calls are not tried


def test_a_kernel_that_never_comes_up_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Answering()
    monkeypatch.setattr(kernel, "run", _dies)
    with pytest.raises(GuestError):
        [*machine(monkeypatch, kernel).carry_out(shots("munmap"))]


@pytest.mark.parametrize(
    ("name", "results", "n", "fate", "why"),
    [
        ("mseal", {"c 0 1ce ": -38}, 0, "absent", r"not there \(ENOSYS\)"),
        ("mseal", {"c 0 1ce ": -22}, 4096, "failed", r"the call failed with EINVAL"),
        ("madvise collapse", {"c 0 1c ": -22}, 0, "absent", r"not there \(EINVAL\)"),
        ("madvise collapse", {"c 0 1c ": -22}, 4096, "done", ""),  # there is nothing to collapse
        ("userfaultfd register", {"g 0 7000 143 ": -1}, 0, "refused", r"needs CAP_SYS_PTRACE \(EPERM\)"),
        ("munlock", {"c 0 9 ": -12}, 4096, "failed", r"order 1 of 4 failed with ENOMEM"),
        ("swapoff", {"c 0 a7 ": -16}, 4096, "done", ""),  # swapon() of what is swapped to already
    ],
)
def test_what_errors_say(
    name: str, results: dict[str, int], n: int, fate: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((_, outcome),) = machine(monkeypatch, Answering(results)).carry_out([Shot(CALLS[name], LAYOUTS["one page"], n)])
    assert outcome.fate == fate
    assert re.fullmatch(why, outcome.why)


@pytest.mark.parametrize(
    ("name", "died", "fate"),
    [("exit", 0, "done"), ("core dump", 0x86, "done"), ("core dump", 6, "refused"), ("munmap", 11, "failed")],
)
def test_how_a_process_may_end(name: str, died: int, fate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ((_, outcome),) = machine(monkeypatch, Answering(died=died)).carry_out([Shot(CALLS[name], LAYOUTS["one page"], 4096)])
    assert outcome.fate == fate


def test_what_needs_a_device_or_would_change_the_machine_is_refused_before_anything_runs() -> None:
    (host,) = machines([KernelTarget("host", Selected("host", "9.9", Host(), "never", None))])
    page = LAYOUTS["one page"]
    assert "needs swap" in host.problem(CALLS["swapoff"], page)
    assert "would change this machine" in host.problem(CALLS["madvise hwpoison"], page)
    assert "two memory nodes" in host.problem(CALLS["migrate_pages"], page)
    assert host.problem(CALLS["munmap"], page) == ""
    assert "file name" in KernelMachine(host._target, may_dump=False).problem(CALLS["core dump"], page)
    with pytest.raises(UsageError, match="twice"):
        machines([host._target, host._target])


def test_guests_have_the_devices_that_calls_need_and_nothing_else() -> None:
    target = KernelTarget("9.9", Selected("9.9", "9.9.0", Qemu(Path("none")), "never", None))
    plain, swap, nodes = (KernelMachine(target)._machine(one) for one in ("", "swap", "nodes"))
    assert isinstance(plain, Qemu) and isinstance(swap, Qemu) and isinstance(nodes, Qemu)
    assert (plain.swap_mib, plain.nodes, plain.count_instructions, plain.thp) == (0, 1, True, "madvise")
    assert (swap.swap_mib > 0, nodes.nodes) == (True, 2)
    assert nodes._memory().count("-numa") == 2
    assert plain._memory() == ["-m", str(plain.memory_mib)]
    assert KernelMachine(target)._place == PLACE


def test_what_is_counted_comes_after_a_rest_which_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = machine(monkeypatch, Answering())
    shot = Shot(CALLS["munmap"], LAYOUTS["one page"], 4096)
    assert counted._program(shot).orders[-2].startswith("w 0 ")
    assert not [one for one in counted._program(shot._replace(n=0)).orders if one.startswith("w ")]
    ((_, outcome),) = counted.carry_out([shot])
    assert (outcome.cost, outcome.whole) == (1234, 3 * 1234)  # of mmap(), an access and munmap()
    (host,) = machines([KernelTarget("host", Selected("host", "9.9", Host(), "never", None))])
    assert not [one for one in host._program(shot).orders if one.startswith("w ")]
