"""Traces over several guests: all results in order, one lost for each guest that fails, no guest left when it ends."""

from collections.abc import Callable, Generator, Sequence

import pytest

from bench.kernels.batches import MAX_LOST, MAX_STEPS, MIN_STEPS, Lost, divide, guests_at_once, results_of
from bench.kernels.errors import EarlyEndError
from bench.kernels.protocol import Answer, Hello, Memory, Program, program
from bench.traces.generate import random_traces
from bench.traces.trace_format import Result, Trace

TRACES = [*random_traces(11, 600).values()]


class Fake:
    """A kernel that says 0 to everything, and fails where it is told to."""

    def __init__(self, fails: Callable[[str], bool] = lambda name: False, boots: bool = True, answered: int = 0) -> None:
        self.fails = fails
        self.answered = answered  # ops of a trace that fails, before it does
        self.boots = boots
        self.started = self.running = self.most = 0

    def run(
        self, programs: Sequence[Program], hello: Callable[[Hello], None], seconds: int | None = None
    ) -> Generator[list[Answer], None, None]:
        """Answer each program."""
        self.started += 1
        guest = self._answers(programs, hello)
        next(guest)  # it has started
        return guest

    def _answers(self, programs: Sequence[Program], hello: Callable[[Hello], None]) -> Generator[list[Answer], None, None]:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            yield []
            if not self.boots:
                raise EarlyEndError("the guest ended after 0 traces")
            hello(Hello("6.1", 1, True, True))
            for one in programs:
                got = [Answer(0, 0, None, {0: Memory(0, [], [])}) for _ in one.orders]
                if self.fails(names[one.orders]):
                    raise EarlyEndError("Kernel panic", answered=got[: self.answered])
                yield got
        finally:
            self.running -= 1


names = {program(one).orders: one.name for one in TRACES}


def outcome(one: Result | Lost) -> str:
    """Return the name of a trace, with a mark if it was lost."""
    return one.name if isinstance(one, Result) else f"!{one.name}"


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_all_results_in_order(jobs: int) -> None:
    kernel = Fake()
    assert [outcome(one) for one in results_of(kernel, TRACES, jobs)] == [one.name for one in TRACES]
    assert kernel.started == len(divide(TRACES, jobs)) > 1 or jobs == 1
    assert (kernel.most, kernel.running) == (jobs, 0)


def test_a_guest_that_fails_loses_the_trace_that_it_was_at() -> None:
    bad = {TRACES[0].name, TRACES[7].name, TRACES[8].name, TRACES[-1].name}
    kernel = Fake(bad.__contains__)
    expected = [f"!{one.name}" if one.name in bad else one.name for one in TRACES]
    assert [outcome(one) for one in results_of(kernel, TRACES, 2)] == expected
    assert kernel.running == 0


def test_of_a_trace_at_which_the_kernel_ended_what_came_before_is_kept() -> None:
    lost = [
        one for one in results_of(Fake(lambda name: name == TRACES[7].name, answered=3), TRACES[:9], 1) if isinstance(one, Lost)
    ]
    begun = [one.begun for one in lost if one.begun]
    assert [(one.name, one.kernel, len(one.steps)) for one in begun] == [(TRACES[7].name, "6.1", 3)]
    complete = Fake(lambda name: name == TRACES[7].name, answered=len(TRACES[7].ops))
    assert [one.begun for one in results_of(complete, TRACES[:9], 1) if isinstance(one, Lost)] == [None]  # at no op of it


def test_a_loss_in_sixty_does_not_end_it_and_one_in_forty_does() -> None:
    def losing(one_in: int) -> Generator[Result | Lost, None, None]:
        bad = {one.name for one in TRACES[one_in - 1 :: one_in]}
        return results_of(Fake(bad.__contains__), TRACES, 1, most_lost=2)

    assert sum(isinstance(one, Lost) for one in losing(60)) == 10
    with pytest.raises(EarlyEndError):
        [*losing(40)]


def test_a_kernel_that_loses_everything_is_given_up() -> None:
    kernel = Fake(lambda name: True)
    found = results_of(kernel, TRACES, 2)
    assert all(isinstance(next(found), Lost) for _ in range(MAX_LOST))
    with pytest.raises(EarlyEndError):
        next(found)
    assert kernel.running == 0


def test_a_kernel_that_does_not_come_up() -> None:
    kernel = Fake(boots=False)
    with pytest.raises(EarlyEndError, match="after 0"):
        next(results_of(kernel, TRACES, 3))
    assert kernel.running == 0


def test_who_stops_early_leaves_no_guest() -> None:
    kernel = Fake()
    found = results_of(kernel, TRACES, 3)
    next(found)
    assert kernel.running == 3
    found.close()
    assert kernel.running == 0


def sizes(parts: Sequence[Sequence[Trace]]) -> list[int]:
    """Return the steps of each boot."""
    return [sum(len(one.ops) for one in part) for part in parts]


def test_boots_are_neither_small_nor_large() -> None:
    longest = max(len(one.ops) for one in TRACES)
    for jobs in (1, 2, 4, 64):
        parts = divide(TRACES, jobs)
        assert [one for part in parts for one in part] == TRACES
        assert all(MIN_STEPS <= size < MAX_STEPS + longest for size in sizes(parts)[:-1])
    assert len(divide(TRACES[:20], 8)) == 1
    assert divide([], 2) == []


def test_how_many_guests() -> None:
    assert guests_at_once() >= 1
