"""Real kernels in the command `run`: pyperf's options as far as they mean something there, and a line for each point."""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import pyperf

from bench.errors import UsageError
from bench.measuring.kernel_points import Asked, Task
from bench.number_format import count, seconds
from bench.runs.kernel_record import KERNEL_KEYS, MEASURED, KernelCost
from bench.runs.storage import PREFIX
from bench.targets.kernel import KernelTarget

# Options that would be believed to hold of real kernels, too: attribute, and as it is written.
REFUSED: Final = {
    "affinity": "--affinity",
    "in_process": "--in-process",
    "compare_to": "--compare-to",
    "track_memory": "--track-memory",
    "tracemalloc": "--tracemalloc",
    "profile": "--profile",
    "hook": "--hook",
}
# Options of worker processes, which kernels have none of: told once.
OF_WORKERS: Final = re.compile(r"(-l\d*|--(loops|min-time|timeout|inherit-environ|copy-env|no-locale|python))(=|\Z)")
FAST, RIGOROUS = 0.5, 2.0  # times the usual number of starts


def asked(args: argparse.Namespace, argv: Sequence[str], kernels: Sequence[KernelTarget]) -> Asked:
    """Return what pyperf's options ask of real kernels; UsageError for those that cannot hold there."""
    if not kernels:
        return Asked()
    if refused := [option for name, option in REFUSED.items() if getattr(args, name, None)]:
        raise UsageError(f"{refused[0]} is not for real kernels ({kernels[0].name}): leave it out, or measure the model alone")
    counting = [one.name for one in kernels if one.unit == "instructions"]
    if counting and (args.output or args.append):
        raise UsageError(
            f"instructions, which {counting[0]} is measured in, have no place in a pyperf file:"
            " without -o and --append the run is kept in results/, times and instructions in a file each"
        )
    if ours := [found[1] for word in argv if (found := OF_WORKERS.match(word))]:
        print(f"unlockall-bench: {', '.join(ours)}: of the model alone, not of real kernels", file=sys.stderr)
    if args.debug_single_value:
        return Asked(1, 1, 0)
    return Asked(
        starts=args.processes if _is_given(argv, "p", "processes") else None,
        values=args.values if _is_given(argv, "n", "values") else None,
        warmups=args.warmups if _is_given(argv, "w", "warmups") else None,
        factor=FAST if args.fast else RIGOROUS if args.rigorous else 1.0,
    )


def _is_given(argv: Sequence[str], short: str, long: str) -> bool:
    """Tell whether an option stands on the command line: pyperf's parser has values of its own where it does not."""
    return any(re.fullmatch(rf"-{short}\d*|--{long}(=.*)?", word) for word in argv)


def refuse_mixtures(old: Mapping[str, pyperf.Benchmark], work: Iterable[Task]) -> None:
    """Raise UsageError if a file has runs that those of real kernels must not be added to."""
    for task in work:
        for point in task.points:
            new = {"digest": point.digest, "measured": MEASURED, "runs_as": task.target.runs_as}
            _refuse_mixture(old, point.name, new | ({"image": task.target.digest} if task.target.digest else {}))


def refuse_mixtures_with(old: Mapping[str, pyperf.Benchmark], new: Iterable[pyperf.Benchmark]) -> None:
    """Raise UsageError if a file has runs that measured real ones must not be added to."""
    for one in new:
        told = one.get_metadata()
        if told.get(PREFIX + "measured") == MEASURED:
            keys = ("digest", *KERNEL_KEYS)
            _refuse_mixture(old, one.get_name(), {key: told[PREFIX + key] for key in keys if PREFIX + key in told})


def _refuse_mixture(old: Mapping[str, pyperf.Benchmark], name: str, new: Mapping[str, object]) -> None:
    """Raise UsageError if runs of one name in a file measured something else, or on another kernel."""
    for run in old[name].get_runs() if name in old else ():
        told = run.get_metadata()
        for key, value in new.items():
            if told.get(PREFIX + key) != value:
                raise UsageError(f"--append would mix runs of {name} whose {key} differs; use -o with a new file")


def tell(costs: Sequence[KernelCost]) -> None:
    """Print a line for each point that was measured on a real kernel."""
    for one in costs:
        values = sorted(value for start in one.starts for value in start.values)
        middle, text = statistics.median_low(values), "instructions" if one.unit == "instructions" else ""
        shown = [count(int(value)) if text else seconds(value) for value in (middle, values[0], values[-1])]
        starts = "1 start" if len(one.starts) == 1 else f"{len(one.starts)} starts"
        spread = f"{shown[1]} .. {shown[2]} in {len(values)} calls, {starts}" if len(values) > 1 else "1 call"
        print(f"{one.point.name}: {shown[0]} {text}".rstrip() + f" ({spread}; {one.kernel.title})")
