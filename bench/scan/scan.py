"""Several kernels scanned: guests whose instructions are counted side by side, what is timed after them, alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final

from bench.errors import BenchError, UsageError, told, unknown
from bench.measuring import kernel_boots
from bench.measuring.kernel_boots import Boot
from bench.scan.call import Call
from bench.scan.calls import CALLS
from bench.scan.machine import Machine
from bench.scan.measure import LIMIT, Say, Scanner
from bench.scan.results import KernelScan

ALONE: Final = "seconds"
OnShot = Callable[[int, int], None]  # shots that are done, and all that are known of, of all kernels


def chosen(words: str | None) -> list[Call]:
    """Return the calls that a list of names means, all for None; UsageError for a name that there is not."""
    if words is None:
        return list(CALLS.values())
    names = [word.strip() for word in words.split(",")]
    for name in names:
        if name not in CALLS:
            raise unknown(f"there is no call {name[:60]!r}; calls are ", name, CALLS)
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
) -> list[KernelScan]:
    """Scan kernels.

    One that fails says so, with what was measured before. `limit`: seconds that a call may be expected to take.
    """
    whole = _Sum(on_shot)
    scanners = [Scanner(one, calls, say, whole.of(one.name), limit) for one in machines]
    boots: dict[int, Boot] = {}
    together = [number for number, one in enumerate(machines) if one.unit != ALONE]

    def start(scanner: Scanner) -> Callable[[Boot], None]:
        return lambda boot: scanner.run()

    if together:
        found = kernel_boots.run_all([start(scanners[number]) for number in together])
        boots.update(zip(together, found, strict=True))
    for number, one in enumerate(machines):
        if one.unit == ALONE:
            boots[number] = boot = Boot()
            try:
                scanners[number].run()
            except BenchError as error:
                boot.error = told(error)
    return [
        KernelScan(one.name, one.release(), one.unit, scanner.result(), boots[number].error)
        for number, (one, scanner) in enumerate(zip(machines, scanners, strict=True))
    ]
