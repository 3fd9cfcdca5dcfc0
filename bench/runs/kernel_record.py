"""What is kept of real kernels: what a kernel is, what a point cost on it, instructions.json, and times as pyperf has them.

Schema 1 of instructions.json, the first: the kernels, and of each point its values, start by start. A value is the number of
instructions that one call executed, without what it costs the guest program alone.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec
import pyperf

from bench.errors import MeasurementError, one_line
from bench.runs import storage
from bench.runs.storage import PREFIX
from bench.workloads.scenario import LAYOUT, Point
from mmmodel.constants import PAGE_SIZE

SCHEMA: Final = 1
MEASURED: Final = "real kernel"  # in pyperf's metadata; a model's times do not say so
MOST_INSTRUCTIONS: Final = 1 << 63
# Of pyperf's metadata, without their prefix: what the times of one point share.
KERNEL_KEYS: Final = ("measured", "kernel", "runs_as", "image")
_OF_THE_MACHINE: Final = ("cpu_model_name", "cpu_count", "hostname", "platform", "perf_version", "aslr", "boot_time")


class KernelFacts(msgspec.Struct, frozen=True):
    """What a result must say of a real kernel."""

    name: str  # of the target, the last part of its points' names
    release: str  # as uname -r
    runs_as: str  # how it is run: "QEMU", "user-mode Linux", "running here"
    image: str = ""  # sha256 of its file, "" for the running kernel
    emulator: str = ""  # with its version

    @property
    def version(self) -> str:
        """What it is, for people: by the version that names it, which a distribution's release does not have, or by both."""
        return f"Linux {self.name}" if self.name[0].isdigit() else f"{self.name} (Linux {self.release})"

    @property
    def title(self) -> str:
        """What it is and how it is run, for people."""
        return f"{self.version}, {self.runs_as}"


class Start(msgspec.Struct, frozen=True):
    """What a point cost in one start of a kernel."""

    values: tuple[int | float, ...]  # of each call: instructions, or seconds
    warmups: tuple[int | float, ...] = ()  # of those before, which are not used
    date: str = ""  # local time, as pyperf writes it


class KernelCost(msgspec.Struct, frozen=True):
    """What a point cost on a real kernel."""

    point: Point
    kernel: KernelFacts
    unit: Literal["instructions", "seconds"]
    starts: tuple[Start, ...]


class InstructionsOf(msgspec.Struct, frozen=True):
    """A point of instructions.json."""

    name: str
    point: Point
    starts: tuple[tuple[int, ...], ...]  # the value of each call, start by start


class InstructionsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of instructions.json."""

    schema: Literal[1]  # SCHEMA
    kind: Literal["instructions"]
    command: str
    created: str  # UTC, ISO 8601; "" where equal requests must make equal bytes
    machine: dict[str, str | int]
    kernels: list[KernelFacts]
    points: list[InstructionsOf]


def save_instructions(
    path: Path, command: str, machine: Mapping[str, str | int], costs: Sequence[KernelCost], *, dated: bool = True
) -> None:
    """Write instructions.json."""
    points = [
        InstructionsOf(one.point.name, one.point, tuple(tuple(map(int, start.values)) for start in one.starts)) for one in costs
    ]
    kernels = list({one.kernel.name: one.kernel for one in costs}.values())
    created = storage.now() if dated else ""
    content = InstructionsFile(SCHEMA, "instructions", command, created, dict(machine), kernels, points)
    storage.write_atomic(path, storage.encode_json(content))


def save(
    directory: Path,
    command: str,
    machine: Mapping[str, str | int],
    timed: Sequence[pyperf.Benchmark],
    costs: Sequence[KernelCost],
    *,
    dated: bool = True,
) -> None:
    """Write a run's times, those of the model with those of real kernels, and its instructions, each if there are any."""
    timed = [*timed, *benchmarks([one for one in costs if one.unit == "seconds"])]
    if timed:
        storage.save_wall(directory / storage.WALL_FILE, timed)
    save_counts(directory, command, machine, costs, dated=dated)


