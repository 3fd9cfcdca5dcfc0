"""Figures: the only user of matplotlib. Numbers in, SVG and PNG out."""

from __future__ import annotations

from matplotlib.figure import Figure

from bench.figures import Prepared, values
from bench.figures.cost import numbers as cost
from bench.figures.cost.drawing import cost_figure
from bench.figures.distribution.drawing import samples_figure
from bench.figures.order.drawing import order_figure
from bench.figures.ratio import numbers as density
from bench.figures.ratio.drawing import ratio_figure
from bench.figures.report.drawing import draw_report
from bench.figures.scaling import numbers as scaling
from bench.figures.scaling.drawing import scaling_figure
from bench.figures.style import save

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
