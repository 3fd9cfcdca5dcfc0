"""Traces carried out on a real kernel, and told as a results file has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from bench.kernels.errors import GarbledError
from bench.kernels.protocol import Answer, Hello, Program, program, result
from bench.traces.trace_format import Result, Trace


class Answers(Protocol):
    """The answers to each program as they come, of a guest that `close` ends; a generator is one, and a Conversation."""

    def __iter__(self) -> Iterator[list[Answer]]:
        """Return itself."""

    def __next__(self) -> list[Answer]:
        """Return the answers to the next program."""

    def close(self) -> None:
        """End the guest."""


class Kernel(Protocol):
    """Anything that carries out programs: Qemu, Uml, Host."""

    def run(self, programs: Sequence[Program], hello: Callable[[Hello], None], seconds: int | None = None) -> Answers:
        """Start, and return the answers to each program as they come."""


def told(traces: Sequence[Trace], answers: Answers, hello: Sequence[Hello], name: str | None = None) -> Iterator[Result]:
    """Yield the result of each trace as its answers come; `hello` has what the guest says of itself before the first.

    `name`: of the kernel, None for what it says itself. GuestError if the guest failed; what was yielded before is good.
    """
    for trace, got in zip(traces, answers, strict=True):
        if len(got) != len(trace.ops):
            raise GarbledError(f"the guest answered {len(got)} of the {len(trace.ops)} ops of trace {trace.name}")
        yield result(trace, name or hello[0].kernel, hello[0], got)


def results(kernel: Kernel, traces: Sequence[Trace], name: str | None = None) -> Iterator[Result]:
    """Yield the result of each trace as it comes, all of one boot."""
    said: list[Hello] = []
    yield from told(traces, kernel.run([*map(program, traces)], said.append), said, name)
