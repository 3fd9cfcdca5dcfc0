"""Ratios of implementations against population density."""

from bench.figures.kind import Kind
from bench.figures.ratio import numbers, words

KIND = Kind(numbers.NAME, numbers.prepare, words.describe, drawing="bench.figures.ratio.drawing")
