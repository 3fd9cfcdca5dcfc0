"""Cost against span."""

from bench.figures.kind import Kind
from bench.figures.scaling import numbers, words

KIND = Kind(numbers.NAME, numbers.prepare, words.describe, drawing="bench.figures.scaling.drawing")
