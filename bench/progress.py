"""Progress on standard error, and nothing where that is not a terminal."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.errors import EXIT_INTERRUPTED


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Give a progress display that disappears at the end."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress


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
