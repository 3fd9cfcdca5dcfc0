"""Measurements that pyperf has no place for: memory, start-up, compilation, the cost of counting.

Each runs in processes of its own, because compiled code, caches and memory of
this one would be measured too. `python -m bench.measuring.footprint NAME` is such a
process; it prints one JSON value.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

from bench.errors import MeasurementError, one_line
from bench.measuring.timing import time_calls
from bench.targets import registry
from bench.targets.model import RESERVE
from bench.workloads.scenario import SCENARIOS, GiB, MiB, Point, Scenario
from mmmodel import constants as const
from mmmodel.kernels import DEFAULT_IMPLEMENTATION as NEWEST
from mmmodel.kernels import IMPLEMENTATIONS

BASELINE = IMPLEMENTATIONS[0]
# Short calls, often repeated: the least of many is what the code takes, whatever else the machine does.
COUNTED_POINTS = {
    "counting-untouched": Point(SCENARIOS["report"].resized(8 * GiB), BASELINE),
    f"counting-dense-{BASELINE}": Point(SCENARIOS["dense"].resized(128 * MiB), BASELINE, "munlock"),
    f"counting-dense-{NEWEST}": Point(SCENARIOS["dense"].resized(128 * MiB), NEWEST, "munlock"),
}
NR_TOUCHED = 1 << 20  # pages
HELP_RUNS = 9
ROUNDS = 6  # pairs of processes, with and without counting
CALLS = 100  # in each of these processes; the least is taken


def bytes_per_page() -> float:
    """Return the model's memory for a populated page with its tables."""
    from mmmodel import Mm

    space = Mm(NEWEST)
    start = space.mmap(None, NR_TOUCHED * const.PAGE_SIZE, const.PROT_READ | const.PROT_WRITE, RESERVE)
    before = space.memory_bytes()
    space.touch(start, NR_TOUCHED * const.PAGE_SIZE, "write")
    return float(space.memory_bytes() - before) / NR_TOUCHED


def reservation_bytes() -> float:
    """Return the model's memory for reserving the whole of a 47-bit address space."""
    from mmmodel import Mm

    space = Mm(NEWEST)
    before = space.memory_bytes()
    length = const.TASK_SIZE_4 - const.MMAP_MIN_ADDR
    space.mmap(const.MMAP_MIN_ADDR, length, const.PROT_NONE, RESERVE | const.MAP_FIXED_NOREPLACE)
    return float(space.memory_bytes() - before)


def compile_seconds() -> float:
    """Return the seconds to compile the model; run with an empty cache."""
    from mmmodel import warm_up

    return float(warm_up())


def call_seconds() -> dict[str, float]:
    """Return the seconds of one call of each of COUNTED_POINTS."""
    least: dict[str, float] = {}
    for key, point in COUNTED_POINTS.items():
        prepared = registry.prepare(point)
        time_calls(prepared, 1)
        least[key] = min(time_calls(prepared, 1) for _ in range(CALLS))
    return least


PROGRAMS: dict[str, Callable[[], object]] = {
    "bytes_per_page": bytes_per_page,
    "reservation_bytes": reservation_bytes,
    "compile_seconds": compile_seconds,
    "call_seconds": call_seconds,
}


def in_subprocess(program: str, settings: Mapping[str, str] | None = None) -> float:
    """Run one of PROGRAMS that gives a number in a fresh process."""
    return float(_run(program, settings or {}))


def _run(program: str, settings: Mapping[str, str]) -> Any:
    """Run one of PROGRAMS in a fresh process with these environment variables; return what it printed."""
    command = [sys.executable, "-m", "bench.measuring.footprint", program]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MeasurementError(f"{program} failed: {one_line(done.stderr.strip().splitlines()[-1:])}")
    return json.loads(done.stdout)


def first_compilation() -> float:
    """Return the seconds that compilation takes when nothing is cached."""
    with tempfile.TemporaryDirectory(prefix="unlockall-bench-") as cache:
        return in_subprocess("compile_seconds", {"XDG_CACHE_HOME": cache})


def help_seconds() -> list[float]:
    """Return the seconds from starting `--help` to its end, the first and cold one left out."""
    values = []
    for _ in range(HELP_RUNS + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "bench", "--help"], stdout=subprocess.DEVNULL, check=True)
        values.append(time.perf_counter() - started)
    return values[1:]


def counting_pairs(scenario_seed: int = 1) -> dict[str, list[tuple[float, float]]]:
    """Return (seconds with counting, without) of each of COUNTED_POINTS, a pair from each round.

    The two of a round run one after the other, in random order, so that slow
    stretches of the machine meet both.
    """
    order = random.Random(scenario_seed)
    pairs: dict[str, list[tuple[float, float]]] = {key: [] for key in COUNTED_POINTS}
    for setting in ("1", "0"):
        _run("compile_seconds", {"MMMODEL_COUNTING": setting})  # into the cache, off the clock
    for _ in range(ROUNDS):
        times: dict[str, dict[str, float]] = {}
        for setting in order.sample(("1", "0"), 2):
            times[setting] = _run("call_seconds", {"MMMODEL_COUNTING": setting})
        for key in COUNTED_POINTS:
            pairs[key].append((times["1"][key], times["0"][key]))
    return pairs


def touched() -> Scenario:
    """Return the scenario of the touch benchmark: writable, unlocked, nothing in memory yet."""
    return Scenario("untouched", "writable, nothing in memory", NR_TOUCHED * const.PAGE_SIZE, prot_none=False, locked=False)


if __name__ == "__main__":
    print(json.dumps(PROGRAMS[sys.argv[1]]()))