def save_counts(
    directory: Path, command: str, machine: Mapping[str, str | int], costs: Sequence[KernelCost], *, dated: bool = True
) -> None:
    """Write a run's instructions, if there are any."""
    if counted := [one for one in costs if one.unit == "instructions"]:
        save_instructions(directory / storage.INSTRUCTIONS_FILE, command, machine, counted, dated=dated)


def load_instructions(path: Path) -> InstructionsFile:
    """Read and check instructions.json."""
    content = storage.load_json(path, InstructionsFile)
    names, kernels = [one.name for one in content.points], {one.name for one in content.kernels}
    if len(names) != len(set(names)):
        raise MeasurementError(f"results file {path} has a measurement twice")
    for one in content.points:
        if one.name != one.point.name or not one.point.implementation or one_line(one.name) != one.name:
            raise MeasurementError(f"results file {path}: {one_line(one.name)} is not what its parameters say")
        if one.point.implementation not in kernels:
            raise MeasurementError(f"results file {path} does not say what kernel {one.name} was measured on")
        if not one.starts or not all(one.starts):
            raise MeasurementError(f"results file {path}: {one.name} has no value")
        if wrong := [value for start in one.starts for value in start if not 0 < value < MOST_INSTRUCTIONS]:
            raise MeasurementError(f"results file {path}: {one.name} has {wrong[0]} instructions, which cannot be")
    return content


def benchmarks(costs: Sequence[KernelCost]) -> list[pyperf.Benchmark]:
    """Return times of real kernels as pyperf has them: a run for each start."""
    return [pyperf.Benchmark([_run(one, start) for start in one.starts]) for one in costs]


def _run(one: KernelCost, start: Start) -> pyperf.Run:
    """Return one start as pyperf's run, whose metadata say what was measured, and on what."""
    facts: dict[str, str | int] = {
        **machine_metadata(),
        "name": one.point.name,
        "unit": "second",
        "loops": 1,
        "date": start.date,
        **metadata_of(one.point, one.kernel),
    }
    warmups = [(1, value) for value in start.warmups]
    return pyperf.Run(list(start.values), warmups=warmups, metadata=facts, collect_metadata=False)


@functools.cache
def machine_metadata() -> dict[str, str | int]:
    """Return those of pyperf's metadata that are of the machine."""
    told = pyperf.Run([1.0]).get_metadata()
    return {key: told[key] for key in _OF_THE_MACHINE if key in told}


def nr_populated(point: Point) -> int | None:
    """Return how many pages of a span are in memory before a point's call; None of a layout, whose pages a kernel makes."""
    scenario = point.scenario
    if scenario.name == LAYOUT:
        return None
    if point.operation == "mmap":
        return 0
    return scenario.span // PAGE_SIZE if scenario.thp == "always" else scenario.populate.nr_pages(scenario.span)


def metadata_of(point: Point, kernel: KernelFacts) -> dict[str, str | int]:
    """Return what a time's metadata say of the point and the kernel."""
    facts: dict[str, str | int] = {
        "measured": MEASURED,
        "digest": point.digest,
        "operation": point.operation,
        "implementation": point.implementation,
        "scenario": point.scenario.name,
        "span": point.scenario.span,
        "kernel": kernel.release,
        "runs_as": kernel.runs_as,
    }
    if kernel.image:
        facts["image"] = kernel.image
    if (populated := nr_populated(point)) is not None:
        facts["populated"] = populated
    return {PREFIX + key: value for key, value in facts.items()}


def kernel_of(told: Mapping[str, object]) -> KernelFacts | None:
    """Return the real kernel that a pyperf file says a time is of, by its metadata without their prefix; None for a model's."""
    if told.get("measured") != MEASURED:
        return None
    name, release, runs_as, image = (str(told.get(key, "")) for key in ("implementation", "kernel", "runs_as", "image"))
    return KernelFacts(name, one_line(release, 80), one_line(runs_as, 40), image)
