"""The `replay` command: traces through the model, as JSON lines or held against what a kernel did; traces made at random."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.commands import own_ideas, parser_of
from bench.errors import EXIT_DIFFERENCES, MeasurementError, UsageError, one_line, unknown
from bench.measuring.idea_checks import Task
from bench.number_format import count
from bench.progress import interruptible, progress_bar
from bench.runs.storage import write_atomic
from bench.tables import formats
from bench.tables.table import Page, Table
from bench.targets import registry
from bench.targets.target import TraceSettings, TraceTarget
from bench.traces import large_folios
from bench.traces.generate import MAX_TRACES
from bench.traces.generate_all import MAKERS
from bench.traces.replay import FieldDifference, differences
from bench.traces.trace_format import (
    MAX_FILE_BYTES,
    MAX_LINE_BYTES,
    OP_NAMES,
    Loaded,
    Result,
    Step,
    Trace,
    encode_lines,
    load_results,
    load_traces,
    op_name,
)
from bench.workloads import ideas
from bench.workloads.sizes import parse_bytes
from mmmodel.errors import NotModelled

MAX_OUTPUT_BYTES: Final = MAX_FILE_BYTES  # so that what was printed can be read
Tick = Callable[[], None]


class _Output:
    """Standard output, line by line, with an end to what it takes."""

    def __init__(self) -> None:
        self.nbytes = 0

    def write(self, line: bytes | bytearray) -> None:
        """Write one line of JSON."""
        self.nbytes += len(line)
        if self.nbytes > MAX_OUTPUT_BYTES:
            raise UsageError(f"the output is larger than {MAX_OUTPUT_BYTES >> 30} GiB; give fewer traces at once")
        sys.stdout.write(line.decode() + "\n")


class TraceRunner:
    """A target as booted, on which traces run, each in a process of its own."""

    def __init__(self, target: TraceTarget, settings: TraceSettings) -> None:
        self.target = target
        self.name = target.name
        self._settings = settings

    def check(self, traces: Loaded[Trace]) -> None:
        """Raise UsageError if there is a trace that the target cannot carry out."""
        for name, trace in traces.by_name.items():
            if problem := self.target.refusal_of(trace):
                raise UsageError(f"{traces.where(name)}: {problem}")

    def steps(self, trace: Trace, where: str, tick: Tick) -> Iterator[Step]:
        """Yield the steps of a trace; `where`: file and line, for a message when it cannot go on."""
        number = 0
        try:
            for step in self.target.steps(trace, self._settings):
                number += 1
                tick()
                yield step
        except MemoryError as error:
            raise UsageError(f"{where}: ops[{number}].len: needs more memory than there is: {error}") from None
        except NotModelled as error:
            raise UsageError(f"{where}: ops[{number}]: the model does not have {error}") from None


def _ignore() -> None:
    """Do nothing, where nobody looks at the progress."""


def print_results(traces: Loaded[Trace], runner: TraceRunner, tick: Tick = _ignore) -> None:
    """Print each trace's steps as one JSON line, in the format of recorded results."""
    output = _Output()
    for name, trace in traces.by_name.items():
        head = {"name": name, "kernel": f"{runner.target.family} {runner.name}"}
        line = bytearray(msgspec.json.encode(head)[:-1] + b',"steps":[')
        for number, step in enumerate(runner.steps(trace, traces.where(name), tick)):
            shown = msgspec.structs.replace(step, vmstat=None) if trace.locks_all else step
            line += (b"," if number else b"") + msgspec.json.encode(shown)
            if len(line) > MAX_LINE_BYTES:
                limit = f"{MAX_LINE_BYTES >> 20} MiB"
                raise UsageError(f"{traces.where(name)}: ops[{number}]: the results up to here are longer than {limit}")
        output.write(line + b"]}")


