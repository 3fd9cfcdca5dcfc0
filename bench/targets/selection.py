"""From words of a command line to targets: --on names any, --impl implementations of the model alone."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

import msgspec

from bench.errors import UsageError
from bench.kernels.selection import ALLOWED
from bench.targets import registry
from bench.targets.kernel import KernelTarget
from bench.workloads import ideas, participants, selection
from bench.workloads.scenario import Point
from bench.workloads.suite import Group, points_of


class Chosen(msgspec.Struct, frozen=True):
    """The targets of a run."""

    implementations: tuple[str, ...]  # of the model, by name
    kernels: tuple[KernelTarget, ...] = ()
    order: tuple[str, ...] = ()  # names of all, as they were given; () where only implementations were
    named: tuple[str, ...] = ()  # those of the implementations that were asked for by name

    def points(self, groups: Iterable[Group]) -> tuple[Point, ...]:
        """Return the points of the implementations; UsageError if one that was named takes part in none."""
        wanted = tuple(groups)
        for name in self.named:
            if not any(participants.take_part(name, one.operation) for one in wanted):
                only = participants.only(name)
                raise UsageError(f"{name} takes part in {only} alone, which is not measured here; ask for it by --op {only}")
        return points_of(wanted, self.implementations)

    def kernel_points(self, groups: Sequence[Group]) -> dict[str, tuple[Point, ...]]:
        """Return the points of each kernel, by its name; UsageError if one cannot be carried out there.

        Groups that are for some implementations alone, by name, are not for kernels.
        """
        found: dict[str, tuple[Point, ...]] = {}
        for one in self.kernels:
            every = (Point(group.scenario, one.name, group.operation) for group in groups if not group.only)
            points = tuple(dict.fromkeys(every))
            for point in points:
                one.check(point)
            found[one.name] = points
        return found


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that names targets of every kind."""
    parser.add_argument(
        "--on", action="append", default=[], metavar="TARGET",
        help=f"an implementation, an idea's FILE.py or a real kernel ({ALLOWED}); may be repeated",
    )  # fmt: skip


def _words(impl: Sequence[str]) -> list[str]:
    """Return the words of the option --impl, which may be given again."""
    return [word for option in impl for word in option.split(",")]


def named(impl: Sequence[str]) -> tuple[str, ...]:
    """Return the implementations that the words of --impl name: files alone join all that come with the model."""
    words = _words(impl)
    files = list(dict.fromkeys(registry.from_file(word) for word in words if ideas.is_file(word)))
    others = [word for word in words if not ideas.is_file(word)]
    return (*selection.implementations(others, registry.names()), *files)


def chosen(on: Sequence[str], impl: Sequence[str]) -> Chosen:
    """Return the targets that the words of --on name, in their order, or those of --impl; by default every implementation."""
    if not on:
        found, words = named(impl), _words(impl)
        return Chosen(found, named=tuple(one for one in found if one in words))
    if impl:
        raise UsageError("--impl names implementations where there is no --on: name all targets by --on")
    targets = [registry.find(word) for word in on]
    names = tuple(one.name for one in targets)
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"--on names {twice} twice")
    kernels = tuple(one for one in targets if isinstance(one, KernelTarget))
    real = {one.name for one in kernels}
    models = tuple(name for name in names if name not in real)
    return Chosen(models, kernels, names, models)
