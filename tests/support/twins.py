"""The same calls on the model and on its oracle, compared after each: machines, processes and files by number.

A failure carries a script that repeats it: save it, and run it with the repository and its tests directory in PYTHONPATH.
"""

from __future__ import annotations

import errno
from typing import Any, NamedTuple

from mmmodel import Mm, NotModelled, check_mm
from mmmodel.counters import NAMES
from oracle import OracleMm
from oracle.constants import FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE
from support.subjects import of_kernel

ORACLE = "oracle"
NOT_MODELLED = "not modelled"
EVERYTHING = (0, 1 << 47)  # window for pagemap, bytes


class FileNumber(NamedTuple):
    """Stands for a file in the arguments of a call."""

    number: int


class Twins:
    """One machine per implementation of a kernel, and the oracle's."""

    def __init__(self, kernel: str, **machine: Any) -> None:
        self.script = [f"t = Twins({', '.join([repr(kernel), *(f'{name}={value!r}' for name, value in machine.items())])})"]
        implementations = of_kernel(kernel)
        first: dict[str, Any] = {impl: Mm(impl, **machine) for impl in implementations}
        first[ORACLE] = OracleMm(implementations[0], **machine)
        self.first = first
        self.processes = [first]
        self.alive = [True]
        self.files: list[dict[str, Any]] = []
        self.compare()

    def call(self, process: int, name: str, *args: Any) -> Any:
        """One call of one process on every machine: its result or the name of its error, the same for all."""
        self.script.append(f"t.call({', '.join(map(repr, (process, name, *args)))})")
        results: dict[str, Any] = {}
        for subject, mm in self.processes[process].items():
            left_out = subject == ORACLE and NOT_MODELLED in results.values()  # nothing was done, nor should the oracle
            results[subject] = NOT_MODELLED if left_out else self._one(mm, subject, name, args)
        if name == "fork" and not isinstance(results[ORACLE], str):
            self.processes.append(results)
            self.alive.append(True)
            results = dict.fromkeys(results, 0)
        if name == "exit":
            self.alive[process] = False
        if any(result != results[ORACLE] for result in results.values()):
            self.fail("result", results)
        self.compare()
        return results[ORACLE]

    def _one(self, mm: Any, subject: str, name: str, args: tuple[Any, ...]) -> Any:
        """One call on one machine."""
        real = [self.files[arg.number][subject] if isinstance(arg, FileNumber) else arg for arg in args]
        try:
            return getattr(mm, name)(*real)
        except OSError as exc:
            return errno.errorcode[exc.errno or 0]
        except NotModelled:
            return NOT_MODELLED
        except Exception as exc:
            exc.add_note(f"{subject}:\n{self.whole_script()}")
            raise

    def create_file(self, nbytes: int) -> FileNumber:
        """A file on every machine."""
        self.script.append(f"t.create_file({nbytes})")
        self.files.append({subject: mm.create_file(nbytes) for subject, mm in self.first.items()})
        return FileNumber(len(self.files) - 1)

    def truncate(self, file: int, nbytes: int) -> None:
        """Truncate it."""
        self.script.append(f"t.truncate({file}, {nbytes})")
        for each in self.files[file].values():
            each.truncate(nbytes)
        self.compare()

    def punch_hole(self, file: int, offset: int, nbytes: int) -> None:
        """Punch a hole into it: whole pages of the range."""
        self.script.append(f"t.punch_hole({file}, {offset}, {nbytes})")
        for each in self.files[file].values():
            each.fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, nbytes)
        self.compare()

    def set_cpu(self, cpu: int) -> None:
        """The next calls run there."""
        self.script.append(f"t.set_cpu({cpu})")
        for mm in self.first.values():
            mm.cpu = cpu

    def compare(self) -> None:
        """What a program can see is the same everywhere; the model's own invariants hold."""
        for subject, mm in self.first.items():
            if subject != ORACLE:
                try:
                    check_mm(mm)
                except AssertionError as exc:
                    exc.add_note(f"{subject}:\n{self.whole_script()}")
                    raise
        self.same("vmstat", self.first, lambda mm: mm.vmstat())
        self.same("counters", self.first, lambda mm: counted(mm, self.first[ORACLE]))
        for number, (process, alive) in enumerate(zip(self.processes, self.alive, strict=True)):
            if alive:
                self.same(f"VMAs of process {number}", process, lambda mm: [tuple(vma) for vma in mm.smaps()])
                self.same(f"pages of process {number}", process, lambda mm: [tuple(run) for run in mm.pagemap(*EVERYTHING)])
                self.same(f"sizes of process {number}", process, sizes)

    def same(self, what: str, machines: dict[str, Any], look: Any) -> None:
        """Compare one view."""
        views = {subject: look(mm) for subject, mm in machines.items()}
        if any(view != views[ORACLE] for view in views.values()):
            self.fail(what, views)

    def fail(self, what: str, views: dict[str, Any]) -> None:
        """The difference, and how to get it again."""
        lines = [f"{subject}: {view}" for subject, view in views.items()]
        raise AssertionError("\n".join([f"{what} differ:", *lines, self.whole_script()]))

    def whole_script(self) -> str:
        """A program that repeats what was done."""
        return "\n".join(["from support.twins import FileNumber, Twins", *self.script])


def counted(mm: Any, oracle: OracleMm) -> dict[str, int]:
    """The counters that the oracle has as well."""
    own = oracle.counted()
    if mm is oracle:
        return own
    return {name: int(mm.machine.counters[NAMES.index(name)]) for name in own}


def sizes(mm: Any) -> tuple[int, int, int]:
    """locked_vm as the 64-bit number it is, total_vm, map_count."""
    return mm.locked_vm % 2**64, mm.total_vm, mm.map_count
