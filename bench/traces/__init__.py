"""Sequences of calls: format, random ones, and one carried out on the model."""
