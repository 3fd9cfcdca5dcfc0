"""How often a call is timed, from how long it takes: the number of worker processes decides how long a command runs."""

from __future__ import annotations

import msgspec

from bench.errors import UsageError

SLOW_CALL = 1.0  # seconds; such a call is timed once in each process
QUICK_CALL = 0.05  # seconds; below it calls are repeated for each timed value
QUICK_VALUE = 2e-3  # seconds that the calls of one timed value should take together
MAX_LOOPS = 100
START_SECONDS = 1.0  # that a worker process takes before it prepares anything


class Repetition(msgspec.Struct, frozen=True):
    """How often a point is timed."""

    processes: int = 3  # worker processes, each with an address space of its own
    values: int = 3  # timed values in each
    warmups: int = 1  # values that are not counted before them
    loops: int = 1  # calls for each value, each on the restored address space

    def expected_seconds(self, call: float, prepare: float) -> float:
        """Return about how long it takes to time a call of `call` seconds that is prepared in `prepare` seconds."""
        return self.processes * (START_SECONDS + prepare + (self.warmups + self.values) * self.loops * call)


class Policy(msgspec.Struct, frozen=True):
    """What is asked for about the repetition of many points; each gets the rest by its duration."""

    processes: int | None = None
    values: int | None = None
    often: tuple[str, ...] = ()  # names of points that are timed as OFTEN says, whatever they take
    less: tuple[str, ...] = ()  # names of points that only support others, and are timed less often

    def repetition(self, name: str, seconds: float) -> Repetition:
        """Return how often to time the point of this name, a call of which takes about `seconds`."""
        if name not in self.often:
            return repetition_for(seconds, name not in self.less, self.processes, self.values)
        return Repetition(self.processes or OFTEN.processes, self.values or OFTEN.values, OFTEN.warmups, loops_for(seconds))


# For distributions and the order of runs.
OFTEN = Repetition(processes=20, values=3, warmups=1)


def check_counts(processes: int | None, values: int | None) -> None:
    """Raise UsageError if an option asks for less than one process or value."""
    if any(number is not None and number < 1 for number in (processes, values)):
        raise UsageError("--processes and --values must be at least 1")


def loops_for(seconds: float, value: float = QUICK_VALUE, most: int = MAX_LOOPS) -> int:
    """Return how many calls of about `seconds` each make one timed value of about `value` seconds, at most `most`."""
    return min(most, int(value / max(seconds, 1e-9)) + 1)


def repetition_for(seconds: float, main: bool, processes: int | None = None, values: int | None = None) -> Repetition:
    """Return how often to time a call that takes about `seconds`; points that only support others (not `main`) get less.

    A worker takes about a second before its first call. `processes` and `values` overrule what is chosen here.
    """
    if seconds > SLOW_CALL:
        chosen = Repetition(processes=2, values=1, warmups=0)
    elif seconds > QUICK_CALL:
        chosen = Repetition(processes=3 if main else 1, values=2, warmups=0)
    else:
        chosen = Repetition(processes=3 if main else 1, values=5, warmups=1)
    return Repetition(processes or chosen.processes, values or chosen.values, chosen.warmups, loops_for(seconds))
