"""`predict FILE`: what calls on address spaces would visit and cost on each kernel, and which VMAs are to blame."""

from __future__ import annotations

import argparse
import re
from typing import Final

import msgspec

from bench.commands.predict_calibrate import calibration_file
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
from bench.workloads import layout as layouts
from bench.workloads.layout import Layout

NR_BLAMED: Final = 5  # VMAs that are shown
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
    """Return the address space that a word of the command line names: a layout's name or file."""
    return layouts.load(word)


def run(options: argparse.Namespace, weights: Weights) -> int:
    """Print what calls would cost; return 1 if one may take longer than it may."""
    fail_over = duration(options.fail_over) if options.fail_over else None
    where = address_range(options.range) if options.range else None
    kernels = [weights.of(series) for series in options.kernel] if options.kernel else list(weights.kernels)
    captured = [read(str(word)) for word in options.file]
    known = times.load(calibration_file())
    calibrations = {one.series: known.nearest(one.series) for one in kernels}
    with progress_bar() as progress:
        registry.load([one.implementation for one in kernels], progress)
    told: Told = []
    blame: list[Table] = []
    with progress_bar() as progress, interruptible():
        task = progress.add_task("layouts", total=len(captured) * len(kernels))
        for layout in captured:
            for kernel in kernels:
                for one in forecast.forecast(layout, kernel, where):
                    calibration = calibrations[kernel.series]
                    told.append((one, times.seconds_of(one.cost, one.call, calibration) if one.cost else None))
                progress.advance(task)
            blame += [_blame(layout, kernel) for kernel in kernels[:1]] if where is None else []
    told.sort(key=lambda pair: [one.name for one in captured].index(pair[0].layout))
    if options.format == "json":
        print(msgspec.json.format(msgspec.json.encode(_plain(told)), indent=1).decode())
    else:
        tables = (forecast_table(told, fail_over), *blame)
        formats.show(Page(tables, remarks=_remarks(told, calibrations)), options.format, wide=options.wide)
    late = fail_over is not None and any(time is not None and time.high > fail_over for _, time in told)
    return EXIT_DIFFERENCES if late else 0


def _blame(layout: Layout, kernel: KernelWeights) -> Table:
    """Return the VMAs that cost most."""
    return blame_table(layout.name, kernel.series, forecast.most_blamed(forecast.shares(layout, kernel), NR_BLAMED))


def _remarks(told: Told, calibrations: dict[str, Calibration | None]) -> tuple[str, ...]:
    """Return what must be known of the figures."""
    found = []
    if any(one is None for one in calibrations.values()):
        found.append(
            "Times are not of this machine: a range from published figures, 0.06 to 0.32 ns an instruction. "
            "predict --calibrate host (or uml-5.10) measures here."
        )
    targets = dict.fromkeys(f"{one.target} ({one.release})" for one in calibrations.values() if one)
    found += [f"Times by what was measured here on {', '.join(targets)}."] if targets else []
    reasons = dict.fromkeys(f"{one.layout}: {one.call} is not told, as {one.reason}." for one, _ in told if one.reason)
    return (*found, *reasons, f"Instructions as QEMU counts them; shares of VMAs are of {BLAMED}().")


def _plain(told: Told) -> dict[str, object]:
    """Return all of it as JSON has it."""
    rows = [
        {
            "layout": one.layout,
            "kernel": one.series,
            "call": one.call,
            "visits": one.visited,
            "counters": {name: value for name, value in one.counters.items() if value},
            "instructions": one.cost._asdict() if one.cost else None,
            "seconds": time._asdict() if time else None,
            "reason": one.reason,
        }
        for one, time in told
    ]
    return {"schema": 1, "kind": "predictions", "predictions": rows}