def expected_steps(traces: Loaded[Trace], results: Loaded[Result]) -> None:
    """Raise UsageError unless there is a result with a step per op for every trace."""
    for name, trace in traces.by_name.items():
        if name not in results.by_name:
            raise UsageError(f"{traces.where(name)}: name: results file {one_line(results.path, 120)} has no trace {name}")
        found, wanted = len(results.by_name[name].steps), len(trace.ops)
        if found != wanted:
            raise UsageError(f"{results.where(name)}: steps: {found} of them for a trace of {wanted} ops")


def compare(
    traces: Loaded[Trace], results: Loaded[Result], runner: TraceRunner, tick: Tick = _ignore
) -> Iterator[tuple[str, int, FieldDifference]]:
    """Yield what differs from recorded results: trace, step, difference."""
    for name, trace in traces.by_name.items():
        steps = runner.steps(trace, traces.where(name), tick)
        for number, (expected, got) in enumerate(zip(results.by_name[name].steps, steps, strict=True)):
            for difference in differences(expected, got):
                yield name, number, difference


def print_differences(found: Iterable[tuple[str, int, FieldDifference]], traces: Loaded[Trace]) -> int:
    """Print each difference as a JSON line; return how many there are."""
    output, printed = _Output(), 0
    for name, number, difference in found:
        printed += 1
        op = traces.by_name[name].ops[number]
        output.write(msgspec.json.encode({"trace": name, "step": number, "op": op, **difference._asdict()}))
    return printed


def _print_coverage(outcomes: Counter[tuple[str, str, str]], impls: Sequence[str]) -> None:
    """Print how often each op ended how in each implementation, or with what error it never did."""
    rows = []
    for op in OP_NAMES:
        for outcome in sorted({key[2] for key in outcomes if key[1] == op}, key=lambda word: (word != "0", word)):
            rows.append((op, "ok" if outcome == "0" else outcome, *(count(outcomes[impl, op, outcome]) for impl in impls)))
    table = Table("Coverage of op x outcome", ("op", "outcome"), tuple(impls), (tuple(rows),))
    formats.show(Page((table,)))


