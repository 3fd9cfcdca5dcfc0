"""What real kernels did: the recorded traces and their results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.traces.trace_format import Step, Trace, load_results, load_traces
from mmmodel.kernels import implementations

DATA = Path(__file__).parents[1] / "data" / "traces"
KERNELS: dict[str, str] = {}
"""Recorded kernel -> the first implementation that behaves like it."""
for one in implementations():
    KERNELS.setdefault(f"linux-{one.kernel.name}", one.name)

FILES = (("", "never"), ("thp-", "always"), ("edges-", "never"), ("edges-thp-", "always"))
"""Prefix of a recording's files, and what transparent_hugepage was."""


ALL_OPS_FILES = (("all-", "never"), ("all-thp-", "always"))
"""The same of random traces of all ops: the first of seeds 101 and 102, as 5.10.262, 6.1.192 and 6.12.118 answered them."""


LARGE_FOLIOS = (("mthp-", "never"), ("mthp-sizes-", "never"), ("mthp-thp-", "always"))
"""Traces of machines set to large folios, which each trace names: of the first of seeds 7, 9 and 8."""


OF_ONE_KERNEL = {"linux-6.12": (("folio-", "never"), ("folio-thp-", "always"), *LARGE_FOLIOS)}
"""Forty more of all ops that one kernel answered: of the first of seed 7, those that between them show most; and those."""


def files_of(kernel: str) -> tuple[tuple[str, str], ...]:
    """All recordings of a kernel."""
    return (*FILES, *ALL_OPS_FILES, *OF_ONE_KERNEL.get(kernel, ()))


def recorded(kernel: str, files: Sequence[tuple[str, str]] = FILES) -> Iterator[tuple[Trace, tuple[Step, ...], str]]:
    """All traces of one kernel in some files: (trace, its recorded steps, thp setting)."""
    for prefix, thp in files:
        results = load_results(DATA / f"{prefix}{kernel}.jsonl").by_name
        for name, trace in load_traces(DATA / f"{prefix}traces.jsonl").by_name.items():
            yield trace, results[name].steps, thp
