"""What a measured call leaves behind is what the oracle leaves behind, built and called by the same lines.

Implementations are also held to each other whenever they are counted, but mlockall() only within a kernel, and page-walk
is the only one of its kernel.
"""

from typing import Any, get_args

import pytest

import mmmodel
from bench.targets import model
from bench.workloads.scenario import SCENARIOS, Operation, Point
from oracle import OracleMm

SPAN = 4 << 20
# After an exit there is nothing to see. A core dump changes nothing; tests/model/test_coredump.py holds its file to /proc.
OPERATIONS = [one for one in get_args(Operation) if one not in ("exit", "coredump")]
WINDOW = (0, 1 << 47)


def seen(point: Point) -> tuple[Any, ...]:
    """Build a point, make its call, and return all that a program and the statistics can see."""
    space, start = model.build(point)
    model._measured_call(point, space, start)()
    space.lru_add_drain_all()
    vmas = [tuple(vma) for vma in space.smaps()]
    return vmas, space.locked_vm, space.vmstat(), [tuple(run) for run in space.pagemap(*WINDOW)]


def points(implementation: str, operation: Operation) -> list[Point]:
    """The operation on every scenario, small. A layout needs what no program can call; what may not be touched is not."""
    scenarios = [one.resized(SPAN) for one in SCENARIOS.values() if one.name != "layout"]
    return [Point(one, implementation, operation) for one in scenarios if operation != "touch" or not one.prot_none]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("implementation", mmmodel.IMPLEMENTATIONS)
def test_a_measured_call_does_what_the_oracle_does(
    implementation: str, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for point in points(implementation, operation):
        got = seen(point)
        with monkeypatch.context() as patch:
            patch.setattr(mmmodel, "Mm", OracleMm, raising=False)
            assert got == seen(point), point.name


def test_mlockall_of_the_points_locks_pages() -> None:
    """So that what is compared above is not nothing."""
    for point in points("page-walk", "mlockall"):
        _, locked_vm, vmstat, _ = seen(point)
        assert locked_vm == SPAN // 4096
        assert (vmstat["nr_mlock"] > 0) == (point.scenario.populate.pattern != "none"), point.name