def _replay_random(traces: Loaded[Trace], runners: Sequence[TraceRunner], tick: Tick) -> int:
    """Run random traces everywhere, report what they reached; return differences between runners of one kernel."""
    outcomes: Counter[tuple[str, str, str]] = Counter()
    differing = 0
    for name, trace in traces.by_name.items():
        first: dict[str, list[Step]] = {}  # by kernel
        for runner in runners:
            steps = list(runner.steps(trace, traces.where(name), tick))
            outcomes.update((runner.name, op_name(op), str(step.errno)) for op, step in zip(trace.ops, steps, strict=True))
            pairs = enumerate(zip(first.setdefault(runner.target.kernel, steps), steps, strict=True))
            found = ((name, number, one) for number, (old, new) in pairs for one in differences(old, new))
            differing += print_differences(found, traces)
    _print_coverage(outcomes, [runner.name for runner in runners])
    return differing


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = parser_of("replay")
    known = ", ".join(registry.trace_targets())
    parser.add_argument("file", nargs="?", type=Path, help="traces, one JSON object a line")
    parser.add_argument("--impl", help=f"implementation: {known}, or an idea of your own: FILE.py")
    parser.add_argument("--thp", choices=("never", "always"), default="never", help="transparent_hugepage= (default never)")
    parser.add_argument("--mthp", metavar="SIZES", help=large_folios.HELP)
    parser.add_argument("--against", type=Path, metavar="RESULTS", help="compare with these results instead of printing")
    parser.add_argument("--ram", metavar="BYTES", help="memory of the modelled machine (default 960MiB, as recorded)")
    parser.add_argument("--random", type=int, metavar="N", help="make and run N random traces instead of a file's")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="that they are made from (default 0)")
    parser.add_argument(
        "--ops", choices=MAKERS, help="that they have: basic, of one process and anonymous memory (default), or all"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the random traces there")
    return parser


def read_request(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the arguments; UsageError for those that do not go together."""
    options = _parser().parse_args(argv)
    if options.impl is not None and ideas.is_file(options.impl):
        options.impl = registry.from_file(options.impl)
    known = registry.trace_targets()
    if options.impl not in (None, *known):
        raise unknown(f"unknown implementation {one_line(options.impl, 60)!r}; known are ", options.impl, known)
    if (options.file is None) == (options.random is None):
        raise UsageError("give a file of traces, or --random N to make some (try unlockall-bench replay --help)")
    if options.random is None:
        if options.impl is None:
            raise UsageError(f"--impl is needed: {', '.join(known)}")
        if options.out is not None:
            raise UsageError("--out is for --random; results go to standard output")
        if options.ops is not None:
            raise UsageError("--ops is for --random")
    elif options.against is not None:
        raise UsageError("--against needs a file of traces")
    elif not 1 <= options.random <= MAX_TRACES:
        raise UsageError(f"--random {options.random}: 1 to {MAX_TRACES:,} traces")
    return options


def _write_traces(path: Path, traces: Sequence[Trace]) -> None:
    """Write traces to a file, as a whole or not at all."""
    try:
        if path.exists() and not path.is_file():  # a device would be replaced
            raise UsageError(f"cannot write {one_line(path, 120)}: it is not a regular file")
        write_atomic(path, encode_lines(traces))
    except MeasurementError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"cannot write {one_line(path, 120)}: {error.strerror}") from None


def _wanted(options: argparse.Namespace, traces: Loaded[Trace]) -> list[str]:
    """Return the implementations that traces run on: one, or all that can; with an idea, at random, its kernel's first too."""
    known = {name: one for name, one in registry.trace_targets().items() if name in (*registry.names(), options.impl)}
    if options.impl is None:
        return [name for name, one in known.items() if not any(map(one.refusal_of, traces.by_name.values()))]
    alike = [name for name, one in known.items() if one.kernel == known[options.impl].kernel]
    both = options.random is not None and options.impl not in registry.names()
    return [*alike[:both], options.impl]


def main(argv: Sequence[str]) -> int:
    """Replay traces: print results, or compare, or report what random ones reached."""
    options = read_request(argv)
    settings = TraceSettings(options.thp, None if options.ram is None else parse_bytes(options.ram))
    sizes = large_folios.parse_sizes(options.mthp)
    if options.random is not None:
        made = large_folios.random_traces_of(MAKERS[options.ops or "basic"](options.seed, options.random), sizes)
        traces = Loaded("random traces", Path(f"seed {options.seed}"), made, {name: i for i, name in enumerate(made, 1)})
        if options.out is not None:
            _write_traces(options.out, list(made.values()))
    else:
        traces = large_folios.loaded_with(load_traces(options.file), sizes)
    runners = [TraceRunner(registry.trace_targets()[name], settings) for name in _wanted(options, traces)]
    for runner in runners:
        runner.check(traces)
    results = load_results(options.against) if options.against is not None else None
    if results is not None:
        expected_steps(traces, results)
    with progress_bar() as progress:
        checks = Task(nr_traces=0, traces=tuple(traces.by_name.values()), settings=settings)
        own_ideas.load([runner.name for runner in runners], progress, checks)
    return _run(traces, runners, results, random=options.random is not None)


def _run(traces: Loaded[Trace], runners: Sequence[TraceRunner], results: Loaded[Result] | None, *, random: bool) -> int:
    """Do what was asked for; return the exit code."""
    nr_ops = sum(len(trace.ops) for trace in traces.by_name.values())
    with progress_bar() as progress, interruptible():
        task = progress.add_task("ops", total=nr_ops * len(runners))

        def tick() -> None:
            progress.advance(task)

        if random:
            differing = _replay_random(traces, runners, tick)
        elif results is None:
            print_results(traces, runners[0], tick)
            return 0
        else:
            differing = print_differences(compare(traces, results, runners[0], tick), traces)
    print(f"{count(len(traces.by_name))} traces, {count(nr_ops)} steps, {count(differing)} differences", file=sys.stderr)
    return EXIT_DIFFERENCES if differing else 0
