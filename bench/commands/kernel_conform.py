"""The action `kernel conform`: traces on a real kernel and through the model, and what differs."""

from __future__ import annotations

import argparse
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.commands import Actions
from bench.commands.kernel_figures import say
from bench.commands.kernel_shrink import CRASH, Reducer, prepare_directory, reduce_all
from bench.commands.replay import Tick, TraceRunner, print_differences
from bench.errors import EXIT_DIFFERENCES, EXIT_MEASUREMENT, UsageError, one_line
from bench.kernels.batches import Lost, guests_at_once, results_of
from bench.kernels.selection import ALLOWED, HOST, Selected, refuse_large_folios, select, series_of
from bench.number_format import count
from bench.progress import interruptible, progress_bar
from bench.runs.storage import check_parent, encode_json, write_atomic
from bench.targets import registry
from bench.targets.target import TraceSettings
from bench.traces import large_folios
from bench.traces.generate import MAX_TRACES
from bench.traces.generate_all import MAKERS
from bench.traces.replay import FieldDifference
from bench.traces.replay import differences as differences_of
from bench.traces.trace_format import FIELDS, Loaded, Op, Trace, load_traces, op_name

SCHEMA: Final = 1  # of a record
MAX_JOBS: Final = 256


class Crash(msgspec.Struct, frozen=True):
    """A trace at one of whose ops the kernel itself ended; the steps before are compared."""

    trace: str
    step: int
    op: Op
    console: Sequence[str]  # its lines that say what happened


class Record(msgspec.Struct, frozen=True):
    """What a comparison found, to be kept."""

    schema: int
    kernel: str  # as asked for
    release: str  # what the kernel says that it is
    thp: str
    implementation: str
    source: str  # digest of the implementation's sources
    traces: Mapping[str, str | int]  # where they are from
    nr_traces: int
    nr_steps: int
    compared: Mapping[str, int]  # by field: the steps in which the kernel shows it
    nr_differences: int
    crashes: Sequence[Crash]


def _implementation(release: str, wanted: str | None) -> str:
    """Return the implementation that a kernel is held against: of its own series, else of the newest before it."""
    known = registry.trace_targets()
    if wanted is not None:
        if wanted not in known:
            raise UsageError(f"unknown implementation {one_line(wanted, 60)!r}; known are {', '.join(known)}")
        return wanted
    series = series_of(release)
    modelled = {series_of(one.kernel): one for one in reversed(known.values())}  # the first of a kernel's implementations
    before = [one for one in modelled if one <= series]
    if not before:
        raise UsageError(f"no implementation models a kernel as old as {release}: choose one by --impl {', '.join(known)}")
    best = modelled[max(before)]
    if max(before) != series:
        say(f"no implementation models {release}: held against {best.name}, which models {best.kernel}")
    return best.name


def _traces(options: argparse.Namespace) -> tuple[Loaded[Trace], dict[str, str | int]]:
    """Return the traces to run, and for the record where they are from."""
    sizes = large_folios.parse_sizes(options.mthp)
    if (options.file is None) == (options.random is None):
        raise UsageError("give a file of traces, or --random N to make some (try unlockall-bench kernel conform --help)")
    if options.file is not None and options.ops is not None:
        raise UsageError("--ops is for --random")
    if options.file is not None:
        loaded = load_traces(options.file)
        loaded = large_folios.loaded_with(loaded, sizes)
        return loaded, {"file": options.file.name, "sha256": hashlib.sha256(options.file.read_bytes()).hexdigest()}
    if not 1 <= options.random <= MAX_TRACES:
        raise UsageError(f"--random {options.random}: 1 to {MAX_TRACES:,} traces")
    ops = options.ops or "all"
    made = large_folios.random_traces_of(MAKERS[ops](options.seed, options.random), sizes)
    where = {name: number for number, name in enumerate(made, 1)}
    origin = {"random": options.random, "seed": options.seed, "ops": ops}
    origin |= {"mthp": ",".join(sizes)} if sizes else {}
    return Loaded("random traces", Path(f"seed {options.seed}"), made, where), origin


class Comparison:
    """Traces on a kernel and on an implementation, a trace at a time, as the kernel answers."""

    def __init__(self, selected: Selected, runner: TraceRunner, traces: Loaded[Trace], jobs: int) -> None:
        """Prepare it; nothing is started."""
        self.selected = selected
        self.runner = runner
        self.traces = traces
        self.jobs = jobs
        self.compared = Counter(dict.fromkeys(FIELDS, 0))  # by field: steps in which the kernel shows it
        self.release = selected.release
        self.nr_steps = 0
        self.lost: list[Lost] = []
        self.found: list[tuple[Trace, int, str]] = []  # that differ: trace, step, field

    def differences(self, tick: Tick) -> Iterator[tuple[str, int, FieldDifference]]:
        """Yield what differs: trace, step, difference. GuestError where no guest comes up."""
        by_name = self.traces.by_name
        for result in results_of(self.selected.kernel, [*by_name.values()], self.jobs):
            if isinstance(result, Lost):
                self.lost.append(result)
                if result.begun is None:
                    continue
                result = result.begun
            self.release = result.kernel
            steps = self.runner.steps(by_name[result.name], self.traces.where(result.name), tick)
            begun = itertools.islice(steps, len(result.steps))
            for number, (expected, got) in enumerate(zip(result.steps, begun, strict=True)):
                self.nr_steps += 1
                self.compared.update(field for field in FIELDS if getattr(expected, field) is not None)
                if expected.others:
                    self.compared["others"] += 1
                for difference in differences_of(expected, got):
                    self.found.append((by_name[result.name], number, difference.field))
                    yield result.name, number, difference

    def crashes(self) -> list[Crash]:
        """Return the traces at one of whose ops the kernel itself ended."""
        begun = [(one, self.traces.by_name[one.name], len(one.begun.steps)) for one in self.lost if one.begun]
        return [Crash(trace.name, step, trace.ops[step], one.error.telling()) for one, trace, step in begun]


