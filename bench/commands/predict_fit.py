"""`predict --fit`: the weights of the cost model, fitted on cost files, with each layout left out once."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench import environment
from bench.errors import UsageError, one_line
from bench.prediction import fitting
from bench.prediction.checking import rows_of, series_in
from bench.prediction.fitting import Fit, Row
from bench.prediction.kinds import rows_of_kinds
from bench.prediction.weights import SCHEMA, Source, Weights, implementation_of
from bench.progress import interruptible, progress_bar
from bench.runs import kernel_costs
from bench.runs.storage import check_parent, encode_json, write_atomic
from bench.tables import formats
from bench.tables.prediction_tables import fit_table, left_out_table, weights_table
from bench.tables.table import Page
from bench.traces.cost_format import Costs, load_costs

# The builds that were measured, by their series: cost files name no more.
JSON: Final = ".json"  # of what `kernel costs` wrote; cost files are lines
BUILDS: Final = {"5.10": "Debian 5.10.262", "6.1": "Debian 6.1.176", "6.12": "Debian 6.12.118"}


def run(options: argparse.Namespace) -> int:
    """Fit, print tables, write the weights if asked."""
    if options.format == "json":
        raise UsageError("--fit prints tables: the weights as JSON are what --out writes")
    if options.out:
        check_parent(options.out)
    files = {path: load_costs(path) for path in options.file if path.suffix != JSON}
    kinds = {path: kernel_costs.load(path) for path in options.file if path.suffix == JSON}
    series = sorted({one for costs in files.values() for one in series_in(costs)}, key=lambda one: [*map(int, one.split("."))])
    if not series:
        raise UsageError("no file of measured calls: those of kinds of pages (.json) are beside them")
    with progress_bar() as progress, interruptible():
        task = progress.add_task("layouts counted", total=sum(map(len, files.values())) * len(series))
        rows = {one: _rows(list(files.values()), one, lambda: progress.advance(task)) for one in series}
        for source, costs in enumerate(kinds.values(), len(files)):
            for one in series:
                rows[one] += rows_of_kinds(costs, one, source)
    with progress_bar() as progress, interruptible():
        total = sum(len({(row.source, row.layout) for row in found}) for found in rows.values())
        task = progress.add_task("layouts left out", total=total)
        fits = [
            fitting.fit(one, BUILDS.get(one, "unknown"), implementation_of(one), rows[one], lambda: progress.advance(task))
            for one in series
        ]
    names = [path.stem for path in (*files, *kinds)]
    tables = (*(weights_table(one.weights) for one in fits), left_out_table(fits, names), fit_table(fits))
    formats.show(Page(tables), options.format, wide=options.wide)
    if options.out:
        write_atomic(options.out, encode_json(_weights([*files, *kinds], fits)))
    return 0


def _rows(files: list[list[Costs]], series: str, tick: Callable[[], None]) -> list[Row]:
    """Return the measured calls of all files on one kernel."""
    return [
        row for source, costs in enumerate(files) for row in rows_of(costs, series, implementation_of(series), source, tick)
    ]


def _weights(files: list[Path], fits: list[Fit]) -> Weights:
    """Return what is kept: the same bytes for the same files."""
    sources = tuple(Source(one_line(path.name, 80), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files)
    return Weights(SCHEMA, "cost-weights", environment.command_line(), sources, tuple(one.weights for one in fits))
