"""A kept scan held against the model: where a kernel's cost follows a law, what the model counts must follow it too.

Laws are judged by the same code, on the same sizes. Compared are all that are linear, and, of calls on memory that nobody
touched, those that depend on nothing. What the model has no call for is left out, and so is what it counts nothing of: the
copying of page tables by fork(), the change of entries by mprotect() and mremap(), the headers of a core dump.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from bench.scan.by_model import NOT_MODELLED, ModelMachine
from bench.scan.call import Call
from bench.scan.calls import CALLS
from bench.scan.law import LEAST_VALUES, Law, judge
from bench.scan.layouts import LAYOUTS, Layout
from bench.scan.machine import Shot
from bench.scan.results import KernelScan, Series
from mmmodel.constants import PAGE_SIZE
from mmmodel.kernels import newest_until, version_of

UNTOUCHED: Final = ("none", "rw", "locked none")  # layouts
INDEPENDENT: Final = ("munmap", "mprotect", "fork", "exit")  # calls whose law "nothing", of such memory, is compared
# Work that the model does and does not count, by the axis of the layouts where it shows.
NOT_COUNTED: Final[dict[str, tuple[str, ...]]] = {
    "core dump": ("pages", "VMAs"),  # to write them, and a header for each
    "core dump mapped": ("span",),
    "fork": ("pages", "tables", "VMAs"),
    "mprotect": ("pages", "tables"),
    "mprotect none": ("pages", "tables"),
    "mprotect rw": ("pages", "tables"),
    "mremap grow": ("pages", "tables"),
    "mremap move": ("pages", "tables", "span"),
    "mremap dontunmap": ("pages", "tables", "span"),
    "msync": ("VMAs",),
    "munlock": ("VMAs",),
}
WHAT: Final = {
    ("core dump", "pages"): "writing pages",
    ("core dump", "VMAs"): "the program header of each VMA, in its file,",
    ("core dump mapped", "span"): "bringing the pages of a file",
    ("munlock", "VMAs"): "looking at each VMA that is not locked",
}

COUNTED_ADVICE: Final = ("madvise dontneed", "madvise dontneed_locked", "madvise remove")


class Held(NamedTuple):
    """A law of a kernel, and the model's."""

    call: str
    layout: str
    measured: str  # "linear a 4096 B", "nothing"
    modelled: str
    agrees: bool


class Result(NamedTuple):
    """One kernel held against the implementation that models it."""

    kernel: str
    implementation: str
    held: tuple[Held, ...]
    left_out: tuple[str, ...]  # "mincore: is not modelled (mincore)"

    @property
    def wrong(self) -> list[Held]:
        """Laws that the model does not show."""
        return [one for one in self.held if not one.agrees]


def against_model(kernel: KernelScan) -> Result:
    """Hold the laws of one kernel against the model of its series, or of the newest before it."""
    implementation = newest_until(version_of(kernel.release))
    if implementation is None:
        return Result(kernel.name, "", (), (f"no implementation models {kernel.release} or an earlier kernel",))
    machine = ModelMachine(implementation.name, implementation.kernel.name)
    held: list[Held] = []
    left_out: dict[str, None] = {}
    for series, call, layout, law in _laws(kernel):
        if reason := machine.problem(call, layout) or _not_counted(call, layout):
            left_out[f"{call.name}: {reason}"] = None
            continue
        one = _held(machine, call, series, law)
        if one.modelled.startswith(NOT_MODELLED):
            left_out[f"{call.name}: {one.modelled}"] = None
        else:
            held.append(one)
    return Result(kernel.name, implementation.name, tuple(held), tuple(left_out))


def _laws(kernel: KernelScan) -> Iterator[tuple[Series, Call, Layout, Law]]:
    """Yield the laws of a kernel that are compared."""
    for scan in kernel.calls:
        call = CALLS[scan.name]
        for series in scan.series:
            law = series.law(kernel.unit)
            untouched = call.name in INDEPENDENT and series.layout in UNTOUCHED
            if law is not None and (law.kind == "linear" or (law.kind == "nothing" and untouched)):
                yield series, call, LAYOUTS[series.layout], law


def _not_counted(call: Call, layout: Layout) -> str:
    """Return that the model counts nothing of what a call does there, "" if it does.

    Of advice it counts what gives pages up, and nothing of what sets flags or marks pages.
    """
    if call.name.startswith("madvise ") and call.name not in COUNTED_ADVICE:
        return "its work is not counted"
    if layout.axis not in NOT_COUNTED.get(call.name, ()):
        return ""
    return f"{WHAT.get((call.name, layout.axis), f'its work on {layout.axis}')} is not counted"


def _held(machine: ModelMachine, call: Call, series: Series, law: Law) -> Held:
    """Return a law of a kernel beside the model's.

    They agree where it depends on nothing and all counters together do not either, or where one counter grows as it does, in
    the same steps: all together may grow otherwise, for what is counted twice near a page is once where tables are missing.
    """
    layout = LAYOUTS[series.layout]
    counted: list[dict[str, int]] = []
    for sized in series.sizes:
        found = machine.counted(Shot(call, layout, sized.n))
        if isinstance(found, str):
            return Held(call.name, layout.name, _words(law, layout), found, agrees=False)
        counted.append(found)
    whole = _law_of(series, [sum(one.values()) for one in counted])
    each = [_law_of(series, [one[name] for one in counted]) for name in counted[0]] if law.kind == "linear" else [whole]
    same = next((one for one in each if _is_same(law, one)), None)
    return Held(call.name, layout.name, _words(law, layout), _words(same or whole, layout), same is not None)


def _law_of(series: Series, counted: Sequence[int]) -> Law:
    """Return the law of what was counted on each size of a series: as costs of a call that takes one more."""
    values = {
        sized.n: [1.0 + number] * max(LEAST_VALUES, len(sized.values))
        for sized, number in zip(series.sizes, counted, strict=True)
    }
    return judge(LAYOUTS[series.layout].axis, values, "instructions", is_whole=not series.stopped)


def _is_same(one: Law, two: Law) -> bool:
    """Tell whether two laws are of the same kind, and in the same steps of a walk."""
    return one.kind == two.kind and (one.kind != "linear" or one.unit == two.unit)


def _words(law: Law, layout: Layout) -> str:
    """Return a law in a few words."""
    if law.kind != "linear":
        return law.kind
    step = f"{law.unit // PAGE_SIZE} pages" if law.unit > PAGE_SIZE else "a page"
    return f"linear, {step} of span" if layout.axis == "span" else f"linear in {layout.axis}"
