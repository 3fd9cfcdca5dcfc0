"""Rows as a report makes them, for tests of what is made of rows."""

from bench.analysis.report_rows import Row, rows
from bench.runs.record import Counted
from bench.workloads.scenario import SCENARIOS, Point, Scenario
from mmmodel.constants import PAGE_SIZE
from mmmodel.kernels import IMPLEMENTATIONS

LAYOUT = SCENARIOS["layout"].resized(12 << 40)


def counted(scenario: Scenario, implementation: str) -> Counted:
    """Return made-up counters: per-page reads an entry a page, hole-skip one a table, others few."""
    nr_pages = scenario.span // PAGE_SIZE
    entries = {"per-page": nr_pages, "hole-skip": nr_pages // 512 + 1, "page-walk": 5}.get(implementation, 5)
    point = Point(scenario, implementation)
    counters = {f"model_{level}_read": 0 for level in ("pgd", "p4d", "pud", "pmd")}
    looked_up = entries if implementation in ("per-page", "hole-skip") else 0
    counters |= {"model_pte_read": entries, "model_pages_looked_up": looked_up}
    return Counted(point.name, point, scenario.span, 1, 0, counters)


def report_rows() -> list[Row]:
    """Return the rows of a whole report."""
    spans = (1 << 31, 1 << 36, 1 << 41)
    scenarios = [SCENARIOS["report"].resized(span) for span in spans] + [LAYOUT]
    done = [counted(scenario, implementation) for scenario in scenarios for implementation in IMPLEMENTATIONS]
    times = {one.name: [base := 1e-9 * one.counters["model_pte_read"] + 5e-6, base * 1.1, base * 0.95] for one in done}
    return rows(done, times)
