"""Real kernels: fetched, booted or run as a process, and asked what the model is asked."""
