"""What munlock() costs for pages of each kind on real kernels: exact runs of two sizes of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Final

from bench.errors import MeasurementError, UsageError
from bench.kernels.page_kinds import KINDS, SWAP_MIB, PageKind
from bench.kernels.protocol import WATCH_MEMORY, Answer, Program, wait
from bench.kernels.qemu import Qemu
from bench.kernels.session import patience
from bench.measuring import kernel_boots
from bench.measuring.kernel_boots import Boot, Cost, Start
from bench.measuring.kernel_calls import BOOT_SECONDS, ROUNDS, SETTLE_NS
from bench.targets.kernel import GUEST_MIB, KernelTarget, counting
from mmmodel.constants import PAGE_SIZE

MEMORY_MIB: Final = GUEST_MIB + 128  # the largest program has 64 MiB in huge pages
SECONDS: Final = 5  # of a deadline, for each program


def nr_values() -> int:
    """Return how many values come of each kernel."""
    return len(KINDS) * len(KINDS[0].sizes) * ROUNDS


def key(kind: PageKind, nr_pages: int) -> str:
    """Return the name of a measurement."""
    return f"{kind.name}/{nr_pages}"


def run(targets: Sequence[KernelTarget], on_value: Callable[[], None] = lambda: None) -> list[Boot]:
    """Start kernels and measure; what a start of a kernel that fails had come to is kept."""

    def start_of(target: KernelTarget) -> Start:
        return lambda boot: _start(target, boot, on_value)

    return kernel_boots.run_all([start_of(one) for one in targets])


def _start(target: KernelTarget, boot: Boot, on_value: Callable[[], None]) -> None:
    """Start a kernel once for each setting of huge pages."""
    for thp, group in groupby(sorted(KINDS, key=lambda one: one.thp), key=lambda one: one.thp):
        kernel = target.selected.kernel
        if not isinstance(kernel, Qemu):
            raise UsageError(f"{target.name} is timed, and pages are counted in instructions")
        machine = counting(kernel, thp, MEMORY_MIB, swap_mib=SWAP_MIB)
        for kind, nr_pages, cost in _values(machine, list(group), boot.releases):
            before = boot.costs.get(key(kind, nr_pages), Cost((), 0))
            boot.costs[key(kind, nr_pages)] = Cost((*before.values, cost), 0)
            on_value()


def _values(machine: Qemu, kinds: Sequence[PageKind], releases: list[str]) -> Iterator[tuple[PageKind, int, int]]:
    """Yield what each program cost, after each kind was looked at once."""
    wanted = [(kind, nr_pages) for kind in kinds for nr_pages in kind.sizes]
    looked = [kind.program(kind.sizes[0], WATCH_MEMORY) for kind in kinds]
    programs = [
        Program(0, PAGE_SIZE, (wait(SETTLE_NS),), 0),
        *looked,
        *(kind.program(nr_pages) for _ in range(ROUNDS) for kind, nr_pages in wanted),
    ]
    found = machine.run(
        programs, lambda hello: releases.append(hello.kernel), int((BOOT_SECONDS + SECONDS * len(programs)) * patience())
    )
    next(found)
    for kind in kinds:
        _check(kind, next(found))
    for (kind, nr_pages), answers in zip(wanted * ROUNDS, found, strict=True):
        _refuse_failed(kind, answers)
        yield kind, nr_pages, answers[-1].cycles


def _refuse_failed(kind: PageKind, answers: Sequence[Answer]) -> None:
    """Raise MeasurementError if an order did not do what it should."""
    if failed := next((one.errno for one in answers if one.errno), None):
        raise MeasurementError(f"pages of kind {kind.name!r}: a call of the guest failed with {failed}")


def _check(kind: PageKind, answers: Sequence[Answer]) -> None:
    """Raise MeasurementError if the pages are not of the kind that they should be, just before the measured call."""
    _refuse_failed(kind, answers)
    runs = answers[-2].memory[0].pages
    found = sum(nr for _, nr, state in runs if not kind.state or kind.state in state)
    expected = kind.sizes[0] if kind.state else 0
    if found != expected:
        raise MeasurementError(f"{found} of {expected} pages are of kind {kind.name!r} in the guest")
