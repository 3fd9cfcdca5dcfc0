"""The implementations of the model as targets: from a scenario to a prepared address space, and the call to measure on it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import TYPE_CHECKING

import msgspec

from bench import environment
from bench.errors import MeasurementError, UsageError, one_line
from bench.targets.target import OnProgress, Prepared, TraceSettings
from bench.traces.replay import RECORDED_RAM, carry_out, replay
from bench.traces.trace_format import Step, Trace
from bench.workloads import layout as layouts
from bench.workloads import participants, setup
from bench.workloads.scenario import LAYOUT, Point, Scenario, refuse_call
from mmmodel import constants as const
from mmmodel.constants import PAGE_SIZE
from mmmodel.kernels import V6_1, V6_12, Implementation, implementation

if TYPE_CHECKING:
    from mmmodel import File, Mm
    from mmmodel.coredump import DumpRun

PER_PAGE_BYTES = 48  # memory of the model for one populated page with its tables; `speed` measures it
PER_TABLE_BYTES = 4096  # of tables that have few pages each, which PER_PAGE_BYTES does not cover
PER_VMA_BYTES = 512
# Seconds for a page, to tell minutes from seconds before they have gone by; of a machine of 2020, not exact anywhere.
LOOK_UP_SECONDS = 1e-9  # of a page that need not be there, by munlockall()
DUMP_SECONDS = 6e-9  # of such a page, by a core dump
LOCK_ON_FAULT_SECONDS = 25e-9  # of such a page, by mlockall() of 5.10 where it may be accessed
TOUCH_SECONDS = 0.2e-6  # of a page that is put in memory
# Reserving costs no commit charge with MAP_NORESERVE, and the reproducer has none either way: the model's
# machine has no limit unless one is asked for.
RESERVE = const.MAP_PRIVATE | const.MAP_ANONYMOUS | const.MAP_NORESERVE
READ_WRITE = const.PROT_READ | const.PROT_WRITE


class ModelTarget(msgspec.Struct, frozen=True):
    """One implementation of the model: counters and states are exact, times are of the model."""

    name: str
    summary: str
    kernel: str
    family: str = "model"
    idea: str = ""  # digest of the file that it is out of

    def load(self, on_progress: OnProgress) -> None:
        """Compile the model, or load it from its cache; likewise the idea that this may be."""
        from mmmodel import Mm, warm_up

        warm_up(on_progress)
        if self.idea:
            Mm(self.name)

    def facts(self) -> dict[str, str | int]:
        """Return the versions that the compiled model depends on."""
        return {"numba_version": metadata.version("numba"), "numpy_version": metadata.version("numpy")}

    def source_digest(self) -> str:
        """Return the digest of the model's sources and settings, and of an idea's file."""
        model = environment.source_digest()
        return hashlib.sha256(f"{model} {self.idea}".encode()).hexdigest()[:16] if self.idea else model

    def check(self, point: Point) -> None:
        """Raise UsageError if a point's call cannot be made."""
        refuse_call(point)

    def needed_bytes(self, point: Point) -> int:
        """Return the bytes of memory that the model of `point`, and a snapshot of it, take at most."""
        return needed_bytes(point)

    def expected_seconds(self, point: Point) -> float:
        """Return about how long it takes to build a point and make its call."""
        return expected_seconds(point)

    def prepare(self, point: Point) -> Prepared:
        """Build the address space and take a snapshot of it."""
        space, start = build(point)
        call = _measured_call(point, space, start)
        return Prepared(
            implementation=space.impl,
            span=sum(vma.end - vma.start for vma in space.smaps()),
            nr_vmas=space.map_count,
            nr_populated=sum(vma.rss_kb for vma in space.smaps()) * 1024 // PAGE_SIZE,
            call=call,
            restore=functools.partial(space.restore, space.snapshot()),
            counters=space.call_counters,
            state=functools.partial(_state, space, call),
        )

    def steps(self, trace: Trace, settings: TraceSettings) -> Iterator[Step]:
        """Carry out a trace on a machine of its own."""
        return replay(space_for(self.name, trace, settings), trace)

    def refusal_of(self, trace: Trace) -> str:
        """Return why it cannot carry out a trace, "" if it can."""
        if not trace.mthp or implementation(self.name).kernel.version >= V6_12:
            return ""
        return f"mthp: {self.name} is of Linux {self.kernel}, which has no large folios of {', '.join(trace.mthp)}"


def targets() -> tuple[ModelTarget, ...]:
    """Return a target for each implementation, those of one operation alone among them."""
    return tuple(map(_target, participants.every()))


