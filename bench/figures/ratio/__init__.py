"""Ratios of implementations against population density."""
