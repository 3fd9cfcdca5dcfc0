"""Points measured on real kernels: what is kept of a guest's answers, however the guest ends."""

import threading
from pathlib import Path

import pytest
from rich.progress import Progress

from bench.errors import MeasurementError
from bench.kernels.errors import EarlyEndError
from bench.kernels.protocol import Answer, Program
from bench.kernels.uml import Uml
from bench.measuring import collect_kernels, kernel_calls, kernel_points
from bench.measuring.kernel_points import Asked, Repetition, Taken
from bench.workloads.scenario import SCENARIOS, GiB, MiB, Point, TiB
from support import real

QUIET = Progress(disable=True)
MUNLOCK = "c 0 96 "


def points(name: str, *spans: int) -> tuple[Point, ...]:
    return tuple(Point(SCENARIOS["report"].resized(span), name) for span in spans)


def is_whole(program: Program) -> bool:
    """Tell whether a program maps its span, so that it is no measurement of the call alone."""
    return any(one.startswith("c 0 9 ") for one in program.orders)


def measured(work: list[kernel_points.Task]) -> list[Taken]:
    found: list[Taken] = []
    kernel_points.measure(work, QUIET, found.append)
    return found


def test_what_the_call_costs_the_guest_itself_is_taken_off_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    real.answering(monkeypatch, lambda program: real.all_well(program, 3040 if is_whole(program) else 1000))
    target = real.qemu()
    (taken,) = measured(kernel_points.all_tasks([target], {target.name: points(target.name, MiB)}, Asked()))
    assert taken.start.values == (2040, 2040, 2040) and taken.start.warmups == ()
    assert (taken.kernel.name, taken.kernel.release, taken.kernel.runs_as) == ("6.1.192", "6.1.192-fake", "QEMU")


def test_times_are_of_the_whole_call_and_the_first_value_warms_up(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(1000, 2000))
    real.answering(monkeypatch, lambda program: real.all_well(program, next(numbers)), Uml)
    monkeypatch.setattr(kernel_points, "stamps_per_second", lambda: 1e9)
    target = real.uml()
    taken = measured(kernel_points.all_tasks([target], {target.name: points(target.name, MiB)}, Asked(2, 3, 1)))
    assert [one.number for one in taken] == [0, 1]
    # The first two programs of a start let the guest settle, and use memory for the first time.
    assert [one.start.warmups for one in taken] == [(1002e-9,), (1008e-9,)]
    assert taken[0].start.values == (1003e-9, 1004e-9, 1005e-9)
    (cost,) = kernel_points.joined(taken, points(target.name, MiB))
    assert cost.unit == "seconds" and len(cost.starts) == 2


def test_an_order_of_the_set_up_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(program: Program) -> list[Answer]:
        return [Answer(-12 if one.startswith("c 0 97") else 0, 5, None) for one in program.orders]

    real.answering(monkeypatch, answer)
    target = real.qemu()
    work = kernel_points.all_tasks([target], {target.name: points(target.name, MiB)}, Asked())
    with pytest.raises(
        MeasurementError, match=r"6\.1\.192 \(QEMU\): munlockall/report/1MiB/6\.1\.192: the guest's mlockall\(0x3\) failed with"
    ):
        measured(work)


def test_exit_may_end_the_process_and_nothing_else_may(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(program: Program) -> list[Answer]:
        return [Answer(0, 50 + 10 * is_whole(program), 0 if one == "x 0" else None) for one in program.orders]

    real.answering(monkeypatch, answer)
    target = real.qemu()
    leaving = Point(SCENARIOS["report"].resized(MiB), target.name, "exit")
    (taken,) = measured(kernel_points.all_tasks([target], {target.name: (leaving,)}, Asked()))
    assert taken.start.values == (10, 10, 10)
    real.answering(monkeypatch, lambda program: [Answer(0, 5, 9) for _ in program.orders])
    with pytest.raises(MeasurementError, match="failed with SIG9"):
        measured(kernel_points.all_tasks([target], {target.name: (leaving,)}, Asked()))


def dying(after: int) -> real.Answering:
    """Return a guest that panics when it has answered so many programs that are measured."""
    done = iter(range(1000))

    def answer(program: Program) -> list[Answer]:
        if is_whole(program) and next(done) == after:
            raise EarlyEndError("the guest ended", ("Kernel panic - not syncing",))
        return real.all_well(program, 3000 if is_whole(program) else 1000)

    return answer


def test_what_came_before_a_guest_failed_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    real.answering(monkeypatch, dying(after=1 + 4))  # the first is not measured; a round and a half are
    target = real.qemu()
    work = kernel_points.all_tasks([target], {target.name: points(target.name, MiB, 2 * MiB, 4 * MiB)}, Asked(1, 2, 0))
    taken, failure = kernel_points.take(work, QUIET)
    assert str(failure) == "6.1.192 (QEMU): the guest ended; its console: Kernel panic - not syncing"
    assert [(one.point.scenario.span, one.start.values, one.is_whole) for one in taken] == [
        (MiB, (2000, 2000), True),
        (2 * MiB, (2000,), False),
        (4 * MiB, (2000,), False),
    ]


def test_no_guest_is_started_after_one_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_points, "at_once", lambda: 1)
    batches = real.answering(monkeypatch, dying(after=0))
    target = real.qemu()
    with pytest.raises(MeasurementError):
        measured(kernel_points.all_tasks([target], {target.name: points(target.name, MiB)}, Asked(5)))
    assert len(batches) == 1


