"""How: exact counts, times, repetition, and what pyperf has no place for."""
