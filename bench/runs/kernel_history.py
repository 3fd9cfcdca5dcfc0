"""What calls cost one kernel after another: the file that `kernel history --json` writes, exact integers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from bench.errors import MeasurementError, one_line
from bench.runs.storage import load_json
from bench.workloads.scenario import Point, Scenario

SCHEMA: Final = 1


class KernelFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kernel."""

    name: str  # a version, or an image's name with the start of its digest
    release: str  # as uname -r
    error: str = ""  # why not all points were measured


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one point cost one kernel, in instructions."""

    values: tuple[int, ...]  # of each call, in order, less `taken_off`
    taken_off: int  # what the same call takes without the point's memory


class HistoryPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One point on every kernel that it was measured on."""

    point: Point  # without an implementation
    costs: dict[str, Costs]  # by kernel

    @property
    def name(self) -> str:
        """What the point is called on any kernel."""
        return self.point.group

    @property
    def scenario(self) -> Scenario:
        """Its address space."""
        return self.point.scenario


class KernelHistory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of the file."""

    schema: Literal[1]
    kind: Literal["kernel-history"]
    command: str
    created: str  # UTC, ISO 8601
    machine: dict[str, str | int]
    kernels: Sequence[KernelFacts]  # in the order asked for
    points: Sequence[HistoryPoint]


def load(path: Path) -> KernelHistory:
    """Read and check such a file; MeasurementError if it is none."""
    history = load_json(path, KernelHistory)
    known = {one.name for one in history.kernels}
    for one in history.points:
        if not one.costs.keys() <= known or not all(costs.values for costs in one.costs.values()):
            raise MeasurementError(f"{one_line(path, 120)}: the costs of {one_line(one.name, 80)} are not of its kernels")
    return history
