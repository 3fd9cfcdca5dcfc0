"""Predictions as tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from bench import number_format as fmt
from bench.prediction.checking import Checked
from bench.prediction.fitting import Fit, LeftOut
from bench.prediction.fleet import Ranked
from bench.prediction.forecast import Forecast, Share
from bench.prediction.terms import CALLS
from bench.prediction.times import Calibration, Interval, Measured
from bench.prediction.weights import SMALL, KernelWeights
from bench.tables.table import Cells, Table


def error(relative: float) -> str:
    """Return a relative error: +1.23 %."""
    return f"{relative * 100:+.2f} %"


def check_table(found: Sequence[Checked], bar: float, small_bar: float) -> Table:
    """Return every measured call beside its prediction, a section for each kernel; those over their bar are marked."""
    kernels = list(dict.fromkeys(one.series for one in found))
    sections = tuple(tuple(_checked(one, bar, small_bar) for one in found if one.series == series) for series in kernels)
    return Table(
        "Instructions, predicted and measured",
        ("kernel", "layout", "call"),
        ("predicted", "measured", "error", "bar"),
        sections,
        less=("bar", "call"),
    )


def _checked(one: Checked, bar: float, small_bar: float) -> Cells:
    """Return the row of one call."""
    over = " !" if one.is_over(bar, small_bar) else ""
    return (
        one.series,
        one.layout,
        f"{one.call} #{one.op}",
        f"{one.predicted:,.0f}",
        fmt.count(one.measured),
        error(one.error) + over,
        f"{one.bar(bar, small_bar) * 100:g} %",
    )


def weights_table(kernel: KernelWeights) -> Table:
    """Return the weights of a kernel."""
    rows = tuple(
        (one.name, ", ".join(one.calls), one.unit, one.meaning, f"{one.weight:,.6g}", f"{one.standard_error:.2g}")
        for one in kernel.terms
    )
    title = f"Linux {kernel.series} ({kernel.release}): instructions for each event, counted by {kernel.implementation}"
    return Table(title, ("term", "calls", "of", "meaning"), ("weight", "standard error"), (rows,), less=("calls", "of"))


def fit_table(fits: Sequence[Fit]) -> Table:
    """Return how large errors are, in the fit and of layouts that were left out of it."""
    rows = [
        row
        for one in fits
        for kind in dict.fromkeys(CALLS.values())
        for small in (False, True)
        if (row := _errors(one, kind, small)) is not None
    ]
    heads = ("calls measured", "largest in the fit", "left out: median", "90 % within", "largest")
    return Table("Errors, each layout left out of the fit once", ("kernel", "calls", "instructions"), heads, (tuple(rows),))


def _errors(one: Fit, kind: str, small: bool) -> Cells | None:
    """Return the row of one kind of call on one kernel, None if there is none."""

    def of(found: Sequence[LeftOut]) -> list[float]:
        mine = (each for each in found if CALLS[each.row.call] == kind and (each.row.measured < SMALL) == small)
        return sorted(abs(each.error) for each in mine)

    left_out, within = of(one.left_out), of(one.within)
    if not left_out:
        return None
    spread = (one.weights.spread_small if small else one.weights.spread)[kind]  # type: ignore[index]
    size = f"below {SMALL:,}" if small else f"{SMALL:,} or more"
    shown = (within[-1], left_out[len(left_out) // 2], spread, left_out[-1])
    return (one.weights.series, kind, size, fmt.count(len(left_out)), *(f"{each * 100:.2f} %" for each in shown))


def left_out_table(fits: Sequence[Fit], names: Sequence[str]) -> Table:
    """Return each layout's unlocking calls as predicted without it; `names`: of the files that were fitted on."""
    sections = tuple(
        tuple(
            (one.weights.series, names[each.row.source], each.row.layout, f"{each.row.call} #{each.row.op}",
             f"{each.predicted:,.0f}", fmt.count(each.row.measured), error(each.error))
            for each in one.left_out
        )
        for one in fits
    )  # fmt: skip
    return Table(
        "Each layout predicted by weights that were fitted without it, instructions",
        ("kernel", "file", "layout", "call"),
        ("predicted", "measured", "error"),
        sections,
        less=("file", "call"),
    )


def forecast_table(found: Sequence[tuple[Forecast, Interval | None]], fail_over: float | None = None) -> Table:
    """Return what calls would visit and cost, a section for each layout; what takes longer than `fail_over` s is marked."""
    layouts = list(dict.fromkeys(one.layout for one, _ in found))
    sections = tuple(
        tuple(_forecast(one, time, fail_over) for one, time in found if one.layout == layout) for layout in layouts
    )
    return Table(
        "What calls would cost",
        ("layout", "call", "kernel"),
        ("visits", "instructions", "time", "90 % interval"),
        sections,
        less=("visits",),
        nr_shown_once=2,
    )