def _target(one: Implementation) -> ModelTarget:
    """Return the target of an implementation."""
    if (idea := getattr(one, "idea", None)) is None:  # an older model, under the gate, has no ideas
        return ModelTarget(one.name, one.summary, one.kernel.name)
    return ModelTarget(one.name, one.summary, one.kernel.name, f"idea {one.name}", idea.digest)


def _state(space: Mm, call: Callable[[], object]) -> str:
    """Return a digest of what can be seen of an address space and its pages, and of the file that its call wrote, if any."""
    # A page that waits in a per-CPU batch is not yet where it will be, and the two kernels batch differently.
    space.lru_add_drain_all()
    file = call.file if isinstance(call, _CoreDump) else None
    return hashlib.sha256(msgspec.json.encode((space.observable_state(), file))).hexdigest()


def space_for(name: str, trace: Trace, settings: TraceSettings) -> Mm:
    """Return an empty address space of an implementation, on a machine that is set as a trace needs it."""
    from mmmodel import Mm

    ram = RECORDED_RAM if settings.ram is None else settings.ram
    return Mm(name, thp=settings.thp, mthp=trace.folio_bytes, ram=ram)


class _CoreDump:
    """The call of a core dump, which keeps what the file of the last one has: pages, and between them holes."""

    def __init__(self, space: Mm) -> None:
        self._space = space
        self.file: list[DumpRun] = []

    def __call__(self) -> None:
        """Dump core."""
        self.file = self._space.coredump()


def build(point: Point) -> tuple[Mm, int]:
    """Return the address space of a point before its call, and the start of its span (0 for a layout)."""
    try:
        space, start = _build(setup.before(point), point.implementation)
        if point.operation == "mmap":
            space.mlockall(const.MCL_FUTURE)
    except MemoryError as error:
        raise UsageError(f"{point.group} needs more memory than there is: {one_line(error)}") from None
    except OSError as error:
        raise UsageError(f"{point.group} cannot be built: {one_line(error)}") from None
    return space, start


def needed_bytes(point: Point) -> int:
    """Return the bytes of memory that the model of `point`, and a snapshot of it, take at most."""
    tables = _nr_sparse_tables(point.scenario) * PER_TABLE_BYTES
    return 2 * (needed_pages(point) * PER_PAGE_BYTES + tables + _nr_vmas(point.scenario) * PER_VMA_BYTES)


def expected_seconds(point: Point) -> float:
    """Return about how many seconds it takes to build a point and make its call, by what visits every page."""
    one, scenario = implementation(point.implementation), point.scenario
    seconds = needed_pages(point) * TOUCH_SECONDS
    if point.operation == "coredump":
        return seconds if participants.only(one.name) else seconds + scenario.span // PAGE_SIZE * DUMP_SECONDS
    if not one.steps_over_holes:
        seconds += scenario.span // PAGE_SIZE * LOOK_UP_SECONDS
    if one.kernel.version < V6_1 and scenario.locked and point.operation != "mmap":
        seconds += _lockable_pages(scenario) * LOCK_ON_FAULT_SECONDS
    return seconds


def _lockable_pages(scenario: Scenario) -> int:
    """Return how many pages, there or not, can be accessed when the set-up locks them on fault."""
    if scenario.name == LAYOUT:
        vmas = layouts.load(scenario.layout).vmas
        return sum(vma.nr_pages for vma in vmas if vma.lockable and not vma.perms.startswith("---"))
    return scenario.span // PAGE_SIZE if scenario.populate.pattern != "none" else 0


def needed_pages(point: Point) -> int:
    """Return how many pages the model keeps for `point`, each huge page counted as its base pages."""
    scenario = point.scenario
    if scenario.name == LAYOUT:
        return layouts.load(scenario.layout).nr_present
    if scenario.thp == "always" or point.operation in ("mmap", "touch"):
        return scenario.span // PAGE_SIZE
    return scenario.populate.nr_pages(scenario.span)


