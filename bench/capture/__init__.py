"""Address spaces as they are: captured from live processes, or read from what people paste."""
