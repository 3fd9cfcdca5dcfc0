"""Numbers as people read them: one way to write each kind, in tables, figures and sentences alike.

Three significant digits, units that suit the size, commas between thousands.
"""

from __future__ import annotations

from collections.abc import Callable

NONE = "-"  # what is not there
TOO_FEW = "too few"  # data for what would stand there
LEGIBLE = 1e15  # numbers from here on are written with an exponent: nobody counts forty digits
_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def significant(value: float, digits: int = 3) -> str:
    """Return a number with `digits` significant digits, without an exponent where that is readable: 0.604, 12.3, 246,995."""
    text = f"{value:.{digits}g}"
    return text if "e" not in text or abs(value) < 1 or abs(value) >= LEGIBLE else f"{value:,.0f}"


def count(value: int) -> str:
    """Return a number of things: 536,870,912."""
    return f"{value:,}"


def short(value: float) -> str:
    """Return a large number for an axis that has little room: 100, 10 k, 1 M, 63 G."""
    for scale, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale * (1 - 1e-9):
            return f"{significant(value / scale)} {unit}"
    return significant(value)


def seconds(value: float) -> str:
    """Return a duration in the unit that suits it: 478 ms, 2.88 µs."""
    scale, unit = _seconds_unit(value)
    return f"{significant(value / scale)} {unit}"


def seconds_range(low: float, high: float, typical: float) -> str:
    """Return two durations in the one unit that suits a `typical` one: 572 .. 607 µs."""
    scale, unit = _seconds_unit(typical)
    return f"{significant(low / scale)} .. {significant(high / scale)} {unit}"


def _seconds_unit(value: float) -> tuple[float, str]:
    """Return the unit of a duration, in seconds and by name."""
    return next((pair for pair in _SECONDS if value >= pair[0]), _SECONDS[-1])


def approximate(nbytes: float) -> str:
    """Return a size in bytes rounded for reading: 12.44 TiB."""
    index = 0
    while nbytes >= 1024 and index < len(_BYTES) - 1:
        nbytes /= 1024
        index += 1
    digits = (f"{nbytes:,.2f}" if nbytes < LEGIBLE else significant(nbytes)).rstrip("0").rstrip(".")
    return f"{digits} {_BYTES[index]}"


def percent(fraction: float) -> str:
    """Return a fraction as a percentage: 0.0977 %."""
    return f"{significant(fraction * 100)} %" if fraction >= 1e-6 else f"{fraction * 100:.1e} %"


def change(relative: float) -> str:
    """Return a value relative to 1 as a signed percentage: +1.5 %."""
    percents = (relative - 1) * 100
    return f"{percents:+.1f} %" if abs(percents) < LEGIBLE else f"{percents:+.3g} %"


def multiple(value: float) -> str:
    """Return a ratio that may be large: 1, 2.85, 246,995."""
    return significant(value)


def ratio(value: float) -> str:
    """Return a ratio near 1: 1.013."""
    return f"{value:.3f}" if 0.1 <= value < 100 else significant(value)


def exponent(value: float, digits: int = 3) -> str:
    """Return the exponent of a power law: 1.002; a zero has no sign."""
    text = f"{value:.{digits}f}" if abs(value) < LEGIBLE else significant(value)
    return text.lstrip("-") if float(text) == 0 else text


def exponent_range(low: float, high: float, digits: int = 3) -> str:
    """Return the least and the most of several exponents: 0.000 .. 0.661; one where both are written alike."""
    ends = [exponent(end, digits) for end in (low, high)]
    return ends[0] if ends[0] == ends[1] else " .. ".join(ends)


def interval(low: float, high: float, text: Callable[[float], str]) -> str:
    """Return an interval whose ends `text` writes: 0.98 .. 1.02."""
    return f"{text(low)} .. {text(high)}"
