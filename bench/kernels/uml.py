"""A user-mode Linux binary: a kernel that is an ordinary process, at native speed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.kernels.errors import MissingError
from bench.kernels.protocol import Hello, Program
from bench.kernels.qemu import initial_files
from bench.kernels.session import Command, Conversation, Limits

SECONDS: Final = 3600  # the deadline
SILENCE: Final = 120  # seconds
OVERHEAD_MIB: Final = 512
_NEEDS: Final = re.compile(rb"GLIBC_(\d+)\.(\d+)\0")


@dataclass(frozen=True)
class Uml:
    """How a binary is started. It has one CPU, tables of 3 levels (512 GiB) and no huge pages; zero pages do not show."""

    binary: Path
    memory_mib: int = 1024
    settings: Mapping[str, str] = field(default_factory=dict)  # files of /proc/sys and /sys written before the first program

    def arguments(self, initrd: Path, directory: Path) -> list[str]:
        """Return the command; `directory`: for what it keeps while it runs."""
        consoles = ("con=null", "con0=null,fd:2", "con1=null,fd:1", "ssl=null")
        kernel = ("quiet", "panic=-1", f"mem={self.memory_mib}M", f"initrd={initrd}", f"uml_dir={directory}/", *consoles)
        return [str(self.binary), *kernel, "rdinit=/init", "--", "/batch", "/dev/tty1"]

    def run(self, programs: Sequence[Program], hello: Callable[[Hello], None], seconds: int | None = None) -> Conversation:
        """Start it, and return the answers to each program as they come; GuestError for a guest that failed."""
        check_binary(self.binary)

        def prepare(directory: Path) -> Command:
            initrd = directory / "initrd"
            initrd.write_bytes(initial_files(programs, self.settings))
            return Command(self.arguments(initrd, directory))

        limits = Limits(seconds or SECONDS, seconds or SILENCE, self.memory_mib + OVERHEAD_MIB)
        return Conversation(prepare, len(programs), hello, limits)


def glibc_needed(binary: bytes) -> tuple[int, int]:
    """Return the newest version of the C library that a program names, (0, 0) if it names none."""
    return max(((int(major), int(minor)) for major, minor in _NEEDS.findall(binary)), default=(0, 0))


def check_binary(binary: Path) -> None:
    """MissingError if a user-mode Linux is not there, or needs a newer C library than this system's."""
    try:
        needed = glibc_needed(binary.read_bytes())
    except OSError as error:
        raise MissingError(f"cannot read the user-mode Linux {binary}: {error.strerror}") from None
    said = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
    have = tuple(int(part) for part in said.split()[1].split(".")[:2]) if said else (0, 0)
    if needed > have:
        shown = ".".join(map(str, needed))
        raise MissingError(f"{binary.name} needs glibc {shown} or later, this system has {said or 'none'}: boot it under QEMU")
