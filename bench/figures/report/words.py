"""The report's figure in words."""

from __future__ import annotations

from bench.analysis.reported import REPORTED, REPORTED_SPAN
from bench.figures.report.numbers import Report
from bench.figures.words import BOTH, POINTS, Words, table, time_ends
from bench.number_format import NONE, approximate, seconds
from bench.tables.table import INTERVAL, Table
from mmmodel.kernels import implementation

KERNELS = "real kernels, as reported in 2021 (not measured here)"


def call_words(data: Report) -> str:
    """Return the call: what is no system call has no brackets."""
    return "core dump" if data.operation == "coredump" else f"{data.operation}()"


def title_words(data: Report) -> str:
    """Return the title."""
    if data.scenario:
        return f"{call_words(data)} on {data.scenario}"
    programs = data.programs[0].name if len(data.programs) == 1 else f"{len(data.programs)} real programs"
    return f"{call_words(data)} on the address space of {programs}"


def implementation_words(name: str) -> str:
    """Return an implementation's name with what it does."""
    return f"{name}: {implementation(name).summary}"


def kernel_words(data: Report, name: str) -> str:
    """Return a real kernel's name with what was measured on it, and how it ran."""
    kernel = data.kernels[name]
    counted = any(call.instructions for call in data.kernel_calls if call.kernel == name)
    return f"{kernel.version}, {'instructions' if counted else 'time'} ({kernel.runs_as})"


def describe(data: Report) -> Words:
    """Return the figure in words."""
    rows = []
    for program, calls in (("", data.calls), *((one.name, one.calls) for one in data.programs)):
        for call in calls:
            time = seconds(call.seconds.estimate), time_ends(call.seconds), f"{call.nr_processes}"
            cells = (approximate(call.span), *time, f"{call.nr_entries:,}")
            rows.append((program or data.scenario, call.implementation, *cells))
    header = ("address space", "implementation", "span", "time", INTERVAL, "processes", "entries read")
    facts = "; ".join(f"{name}, {how}, {span}: {time}, {entries} entries read" for name, how, span, time, _, _, entries in rows)
    tables = [table("Time and entries read of each call", header, tuple(rows), 2)] if rows else []
    if data.kernel_calls:
        tables.append(_kernel_table(data))
        facts += f"{'; ' if facts else ''}measured on real kernels: " + "; ".join(" ".join(cells) for cells in tables[-1].rows)
    if data.marks:
        kernels = tuple((one.kernel, one.remark, seconds(one.seconds)) for one in data.marks)
        caption = f"For scale, NOT measured here: real kernels, by the reporter, {approximate(REPORTED_SPAN)}"
        tables.append(table(caption, ("kernel", "remark", "time"), kernels, 2))
    return Words(data.name, title_words(data), BOTH, _caption(data), f"{facts}.{_kernels(data)}", tuple(tables))


def _kernel_table(data: Report) -> Table:
    """Return what was measured on real kernels."""
    rows = (
        (
            call.program or data.scenario,
            kernel_words(data, call.kernel),
            approximate(call.span),
            seconds(call.seconds.estimate) if call.seconds else NONE,
            time_ends(call.seconds) if call.seconds else NONE,
            f"{call.instructions:,}" if call.instructions else NONE,
            f"{call.nr_starts}",
        )
        for call in data.kernel_calls
    )
    heads = ("address space", "kernel", "span", "time", INTERVAL, "instructions", "starts")
    return table("Real kernels, measured here", heads, tuple(rows), 2)


def _caption(data: Report) -> str:
    """Return how to read the figure."""
    what = f" ({data.summary})" if data.summary else ""
    programs = " Points without a line, at a dotted line, are address spaces of real programs." if data.programs else ""
    marks = f" Crosses are {KERNELS}, for {approximate(REPORTED_SPAN)}." if data.marks else ""
    real = (
        " Open marks on dashed lines are real kernels, measured here; what was counted under QEMU, which keeps no time, is"
        " instructions, in a panel of its own."
        if data.kernels
        else ""
    )
    return (
        f"{call_words(data)} against reserved address space{what}, both scales logarithmic. Left: time; {POINTS}. Right:"
        " page-table entries read, which are exact and have no interval; a count of zero has no place on the scale."
        f"{programs}{real}{marks}"
    )


def _kernels(data: Report) -> str:
    """Return what real kernels took, or why they are not marked, where what they did was measured here."""
    took = ", ".join(f"{one.kernel} {seconds(one.seconds)}" for one in REPORTED)
    if data.marks:
        return f" Reported of real kernels, not measured here: {took}."
    return f" Real kernels ({took}) took so much longer that they are not marked." if data.at_reported_span() else ""
