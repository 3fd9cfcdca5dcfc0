"""Progress on standard error, and nothing where that is not a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Give a progress display that disappears at the end."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress


def compile_model(progress: Progress) -> None:
    """Compile the model, or load it from its cache."""
    from mmmodel import warm_up

    task = progress.add_task("loading the model (the first run compiles it)", total=None)
    warm_up(lambda done, total, _name: progress.update(task, completed=done, total=total))
    progress.remove_task(task)
