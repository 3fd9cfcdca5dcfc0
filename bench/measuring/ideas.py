"""Ideas of one's own, checked before they are measured: by a child process, which they may crash or never come back from."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

import msgspec
from rich.progress import Progress

from bench.errors import MeasurementError, UsageError, one_line
from bench.measuring.idea_checks import At, Bad, Done, Message, Task, Wrong
from bench.workloads import ideas
from mmmodel.kernels import baseline_of

NOTHING: Final = "nothing was measured"


class WrongIdeaError(MeasurementError):
    """An idea does something else than the first implementation of its kernel."""

    def __init__(self, idea: ideas.Packed, baseline: str, wrong: Wrong) -> None:
        super().__init__(f"{one_line(idea['path'], 120)} does not do what {baseline} does: {one_line(wrong.what)}; {NOTHING}")
        self.name = idea["name"]
        self.baseline = baseline
        self.wrong = wrong


def check(names: Sequence[str], progress: Progress, asked: Task) -> None:
    """Check those of the implementations with these names that are ideas, each by a process.

    `asked`: of the points and traces in it, those of other implementations are left out.
    UsageError: a file cannot be compiled. WrongIdeaError, or MeasurementError: it does not end, crashes, or breaks otherwise.
    """
    for idea in ideas.packed(names):
        task = msgspec.structs.replace(asked, idea=idea)
        own = tuple(point for point in task.points if point.implementation == idea["name"])
        _check(msgspec.structs.replace(task, points=own), progress)


def _check(task: Task, progress: Progress) -> None:
    """Have a process check one idea; raise what it found."""
    bar = progress.add_task(f"checking {task.idea['name']}", total=None)
    at, wrong, path = "starting", None, one_line(task.idea["path"], 120)
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.measuring.idea_checks"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(task))
        process.stdin.close()
        for line in process.stdout:
            message = msgspec.json.decode(line, type=Message)
            if isinstance(message, At):
                at = message.what
                progress.update(bar, completed=message.piece, total=message.pieces)
            elif isinstance(message, Wrong):
                wrong = message
            elif isinstance(message, Bad):
                raise UsageError(message.line)
            elif isinstance(message, Done):
                break
        else:
            process.wait()
            if wrong is None:
                raise MeasurementError(f"{path}: {_end(process.returncode, task)}: {at}; {NOTHING}")
    finally:
        process.kill()
        with contextlib.suppress(OSError):  # what it was asked may not have reached it
            process.stdin.close()
        process.stdout.close()
        process.wait()
        progress.remove_task(bar)
    if wrong is not None:
        raise WrongIdeaError(task.idea, baseline_of(task.idea["kernel"]).name, wrong)


def _end(code: int, task: Task) -> str:
    """Say how a process ended that had not done."""
    if code == -signal.SIGXCPU:
        return f"does not come to an end, more than {task.seconds} s of processor time"
    if code < 0:
        return f"crashes ({signal.Signals(-code).name})"
    return f"its checks ended with exit code {code}"
