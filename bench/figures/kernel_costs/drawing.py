"""Instructions per page by kind of page: a row for each kind, a mark for each kernel."""

from __future__ import annotations

from matplotlib.figure import Figure

from bench.figures.kernel_costs.numbers import PageCosts
from bench.figures.kernel_costs.words import title_words
from bench.figures.kernel_history.drawing import Panel, draw_panels


def draw(data: PageCosts) -> Figure:
    """Return one panel of all kinds."""
    panel = Panel("For each page of a kind", tuple((row.name, row.per_page) for row in data.kinds))
    return draw_panels(title_words(data), "instructions per page, exact, from two sizes of each", (panel,), data.kernels)
