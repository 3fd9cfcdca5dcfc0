"""Counting in processes of their own: a crash ends only the process, and two processes must count the same.

Run as a program (`python -m bench.gate.counting_process --plan FILE`) it prints a line
of JSON for each point, as soon as it is counted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.errors import BenchError, MeasurementError, one_line
from bench.gate.expectation import Expected, expected_of
from bench.measuring import counting
from bench.workloads.scenario import Point


class Line(msgspec.Struct, frozen=True):
    """What the program says about one point."""

    name: str
    expected: Expected | None = None
    error: str = ""


def main(argv: Sequence[str]) -> int:
    """Count the points of the file that is named."""
    points = msgspec.json.decode(Path(argv[1]).read_bytes(), type=tuple[Point, ...])
    for point in points:
        try:
            line = Line(point.name, expected_of(counting.count(point).counted))
        except (BenchError, AssertionError, ArithmeticError, LookupError, OSError, ValueError) as error:
            line = Line(point.name, error=f"{type(error).__name__}: {one_line(error)}")
        print(msgspec.json.encode(line).decode(), flush=True)
    return 0


class CountingProcess:
    """A process that counts points; start it, do something else, then ask for its results."""

    def __init__(self, points: Sequence[Point], settings: Mapping[str, str]) -> None:
        """Start counting, with these environment variables beside the inherited ones."""
        self._points = points
        self._plan = tempfile.NamedTemporaryFile(prefix="unlockall-bench-", suffix=".json")  # noqa: SIM115  # lives until results()
        self._plan.write(msgspec.json.encode(tuple(points)))
        self._plan.flush()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.gate.counting_process", "--plan", self._plan.name],
            env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def results(self) -> dict[str, Expected | str]:
        """Wait for the end; return what was counted, or why not, by name."""
        try:
            out, err = self._process.communicate()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._plan.close()
        return read_lines(self._points, out, err, self._process.returncode)


def read_lines(points: Sequence[Point], out: str, err: str, code: int) -> dict[str, Expected | str]:
    """Return the program's lines by name; the point at which it ended too early has the reason in its worker_end."""
    found: dict[str, Expected | str] = {}
    for text in out.splitlines():
        try:
            line = msgspec.json.decode(text, type=Line)
        except msgspec.DecodeError:
            raise MeasurementError(f"counting printed what is no result: {one_line(text, 80)}") from None
        found[line.name] = line.expected or line.error or "nothing was counted"
    missing = [point.name for point in points if point.name not in found]
    if missing:
        last = (err.strip().splitlines() or ["no message"])[-1]
        found[missing[0]] = f"counting ended with exit code {code} here: {one_line(last, 120)}"
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
