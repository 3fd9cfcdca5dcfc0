"""Checks of an idea of one's own, in a process of their own: `python -m bench.measuring.idea_checks`, started by `ideas`.

What somebody wrote may never end, or write where it should not. So it runs here first, all of it: the same random traces and
points through the idea and through the first implementation of its kernel, and then once what is going to be measured. Before
each piece it says what comes, so that who started it knows where it was, and gives itself processor time for that alone,
which the load of the machine does not shorten. A task comes by standard input, messages leave by standard output.
"""

from __future__ import annotations

import ast
import os
import re
import resource
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from bench.errors import BenchError, one_line
from bench.measuring import counting
from bench.targets import registry
from bench.targets.model import space_for
from bench.targets.target import TraceSettings
from bench.traces.generate_all import MAKERS
from bench.traces.replay import differences, replay
from bench.traces.shrinking import Shrinker, shrink_together
from bench.traces.trace_format import Step, Trace, op_name
from bench.workloads import ideas
from bench.workloads.ideas import Packed
from bench.workloads.scenario import Point
from bench.workloads.suite import QUICK
from mmmodel.kernels import Idea, baseline_of, implementation

COMPILE_SECONDS: Final = 300  # of a processor, for two ways to compile a file
FACTOR: Final = 30  # times what a point is expected to take
HUGE_PAGES_EACH: Final = 4  # of so many traces one is run with huge pages


class Task(msgspec.Struct, frozen=True):
    """What is to be checked."""

    idea: Packed = {}  # filled in for each
    points: tuple[Point, ...] = ()  # what will be measured: run once
    nr_traces: int = 100  # random ones, compared
    seed: int = 0
    traces: tuple[Trace, ...] = ()  # what will be replayed: run once
    settings: TraceSettings = TraceSettings()  # of these
    seconds: int = 20  # of a processor, for each call of a trace and for each point


class At(msgspec.Struct, frozen=True, tag="at"):
    """What comes next, and which piece of how many it is in."""

    what: str
    piece: int
    pieces: int


class Bad(msgspec.Struct, frozen=True, tag="bad"):
    """The file cannot be used."""

    line: str


class Wrong(msgspec.Struct, frozen=True, tag="wrong"):
    """The idea does something else than the implementation that it is compared with."""

    what: str  # differs, in words
    expected: str
    got: str
    trace: Trace | None = None  # that shows it, the smallest so far
    thp: str = "never"
    nr_ops: int = 0  # of the trace that was reduced to this one


class Done(msgspec.Struct, frozen=True, tag="done"):
    """Nothing was found, or nothing more will be."""


Message = At | Bad | Wrong | Done


class Difference(msgspec.Struct, frozen=True):
    """Where an idea first does otherwise in a trace."""

    step: int
    field: str  # of a step, or the invariant
    expected: str
    got: str


