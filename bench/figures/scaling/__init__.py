"""Cost against span."""
