"""Real kernels as targets: what each can carry out, where, and in which unit its calls are measured."""

from __future__ import annotations

import functools
import hashlib
import os
import resource
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Final, Literal

import msgspec

from bench.errors import UsageError, one_line
from bench.kernels.host import Host
from bench.kernels.points import CORE_FILE
from bench.kernels.qemu import Qemu
from bench.kernels.recording import Kernel
from bench.kernels.selection import ALLOWED, AS_QEMU, AS_UML, Selected, Thp, is_kernel, select, series_of
from bench.kernels.uml import Uml
from bench.number_format import approximate
from bench.traces.checks import PROGRAM_BYTES
from bench.workloads import layout as layouts
from bench.workloads import setup
from bench.workloads.scenario import LAYOUT, Point, refuse_call
from mmmodel.constants import PAGE_SIZE, TASK_SIZE_4

__all__ = ["ALLOWED", "KernelTarget", "Unit", "find", "is_kernel"]

Unit = Literal["instructions", "seconds"]
RUNS_AS: Final = {Qemu: "QEMU", Uml: "user-mode Linux", Host: "running here"}
# Address of a span in a user-mode Linux, whose addresses end early. Not near 1 GiB, where the guest program has its own memory:
# a forked process of a user-mode Linux still reaches what its parent had there, until it faults.
UML_START: Final = 1 << 33
UML_SPAN: Final = 1 << 38  # bytes, the longest; the 3-level tables of a user-mode Linux end at 512 GiB
GUEST_MIB: Final = 640  # of a guest's memory, beside the pages of its point
TABLES: Final = 1 / 8  # of a page, for each page in memory that stands alone: its share of page tables, at most
WALKS_EVERY_PAGE: Final = (5, 17)  # series up to this one look every page of a locked VMA up
# About what a page of a span takes to be looked up, and one in memory to be made and unlocked; of a machine of 2020.
LOOK_UP_SECONDS: Final = {"instructions": 0.4e-6, "seconds": 10e-9}
DUMP_SECONDS: Final = 2e-6  # of such a page by a core dump, emulated
PAGE_SECONDS: Final = {"instructions": 20e-6, "seconds": 2e-6}


class KernelTarget(msgspec.Struct, frozen=True):
    """A kernel that points are carried out on."""

    name: str  # in the names of points: a version, "uml-5.10", "host", or an image's name with the start of its digest
    selected: Selected

    @property
    def kernel(self) -> str:
        """Its release, or how that begins."""
        return self.selected.release

    @property
    def runs_as(self) -> str:
        """How it is run, for tables."""
        return RUNS_AS[type(self.selected.kernel)]

    @property
    def summary(self) -> str:
        """What it is, one line."""
        return f"Linux {self.kernel}, {self.runs_as}"

    @property
    def unit(self) -> Unit:
        """What its calls are measured in: an emulated machine executes instructions, and keeps no time."""
        return "instructions" if isinstance(self.selected.kernel, Qemu) else "seconds"

    @property
    def is_linear(self) -> bool:
        """Whether it is so old that it looks up every page of a locked VMA."""
        return series_of(self.kernel) <= WALKS_EVERY_PAGE

    @property
    def file(self) -> Path | None:
        """Its image or program, None for the running kernel."""
        kernel = self.selected.kernel
        return kernel.image if isinstance(kernel, Qemu) else kernel.binary if isinstance(kernel, Uml) else None

    @property
    def digest(self) -> str:
        """The digest of its file, "" for the running kernel."""
        return _digest_of(self.file) if self.file else ""

    def start(self, point: Point) -> int | None:
        """Return the address of a point's span, None for the usual place."""
        return UML_START if isinstance(self.selected.kernel, Uml) else None

    def check(self, point: Point) -> None:
        """Raise UsageError if this kernel cannot carry out a point."""
        refuse_call(point)
        scenario, kernel = point.scenario, self.selected.kernel
        problem = ""
        if point.operation == "coredump" and not isinstance(kernel, Qemu):
            problem = "its file would lie on this machine; versions and images under QEMU have memory of their own for it"
        elif isinstance(kernel, Uml):
            if scenario.thp == "always":
                problem = "a user-mode Linux has no huge pages"
            elif scenario.name == LAYOUT:
                problem = "the addresses of a program do not fit into the 512 GiB of a user-mode Linux"
            elif scenario.span > UML_SPAN:
                problem = "a user-mode Linux has room for spans up to 256 GiB (--size)"
        elif isinstance(kernel, Host) and scenario.thp != self.selected.thp and scenario.name != LAYOUT:
            problem = f"this machine runs with huge pages {self.selected.thp}, it needs {scenario.thp}"
        elif isinstance(kernel, Host):
            problem = _lock_problem(scenario.span)
        if scenario.name != LAYOUT and scenario.span > TASK_SIZE_4 - setup.LEAVE_FREE:
            problem = problem or "a real kernel keeps a part of the address space, and 5 levels of page tables are not booted"
        if problem:
            raise UsageError(f"{point.group} cannot be measured on {self.name}: {problem}")

    def expected_seconds(self, point: Point) -> float:
        """Return about how long it takes to prepare a point and make its call once."""
        seconds = _nr_pages(point) * PAGE_SECONDS[self.unit]
        if point.operation == "coredump":
            seconds += point.scenario.span // PAGE_SIZE * DUMP_SECONDS
        elif self.is_linear:
            seconds += point.scenario.span // PAGE_SIZE * LOOK_UP_SECONDS[self.unit]
        return seconds

    def machines(self, points: Iterable[Point]) -> list[tuple[Kernel, tuple[Point, ...]]]:
        """Return the machines that points need, each with its points: how huge pages are set is decided at the start."""
        kernel = self.selected.kernel
        ordered = sorted(points, key=_thp_of)
        found: list[tuple[Kernel, tuple[Point, ...]]] = []
        for thp, group in groupby(ordered, key=_thp_of):
            chosen = tuple(group)
            mib = GUEST_MIB + int(max(map(_nr_kept, chosen)) * PAGE_SIZE * (1 + TABLES)) // (1 << 20)
            if isinstance(kernel, Qemu):
                machine: Kernel = counting(kernel, thp, mib, {**GUEST_SETTINGS, **_settings(chosen)})
            elif isinstance(kernel, Uml):
                machine = Uml(kernel.binary, memory_mib=mib, settings={**kernel.settings, **GUEST_SETTINGS})
            else:
                machine = kernel
            found.append((machine, chosen))
        return found