def _jobs(options: argparse.Namespace) -> int:
    """Return how many guests run at once; on the running kernel one, since vmstat counts for all."""
    if options.on == HOST:
        return 1
    if options.jobs is not None and not 1 <= options.jobs <= MAX_JOBS:
        raise UsageError(f"--jobs {options.jobs}: 1 to {MAX_JOBS} guests at once")
    return options.jobs or guests_at_once()


def _conform(options: argparse.Namespace) -> int:
    """Run traces on a real kernel and through the model; print what differs."""
    traces, origin = _traces(options)
    if options.record is not None:
        check_parent(options.record)  # now, for a comparison may take an hour
    selected = select(options.on, options.thp, options.kvm)
    if selected.without_kvm:
        say(f"{selected.without_kvm}; the processor is emulated")
    jobs = _jobs(options)
    if any(trace.mthp for trace in traces.by_name.values()):
        refuse_large_folios(selected)
    name = _implementation(selected.release, options.impl)
    runner = TraceRunner(registry.trace_targets()[name], TraceSettings(selected.thp, selected.ram))
    runner.check(traces)
    if options.shrink is not None:
        prepare_directory(options.shrink)
    with progress_bar() as progress:
        registry.load([name], progress)
    source = runner.target.source_digest()  # of what runs, should the files change meanwhile
    comparison = Comparison(selected, runner, traces, jobs)
    with progress_bar() as progress, interruptible():
        task = progress.add_task(f"ops on {selected.word}", total=sum(len(trace.ops) for trace in traces.by_name.values()))
        differing = print_differences(comparison.differences(lambda: progress.advance(task)), traces)
    unseen = [field for field, number in comparison.compared.items() if not number]
    nr_traces, crashes = len(traces.by_name) - len(comparison.lost), comparison.crashes()
    begun = f" and the beginnings of {len(crashes)}" if crashes else ""
    said = f"{count(nr_traces)} traces{begun}, {count(comparison.nr_steps)} steps, {count(differing)} differences"
    hidden = f"; not compared: {', '.join(unseen)}" if unseen else ""
    say(f"{comparison.release} against {name}: {said}{hidden}")
    if options.record is not None:
        facts = (selected.word, comparison.release, selected.thp, name, source)
        numbers = (nr_traces, comparison.nr_steps, dict(comparison.compared), differing, crashes)
        write_atomic(options.record, encode_json(Record(SCHEMA, *facts, origin, *numbers)))
    if (differing or crashes) and options.shrink is not None:
        with interruptible():
            reducer = Reducer(selected.kernel, runner, jobs, options.shrink_seconds)
            found = [*comparison.found, *((traces.by_name[one.trace], one.step, CRASH) for one in crashes)]
            reduce_all(found, reducer, options.shrink, say, f"--impl {name} --thp {selected.thp}")
    elif differing or crashes:
        what = "differences" if differing else "crashes"
        say(f"--shrink DIRECTORY reduces {what} to small traces, on the kernel itself")
    ended = {one.trace: f"ended the kernel at ops[{one.step}], {op_name(one.op)}" for one in crashes}
    for lost in comparison.lost:
        say(f"trace {lost.name} {ended.get(lost.name, 'was not finished')}: {lost.error}")
    if comparison.lost:
        return EXIT_MEASUREMENT
    return EXIT_DIFFERENCES if differing else 0


def add_parser(actions: Actions) -> None:
    """Add the action's arguments to those of `kernel`."""
    parser = actions.add_parser(
        "conform", allow_abbrev=False, help="run traces on a real kernel and through the model, and print what differs"
    )
    parser.add_argument("file", nargs="?", type=Path, help="traces, one JSON object a line")
    parser.add_argument("--on", required=True, metavar="KERNEL", help=ALLOWED)
    parser.add_argument("--impl", help="implementation (default: the one that models the kernel)")
    parser.add_argument(
        "--thp", choices=("never", "always"), help="transparent_hugepage= (default never, on the host what that has)"
    )
    parser.add_argument("--mthp", metavar="SIZES", help=large_folios.HELP)
    parser.add_argument("--random", type=int, metavar="N", help="make and run N random traces instead of a file's")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="that they are made from (default 0)")
    parser.add_argument(
        "--ops", choices=MAKERS, help="that they have: basic, of one process and anonymous memory, or all (default)"
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="write there what was compared and how much differs")
    parser.add_argument("--kvm", action="store_true", help="run QEMU's guests by KVM where that works; else emulated")
    parser.add_argument("--jobs", type=int, metavar="N", help="guests at once (default: as many as there are processors)")
    parser.add_argument(
        "--shrink", type=Path, metavar="DIR", help="reduce what differs, on the kernel, to small traces, and write them there"
    )
    parser.add_argument("--shrink-seconds", type=float, default=300, metavar="S", help="that this may take (default 300)")
    parser.set_defaults(action=_conform)
