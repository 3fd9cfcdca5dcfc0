"""The `list` command: what can be measured."""

from __future__ import annotations

import os
from collections.abc import Sequence

from bench.commands import parser_of
from bench.kernels import images
from bench.kernels.host import Host
from bench.kernels.qemu import Qemu
from bench.kernels.selection import HOST
from bench.kernels.uml import Uml
from bench.number_format import NONE, approximate, count
from bench.tables import formats
from bench.tables.table import Page, Table
from bench.targets import registry
from bench.targets.kernel import RUNS_AS
from bench.workloads import layout as layouts
from bench.workloads.scenario import LAYOUT, SCENARIOS, Scenario
from bench.workloads.sizes import format_size
from mmmodel.constants import PAGE_SIZE


def _pages_of(scenario: Scenario) -> str:
    """Return how many pages a scenario has in memory at its default span."""
    if scenario.name == LAYOUT:
        return NONE
    if scenario.thp == "always":
        return count(scenario.span // PAGE_SIZE)
    return count(scenario.populate.nr_pages(scenario.span))


def main(argv: Sequence[str]) -> int:
    """Print scenarios, implementations, real kernels and layouts."""
    parser = parser_of("list")
    formats.add_option(parser)
    wide = parser.parse_args(argv).wide
    formats.show(Page((_scenarios(), _implementations(), _kernels(), _layouts())), wide=wide)
    return 0


def _scenarios() -> Table:
    """Return the table of scenarios."""
    rows = ((one.name, one.summary, format_size(one.span) if one.span else NONE, _pages_of(one)) for one in SCENARIOS.values())
    title = "Scenarios (--size gives another span)"
    return Table(title, ("name", "what"), ("default span", "pages in memory"), (tuple(rows),))


def _implementations() -> Table:
    """Return the table of implementations."""
    rows = ((name, one.summary) for name, one in registry.targets().items())
    return Table("Implementations (--impl, --on)", ("name", "what"), (), (tuple(rows),))


def _kernels() -> Table:
    """Return the table of real kernels: those of the cache, and the running one."""
    rows = [(one.word, f"{RUNS_AS[Uml]}: time" if one.is_uml else f"{RUNS_AS[Qemu]}: instructions") for one in images.cached()]
    rows.append((HOST, f"Linux {os.uname().release}, {RUNS_AS[Host]}: time"))
    return Table("Real kernels (--on, which takes implementations and paths, too)", ("name", "what"), (), (tuple(rows),))


def _layouts() -> Table:
    """Return the table of the layouts that come with the package."""
    loaded = [layouts.load(name) for name in layouts.shipped_names()]
    rows = (
        (one.name, str(one.document.threads), approximate(one.span), count(len(one.vmas)), count(one.nr_populated))
        for one in loaded
    )
    heads = ("span", "VMAs", "pages in memory")
    return Table("Layouts (--layout; or a file's path)", ("name", "threads"), heads, (tuple(rows),), ("threads",))
