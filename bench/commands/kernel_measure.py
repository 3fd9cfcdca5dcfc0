"""The action `kernel measure`: what each call of traces costs real kernels, in instructions, as a file for `predict`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import msgspec

from bench.commands import Actions
from bench.commands.kernel_figures import check, say
from bench.errors import UsageError, one_line
from bench.measuring import trace_costs
from bench.progress import interruptible, progress_bar
from bench.runs.storage import check_parent, write_atomic
from bench.targets import kernel
from bench.targets.kernel import KernelTarget
from bench.traces.cost_format import Costs, encode_costs
from bench.traces.generate_costs import cost_traces, designed_traces, exit_traces
from bench.traces.ops import Exit, Trace
from bench.traces.trace_format import load_traces

MAX_TRACES: Final = 1_000
MAX_ROUNDS: Final = 99


def _traces(options: argparse.Namespace) -> list[Trace]:
    """Return the traces that were asked for: of `--random` one lot for each `--seed`, then exits, then designed ones."""
    made = options.random is not None or options.exits is not None or options.designed
    if (options.file is not None) == made:
        raise UsageError("give a file of traces, or some of --random N, --exits N and --designed")
    if options.file is not None:
        return list(load_traces(options.file).by_name.values())
    lots = options.random or []
    seeds = options.seed or [1] * bool(lots)
    if len(seeds) != len(lots) or len(set(seeds)) != len(seeds):
        raise UsageError(f"{len(lots)} times --random, {len(seeds)} times --seed: one seed each, all different")
    exits = [] if options.exits is None else [options.exits]
    for option, wrong in [*(("random", one) for one in lots), *(("exits", one) for one in exits)]:
        if not 1 <= wrong <= MAX_TRACES:
            raise UsageError(f"--{option} {wrong}: 1 to {MAX_TRACES:,} traces")
    found = [trace for seed, number in zip(seeds, lots, strict=True) for trace in cost_traces(seed, number)]
    found += [trace for number in exits for trace in exit_traces(number)]
    return [*found, *designed_traces()] if options.designed else found


def _targets(words: list[str]) -> list[KernelTarget]:
    """Return the kernels that were asked for, one of a series: that is what its figures are called by."""
    targets = [kernel.find(word) for word in words]
    series = [".".join(one.kernel.split(".")[:2]) for one in targets]
    if twice := next((one for one in series if series.count(one) > 1), None):
        raise UsageError(f"two kernels of {one_line(twice, 40)} are asked for, and figures are kept by series")
    for one in targets:
        check(one, ())
    return targets


def _of_exit(one: Costs) -> Costs:
    """Return a trace that ends with its process without what its other calls cost: `--random` has such calls."""
    if not isinstance(one.ops[-1], Exit):
        return one
    only = {kernel: (*[None] * (len(one.ops) - 1), found[-1]) for kernel, found in one.instructions.items()}
    return msgspec.structs.replace(one, instructions=only)


def _measure(options: argparse.Namespace) -> int:
    """Measure and write."""
    if not 1 <= options.rounds <= MAX_ROUNDS:
        raise UsageError(f"--rounds {options.rounds}: 1 to {MAX_ROUNDS}")
    check_parent(options.out)
    traces, targets = _traces(options), _targets(options.on)
    with progress_bar() as progress, interruptible():
        task = progress.add_task("traces", total=len(traces) * options.rounds * len(targets))
        found = trace_costs.measure(targets, traces, options.rounds, lambda: progress.advance(task))
    write_atomic(options.out, encode_costs([_of_exit(one) for one in found]))
    say(f"{len(found)} traces on {', '.join(one.name for one in targets)}: {one_line(options.out, 120)}")
    return 0


def add_parser(actions: Actions) -> None:
    """Add the action to the parser of `kernel`."""
    parser = actions.add_parser("measure", allow_abbrev=False, help="what each call of traces costs, in instructions")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="traces, one JSON object a line")
    parser.add_argument("--on", action="append", required=True, metavar="KERNEL", help="a version of the cache or an image")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the traces with what their calls cost")
    parser.add_argument("--random", type=int, action="append", metavar="N", help="make N address spaces at random instead")
    parser.add_argument("--exits", type=int, metavar="N", help="N that end with their process instead, or beside those")
    parser.add_argument("--designed", action="store_true", help="those that are rich in one event each, likewise")
    parser.add_argument("--seed", type=int, action="append", metavar="N", help="of those, one for each --random (default 1)")
    parser.add_argument("--rounds", type=int, default=trace_costs.ROUNDS, metavar="N", help="the median of N is kept")
    parser.set_defaults(action=_measure)