def _nr_sparse_tables(scenario: Scenario) -> int:
    """Return how many page tables a scenario's scattered pages have at most: those of the two lowest levels."""
    populate, span = scenario.populate, scenario.span
    if scenario.name == LAYOUT or scenario.thp == "always" or populate.pattern not in ("every", "random"):
        return 0
    return sum(min(populate.nr_pages(span), -(-span // size)) for size in (const.PMD_SIZE, const.PUD_SIZE))


def _nr_vmas(scenario: Scenario) -> int:
    """Return how many VMAs a scenario has at most."""
    return len(layouts.load(scenario.layout).vmas) if scenario.name == LAYOUT else setup.nr_vmas(scenario)


def _build(scenario: Scenario, implementation: str) -> tuple[Mm, int]:
    """Return the address space and the start of its span (0 for a layout)."""
    from mmmodel import Mm  # here, because it loads the compiler

    if scenario.name == LAYOUT:
        captured = layouts.load(scenario.layout)
        if scenario.layout_digest not in ("", captured.digest):
            raise MeasurementError(f"layout {captured.name} changed while it was measured")
        space = lay_out(captured, implementation)
        # A program that held mlockall() has all its lockable pages in memory. The others were never locked:
        # locking them on fault leaves their pages as they are.
        space.mlockall(const.MCL_CURRENT | (const.MCL_FUTURE if captured.locked else const.MCL_ONFAULT))
        start = 0
    else:
        max_map_count = max(65530, _nr_vmas(scenario) + 16)
        space = Mm(implementation, levels=scenario.levels, thp=scenario.thp, max_map_count=max_map_count)
        start = setup.place(scenario)
        for call in setup.calls(scenario, start):
            carry_out(space, call)
    # What the set-up put into the per-CPU batches belongs to it, not to the measured call.
    space.lru_add_drain_all()
    return space, start


def lay_out(captured: layouts.Layout, implementation: str) -> Mm:
    """Return a real program's address space, laid out VMA by VMA, and not locked."""
    from mmmodel import Mm  # here, because it loads the compiler

    levels = 5 if captured.vmas[-1].last > const.TASK_SIZE_4 else 4
    space = Mm(implementation, levels=levels, max_map_count=max(65530, len(captured.vmas) + 16))
    files: dict[str, File] = {}
    for vma in captured.vmas:
        _map_captured(space, vma, _file_of(space, vma, captured, files))
    return space


def _file_of(space: Mm, vma: layouts.Vma, captured: layouts.Layout, files: dict[str, File]) -> File | None:
    """Return the file that a captured VMA maps, None for anonymous memory; those with an inode are kept in `files`."""
    if not vma.inode:
        own = vma.lockable and (vma.file or vma.path.startswith("/") or vma.perms[3] == "s")
        return space.create_file(vma.last - vma.first) if own else None
    if vma.inode not in files:
        same = [one for one in captured.vmas if one.inode == vma.inode]
        files[vma.inode] = space.create_file(max(one.file_offset + one.last - one.first for one in same))
    return files[vma.inode]


def _map_captured(space: Mm, vma: layouts.Vma, file: File | None) -> None:
    """Map one captured VMA at its address and put its pages in memory."""
    length = vma.last - vma.first
    protection = vma.protection
    if not vma.lockable:
        special = const.VM_IO | const.VM_PFNMAP if "io" in vma.vm_flags else const.VM_DONTEXPAND
        space.install_special_mapping(vma.first, length, protection, special)
        return  # its pages belong to the kernel: not on any LRU, never locked
    once_writable = vma.once_writable
    flags = const.MAP_FIXED_NOREPLACE | (const.MAP_SHARED if vma.perms[3] == "s" else const.MAP_PRIVATE)
    flags |= const.MAP_NORESERVE if "nr" in vma.vm_flags else 0
    flags |= const.MAP_ANONYMOUS if file is None else 0
    first_protection = protection | const.PROT_WRITE if once_writable else protection
    space.mmap(vma.first, length, first_protection, flags, file, vma.file_offset)
    if once_writable:
        space.mprotect(vma.first, length, protection)
    for advice in vma.advice:
        space.madvise(vma.first, length, advice)
    for kind, first, nr in layouts.page_kinds(vma):
        space.install_pages(vma.first + first * PAGE_SIZE, nr * PAGE_SIZE, kind)


def _measured_call(point: Point, space: Mm, start: int) -> Callable[[], object]:
    """Return the call that is counted and timed; refuse_call() was asked before."""
    span = point.scenario.span
    calls: dict[str, Callable[[], object]] = {
        "munlockall": space.munlockall,
        "mlockall": lambda: space.mlockall(const.MCL_CURRENT | const.MCL_FUTURE),
        "exit": space.exit,
        "munlock": lambda: space.munlock(start, span),
        "munlock-part": lambda: space.munlock(*setup.part(start, span)),
        "munmap": lambda: space.munmap(start, span),
        "mmap": lambda: space.mmap(None, span, READ_WRITE, RESERVE),
        "mprotect": lambda: space.mprotect(start, span, const.PROT_READ),
        "touch": lambda: space.touch(start, span, "write"),
        "coredump": _CoreDump(space),
    }
    return calls[point.operation]
