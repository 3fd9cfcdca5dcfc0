"""What a call costs, by kind."""

from bench.figures.cost import numbers, words
from bench.figures.kind import Kind

KIND = Kind(numbers.NAME, numbers.prepare, words.describe, drawing="bench.figures.cost.drawing")
