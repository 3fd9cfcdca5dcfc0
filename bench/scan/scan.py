"""Several kernels scanned: guests whose instructions are counted side by side, what is timed after them, alone."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Sequence
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
    """Return the calls that a list of names means, all for None, on some of their layouts; UsageError for an unknown name."""
    calls = _named(words)
    if layouts is None:
        return calls
    kept = [word.strip() for word in layouts.split(",")]
    if wrong := next((one for one in kept if one not in LAYOUTS), None):
        raise UsageError(f"there is no layout {one_line(wrong, 40)!r}; layouts are {', '.join(LAYOUTS)}")
    found = [one._replace(layouts=tuple(name for name in one.layouts if name in kept)) for one in calls]
    if none := next((one.name for one in found if not one.layouts and words), None):
        raise UsageError(f"{none} is scanned on none of these layouts; --list shows which it has")
    return [one for one in found if one.layouts]


def _named(words: str | None) -> list[Call]:
    """Return the calls of a list of names, all for None."""
    if words is None:
        return list(CALLS.values())
    names = [word.strip() for word in words.split(",")]
    for name in names:
        if name not in CALLS:
            close = difflib.get_close_matches(name.lower(), CALLS, 1)
            meant = f"did you mean {close[0]}? " if close else ""
            raise UsageError(f"there is no call {one_line(name, 60)!r}; {meant}--list shows the {len(CALLS)} that there are")
    if len(set(names)) < len(names):
        raise UsageError(f"--only names {next(name for name in names if names.count(name) > 1)} twice")
    return [CALLS[name] for name in names]


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
