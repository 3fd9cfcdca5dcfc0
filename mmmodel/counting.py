"""How compiled code adds to a counter of the model."""

from __future__ import annotations

from mmmodel.arraytypes import Words
from mmmodel.jit import COUNTING, primitive


@primitive
def count(counters: Words, counter: int, number: int) -> None:
    """Add to a model counter.  Compiled away without MMMODEL_COUNTING."""
    if COUNTING:
        counters[counter] += number
