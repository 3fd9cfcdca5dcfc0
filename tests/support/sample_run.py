"""A made-up run directory that has every figure, for tests of what is made of runs."""

from datetime import datetime, timedelta
from pathlib import Path

import pyperf

from bench.runs import storage
from bench.runs.record import Counted, digest_of
from bench.workloads.scenario import SCENARIOS, GiB, KiB, Point, Scenario, sparse
from mmmodel.constants import PAGE_SIZE
from mmmodel.counters import NAMES
from mmmodel.kernels import IMPLEMENTATIONS

SPANS = tuple(1 << shift for shift in (31, 34, 37, 41))
STEPS = tuple(4 * KiB << shift for shift in (0, 6, 12, 18))
START = datetime(2026, 1, 31, 23, 50)
NR_PROCESSES = 6
# Seconds: for each page of the span, for each page in memory, and for the call.
SECONDS = dict.fromkeys(IMPLEMENTATIONS, (0.0, 3e-8, 2.5e-6))  # where the next line has none
SECONDS |= {"per-page": (1e-9, 1e-8, 2e-6), "hole-skip": (0.0, 4e-8, 2e-6), "page-walk": (0.0, 2e-8, 3e-6)}


def counted(scenario: Scenario, implementation: str) -> Counted:
    """Return made-up counters of a munlockall()."""
    point = Point(scenario, implementation)
    pages, present = scenario.span // PAGE_SIZE, scenario.populate.nr_pages(scenario.span)
    counters = dict.fromkeys(NAMES, 0)
    counters["model_pgd_read"] = 1
    counters["model_pud_read"] = 1 + scenario.span // GiB if implementation != "page-walk" else 1
    counters["model_pte_read"] = pages if implementation == "per-page" else present
    counters["model_pte_lock"] = counters["model_page_lock"] = present
    counters["model_lru_lock"] = present // 15
    counters["model_isolated"] = counters["model_putback"] = present
    counters["model_pages_looked_up"] = pages if implementation == "per-page" else present
    return Counted(point.name, point, scenario.span, 1, present, counters)


def points() -> list[Counted]:
    """Return the counted calls of the run."""
    scenarios = [SCENARIOS["report"].resized(span) for span in SPANS]
    scenarios += [sparse(step, 4 * GiB) for step in STEPS] + [SCENARIOS["dense"]]
    return [counted(scenario, implementation) for scenario in scenarios for implementation in IMPLEMENTATIONS]


def mean_seconds(one: Counted, process: int) -> float:
    """Return what the calls of a process took: each process a little longer than the one before."""
    span_page, page, call = SECONDS[one.point.implementation]
    return (span_page * (one.span // PAGE_SIZE) + page * one.nr_populated + call) * (1 + process / 100)


def benchmarks(done: list[Counted], processes: int = NR_PROCESSES) -> list[pyperf.Benchmark]:
    """Return the times of counted calls."""
    found = []
    for index, one in enumerate(done):
        runs = []
        for process in range(processes):
            facts = {
                "name": one.name,
                "date": str(START + timedelta(seconds=10 * index + process)),
                "unit": "second",
                "loops": 1,
                "mlock_digest": one.point.digest,
                "mlock_counters": digest_of(one.counters),
                "mlock_implementation": one.point.implementation,
            }
            mean = mean_seconds(one, process)
            runs.append(pyperf.Run([mean * 0.99, mean * 1.01], metadata=facts, collect_metadata=False))
        found.append(pyperf.Benchmark(runs))
    return found


def write_run(
    directory: Path,
    done: list[Counted] | None = None,
    timed: bool = True,
    command: str = "python -m bench sample",
    machine: dict[str, str | int] | None = None,
) -> Path:
    """Write a run directory and return it."""
    directory.mkdir(parents=True)
    done = points() if done is None else done
    storage.save_counters(directory / storage.COUNTERS_FILE, command, machine or {"cpu_model": "made up"}, done)
    if timed:
        storage.save_wall(directory / storage.WALL_FILE, benchmarks(done))
    return directory
