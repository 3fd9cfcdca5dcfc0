"""The address space of a process: reserved against populated, by who pays."""
