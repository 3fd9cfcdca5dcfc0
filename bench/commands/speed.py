"""The `speed` command: the model's own speed and size, each figure beside its budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
import pyperf

from bench import environment
from bench.analysis.budgets import BUDGETS, NEWEST, Judged, judge
from bench.analysis.report_rows import BASELINE, slowdown_percent
from bench.commands import parser_of
from bench.measuring import footprint, timing
from bench.measuring.repetition import Repetition
from bench.progress import progress_bar
from bench.runs import storage
from bench.tables import formats, report_tables
from bench.tables.table import Page
from bench.targets import registry
from bench.workloads.scenario import SCENARIOS, Point, TiB
from mmmodel.constants import PAGE_SIZE
from mmmodel.kernels import IMPLEMENTATIONS

SPEED_FILE = "speed.json"
TIMED = {
    BASELINE: Point(SCENARIOS["report"], BASELINE),
    NEWEST: Point(SCENARIOS["report"], NEWEST),
    f"{NEWEST}-64TiB": Point(SCENARIOS["report"].resized(64 * TiB), NEWEST),
    f"dense-{BASELINE}": Point(SCENARIOS["dense"], BASELINE, "munlock"),
    f"dense-{NEWEST}": Point(SCENARIOS["dense"], NEWEST, "munlock"),
    "touch": Point(footprint.touched(), NEWEST, "touch"),
}
REPETITION = Repetition(processes=5, values=3, warmups=1)
QUICK = Repetition(processes=5, values=3, warmups=1, loops=100)
# Once in each process: a second call would find the memory of the first one's tables and pages ready.
FIRST_CALLS = Repetition(processes=9, values=1, warmups=0)
REPETITIONS = {NEWEST: QUICK, f"{NEWEST}-64TiB": QUICK, "touch": FIRST_CALLS}


class SpeedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Content of speed.json."""

    schema: Literal[1]
    kind: Literal["speed"]
    command: str
    created: str  # UTC, ISO 8601
    machine: dict[str, str | int]
    figures: list[Judged]


def _in_unit(key: str, seconds: Sequence[float]) -> list[float]:
    """Return times in the unit of their budget."""
    nr_pages = TIMED[key].scenario.span // PAGE_SIZE
    factor = {"ns/page": 1e9 / nr_pages, "us": 1e6, "s": 1.0}[BUDGETS[key].unit]
    return [value * factor for value in seconds]


def _steps(benchmarks: list[pyperf.Benchmark]) -> list[tuple[str, Callable[[], list[Judged]]]]:
    """Return what is measured: a title, and what measures and judges; times go to `benchmarks` too."""

    def timed(key: str) -> list[Judged]:
        benchmark = timing.run_plan(timing.Plan((TIMED[key],)), REPETITIONS.get(key, REPETITION))[0]
        benchmarks.append(benchmark)
        return [judge(key, _in_unit(key, benchmark.get_values()))]

    def counting() -> list[Judged]:
        return [judge(key, slowdown_percent(pairs)) for key, pairs in footprint.counting_pairs().items()]

    steps: list[tuple[str, Callable[[], list[Judged]]]] = [(BUDGETS[key].what, partial(timed, key)) for key in TIMED]
    return [
        *steps,
        ("memory", lambda: [judge("memory", [footprint.in_subprocess("bytes_per_page")])]),
        ("reservation", lambda: [judge("reserve", [footprint.in_subprocess("reservation_bytes")])]),
        ("--help", lambda: [judge("help", footprint.help_seconds())]),
        ("compilation", lambda: [judge("compile", [footprint.first_compilation()])]),
        ("the cost of counting", counting),
    ]


def main(argv: Sequence[str]) -> int:
    """Run the command. Exit code 0 also when a budget is exceeded: judging a change is the gate's job."""
    parser = parser_of("speed")
    parser.add_argument("--results", type=Path, help="directory for the figures, default results/")
    formats.add_option(parser)
    args = parser.parse_args(argv)
    directory = storage.make_directory(args.results or environment.base_directory() / "results")
    benchmarks: list[pyperf.Benchmark] = []
    figures: list[Judged] = []
    with progress_bar() as progress:
        registry.load(IMPLEMENTATIONS, progress)
        machine = environment.machine_facts()
        run = storage.run_name("speed", storage.now(), str(machine["source_digest"]))
        with storage.run_directory(directory, run) as (part, final):
            steps = _steps(benchmarks)
            task = progress.add_task("measuring", total=len(steps))
            for title, step in steps:
                progress.update(task, description=f"measuring: {title}")
                figures += step()
                progress.advance(task)
            content = SpeedFile(storage.SCHEMA, "speed", environment.command_line(), storage.now(), machine, figures)
            storage.write_atomic(part / SPEED_FILE, storage.encode_json(content))
            storage.save_wall(part / storage.WALL_FILE, benchmarks)
    formats.show(Page((report_tables.speed_table(figures),)), wide=args.wide)
    print(f"raw data: {final}")
    exceeded = [one.budget.what for one in figures if not one.met]
    print(f"exceeded: {'; '.join(exceeded)}" if exceeded else "every budget is met")
    return 0
