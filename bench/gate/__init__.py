"""The performance gate: this tree against its committed expectation, its laws, and another checkout on the same machine."""
