"""What real kernels did: the recorded traces and their results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.traces.trace_format import Step, Trace, load_results, load_traces

DATA = Path(__file__).parents[1] / "data" / "traces"
KERNELS = {"linux-5.10": "per-page", "linux-6.1": "page-walk"}
"""Recorded kernel -> the implementation that behaves like it."""

FILES = (("", "never"), ("thp-", "always"), ("edges-", "never"), ("edges-thp-", "always"))
"""Prefix of a recording's files, and what transparent_hugepage was."""


ALL_OPS_FILES = (("all-", "never"), ("all-thp-", "always"))
"""The same of random traces of all ops: the first of seeds 101 and 102, as 5.10.262 and 6.1.192 answered them."""


def recorded(kernel: str, files: Sequence[tuple[str, str]] = FILES) -> Iterator[tuple[Trace, tuple[Step, ...], str]]:
    """All traces of one kernel in some files: (trace, its recorded steps, thp setting)."""
    for prefix, thp in files:
        results = load_results(DATA / f"{prefix}{kernel}.jsonl").by_name
        for name, trace in load_traces(DATA / f"{prefix}traces.jsonl").by_name.items():
            yield trace, results[name].steps, thp
