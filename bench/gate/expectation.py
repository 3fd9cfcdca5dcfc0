"""The committed expectation: what the calls of the suite count, exactly.

    results/expectation.json

It carries a digest of its content, so that a hand that edits a count shows:
what the gate expects changes by `gate --accept` and a commit alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from bench.errors import MeasurementError, one_line
from bench.runs.record import Counted, Facts
from bench.runs.storage import encode_json, load_json, write_atomic

SCHEMA: Final = 1  # 1: the first
FILE = "expectation.json"


class Expected(msgspec.Struct, frozen=True):
    """What one call must do."""

    digest: str  # of the point's parameters
    nr_vmas: int  # before the call
    nr_populated: int  # pages in memory before the call
    counters: dict[str, int]

    @property
    def facts(self) -> Facts:
        """All of it."""
        return {"parameters": self.digest, "nr_vmas": self.nr_vmas, "nr_populated": self.nr_populated, **self.counters}


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of expectation.json."""

    schema: Literal[1]
    kind: Literal["expectation"]
    suite: str  # name of the suite that was counted
    command: str  # that wrote it
    digest: str  # of `points`
    points: dict[str, Expected]  # by name


def digest_of(points: Mapping[str, Expected]) -> str:
    """Return the digest of an expectation's points."""
    return hashlib.sha256(msgspec.json.encode(points, order="sorted")).hexdigest()


def expected_of(one: Counted) -> Expected:
    """Return what a counted call makes the expectation."""
    return Expected(one.point.digest, one.nr_vmas, one.nr_populated, one.counters)


def save(path: Path, suite: str, command: str, points: dict[str, Expected]) -> None:
    """Write what was counted as what is expected from now on."""
    write_atomic(path, encode_json(Expectation(SCHEMA, "expectation", suite, command, digest_of(points), points)))


def load(path: Path) -> Expectation:
    """Read an expectation; raise MeasurementError if it is none, is empty, or was edited by hand."""
    content = load_json(path, Expectation)
    if not content.points:
        raise MeasurementError(f"expectation {one_line(path, 120)} has no measurement")
    if digest_of(content.points) != content.digest:
        raise MeasurementError(f"expectation {one_line(path, 120)} was edited by hand; `gate --accept` writes it")
    return content
