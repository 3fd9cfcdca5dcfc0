"""Drift during a run."""

from bench.figures.kind import Kind
from bench.figures.order import numbers, words

KIND = Kind(numbers.NAME, numbers.prepare, words.describe, drawing="bench.figures.order.drawing")
