"""The report, before and after: time and entries read of munlockall(), or of another call, against span, and what real kernels
took.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from bench.analysis.report_rows import LEVELS, entries_read
from bench.analysis.reported import REPORTED, REPORTED_SPAN, Reported
from bench.analysis.stats import Interval, geometric_mean
from bench.figures.inputs import Skipped, having, names, skipped
from bench.runs.kernel_record import KernelFacts
from bench.runs.loaded import LoadedPoint, LoadedRun, slug
from bench.workloads.scenario import LAYOUT, SCENARIOS

NAME = "report"
UNLOCK = "munlockall"  # the call that was reported
REPORT = "report"  # the scenario
COUNTERS = tuple(f"model_{level}_read" for level in LEVELS)
MOST_SCENARIOS = 4  # a run of more is a survey, of which the report's own figure is drawn alone
MOST_FACTOR = 100  # real kernels that took so many times longer than all that was measured at their span are not marked


class Call(msgspec.Struct, frozen=True):
    """One measured call."""

    implementation: str
    span: int  # bytes
    seconds: Interval
    nr_processes: int
    nr_entries: int  # page-table entries read, all levels

    @property
    def shown(self) -> tuple[float, ...]:
        """Every time, in seconds, that has a place on an axis: the estimate, and the ends of its interval if it has one."""
        ends = (self.seconds.low, self.seconds.high) if self.seconds.is_known else ()
        return (self.seconds.estimate, *ends)


class KernelCall(msgspec.Struct, frozen=True):
    """One call measured on a real kernel: timed, or its instructions counted."""

    kernel: str  # name of the target
    span: int  # bytes
    seconds: Interval | None
    instructions: int | None
    nr_starts: int  # of the kernel
    program: str = ""  # whose address space it was; "" where it is the figure's scenario


class Program(msgspec.Struct, frozen=True):
    """The address space of a real program, of one span."""

    name: str
    calls: tuple[Call, ...]  # one for each implementation


class Report(msgspec.Struct, frozen=True):
    """Numbers of one figure."""

    name: str
    scenario: str  # "" where there are programs alone
    summary: str
    calls: tuple[Call, ...]  # by implementation, then span ascending
    programs: tuple[Program, ...]
    marks: tuple[Reported, ...]  # what real kernels took at REPORTED_SPAN; only where that can be compared
    kernel_calls: tuple[KernelCall, ...] = ()  # by kernel, then span ascending
    kernels: dict[str, KernelFacts] = {}  # that these are of, by name
    operation: str = UNLOCK

    @property
    def all_calls(self) -> tuple[Call, ...]:
        """Every call of the figure."""
        return (*self.calls, *(call for one in self.programs for call in one.calls))

    @property
    def spans(self) -> list[int]:
        """Every span of the figure, ascending."""
        return sorted({call.span for call in self.all_calls} | {call.span for call in self.kernel_calls})

    @property
    def kernel_times(self) -> list[tuple[KernelCall, Interval]]:
        """The calls that were timed on real kernels."""
        return [(call, call.seconds) for call in self.kernel_calls if call.seconds]

    def at_reported_span(self) -> list[Call]:
        """Return the calls on what the reporter timed."""
        is_reported = self.scenario == REPORT and self.operation == UNLOCK
        return [call for call in self.calls if is_reported and call.span == REPORTED_SPAN]


def prepare(run: LoadedRun) -> list[Report | Skipped]:
    """Return a figure of each scenario, that of the report with the programs; of a run of many, that of the report alone.

    It is of munlockall(), and of another call where a run has that call alone.
    """
    operations = {one.name.operation for one in run.points.values()}
    operation = operations.pop() if len(operations) == 1 else UNLOCK
    timed = [one for one in run.counted_points if one.processes and one.counted.point.operation == operation]
    real = [one for one in run.kernel_points if one.name.operation == operation and one.span]
    scenarios: dict[str, list[LoadedPoint]] = {}
    for one in (*having(timed, COUNTERS), *real):
        scenarios.setdefault(one.name.scenario, []).append(one)
    on_programs = scenarios.pop(LAYOUT, [])
    names = list(scenarios) if len(scenarios) <= MOST_SCENARIOS else [name for name in scenarios if name == REPORT]
    found = [_report(operation, name, scenarios[name], on_programs if name == REPORT else ()) for name in names]
    if on_programs and REPORT not in names and len(scenarios) <= MOST_SCENARIOS:
        found.append(_report(operation, "", (), on_programs))
    if not found:
        reason = f"it needs {operation}() timed on `{REPORT}`, or on {MOST_SCENARIOS} scenarios at most"
        return [skipped(NAME, reason, timed, COUNTERS)]
    return list(found)


def _report(operation: str, scenario: str, points: Sequence[LoadedPoint], on_programs: Sequence[LoadedPoint]) -> Report:
    """Return the figure of a call on one scenario, and on programs."""
    modelled = [one for one in points if not one.kernel]
    real = [one for one in (*points, *on_programs) if one.kernel]
    report = Report(
        name=_name(operation, scenario),
        operation=operation,
        scenario=scenario,
        summary=_summary(scenario, modelled),
        calls=tuple(_call(one) for one in _in_order(modelled)),
        programs=_programs([one for one in on_programs if not one.kernel]),
        marks=(),
        kernel_calls=tuple(_kernel_call(one) for one in sorted(real, key=lambda one: (one.implementation, one.span or 0))),
        kernels={one.kernel.name: one.kernel for one in real if one.kernel},
    )
    return msgspec.structs.replace(report, marks=_marks(report))


def _name(operation: str, scenario: str) -> str:
    """Return the name of a figure: report, report-dense, report-coredump-one-page."""
    parts = (*((operation,) if operation != UNLOCK else ()), *((scenario or LAYOUT,) if scenario != REPORT else ()))
    return slug("-".join((NAME, *parts)))


def _summary(scenario: str, modelled: Sequence[LoadedPoint]) -> str:
    """Return what a scenario is, as far as that is known."""
    if modelled:
        return modelled[0].counted.point.scenario.summary
    return SCENARIOS[scenario].summary if scenario in SCENARIOS else ""


def _kernel_call(one: LoadedPoint) -> KernelCall:
    """Return what is shown of one point of a real kernel."""
    seconds = geometric_mean(one.by_process) if one.processes else None
    program = one.name.size if one.name.scenario == LAYOUT else ""
    nr_starts = len(one.processes) or len(one.instructions)
    return KernelCall(one.implementation, one.span or 0, seconds, one.nr_instructions, nr_starts, program)


def _marks(report: Report) -> tuple[Reported, ...]:
    """Return the real kernels that lie near something measured: others would stretch the axis and push the data together."""
    most = max((call.seconds.estimate for call in report.at_reported_span()), default=0.0)
    ascending = tuple(sorted(REPORTED, key=lambda one: one.seconds))
    return ascending if most * MOST_FACTOR >= ascending[-1].seconds else ()


def _in_order(points: Iterable[LoadedPoint]) -> list[LoadedPoint]:
    """Return points by implementation in their usual order, then by span."""
    return sorted(points, key=lambda one: (names().index(one.implementation), one.counted.span))


def _programs(points: Sequence[LoadedPoint]) -> tuple[Program, ...]:
    """Return the programs that were timed."""
    names = dict.fromkeys(one.counted.point.group.rpartition("/")[2] for one in points)
    return tuple(
        Program(name, tuple(map(_call, _in_order(one for one in points if one.counted.point.group.endswith(f"/{name}")))))
        for name in names
    )


def _call(one: LoadedPoint) -> Call:
    """Return what is shown of one point."""
    return Call(
        one.implementation,
        one.counted.span,
        geometric_mean(one.by_process),
        len(one.processes),
        entries_read(one.counted.counters),
    )
