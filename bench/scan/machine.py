"""Shots of a scan carried out on a kernel: in guests that may fail, each of which costs the call that it was at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

from bench.errors import UsageError
from bench.kernels.errors import DeadlineError, GuestError
from bench.kernels.host import Host
from bench.kernels.protocol import Answer, Hello, Program, wait
from bench.kernels.qemu import Qemu
from bench.kernels.recording import Kernel
from bench.kernels.uml import Uml
from bench.measuring.kernel_calls import SETTLE_NS, stamps_per_second
from bench.scan.call import ABSENT, PLACE, REFUSED, SMALL_PLACE, Call, Place, probe, program
from bench.scan.layouts import Layout
from bench.targets.kernel import GUEST_MIB, GUEST_SETTINGS, KernelTarget, Unit, counting
from mmmodel.constants import PAGE_SIZE

Fate = Literal["done", "absent", "refused", "failed", "crashed", "hung"]
MEMORY_MIB: Final = GUEST_MIB + 128
REST_NS: Final = 50_000_000  # of the guest's clock, before a call: some grace periods of RCU
SWAP_MIB: Final = 64
INSTRUCTIONS_PER_SECOND: Final = 1e8  # of an emulated machine, or less: for limits
DEVICES: Final = ("", "swap", "nodes")  # that a guest has; with swap, advice to page out waits for a drive
CORE_PATTERN: Final = Path("/proc/sys/kernel/core_pattern")
HUGE_PAGES: Final = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_ALREADY: Final = frozenset({"EEXIST", "EBUSY"})  # of a step that comes before: it was done for another shot
_CORE_WRITTEN: Final = 0x80  # of a status
_GUEST_SETTINGS: Final = {**GUEST_SETTINGS, str(CORE_PATTERN): "/core"}


class Shot(NamedTuple):
    """One call on one size of a layout; of size 0 whether the call is there at all."""

    call: Call
    layout: Layout
    n: int
    counts: bool = True  # False: to be carried out, and not measured

    @property
    def series(self) -> tuple[str, str]:
        """What it belongs to."""
        return self.call.name, self.layout.name


class Outcome(NamedTuple):
    """What became of a shot."""

    fate: Fate
    cost: float = 0.0  # instructions, or seconds
    why: str = ""  # where it is not done
    whole: float = 0.0  # what it took with all that comes before the call, in the same unit


class Machine(Protocol):
    """Anything that a scan can be made of."""

    @property
    def name(self) -> str:
        """As tables have it."""

    @property
    def unit(self) -> Unit:
        """What its calls cost."""

    @property
    def most(self) -> int:
        """Bytes of the longest span that it has room for."""

    def release(self) -> str:
        """Return what it says that it is, as far as that is known."""

    def problem(self, call: Call, layout: Layout) -> str:
        """Return why it cannot carry a call out on a layout, "" if it can."""

    def carry_out(self, shots: Sequence[Shot]) -> Iterator[tuple[Shot, Outcome]]:
        """Yield what becomes of each shot."""


class KernelMachine:
    """A real kernel."""

    def __init__(self, target: KernelTarget, may_dump: bool | None = None) -> None:
        """`may_dump`: whether the running kernel writes core files where they are found; None to look."""
        self.name, self.unit, self._target = target.name, target.unit, target
        self._said: list[Hello] = []
        kernel = target.selected.kernel
        self._is_host, self._is_uml = isinstance(kernel, Host), isinstance(kernel, Uml)
        self._place: Place = SMALL_PLACE if self._is_uml else PLACE
        self._dumps = (not self._is_host or core_goes_to_a_file()) if may_dump is None else may_dump
        self._has_huge = not self._is_uml and (not self._is_host or "[never]" not in _text(HUGE_PAGES, "[never]"))

    @property
    def most(self) -> int:
        """Bytes of the longest span."""
        return self._place.most

    def release(self) -> str:
        """Return what the kernel says that it is."""
        return self._said[0].kernel if self._said else self._target.kernel

    def problem(self, call: Call, layout: Layout) -> str:
        """Return why a call cannot be carried out on a layout."""
        if call.only_in == "guest" and self._is_host:
            return "is left to guests: it would change this machine"
        if call.only_in == "core file" and not self._dumps:
            return "needs a core_pattern that is a file name"
        if call.only_in in ("swap", "nodes") and not isinstance(self._target.selected.kernel, Qemu):
            return {"swap": "needs swap that is not in use", "nodes": "needs two memory nodes"}[call.only_in]
        return "needs huge pages" if layout.has_huge and not self._has_huge else ""

    def carry_out(self, shots: Sequence[Shot]) -> Iterator[tuple[Shot, Outcome]]:
        """Yield what becomes of each shot: those of one device in order, each in a guest of its own.

        GuestError for a kernel that does not come up.
        """
        for device in DEVICES:
            wanted = [shot for shot in shots if (shot.call.only_in if shot.call.only_in in DEVICES else "") == device]
            if wanted:
                yield from self._in_guests(device, wanted)

    def _machine(self, device: str) -> Kernel:
        """Return how the kernel is started."""
        kernel = self._target.selected.kernel
        if isinstance(kernel, Qemu):
            nodes: Literal[1, 2] = 2 if device == "nodes" else 1
            swap_mib = SWAP_MIB if device == "swap" else 0
            return counting(kernel, "madvise", MEMORY_MIB * nodes, _GUEST_SETTINGS, swap_mib, nodes)
        if isinstance(kernel, Uml):
            return replace(kernel, memory_mib=MEMORY_MIB, settings={**kernel.settings, **_GUEST_SETTINGS})
        return kernel

    def _program(self, shot: Shot) -> Program:
        """Return the program of a shot; before a call that is counted the guest has time to free what its steps left to RCU."""
        if not shot.n:
            return probe(shot.call, shot.layout, self._place)
        found = program(shot.call, shot.layout, shot.n, self._place)
        if not self._rests(shot):
            return found
        return found._replace(orders=(*found.orders[:-1], wait(REST_NS), found.orders[-1]))

    def _rests(self, shot: Shot) -> bool:
        """Tell whether the guest rests before the call of a shot."""
        return self.unit != "seconds" and shot.n > 0

    def _in_guests(self, device: str, shots: Sequence[Shot]) -> Iterator[tuple[Shot, Outcome]]:
        """Carry out shots in one guest; where that fails, the others in another, without more of the call that it was at."""
        dead: dict[str, Outcome] = {}
        at = 0
        while at < len(shots):
            coming = self._answers(device, [shot for shot in shots[at:] if shot.call.name not in dead])
            nr_said = len(self._said)
            for shot in shots[at:]:
                if shot.call.name in dead:
                    yield shot, dead[shot.call.name]
                    at += 1
                    continue
                try:
                    answers = next(coming)
                except GuestError as error:
                    if len(self._said) == nr_said:
                        raise  # it did not even say what it is
                    fate: Fate = "hung" if isinstance(error, DeadlineError) else "crashed"
                    dead[shot.call.name] = Outcome(fate, why=str(error))
                    break
                yield shot, self._outcome(shot, answers)
                at += 1

    def _answers(self, device: str, shots: Sequence[Shot]) -> Iterator[list[Answer]]:
        """Yield the answers to each shot, of a new guest that has settled, as the running kernel has long since."""
        programs = [Program(0, PAGE_SIZE, (wait(0 if self._is_host else SETTLE_NS),), 0), *map(self._program, shots)]
        answers = self._machine(device).run(programs, self._said.append)
        try:
            next(answers)
            yield from answers
        finally:
            answers.close()

    def _outcome(self, shot: Shot, answers: Sequence[Answer]) -> Outcome:
        """Return what the answers to a shot say."""
        *before, last = answers
        for number, one in enumerate(before):
            if one.errno and one.errno not in _ALREADY:
                return _refusal(shot, str(one.errno), f"order {number + 1} of {len(answers)}")
        if last.died is not None:
            if not shot.call.dies and shot.n:
                return Outcome("failed", why=f"it ends the process ({last.errno})")
            if shot.call.only_in == "core file" and not last.died & _CORE_WRITTEN:
                return Outcome("refused", why="needs a core file: none was written")
        elif last.errno and (last.errno not in shot.call.fine or (not shot.n and shot.call.exists)):
            return _refusal(shot, str(last.errno), "the call")
        whole = sum(one.cycles for one in answers)
        if self._rests(shot):
            whole -= before[-1].cycles  # the rest before the call, in which nothing is executed
        return Outcome("done", self._cost(last.cycles), whole=self._cost(whole))

    def _cost(self, stamps: int) -> float:
        """Return time stamps in the unit of the kernel."""
        return stamps if self.unit == "instructions" else stamps / stamps_per_second()


def _refusal(shot: Shot, errno: str, what: str) -> Outcome:
    """Return what an error says: at the first question that there is no such call, or that it takes a privilege."""
    if errno in REFUSED:
        return Outcome("refused", why=f"needs {shot.call.needs or 'a privilege'} ({errno})")
    if errno in ABSENT and not shot.n:
        return Outcome("absent", why=f"not there ({errno})")
    return Outcome("failed", why=f"{what} failed with {errno}")


def _text(path: Path, otherwise: str) -> str:
    """Return what a file says, or something else where there is none."""
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return otherwise


def core_goes_to_a_file() -> bool:
    """Tell whether the running kernel writes core files into the directory of who dies."""
    pattern = _text(CORE_PATTERN, "|")
    return bool(pattern) and not set(pattern) & set("|/@")


def seconds_of(machine: Machine, cost: float) -> float:
    """Return about how long something takes."""
    return cost / INSTRUCTIONS_PER_SECOND if machine.unit == "instructions" else cost


def machines(targets: Sequence[KernelTarget]) -> list[KernelMachine]:
    """Return the kernels of a command line; UsageError if one is named twice."""
    names = [one.name for one in targets]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"kernel {twice} is asked for twice")
    return [KernelMachine(one) for one in targets]
