"""The running kernel, by the guest program as a child process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.kernels.build import built
from bench.kernels.protocol import Hello, Program, batch
from bench.kernels.session import Command, Conversation, Limits

SECONDS: Final = 3600  # the deadline
SILENCE: Final = 120  # seconds


@dataclass(frozen=True)
class Host:
    """The kernel that this machine runs. What it shows depends on who asks: only root sees kpageflags."""

    settings: Mapping[str, str] = field(default_factory=dict)  # files written first; they stay changed
    memory_mib: int = 4096  # that a process of a trace may have resident

    def run(self, programs: Sequence[Program], hello: Callable[[Hello], None], seconds: int | None = None) -> Conversation:
        """Return the answers to each program as they come; GuestError for a guest that failed."""

        def prepare(directory: Path) -> Command:
            orders = directory / "batch"
            orders.write_bytes(batch(programs, self.settings))
            return Command([str(built("guest")), str(orders), "-"], directory=directory)

        return Conversation(prepare, len(programs), hello, Limits(seconds or SECONDS, seconds or SILENCE, self.memory_mib))
