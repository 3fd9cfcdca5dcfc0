"""Several kernels scanned: guests whose instructions are counted side by side, what is timed after them, alone."""

from __future__ import annotations

import difflib
import re
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Final

from bench.errors import BenchError, UsageError, one_line, told
from bench.measuring import kernel_boots
from bench.measuring.kernel_boots import Start
from bench.scan.call import Call
from bench.scan.calls import CALLS
from bench.scan.layouts import LAYOUTS
from bench.scan.machine import Machine
from bench.scan.measure import LIMIT, Say, Scanner
from bench.scan.results import KernelScan

ALONE: Final = "seconds"
OnShot = Callable[[int, int], None]  # shots that are done, and all that are known of, of all kernels
Keep = Callable[[list[KernelScan]], None]


def chosen(words: str | None, layouts: str | None = None) -> list[Call]:
    """Return the calls that a list of names means, all for None, on some of their layouts; UsageError for an unknown name.

    Names may be written without spaces, or with hyphens in their place: coredump, mremap-move.
    """
    names = _known("call", words, CALLS, f"--list shows the {len(CALLS)} that there are")
    calls = [CALLS[name] for name in names]
    if layouts is None:
        return calls
    kept = _known("layout", layouts, LAYOUTS, f"layouts are {', '.join(LAYOUTS)}")
    found = [one._replace(layouts=tuple(name for name in one.layouts if name in kept)) for one in calls]
    if none := next((one.name for one in found if not one.layouts and words), None):
        raise UsageError(f"{none} is scanned on none of these layouts; --list shows which it has")
    return [one for one in found if one.layouts]


def layout_named(word: str) -> str:
    """Return the layout of a name, which may be written as calls are; UsageError if there is none."""
    (name,) = _known("layout", word, LAYOUTS, f"layouts are {', '.join(LAYOUTS)}")
    return name


def _squeezed(word: str) -> str:
    """Return a name as it is compared: letters and digits alone."""
    return re.sub("[^a-z0-9]", "", word.lower())


def _known(what: str, words: str | None, known: Collection[str], listed: str) -> list[str]:
    """Return the names of a list, all that there are for None; UsageError for one that there is not, or that is there twice."""
    if words is None:
        return [*known]
    meant = {_squeezed(name): name for name in known}
    found = []
    for word in words.split(","):
        if _squeezed(word) not in meant:
            close = difflib.get_close_matches(_squeezed(word), meant, 1)
            hint = f"did you mean {meant[close[0]]}? " if close else ""
            raise UsageError(f"there is no {what} {one_line(word.strip(), 60)!r}; {hint}{listed}")
        found.append(meant[_squeezed(word)])
    if twice := next((name for name in found if found.count(name) > 1), None):
        raise UsageError(f"the {what} {twice} is named twice")
    return found


class _Sum:
    """Shots of all kernels, some of which are scanned at the same time."""

    def __init__(self, on_shot: OnShot) -> None:
        self._on_shot, self._lock = on_shot, threading.Lock()
        self._each: dict[str, tuple[int, int]] = {}

    def of(self, name: str) -> OnShot:
        """Return what is told of one kernel's shots."""

        def tell(done: int, known: int) -> None:
            with self._lock:
                self._each[name] = (done, known)
                self._on_shot(*map(sum, zip(*self._each.values(), strict=True)))

        return tell


def scan(
    machines: Sequence[Machine],
    calls: Sequence[Call],
    say: Say,
    on_shot: OnShot = lambda done, known: None,
    limit: float = LIMIT,
    keep: Keep = lambda found: None,
) -> list[KernelScan]:
    """Scan kernels.

    One that fails says so, with what was measured before. `limit`: seconds that a call may be expected to take; `keep` gets
    the kernels that are done, in the order of all, as soon as there is one more.
    """
    whole = _Sum(on_shot)
    scanners = [Scanner(one, calls, say, whole.of(one.name), limit) for one in machines]
    done: dict[int, KernelScan] = {}
    lock = threading.Lock()

    def carry_out(number: int) -> None:
        machine, scanner, error = machines[number], scanners[number], ""
        try:
            scanner.run()
        except BenchError as failure:
            error = told(failure)
        with lock:
            done[number] = KernelScan(machine.name, machine.release(), machine.unit, scanner.result(), error)
            keep([done[one] for one in sorted(done)])

    def start(number: int) -> Start:
        return lambda boot: carry_out(number)

    if together := [number for number, one in enumerate(machines) if one.unit != ALONE]:
        kernel_boots.run_all([*map(start, together)])
    for number, one in enumerate(machines):
        if one.unit == ALONE:
            carry_out(number)
    return [done[number] for number in range(len(machines))]
