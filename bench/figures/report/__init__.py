"""The report, before and after: time and entries read against span."""