def _forecast(one: Forecast, time: Interval | None, fail_over: float | None) -> Cells:
    """Return the row of one call."""
    if one.cost is None or time is None:
        return (one.layout, one.call, one.series, fmt.NONE, fmt.NONE, fmt.NONE, fmt.NONE)
    over = " !" if fail_over is not None and time.high > fail_over else ""
    low_high = fmt.seconds_range(time.low, time.high, time.seconds)
    instructions = f"{fmt.significant(one.cost.instructions, 4)}"
    if one.least is not None and one.least.cost is not None:  # which pages are in memory is not known: a range, no guess
        visits = f"{fmt.count(one.least.visited)} .. {fmt.count(one.visited)}"
        instructions = f"{fmt.significant(one.least.cost.instructions, 4)} .. {instructions}"
        return (one.layout, one.call, one.series, visits, instructions, fmt.NONE + over, low_high)
    return (one.layout, one.call, one.series, fmt.count(one.visited), instructions, fmt.seconds(time.seconds) + over, low_high)


def fleet_table(found: Sequence[Ranked], fail_over: float | None = None) -> Table:
    """Return files as they are ranked, each on its worst kernel; what may take longer than `fail_over` s is marked."""
    rows = []
    for number, one in enumerate(found, 1):
        most, least, time = one.worst.most, one.worst.least, one.time
        visits, instructions = fmt.count(most.visited), fmt.significant(most.cost.instructions, 4)
        shown = fmt.seconds(time.seconds)
        if least is not None:  # which pages are in memory is not known: a range, no guess
            visits = f"{fmt.count(least.visited)} .. {visits}"
            instructions = f"{fmt.significant(least.cost.instructions, 4)} .. {instructions}"
            shown = fmt.NONE
        over = " !" if fail_over is not None and time.high > fail_over else ""
        low_high = fmt.seconds_range(time.low, time.high, time.seconds)
        reserved = fmt.approximate(one.answer.span)
        rows.append((str(number), one.name, one.worst.series, reserved, visits, instructions, shown + over, low_high))
    heads = ("reserved", "visits", "instructions", "time", "90 % interval")
    title = "What munlockall() would cost, the worst first"
    return Table(title, ("#", "file", "kernel"), heads, (tuple(rows),), less=("visits", "instructions", "reserved"))


def blame_table(layout: str, series: str, found: Sequence[tuple[Share, str]]) -> Table:
    """Return the VMAs that munlockall() pays most for on a kernel, each with the kind of reservation that it is."""
    rows = tuple(
        (
            f"{one.vma.first:x}-{one.vma.last:x}",
            one.vma.perms,
            kind,
            one.vma.path or "anonymous",
            fmt.approximate(one.vma.last - one.vma.first),
            fmt.count(sum(nr for _, nr in one.vma.present)),
            fmt.significant(one.instructions, 4),
            fmt.percent(one.share),
        )
        for one, kind in found
    )
    heads = ("reserved", "pages in memory", "instructions", "share")
    title = f"Who munlockall() pays for on {series}: {layout}"
    return Table(title, ("VMA", "perms", "kind", "what"), heads, (rows,), less=("what", "pages in memory", "perms"))


def calibration_table(one: Calibration) -> Table:
    """Return the calls of a calibration beside what its lines make of them."""
    rows = []
    for call in one.measured:
        line = one.lines[CALLS[call.call]]
        seconds = sorted(call.seconds)[len(call.seconds) // 2]
        told = line.overhead + call.instructions * line.factor
        rows.append((call.name, fmt.significant(call.instructions, 4), fmt.seconds(told), fmt.seconds(seconds)))
    said = "; ".join(
        f"{kind}: {fmt.seconds(line.overhead)} and {line.factor * 1e9:.3g} ns an instruction, within a factor of "
        f"{math.exp(line.spread):.3g}"
        for kind, line in one.lines.items()
    )
    title = f"{one.target} ({one.release}), by the weights of {one.series}: {said}"
    return Table(title, ("call",), ("instructions", "told", "measured"), (tuple(rows),))


class Inside(NamedTuple):
    """How many lie in their intervals."""

    points: int  # by the median of their calls
    calls: int  # each of them
    of_calls: int


def trial_table(target: str, measured: Sequence[Measured], told: Sequence[Interval]) -> tuple[Table, Inside]:
    """Return calls beside the interval that they were told to lie in, and how many do."""
    rows, inside, calls = [], 0, 0
    for one, interval in zip(measured, told, strict=True):
        seconds = sorted(one.seconds)[len(one.seconds) // 2]
        lies = interval.low <= seconds <= interval.high
        inside += lies
        calls += sum(interval.low <= one_call <= interval.high for one_call in one.seconds)
        low_high = fmt.seconds_range(interval.low, interval.high, interval.seconds)
        rows.append((one.name, fmt.seconds(seconds) + ("" if lies else " !"), fmt.seconds(interval.seconds), low_high))
    table = Table(f"Times on {target}", ("call",), ("measured", "told", "90 % interval"), (tuple(rows),))
    return table, Inside(inside, calls, sum(len(one.seconds) for one in measured))