# Nothing of the guest's own accord while a call is measured.
COMMAND_LINE: Final = ("mitigations=off",)
CORE_PATTERN: Final = "/proc/sys/kernel/core_pattern"
GUEST_SETTINGS: Final = {
    "/proc/sys/vm/max_map_count": "2000000000",
    "/proc/sys/vm/overcommit_memory": "1",
    "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs": "4000000000",
}


def counting(
    kernel: Qemu,
    thp: Literal["never", "always", "madvise"],
    memory_mib: int,
    settings: Mapping[str, str] = GUEST_SETTINGS,
    swap_mib: int = 0,
    nodes: Literal[1, 2] = 1,
) -> Qemu:
    """Return a kernel as it is booted to count instructions: nothing of its own accord, and `settings` beside its own."""
    return replace(
        kernel,
        thp=thp,
        memory_mib=memory_mib,
        count_instructions=True,
        command_line=COMMAND_LINE,
        settings={**kernel.settings, **settings},
        swap_mib=swap_mib,
        nodes=nodes,
    )


def find(word: str, thp: Thp | None = None) -> KernelTarget:
    """Return the kernel that a word of a command line names; UsageError if there is none."""
    selected = select(word, thp)
    one = KernelTarget(selected.word, selected)
    if one.file and (word.startswith((AS_QEMU, AS_UML)) or selected.word == str(one.file)):  # named by a path
        return KernelTarget(f"{one_line(one.file.name, 40)}-{one.digest[:8]}", selected)
    return one


@functools.cache
def _digest_of(path: Path) -> str:
    """Return the sha256 digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _lock_problem(span: int) -> str:
    """Return why a span cannot be locked by this user on the running kernel, "" if it can."""
    limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if os.geteuid() == 0 or limit == resource.RLIM_INFINITY or span + PROGRAM_BYTES <= limit:
        return ""
    return f"its {approximate(span)} get locked, and this user may lock {approximate(limit)} (ulimit -l)"


def _thp_of(point: Point) -> Literal["never", "always", "madvise"]:
    """Return how huge pages are to be set for a point; those of a layout are asked for by advice."""
    if point.scenario.name != LAYOUT:
        return point.scenario.thp
    return "madvise" if any(vma.thp or vma.thp_pte for vma in layouts.load(point.scenario.layout).vmas) else "never"


def _settings(points: Iterable[Point]) -> dict[str, str]:
    """Return what a guest needs for its points: a core dump goes into a file where nothing else is."""
    return {CORE_PATTERN: CORE_FILE} if any(one.operation == "coredump" for one in points) else {}


def _nr_kept(point: Point) -> int:
    """Return how many pages of a guest's memory a point takes: those in memory, and in a core file once more."""
    return _nr_pages(point) * (2 if point.operation == "coredump" else 1)


@functools.cache
def _nr_pages(point: Point) -> int:
    """Return how many pages of memory a point's call finds or makes."""
    scenario = point.scenario
    if scenario.name == LAYOUT:
        return layouts.load(scenario.layout).nr_present
    if scenario.thp == "always" or point.operation in ("mmap", "touch"):
        return scenario.span // PAGE_SIZE
    return scenario.populate.nr_pages(scenario.span)
