"""The report, before and after: time and entries read against span."""

from bench.figures.kind import Kind
from bench.figures.report import numbers, words

KIND = Kind(numbers.NAME, numbers.prepare, words.describe, drawing="bench.figures.report.drawing")
