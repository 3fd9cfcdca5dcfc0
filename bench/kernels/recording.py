"""Traces carried out on a real kernel, and told as a results file has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from bench.kernels.errors import GarbledError
from bench.kernels.protocol import Answer, Hello, Program, program, result
from bench.traces.trace_format import Result, Trace


class Kernel(Protocol):
    """Anything that carries out programs: Qemu, Uml, Host."""

    def run(
        self, programs: Sequence[Program], hello: Callable[[Hello], None], seconds: int | None = None
    ) -> Iterator[list[Answer]]:
        """Yield the answers to each program as they come."""


def results(
    kernel: Kernel, traces: Sequence[Trace], name: str | None = None, hello: Callable[[Hello], None] | None = None
) -> Iterator[Result]:
    """Yield the result of each trace as it comes, all of one boot; `name`: of the kernel, None for what it says itself.

    GuestError if the guest failed; what was yielded before is good.
    """
    said: list[Hello] = []

    def heard(one: Hello) -> None:
        said.append(one)
        if hello is not None:
            hello(one)

    for trace, got in zip(traces, kernel.run([*map(program, traces)], heard), strict=True):
        if len(got) != len(trace.ops):
            raise GarbledError(f"the guest answered {len(got)} of the {len(trace.ops)} ops of trace {trace.name}")
        yield result(trace, name or said[0].kernel, said[0], got)
