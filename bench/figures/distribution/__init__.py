"""How the processes of a measurement differ."""

from bench.figures.distribution import numbers, words
from bench.figures.kind import Kind

KIND = Kind(numbers.NAME, numbers.prepare, words.describe, drawing="bench.figures.distribution.drawing")