def test_guests_run_side_by_side_and_all_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=30)

    def answer(program: Program) -> list[Answer]:
        if not is_whole(program) and not program.orders[0].startswith("c"):
            both.wait()  # passed only if two guests are at it
        return real.all_well(program, 3000 if is_whole(program) else 1000)

    monkeypatch.setattr(kernel_points, "at_once", lambda: 2)
    real.answering(monkeypatch, answer)
    kernels = [real.qemu("5.10.1"), real.qemu("6.1.2")]
    work = kernel_points.all_tasks(kernels, {one.name: points(one.name, MiB) for one in kernels}, Asked())
    assert {one.kernel.name for one in measured(work)} == {"5.10.1", "6.1.2"}


def test_a_cost_that_is_none_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real.answering(monkeypatch, real.all_well)
    target = real.qemu()
    with pytest.raises(MeasurementError, match="costs no more than the same call without it"):
        measured(kernel_points.all_tasks([target], {target.name: points(target.name, MiB)}, Asked()))


def test_points_that_take_long_have_a_start_of_their_own_and_are_carried_out_once() -> None:
    target, repetition = real.qemu("5.10.1"), Repetition(1, 3, 0)
    work = kernel_points.tasks(target, points(target.name, MiB, 2 * MiB, TiB, 2 * TiB), 0, repetition)
    assert [[one.scenario.span for one in task.points] for task in work] == [[MiB, 2 * MiB], [TiB], [2 * TiB]]
    assert [len(task.calls) for task in work] == [6, 1, 1]
    many = kernel_points.tasks(real.qemu(), points("6.1.192", *(MiB * number for number in range(1, 31))), 0, repetition)
    assert [len(task.points) for task in many] == [12, 12, 6]


def test_a_core_dump_is_a_death_with_a_file_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    target = real.qemu()
    work = kernel_points.all_tasks(
        [target], {target.name: (Point(SCENARIOS["one-page"].resized(MiB), target.name, "coredump"),)}, Asked()
    )

    def dying(status: int | None) -> None:
        def answers(program: Program) -> list[Answer]:
            *before, last = real.all_well(program, 3000 if any(one.startswith("t ") for one in program.orders) else 1000)
            dies = program.orders[-1].startswith("g ")
            return [*before, Answer(0, last.cycles, status) if dies else last]

        real.answering(monkeypatch, answers)

    dying(0x86)  # SIGABRT, and a core file
    (taken,) = measured(work)
    assert set(taken.start.values) == {2000}
    for status in (6, None):  # without a file, and not at all
        dying(status)
        with pytest.raises(MeasurementError, match=r"coredump/one-page/1MiB/.*: no core file was written"):
            measured(work)


def test_what_is_carried_out_before_a_long_point_is_short() -> None:
    target = real.qemu("5.10.1")
    (_, first, *_) = kernel_calls._batch(target, points(target.name, 2 * TiB), 3)
    assert first.point is None and f" {GiB:x} " in first.program.orders[0] + " "


@pytest.mark.parametrize(
    ("asked", "starts"), [(Asked(), (1, 3)), (Asked(5), (5, 5)), (Asked(factor=0.5), (1, 2)), (Asked(factor=2.0), (2, 6))]
)
def test_how_often_a_kernel_is_started(asked: Asked, starts: tuple[int, int]) -> None:
    assert (asked.of(real.qemu()).starts, asked.of(real.uml()).starts) == starts


def test_what_is_finished_is_found_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    target = real.qemu()
    chosen = points(target.name, MiB, 2 * MiB, 4 * MiB)
    real.answering(monkeypatch, dying(after=1 + 4))
    work = [collect_kernels.work_on(target, chosen, Asked(2, 2, 0))]
    monkeypatch.setattr(kernel_points, "at_once", lambda: 1)
    with pytest.raises(MeasurementError):
        collect_kernels.collect(work, [target], tmp_path, QUIET)
    assert collect_kernels.nr_kept(tmp_path) == 1
    batches = real.answering(monkeypatch, lambda program: real.all_well(program, 7000 if is_whole(program) else 1000))
    costs = collect_kernels.collect(work, [target], tmp_path, QUIET)
    assert [one.point for one in costs] == list(chosen)
    assert [one.starts[0].values for one in costs] == [(2000, 2000), (6000, 6000), (6000, 6000)]
    assert sorted(len([one for one in batch if is_whole(one)]) for batch in batches) == [1 + 4, 1 + 6]
    batches = real.answering(monkeypatch, real.all_well)
    assert collect_kernels.collect(work, [target], tmp_path, QUIET) == costs and batches == []
    (tmp_path / "00001.0.kernel.json").write_bytes(b"{}")
    with pytest.raises(MeasurementError):  # it is done again, by the guest that costs nothing
        collect_kernels.collect(work, [target], tmp_path, QUIET)
