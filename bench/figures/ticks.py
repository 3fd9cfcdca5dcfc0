"""Limits and ticks of logarithmic axes. Whatever the data, an axis has at least two ticks, and no point lies on its edge."""

from __future__ import annotations

import math
from collections.abc import Iterable

LEAST_SPAN = 10.0  # of an axis, highest by lowest: it holds three or more of 1, 2, 5, 10, 20, 50 ...
MARGIN = 0.06  # of the axis, on either side of the data
MOST = 6  # ticks
MOST_FINE = 7  # that are not powers of ten
ROUND = 1e-9  # of a logarithm: what rounding may take from a tick on the edge


def log_limits(values: Iterable[float]) -> tuple[float, float]:
    """Return the limits of an axis that shows these values, all above zero; 1 to 10 if there is none."""
    logs = [math.log10(value) for value in values]
    if not logs:
        return 1.0, LEAST_SPAN
    middle = (min(logs) + max(logs)) / 2
    half = max((max(logs) - min(logs)) / 2 * (1 + 2 * MARGIN), math.log10(LEAST_SPAN) / 2)
    return 10 ** (middle - half), 10 ** (middle + half)


def log_ticks(low: float, high: float, most: int = MOST) -> list[float]:
    """Return powers of ten between two limits, at most `most` (2 or more).

    Where there are only one or two, 1, 2 and 5 times powers of ten, or if these are more than MOST_FINE, 1 and 3 times.
    """
    first, last = math.ceil(math.log10(low) - ROUND), math.floor(math.log10(high) + ROUND)
    decades = range(first, last + 1)
    if len(decades) > 2:
        step = -(-len(decades) // most)
        return [10.0**power for power in decades[::step]]
    for digits in ((1, 2, 5), (1, 3)):
        fine = (digit * 10.0**power for power in range(first - 1, last + 2) for digit in digits)
        ticks = [tick for tick in fine if low * (1 - ROUND) <= tick <= high * (1 + ROUND)]
        if len(ticks) <= MOST_FINE:
            break
    return ticks


def span_limits(spans: Iterable[int]) -> tuple[float, float]:
    """Return the limits of an axis of spans in bytes: powers of two, at least a factor of 16 apart."""
    found = list(spans)
    low, high = min(found).bit_length() - 2, (max(found) - 1).bit_length() + 1
    while high - low < 4:
        low, high = low - 1, high + 1
    return 2.0**low, 2.0**high


def span_ticks(low: float, high: float) -> list[float]:
    """Return powers of two between two limits, so far apart that few remain."""
    first, last = math.ceil(math.log2(low) - ROUND), math.floor(math.log2(high) + ROUND)
    step = next(step for step in (1, 2, 5, 10, 20) if (last - first) // step < MOST)
    return [2.0**power for power in range(first, last + 1) if power % step == 0]
