"""Drift during a run."""
