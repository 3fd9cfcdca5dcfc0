"""Runs made up and written to files, for tests of what reads them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyperf

from bench.runs import record, storage
from bench.runs.record import Counted
from bench.workloads.scenario import SCENARIOS, Point
from mmmodel.constants import PAGE_SIZE

MiB = 1 << 20
MACHINE: dict[str, str | int] = {
    "cpu_model": "Abacus 1",
    "cpu_count": 2,
    "python": "CPython 3.11.7",
    "source_digest": "5ca1ab1e",
}
NO_COUNTERS = {f"model_{level}_read": 0 for level in ("pgd", "p4d", "pud", "pmd", "pte")}


def point(implementation: str = "per-page", span: int = 64 * MiB, scenario: str = "report") -> Point:
    return Point(SCENARIOS[scenario].resized(span), implementation)


def counted(of: Point, entries: int, **more: int) -> Counted:
    """Return a point with these many page-table entries read."""
    counters = NO_COUNTERS | {"model_pte_read": entries, "model_pages_looked_up": entries, "nr_mlock": -7} | more
    return Counted(of.name, of, of.scenario.span, 1, of.scenario.populate.nr_pages(of.scenario.span), counters)


def timed(of: Point, processes: Sequence[Sequence[float]], **told: str | int) -> pyperf.Benchmark:
    """Return a benchmark with the values of each process; `told` is metadata beside what our workers always tell."""
    facts: dict[str, str | int] = {
        "name": of.name,
        "unit": "second",
        "loops": 1,
        "cpu_model_name": "Abacus 1",
        "mlock_digest": of.digest,
        "mlock_implementation": of.implementation,
        "mlock_operation": of.operation,
        "mlock_scenario": of.scenario.name,
        "mlock_span": of.scenario.span,
        "mlock_populated": 0,
        "mlock_vmas": 1,
    }
    runs = [pyperf.Run(values, metadata=facts | told, collect_metadata=False) for values in processes]
    return pyperf.Benchmark(runs)


def write(
    directory: Path,
    whole: Sequence[Counted] = (),
    times: Sequence[pyperf.Benchmark] = (),
    machine: Mapping[str, str | int] = MACHINE,
) -> Path:
    """Write a run directory; a file that would be empty is left out."""
    directory.mkdir(parents=True)
    if whole:
        storage.save_counters(directory / storage.COUNTERS_FILE, "python -m bench made-up", dict(machine), whole)
    if times:
        storage.save_wall(directory / storage.WALL_FILE, times)
    return directory


def write_curve(directory: Path, factor: float = 1.0, machine: Mapping[str, str | int] = MACHINE) -> Path:
    """Write a run of two implementations at three spans; per-page takes `factor` times 1 ns a page, and some spread."""
    whole, times = [], []
    for span in (64 * MiB, 256 * MiB, 1024 * MiB):
        for implementation, entries in (("per-page", span // PAGE_SIZE), ("page-walk", 1)):
            one = point(implementation, span)
            seconds = 1e-9 * entries * (factor if implementation == "per-page" else 1)
            whole.append(counted(one, entries))
            digest = record.digest_of(whole[-1].counters)
            values = [[seconds * 0.99, seconds], [seconds, seconds * 1.01], [seconds * 0.98, seconds * 1.02]]
            times.append(timed(one, values, mlock_counters=digest))
    return write(directory, whole, times, machine)
