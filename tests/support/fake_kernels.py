"""Kernels that are images in name only, and a QEMU that answers for them: what each call costs follows from its program."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from bench.kernels.errors import EarlyEndError
from bench.kernels.protocol import SYS, WATCH_MEMORY, Answer, Hello, Memory, Program
from bench.kernels.qemu import Qemu

MMAP, MUNLOCK = (f"c 0 {SYS[name]:x} " for name in ("mmap", "munlock"))
PROGRAM_START = "400000"


def image(path: Path, release: str = "6.1.0-fake") -> Path:
    """Write a file that passes for an image of a kernel."""
    text = release.encode() + b" (fake)\0" + path.name.encode()
    path.write_bytes(b"\0" * 0x202 + b"HdrS" + b"\0" * 8 + struct.pack("<H", 0x40) + b"\0" * (0x240 - 0x210) + text)
    return path


def pages(program: Program) -> tuple[int, int]:
    """Return how many pages a program's last mmap() has, and how many it touches."""
    mapped = [line.split() for line in program.orders if line.startswith(MMAP)]
    touched = [line.split() for line in program.orders if line.startswith("t ")]
    span = int(mapped[-1][4], 16) // 4096 if mapped else 0
    return span, sum(-(-int(one[3], 16) // int(one[4], 16)) for one in touched)


def walk(program: Program) -> int:
    """Return what a kernel executes that steps over holes."""
    return 2000 + 700 * pages(program)[1]


def every_page(program: Program) -> int:
    """Return what a kernel executes that visits every page."""
    span, touched = pages(program)
    return 600 + 100 * span + 800 * touched


def state(program: Program) -> str:
    """Return the state of the pages that a program brings about: huge, swapped, zero, or none of these."""
    touches = [line.split() for line in program.orders if line.startswith("t ")]
    if any(re.match(r"c 0 1c \S+ \S+ 15$", line) for line in program.orders):
        return "S"
    if touches and touches[-1][4] == "200000":
        return "PT"
    return "PZ" if touches and touches[-1][5] == "0" else "P"


def _seen(program: Program) -> dict[int, Memory]:
    """Return what the guest sees of memory, where it is to look."""
    if not program.watch & WATCH_MEMORY:
        return {}
    span, _ = pages(program)
    given_up = any(re.match(r"c 0 1c \S+ \S+ 4$", line) for line in program.orders)
    own = [line for line in program.orders if line.startswith("t ") and int(line.split()[2], 16) == program.start]
    return {0: Memory(0, [], [(0, span, state(program))] if own and not given_up and span < 1 << 15 else [])}


def play(
    monkeypatch: pytest.MonkeyPatch, costs: dict[str, Callable[[Program], int]], fails: Callable[[str, int], bool] | None = None
) -> list[str]:
    """Have QEMU answer for images, by the name of the file; return the list that the images started are put into.

    `fails(image, start)`: whether that start of an image, counted from 0, ends in its middle.
    """
    started: list[str] = []

    def run(
        self: Qemu, programs: Sequence[Program], hello: Callable[[Hello], None], seconds: int | None = None
    ) -> Iterator[list[Answer]]:
        name = self.image.name
        number = started.count(name)
        started.append(name)
        hello(Hello("6.1.0-fake", 1, True, True))
        for at, program in enumerate(programs):
            if fails and fails(name, number) and at > len(programs) // 2:
                raise EarlyEndError("the guest ended", ("Kernel panic - not syncing: fake",))
            answers = [Answer(0, 10, None, _seen(program)) for _ in program.orders]
            answers[-1].cycles = costs[name](program)
            yield answers

    monkeypatch.setattr(Qemu, "run", run)
    return started
