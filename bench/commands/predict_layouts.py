"""`predict FILE`: what calls on address spaces would visit and cost on each kernel, and which VMAs are to blame."""

from __future__ import annotations

import argparse
import re
from typing import Final

import msgspec

from bench import number_format as fmt
from bench.capture import sources
from bench.capture.extremes import extremes
from bench.capture.kinds import by_kind, classify
from bench.commands import predict_fleet
from bench.commands.predict_calibrate import calibration_file
from bench.commands.predict_fleet import Request
from bench.errors import EXIT_DIFFERENCES, UsageError, one_line
from bench.prediction import forecast, times
from bench.prediction.forecast import BLAMED, Forecast, Range
from bench.prediction.times import Calibration, Interval
from bench.prediction.weights import KernelWeights, Weights
from bench.progress import interruptible, progress_bar
from bench.tables import formats
from bench.tables.prediction_tables import blame_table, forecast_table
from bench.tables.table import Page, Table
from bench.targets import registry
from bench.workloads.layout import Layout

NR_BLAMED: Final = 5  # VMAs that are shown, and kinds of reservations
LARGE: Final = 1 << 30  # bytes of a reservation that are worth advice
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
Told = list[tuple[Forecast, Interval | None]]


def duration(text: str) -> float:
    """Return the seconds of a duration as "100ms"; UsageError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s)", text, re.ASCII)
    if not match:
        raise UsageError(f"{one_line(text, 40)!r} is no time as 100ms, 2.5s or 30us are")
    return float(match[1]) * _UNITS[match[2]]


def address_range(text: str) -> Range:
    """Return the addresses of "START-END", hexadecimal as in /proc/PID/maps; UsageError for anything else."""
    match = re.fullmatch(r"(?:0x)?([0-9a-f]{1,16})-(?:0x)?([0-9a-f]{1,16})", text.lower(), re.ASCII)
    if match:
        found = Range(int(match[1], 16), int(match[2], 16))
        if found.start < found.end and not (found.start | found.end) % 4096:
            return found
    raise UsageError(f"{one_line(text, 60)!r} is no range of whole pages as 7f0000000000-7f0000001000 is")


def read(word: str) -> Layout:
    """Return the address space that a word names: a process, a layout by name or file, a text by file or as "-"."""
    return sources.read(word)


def run(options: argparse.Namespace, weights: Weights) -> int:
    """Print what calls would cost; return 1 if one may take longer than it may."""
    fail_over = duration(options.fail_over) if options.fail_over else None
    where = address_range(options.range) if options.range else None
    kernels = [weights.of(series) for series in options.kernel] if options.kernel else list(weights.kernels)
    known = times.load(calibration_file())
    calibrations = {one.series: known.nearest(one.series) for one in kernels}
    if options.rank or any(word.is_dir() for word in options.file):
        return predict_fleet.run(options, Request(tuple(kernels), calibrations), fail_over)
    captured = [read(str(word)) for word in options.file]
    with progress_bar() as progress:
        registry.load([one.implementation for one in kernels], progress)
    told: Told = []
    blame: list[Table] = []
    advice: dict[str, None] = {}
    with progress_bar() as progress, interruptible():
        task = progress.add_task("layouts", total=len(captured) * len(kernels))
        for layout in captured:
            cheap, dear = extremes(layout)
            for kernel in kernels:
                told += [(one, _time(one, calibrations[kernel.series])) for one in _forecasts(cheap, dear, kernel, where)]
                progress.advance(task)
            if where is None:
                blame.append(_blame(dear, kernels[0]))
                advice |= _advice(layout)
    told.sort(key=lambda pair: [one.name for one in captured].index(pair[0].layout))
    if options.format == "json":
        print(msgspec.json.format(msgspec.json.encode(_plain(told)), indent=1).decode())
    else:
        tables = (forecast_table(told, fail_over), *blame)
        formats.show(Page(tables, remarks=(*_remarks(told, calibrations), *advice)), options.format, wide=options.wide)
    late = fail_over is not None and any(time is not None and time.high > fail_over for _, time in told)
    return EXIT_DIFFERENCES if late else 0


def _forecasts(cheap: Layout, dear: Layout, kernel: KernelWeights, where: Range | None) -> list[Forecast]:
    """Return what each call would cost; where the two differ, with the most that there can be, beside the least."""
    found = forecast.forecast(dear, kernel, where)
    if cheap is dear:
        return found
    return [one._replace(least=least) for one, least in zip(found, forecast.forecast(cheap, kernel, where), strict=True)]


def _time(one: Forecast, calibration: Calibration | None) -> Interval | None:
    """Return the time that a call takes, None where it was not counted; of a range its middle is no estimate."""
    if one.cost is None:
        return None
    most = times.seconds_of(one.cost, one.call, calibration)
    if one.least is None or one.least.cost is None:
        return most
    least = times.seconds_of(one.least.cost, one.call, calibration)
    return Interval((least.seconds * most.seconds) ** 0.5, least.low, most.high)


def _blame(layout: Layout, kernel: KernelWeights) -> Table:
    """Return the VMAs that cost most, with what they are."""
    kinds = {vma: found.kind.name for vma, found in zip(layout.vmas, classify(layout), strict=True)}
    most = forecast.most_blamed(forecast.shares(layout, kernel), NR_BLAMED)
    return blame_table(layout.name, kernel.series, [(one, kinds[one.vma]) for one in most])


def _advice(layout: Layout) -> dict[str, None]:
    """Return what one could do about the largest reservations, a line for each kind of which that is known."""
    large = [one for one in by_kind(layout)[:NR_BLAMED] if one.kind.advice and one.nbytes >= LARGE]
    return {f"{layout.name}: {one.kind.name}, {fmt.approximate(one.nbytes)}: {one.kind.advice}.": None for one in large}


def _remarks(told: Told, calibrations: dict[str, Calibration | None]) -> tuple[str, ...]:
    """Return what must be known of the figures."""
    found = []
    if any(one is None for one in calibrations.values()):
        found.append(
            "Times are not of this machine: 0.06 to 0.62 ns an instruction, as a fast and a debug kernel were reported. "
            "predict --calibrate host (or uml-5.10) measures here."
        )
    targets = dict.fromkeys(f"{one.target} ({one.release})" for one in calibrations.values() if one)
    found += [f"Times by what was measured here on {', '.join(targets)}."] if targets else []
    unplaced = dict.fromkeys(one.layout for one, _ in told if one.least)
    found += [f"{one}: which pages are in memory is not known: from the fewest, side by side, to the most, spread out."
              for one in unplaced]  # fmt: skip
    reasons = dict.fromkeys(f"{one.layout}: {one.call} is not told, as {one.reason}." for one, _ in told if one.reason)
    return (*found, *reasons, f"Instructions as QEMU counts them; shares of VMAs are of {BLAMED}().")


def _interval(one: Forecast) -> dict[str, float] | None:
    """Return instructions as JSON has them: without an estimate where pages are not known."""
    if one.cost is None or one.least is None:
        return one.cost._asdict() if one.cost else None
    return {"low": one.least.cost.low, "high": one.cost.high} if one.least.cost else None


def _plain(told: Told) -> dict[str, object]:
    """Return all of it as JSON has it."""
    rows = [
        {
            "layout": one.layout,
            "kernel": one.series,
            "call": one.call,
            "visits": one.visited if one.least is None else [one.least.visited, one.visited],
            "counters": {name: value for name, value in one.counters.items() if value},
            "instructions": _interval(one),
            "seconds": (time._asdict() if one.least is None else {"low": time.low, "high": time.high}) if time else None,
            "reason": one.reason,
        }
        for one, time in told
    ]
    return {"schema": 1, "kind": "predictions", "predictions": rows}
