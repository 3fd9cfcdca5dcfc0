"""Calls of a scan carried out by the model: a machine whose costs are what the model counts.

Steps are the same data that the guest is given, so that a call is the same call. What the model has no call for is not
carried out.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from bench.errors import one_line
from bench.scan.call import PLACE, Call
from bench.scan.layouts import Layout
from bench.scan.machine import Outcome, Shot
from bench.scan.steps import Abort, Again, Emptied, Exit, File, Fork, Limit, Spot, Step, Sys, Text, Touch
from bench.targets.kernel import Unit
from mmmodel.errors import NotModelled

if TYPE_CHECKING:
    from mmmodel import File as MappedFile
    from mmmodel import Mm

COUNTED: Final = "model_"  # how counters of work begin; the others are statistics of the kernel's
NOT_MODELLED: Final = "is not modelled"
RANGE_CALLS: Final = frozenset({"munmap", "mprotect", "mlock", "mlock2", "munlock", "madvise", "mremap", "msync"})
NO_RANGE: Final = frozenset({"mlockall", "munlockall"})
FILES: Final = frozenset({"open", "close"})  # of which the model has none, and which change no memory


class ModelMachine:
    """An implementation of the model, to be scanned as a kernel is."""

    unit: Unit = "instructions"  # of a kind: exact, one for each thing that the model counts
    most: int = PLACE.most

    def __init__(self, name: str, kernel: str) -> None:
        """`name`: of an implementation; `kernel`: whose rules it follows, "6.1"."""
        self.name, self._kernel = name, kernel

    def release(self) -> str:
        """Return the kernel that it follows."""
        return self._kernel

    def problem(self, call: Call, layout: Layout) -> str:
        """Return what the model has no call for, "" if it can carry a call out."""
        steps = (*layout.steps, *call.before, call.measured)
        return next((f"{NOT_MODELLED} ({_named(one)})" for one in steps if not _is_known(one)), "")

    def carry_out(self, shots: Sequence[Shot]) -> Iterator[tuple[Shot, Outcome]]:
        """Yield what becomes of each shot, each on a machine of its own; whether a call is there is not asked."""
        for shot in shots:
            yield shot, self.outcome(shot) if shot.n else Outcome("done")

    def outcome(self, shot: Shot) -> Outcome:
        """Return all that a call counts on one size of a layout, and one more, as a call that counts nothing is a call."""
        counted = self.counted(shot)
        if isinstance(counted, str):
            return Outcome("failed", why=counted)
        return Outcome("done", 1.0 + sum(counted.values()))

    def counted(self, shot: Shot) -> dict[str, int] | str:
        """Return what a call counts on one size of a layout, by counter, or why it fails."""
        from mmmodel import Mm  # here, because it loads the compiler

        layout = shot.layout
        spot = Spot(PLACE.start, layout.span(shot.n), shot.n, PLACE.target, PLACE.scratch)
        space = Mm(self.name, thp="madvise", max_map_count=1 << 20)
        files: dict[int, MappedFile] = {}
        try:
            for step in (*layout.steps, *shot.call.before):
                _carry_out(space, step, spot, files)
            space.lru_add_drain_all()
            try:
                _carry_out(space, shot.call.measured, spot, files)
            except OSError as error:
                if _name_of(error) not in shot.call.fine:
                    raise
        except NotModelled as error:
            return f"{NOT_MODELLED} ({one_line(error)})"
        except (OSError, MemoryError) as error:
            return one_line(error)
        return {name: number for name, number in space.call_counters().items() if name.startswith(COUNTED)}


def _name_of(error: OSError) -> str:
    """Return the name of an error."""
    return errno.errorcode.get(error.errno or 0, "")


def _named(step: Step) -> str:
    """Return what a step is, in a word."""
    return step.name if isinstance(step, Sys | Again) else type(step).__name__.lower()


def _is_known(step: Step) -> bool:
    """Tell whether the model has a step."""
    if isinstance(step, Sys | Again):
        return step.name in RANGE_CALLS or (isinstance(step, Sys) and step.name in (*NO_RANGE, *FILES, "mmap"))
    return isinstance(step, Touch | File | Limit | Emptied | Text | Fork | Exit | Abort)


def _carry_out(space: Mm, step: Step, spot: Spot, files: dict[int, MappedFile]) -> None:
    """Have the model do a step; OSError and NotModelled as its calls raise them."""
    match step:
        case Sys(name="mmap"):
            address, nbytes, protection, flags, descriptor, offset = (spot.value(one) for one in step.arguments)
            space.mmap(address, nbytes, protection, flags, files.get(descriptor), offset)
        case Sys(name=name) if name in FILES:
            pass
        case Sys():
            getattr(space, step.name)(*(spot.value(one) for one in step.arguments))
        case Again():
            first, *others = (spot.value(one) for one in step.arguments)
            for number in range(spot.value(step.times)):
                getattr(space, step.name)(first + number * step.stride, *others)
        case Touch():
            space.touch(spot.value(step.start), spot.value(step.nbytes), "write", step.stride)
        case File():
            files[step.descriptor] = space.create_file(spot.value(step.nbytes))
        case Fork():
            space.fork()
        case Exit():
            space.exit()
        case Abort():
            space.coredump()  # what follows is an exit, whose law is its own
        case Limit() | Emptied() | Text():
            pass  # what the model's core file could exceed, and its name
