"""The `list` command: what can be measured."""

from __future__ import annotations

from collections.abc import Sequence

from bench.commands import parser_of
from bench.tables.terminal import console, new_table
from bench.workloads import layout as layouts
from bench.workloads.scenario import LAYOUT, SCENARIOS, Scenario
from bench.workloads.sizes import approximate, format_size
from mmmodel.constants import IMPLEMENTATIONS, PAGE_SIZE

ABOUT = {
    "per-page": "Linux 5.10: looks up every page of the range, there or not",
    "hole-skip": "the fix proposed in 2021: per-page, but a missing table is stepped over",
    "page-walk": "Linux 6.1: walks the page tables that exist",
}


def _pages_of(scenario: Scenario) -> str:
    """Return how many pages a scenario has in memory at its default span."""
    if scenario.name == LAYOUT:
        return "-"
    if scenario.thp == "always":
        return f"{scenario.span // PAGE_SIZE:,}"
    return f"{scenario.populate.nr_pages(scenario.span):,}"


def main(argv: Sequence[str]) -> int:
    """Print scenarios, implementations and layouts."""
    parser_of("list").parse_args(argv)
    out = console()
    table = new_table("Scenarios (--size gives another span)", ("name", "what"), ("default span", "pages in memory"))
    for scenario in SCENARIOS.values():
        span = format_size(scenario.span) if scenario.span else "-"
        table.add_row(scenario.name, scenario.summary, span, _pages_of(scenario))
    out.print(table)
    table = new_table("Implementations (--impl)", ("name", "what"))
    for name in IMPLEMENTATIONS:
        table.add_row(name, ABOUT[name])
    out.print(table)
    table = new_table("Layouts (--layout; or a file's path)", ("name", "threads"), ("span", "VMAs", "pages in memory"))
    for name in layouts.shipped_names():
        layout = layouts.load(name)
        threads = str(layout.document.threads)
        table.add_row(name, threads, approximate(layout.span), f"{len(layout.vmas):,}", f"{layout.nr_present:,}")
    out.print(table)
    return 0
