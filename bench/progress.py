"""Progress on standard error: a display on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bench.errors import EXIT_INTERRUPTED, one_line

PLAIN_SECONDS = 10.0  # between two lines where there is no terminal


@contextmanager
def progress_bar(*, others: bool = False) -> Iterator[Progress]:
    """Give a progress display that disappears at the end; without a terminal, a line every PLAIN_SECONDS.

    Where work ends sooner nothing is printed. `others`: on a terminal nothing is either, for what others show there.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True, color_system=None if os.environ.get("NO_COLOR") else "auto")
    disable = others or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=disable) as progress:
        if console.is_terminal:
            yield progress
            return
        over = threading.Event()
        # The model runs without the interpreter's lock, so that this is heard of during a call, too.
        teller = threading.Thread(target=_tell, args=(progress, over), daemon=True)
        teller.start()
        try:
            yield progress
        finally:
            over.set()
            teller.join()


def _tell(progress: Progress, over: threading.Event) -> None:
    """Print what is being done, again and again until it is over."""
    started = time.monotonic()
    while not over.wait(PLAIN_SECONDS):
        if tasks := progress.tasks:
            print(plain_line(tasks[-1], time.monotonic() - started), file=sys.stderr, flush=True)


def plain_line(task: Task, seconds: float) -> str:
    """Return a line that says what is being done, how much of it is, how long it may take, and after how many seconds."""
    done = "" if task.total is None else f", {task.completed:g} of {task.total:g}"
    left = task.time_remaining
    estimate = f", about {left:.0f} s left" if left else ""
    return f"unlockall-bench: {one_line(task.description)}{done}{estimate}, {seconds:.0f} s"


@contextmanager
def interruptible(grace: float = 1.0) -> Iterator[None]:
    """Let Ctrl-C end the program within `grace` seconds, for work that leaves nothing to tidy up.

    Python itself waits for the call of the model that is under way, which can take a minute.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    over = threading.Event()

    def watch() -> None:
        if os.read(reader, 1) and not over.wait(grace):
            shown = "\x1b[?25h\n" if sys.stderr.isatty() else ""  # the cursor that a progress display hides
            os.write(2, f"{shown}unlockall-bench: interrupted\n".encode())
            os._exit(EXIT_INTERRUPTED)

    previous = signal.set_wakeup_fd(writer)  # gets a byte at the signal, whatever the main thread is at
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        signal.set_wakeup_fd(previous)
        os.close(writer)
        watcher.join()
        os.close(reader)
