"""Benchmarks of the mlock model: scenarios, measuring, tables and figures."""

__version__ = "0.1.0"
