"""What is kept of a counted call: point, sizes, exact counters. Reading one loads neither the model nor what counts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from bench.workloads.scenario import Point

Facts = Mapping[str, int | str]  # what is known of a counted call, exactly: its parameters' digest, its sizes, its counters


class Counted(msgspec.Struct, frozen=True):
    """What one call did. Exact: the same on every machine, in every run."""

    name: str
    point: Point
    span: int  # bytes reserved before the call, all VMAs; of mmap, those that it maps
    nr_vmas: int  # before the call
    nr_populated: int  # pages in memory before the call
    counters: dict[str, int]  # of the call; names that start with model_ are not the kernel's

    @property
    def facts(self) -> Facts:
        """All of it but the name."""
        sizes = {"span": self.span, "nr_vmas": self.nr_vmas, "nr_populated": self.nr_populated}
        return {"parameters": self.point.digest, **sizes, **self.counters}


def digest_of(counters: Mapping[str, int]) -> str:
    """Return a digest of a call's counters, to see at a glance whether two are the same."""
    return hashlib.sha256(msgspec.json.encode(counters, order="sorted")).hexdigest()[:16]
