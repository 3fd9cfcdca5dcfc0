"""The running kernel, by the guest program as a child process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.kernels.build import built
from bench.kernels.protocol import Answer, Hello, Program, batch
from bench.kernels.session import Command, converse

SECONDS = 600  # the deadline


@dataclass(frozen=True)
class Host:
    """The kernel that this machine runs. What it shows depends on who asks: only root sees kpageflags."""

    settings: Mapping[str, str] = field(default_factory=dict)  # files written first; they stay changed

    def run(
        self, programs: Sequence[Program], hello: Callable[[Hello], None], seconds: int | None = None
    ) -> Iterator[list[Answer]]:
        """Yield the answers to each program as they come; GuestError for a guest that failed."""
        with tempfile.TemporaryDirectory(prefix="unlockall-bench-") as directory:
            orders = Path(directory) / "batch"
            orders.write_bytes(batch(programs, self.settings))
            command = Command([str(built("guest")), str(orders), "-"])
            yield from converse(command, len(programs), seconds or SECONDS, hello)
