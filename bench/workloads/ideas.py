"""Ideas of one's own, from words of a command line to known implementations, and from process to process, run to run.

What travels is the text of the file: a worker, wherever it is, knows the same idea, and a kept run says what was measured.
mmmodel is asked when there is an idea: under the gate it may be an older one, which has none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from bench.errors import MeasurementError, UsageError, one_line

SUFFIX = ".py"
FACTS = ("idea_kernel", "idea_summary")  # of an implementation that is an idea, in pyperf's metadata
Packed = dict[str, str]  # a mmmodel.kernels.Idea


def is_file(word: str) -> bool:
    """Tell whether a word of a command line names a file with an idea."""
    return word.endswith(SUFFIX)


def from_file(path: str) -> str:
    """Make the idea in a file known; return its name. UsageError if the file is none."""
    from mmmodel.idea_file import read_idea
    from mmmodel.kernels import register_idea

    try:
        idea = read_idea(path)
        register_idea(idea)
    except ValueError as error:
        told = str(error)
        raise UsageError(one_line(told if told.startswith(path) else f"{path}: {told}")) from None
    return idea.name


def packed(names: Iterable[str]) -> list[Packed]:
    """Return those of the implementations with these names that are ideas, for another process or a file."""
    from mmmodel.kernels import implementations

    wanted = set(names)
    known = {one.name: getattr(one, "idea", None) for one in implementations()}
    return [dataclasses.asdict(idea) for name, idea in known.items() if idea is not None and name in wanted]


def word_of(name: str) -> str:
    """Return how a command line names an implementation: an idea by its file."""
    return next((one["path"] for one in packed([name])), name)


def unpack(ideas: Iterable[Mapping[str, str]]) -> None:
    """Make ideas known that came from another process; MeasurementError if that cannot be."""
    for one in ideas:
        _register(one)


def remember(ideas: Iterable[Mapping[str, str]]) -> None:
    """Make ideas of a kept run known, to be shown: by another version of the text too, or none."""
    from mmmodel.kernels import implementations

    known = {one.name for one in implementations()}
    for one in ideas:
        if one.get("name") not in known:
            _register({**one, "text": ""})


def facts(name: str) -> dict[str, str]:
    """Return what pyperf's metadata must say of an implementation so that it can be shown; nothing if it is no idea."""
    return {key: one[key.removeprefix("idea_")] for one in packed([name]) for key in FACTS}


def _register(one: Mapping[str, str]) -> None:
    """Make an idea known."""
    from mmmodel.kernels import Idea, register_idea

    try:
        register_idea(Idea(**one))
    except (TypeError, ValueError) as error:
        raise MeasurementError(f"an idea of one's own cannot be used here: {one_line(error)}") from None
