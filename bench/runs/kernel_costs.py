"""What munlock() costs for pages of each kind on real kernels: the file that `kernel costs --json` writes, exact integers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from bench.errors import MeasurementError, one_line
from bench.runs.kernel_history import KernelFacts
from bench.runs.storage import load_json

SCHEMA: Final = 1


class Sized(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The call on so many pages."""

    nr_pages: int
    values: tuple[int, ...]  # instructions of each call, in order


class KindCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of page."""

    name: str
    summary: str
    covers: int  # pages that an entry of the page tables stands for, where the kind is one entry
    costs: dict[str, tuple[Sized, Sized]]  # by kernel, fewer pages first


class KernelCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of the file."""

    schema: Literal[1]
    kind: Literal["kernel-costs"]
    command: str
    created: str  # UTC, ISO 8601
    machine: dict[str, str | int]
    kernels: Sequence[KernelFacts]  # in the order asked for
    kinds: Sequence[KindCosts]


def load(path: Path) -> KernelCosts:
    """Read and check such a file; MeasurementError if it is none."""
    found = load_json(path, KernelCosts)
    known = {one.name for one in found.kernels}
    for one in found.kinds:
        sizes = one.costs.values()
        if not one.costs.keys() <= known or not all(few.values and more.values for few, more in sizes):
            raise MeasurementError(f"{one_line(path, 120)}: the costs of {one_line(one.name, 80)} are not of its kernels")
        if one.covers < 1 or not all(0 < few.nr_pages < more.nr_pages for few, more in sizes):
            raise MeasurementError(f"{one_line(path, 120)}: the sizes of {one_line(one.name, 80)} cannot be")
    return found