class Checker:
    """Runs one task."""

    def __init__(self, task: Task, say: Callable[[Message], None]) -> None:
        """`say` sends a message."""
        self.task = task
        self.say = say
        idea = implementation(task.idea["name"]).idea
        assert idea is not None
        self.idea = idea
        self.groups = [group for group in QUICK if group.only is None]
        self.pieces = task.nr_traces + len(self.groups) + len(task.traces) + len(task.points)
        self.piece = 0
        self.raised: list[str] = []  # by the idea's code since it was last looked at

    @property
    def baseline(self) -> str:
        """Name of the first implementation of the idea's kernel."""
        return baseline_of(self.idea.kernel).name

    def begin(self, what: str, seconds: int) -> None:
        """Say what comes next, and let it have so many seconds of a processor."""
        self.say(At(what, self.piece, self.pieces))
        used = resource.getrusage(resource.RUSAGE_SELF)
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        soft = int(used.ru_utime + used.ru_stime) + 1 + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (soft if most == resource.RLIM_INFINITY else min(soft, most), most))

    def run(self) -> None:
        """Check all of it, as far as nothing is found; this process's own limit and hook are as before afterwards."""
        limits, hook = resource.getrlimit(resource.RLIMIT_CPU), sys.unraisablehook
        sys.unraisablehook = lambda unraisable: self.raised.append(
            f"{type(unraisable.exc_value).__name__}: {unraisable.exc_value}"
        )
        try:
            self._run()
        finally:
            resource.setrlimit(resource.RLIMIT_CPU, limits)
            sys.unraisablehook = hook

    def _run(self) -> None:
        """Check all of it, as far as nothing is found."""
        if not self._compile() or self._random_traces():
            return
        for trace in self.task.traces:
            for _ in self.steps(self.idea.name, trace, self.task.settings):
                pass
            self.piece += 1
        self._points()

    def _compile(self) -> bool:
        """Execute and compile the file, with and without checked indices; tell what is wrong with it."""
        from mmmodel.idea_code import load_idea

        for bounds in (False, True):
            self.begin("executing the file and compiling its function", max(COMPILE_SECONDS, self.task.seconds))
            _check_bounds(bounds)
            try:
                load_idea(self.idea)
            except (Exception, SystemExit) as error:
                self.say(Bad(f"{self.idea.path}: {_where(error, self.idea)}{_headline(error)}"))
                return False
        return True

    # ---- traces ----

    def steps(self, name: str, trace: Trace, settings: TraceSettings) -> Iterator[Step | str]:
        """Carry out a trace, every index of an idea's own code checked; a text says what broke, where something did.

        The invariants, which take long, are asked for at the end.
        """
        from mmmodel import check_mm
        from mmmodel.check_structures import ModelError

        _check_bounds(True)
        mm = space_for(name, trace, settings)
        steps = replay(mm, trace)
        for number, op in enumerate(trace.ops, 1):
            if name == self.idea.name:
                self.begin(f"call {number} of trace {trace.name}, {op_name(op)}", self.task.seconds)
            self.raised.clear()
            step = next(steps)
            if self.raised:
                yield self.raised[0]
                return
            yield step
        if name == self.idea.name:
            try:
                check_mm(mm)
            except ModelError as error:
                yield f"an invariant: {error}"

    def difference(self, trace: Trace, settings: TraceSettings) -> Difference | None:
        """Return where the idea first does otherwise than the baseline."""
        expected = self.steps(self.baseline, trace, settings)
        for number, got in enumerate(self.steps(self.idea.name, trace, settings)):
            if isinstance(got, str):
                return Difference(min(number, len(trace.ops) - 1), got.split(":")[0], "", one_line(got))
            old = next(expected)
            assert isinstance(old, Step)
            for one in differences(old, got):
                shown = (msgspec.json.encode(value).decode() for value in (one.expected, one.got))
                return Difference(number, one.field, *shown)
        return None

    def _random_traces(self) -> bool:
        """Run random traces both ways; at the first that differs reduce it, and return that there was one."""
        half = self.task.nr_traces // 2
        basic = MAKERS["basic"](self.task.seed, half) if half else {}  # first: what these show is simple
        others = MAKERS["all"](self.task.seed, self.task.nr_traces - half) if self.task.nr_traces else {}
        for index, trace in enumerate((*basic.values(), *others.values())):
            small, huge = TraceSettings("never"), TraceSettings("always")
            settings = huge if index % HUGE_PAGES_EACH == HUGE_PAGES_EACH - 1 else small
            if (found := self.difference(trace, settings)) is not None:
                without = self.difference(trace, small)
                self._reduce(trace, small if without else settings, without or found)
                return True
            self.piece += 1
        return False

    def _reduce(self, trace: Trace, settings: TraceSettings, found: Difference) -> None:
        """Say how a trace differs, and again for each smaller one that is found."""
        less = msgspec.structs.replace(trace, ops=trace.ops[: found.step + 1])
        shrinker, smallest = Shrinker(less), less
        self._tell(less, settings, found, trace)

        def shows(candidates: Sequence[tuple[int, Trace]]) -> Iterator[bool]:
            nonlocal smallest
            for _, candidate in candidates:
                one = self.difference(candidate, settings)
                same = one is not None and one.field == found.field
                if one is not None and same and len(candidate.ops) < len(smallest.ops):
                    smallest = candidate
                    self._tell(candidate, settings, one, trace)
                yield same

        shrink_together([shrinker], shows)
        last = self.difference(shrinker.trace, settings)
        assert last is not None
        self._tell(shrinker.trace, settings, last, trace)

    def _tell(self, less: Trace, settings: TraceSettings, found: Difference, trace: Trace) -> None:
        """Say how a trace differs."""
        what = f"{found.field} after call {found.step + 1}, {op_name(less.ops[found.step])}"
        self.say(Wrong(what, found.expected, found.got, less, settings.thp, len(trace.ops)))

    # ---- points ----

    def _points(self) -> None:
        """Run points both ways; then, once, those that are asked for, which others compare."""
        _check_bounds(False)
        for group in self.groups:
            states = []
            for name in (self.baseline, self.idea.name):
                (point,) = group.points([name])
                self.begin(point.name, self.task.seconds)
                states.append(counting.count(point).state)
            if states[0] != states[1]:
                self.say(Wrong(f"the state after {group.name}", "", ""))
                return
            self.piece += 1
        for point in self.task.points:
            self.begin(
                point.name, self.task.seconds + int(FACTOR * registry.implementation(self.idea.name).expected_seconds(point))
            )
            counting.count(point)
            self.piece += 1


def _check_bounds(on: bool) -> None:
    """Have the idea's machines from now on check its indices, or not."""
    from mmmodel.idea_code import check_bounds

    check_bounds(on)


def _where(error: BaseException, idea: Idea) -> str:
    """Return the last line of the file that an error names, as "line 7: "; "" if it names none."""
    text = str(error) if type(error).__module__.startswith("numba") else ""
    name = re.escape(idea.path.rpartition("/")[2])
    lines = [int(number) for number in re.findall(rf'File "[^"]*{name}", line (\d+)', text)]
    lines += [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == idea.path and frame.lineno
    ]
    if not lines and (unknown := re.search(r"name '(\w+)' is not defined", str(error))):  # numba says no more of it
        nodes = ast.walk(ast.parse(idea.text))
        lines = [node.lineno for node in nodes if isinstance(node, ast.Name) and node.id == unknown[1]]
    return f"line {lines[-1]}: " if lines else ""


def _headline(error: BaseException) -> str:
    """Return the line of an error that says most: numba puts others before it."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip(" >*") for line in str(error).splitlines()]
    said = [
        line for line in lines if line and not line.startswith(("Failed in", "File ", "- Resolution", "During:", "There are"))
    ]
    kind = "" if type(error).__module__.startswith("numba") else f"{type(error).__name__}: "
    return one_line(f"{kind}{said[0] if said else type(error).__name__}", 200)


def main() -> int:
    """Check what standard input asks for."""
    with os.fdopen(os.dup(1), "wb", buffering=0) as out:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what the file prints
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        def say(message: Message) -> None:
            out.write(msgspec.json.encode(message) + b"\n")

        task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
        ideas.unpack([task.idea])
        try:
            Checker(task, say).run()
        except BenchError as error:
            if task.points:  # an error of what was asked for, which comes again where it is told
                say(Done())
                return 0
            say(Bad(f"{task.idea['path']}: {one_line(error)}"))
            return 0
        say(Done())
    return 0


if __name__ == "__main__":
    sys.exit(main())
