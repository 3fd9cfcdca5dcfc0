"""The report, time and entries read against span."""
