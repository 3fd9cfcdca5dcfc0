"""Figures: the only user of matplotlib. Numbers in, SVG and PNG out."""

from __future__ import annotations

from matplotlib.figure import Figure

from bench.figures import Prepared, cost, density, scaling, values
from bench.plot.cost import cost_figure
from bench.plot.order import order_figure
from bench.plot.ratio import ratio_figure
from bench.plot.report import draw_report
from bench.plot.samples import samples_figure
from bench.plot.scaling import scaling_figure
from bench.plot.style import save

__all__ = ["draw", "draw_report", "save"]


def draw(data: Prepared) -> Figure:
    """Return the figure that shows these numbers."""
    match data:
        case scaling.Scaling():
            return scaling_figure(data)
        case density.Density():
            return ratio_figure(data)
        case cost.Breakdown():
            return cost_figure(data)
        case values.Distribution():
            return samples_figure(data)
        case values.Order():
            return order_figure(data)
