"""Many traces on a kernel: several guests at once, results in order, and a guest that fails costs one trace."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from typing import Final, NamedTuple

from bench.kernels.errors import EarlyEndError, GuestError
from bench.kernels.protocol import Hello, program, result
from bench.kernels.recording import Kernel, told
from bench.traces.trace_format import Result, Trace

MAX_STEPS: Final = 12_000  # of one boot: what a failure can cost, and how large its files are
MIN_STEPS: Final = 2_400  # below it another boot costs more than it saves
MAX_LOST: Final = 20  # traces; a kernel that loses more, and one in LOST_SHARE, has no results worth waiting for
LOST_SHARE: Final = 50
GUEST_BYTES: Final = 2 << 30  # of memory for each guest at once


class Lost(NamedTuple):
    """A trace that was not finished."""

    name: str
    error: GuestError  # what became of the guest
    begun: Result | None = None  # of the ops before the one at which the kernel itself ended, if it did


def guests_at_once() -> int:
    """Return how many guests this machine has processors and memory for, at least 1."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(len(os.sched_getaffinity(0)), memory // GUEST_BYTES))


def divide(traces: Sequence[Trace], jobs: int) -> list[list[Trace]]:
    """Return traces in their order as those of one boot each, for so many guests at once."""
    total = sum(len(one.ops) for one in traces)
    limit = min(MAX_STEPS, max(MIN_STEPS, -(-total // jobs)))
    parts: list[list[Trace]] = []
    steps = limit
    for one in traces:
        if steps >= limit:
            parts.append([])
            steps = 0
        parts[-1].append(one)
        steps += len(one.ops)
    return parts


class Boot:
    """A guest that was started for some traces, and those that take its place when it fails."""

    def __init__(self, kernel: Kernel, traces: Sequence[Trace]) -> None:
        """Start it."""
        self._kernel = kernel
        self._start(traces)

    def _start(self, traces: Sequence[Trace]) -> None:
        self._traces = traces
        self._hello: list[Hello] = []
        self._answers = self._kernel.run([*map(program, traces)], self._hello.append)

    def results(self) -> Iterator[Result | Lost]:
        """Yield the result of each trace, in order; GuestError for a guest that did not come up."""
        while True:
            done = 0
            try:
                for one in told(self._traces, self._answers, self._hello):
                    yield one
                    done += 1
            except GuestError as error:
                if not self._hello or done == len(self._traces):
                    raise
                yield Lost(self._traces[done].name, error, self._begun(self._traces[done], error))
            else:
                return
            if done + 1 == len(self._traces):
                return
            self._start(self._traces[done + 1 :])

    def _begun(self, trace: Trace, error: GuestError) -> Result | None:
        """Return what is known of a trace at one of whose ops the guest ended."""
        if not isinstance(error, EarlyEndError) or error.answered is None or len(error.answered) == len(trace.ops):
            return None
        return result(trace, self._hello[0].kernel, self._hello[0], list(error.answered))

    def close(self) -> None:
        """End the guest."""
        self._answers.close()


def results_of(
    kernel: Kernel, traces: Sequence[Trace], jobs: int, most_lost: int = MAX_LOST
) -> Generator[Result | Lost, None, None]:
    """Yield the result of each trace in order, from up to `jobs` guests at once.

    A guest that fails loses the trace that it was at: the others go on in a new one. GuestError where a guest does not
    come up at all, or after `most_lost` such traces that are more than one in LOST_SHARE. Whatever ends this ends the
    guests.
    """
    waiting = deque(divide(traces, jobs))
    boots: deque[Boot] = deque()
    done = lost = 0
    try:
        while waiting or boots:
            while waiting and len(boots) < jobs:
                boots.append(Boot(kernel, waiting.popleft()))
            for one in boots[0].results():
                yield one
                done += 1
                if isinstance(one, Lost):
                    lost += 1
                    if lost >= most_lost and lost * LOST_SHARE > done:
                        raise one.error
            boots.popleft()
    finally:
        for boot in boots:
            boot.close()
