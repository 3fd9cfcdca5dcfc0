"""`predict --check`: predicted instructions beside measured ones."""

from __future__ import annotations

import argparse
import math

import msgspec

from bench.errors import EXIT_DIFFERENCES, UsageError
from bench.prediction import checking
from bench.prediction.checking import Checked, series_in
from bench.prediction.weights import Weights
from bench.progress import interruptible, progress_bar
from bench.tables import formats
from bench.tables.prediction_tables import check_table, error
from bench.tables.table import Page
from bench.traces.cost_format import load_costs


def bars(options: argparse.Namespace) -> tuple[float, float]:
    """Return the relative errors that are allowed; UsageError for what is none."""
    for name, value in (("--bar", options.bar), ("--small-bar", options.small_bar)):
        if not (math.isfinite(value) and value >= 0):
            raise UsageError(f"{name} {value:g}: a percentage of 0 or more")
    return options.bar / 100, options.small_bar / 100


def run(options: argparse.Namespace, weights: Weights) -> int:
    """Print each call; return 1 if an error is over its bar."""
    bar, small_bar = bars(options)
    found: list[Checked] = []
    files = [load_costs(path) for path in options.file]
    total = sum(len(costs) * len(series_in(costs)) for costs in files)
    with progress_bar() as progress, interruptible():
        task = progress.add_task("layouts", total=total)
        for costs in files:
            found += checking.check(costs, weights, lambda: progress.advance(task))
    said = _largest(found, bar, small_bar)
    if options.format == "json":
        rows = [{**one._asdict(), "error": one.error, "bar": one.bar(bar, small_bar)} for one in found]
        print(msgspec.json.format(msgspec.json.encode({"schema": 1, "kind": "checks", "checks": rows}), indent=1).decode())
    else:
        formats.show(Page((check_table(found, bar, small_bar),), remarks=(said,)), options.format, wide=options.wide)
    return EXIT_DIFFERENCES if any(one.is_over(bar, small_bar) for one in found) else 0


def _largest(found: list[Checked], bar: float, small_bar: float) -> str:
    """Return the largest error as a sentence: by what each may be, so that it decides."""
    worst = max(found, key=lambda one: abs(one.error) / (one.bar(bar, small_bar) or 1e-12))
    verdict = "over" if worst.is_over(bar, small_bar) else "within"
    where = f"{worst.call} of {worst.layout} on {worst.series}"
    over = sum(one.is_over(bar, small_bar) for one in found)
    return (
        f"Largest error: {error(worst.error)}, {where}: {verdict} its bar of {worst.bar(bar, small_bar) * 100:g} %; "
        f"{over} of {len(found)} calls are over theirs."
    )
