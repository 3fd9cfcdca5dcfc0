"""A kernel image booted under QEMU: the full machine, emulated (TCG), the same on any host, loaded or not."""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from bench.kernels.build import built
from bench.kernels.errors import MissingError
from bench.kernels.initramfs import DIRECTORY, FILE, PROGRAM, Entry, archive
from bench.kernels.protocol import Answer, Hello, Program, batch
from bench.kernels.session import Command, converse
from mmmodel.constants import PAGE_SIZE

PROGRAM_NAME: Final = "qemu-system-x86_64"
SWAP_DEVICE: Final = "/dev/nvme0n1"
BOOT_SECONDS: Final = 120  # of a deadline, for a start on a loaded machine
STEP_SECONDS: Final = 0.5  # of it, for each order


@dataclass(frozen=True)
class Qemu:
    """How a kernel is booted."""

    image: Path  # bzImage or vmlinuz
    thp: Literal["never", "always", "madvise"] = "never"
    memory_mib: int = 1024
    cpus: int = 1  # the processes run on the first
    count_instructions: bool = False  # -icount shift=0: a time stamp of the guest is an instruction
    levels: Literal[4, 5] = 4  # of page tables, where the kernel can do 5
    command_line: Sequence[str] = ()  # more parameters of the kernel
    settings: Mapping[str, str] = field(default_factory=dict)  # files of /proc/sys and /sys written before the first program
    swap_mib: int = 0  # of swap, on an NVMe drive; without, the kernel has none

    def arguments(self, initrd: Path, console: Path, swap: Path) -> list[str]:
        """Return the command; MissingError without QEMU."""
        program = shutil.which(PROGRAM_NAME)
        if program is None:
            raise MissingError(f"{PROGRAM_NAME} is not installed: apt-get install qemu-system-x86")
        parameters = ["console=ttyS0", "quiet", "panic=-1", f"transparent_hugepage={self.thp}", *self.command_line]
        drive = ("-drive", f"file={swap},if=none,id=swap,format=raw", "-device", "nvme,drive=swap,serial=swap")
        return [
            program,
            *("-M", "pc", "-accel", "tcg", "-cpu", "max" if self.levels == 5 else "max,la57=off"),
            *("-m", str(self.memory_mib), "-smp", str(self.cpus)),
            *("-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot"),
            # Where nothing runs, the guest's clock jumps on to the next timer: waiting takes no time here.
            *(("-icount", "shift=0,sleep=off") if self.count_instructions else ()),
            *(drive if self.swap_mib else ()),
            *("-kernel", str(self.image), "-initrd", str(initrd)),
            *("-serial", f"file:{console}", "-serial", "stdio"),
            *("-append", " ".join((*parameters, "--", "/batch", "/dev/ttyS1"))),
        ]

    def run(
        self, programs: Sequence[Program], hello: Callable[[Hello], None], seconds: int | None = None
    ) -> Iterator[list[Answer]]:
        """Boot, and yield the answers to each program as they come; GuestError for a guest that failed.

        `seconds`: the deadline; None for one that grows with the orders.
        """
        if not self.image.is_file():
            raise MissingError(f"there is no kernel image {self.image}")
        orders = sum(len(one.orders) for one in programs)
        deadline = seconds if seconds is not None else BOOT_SECONDS + int(orders * STEP_SECONDS)
        with tempfile.TemporaryDirectory(prefix="unlockall-bench-") as directory:
            initrd, console, swap = (Path(directory) / name for name in ("initrd", "console", "swap"))
            if self.swap_mib:
                write_swap(swap, self.swap_mib << 20)
            initrd.write_bytes(initial_files(programs, self.settings, SWAP_DEVICE if self.swap_mib else None))
            command = Command(self.arguments(initrd, console, swap), console)
            yield from converse(command, len(programs), deadline, hello)


def initial_files(programs: Sequence[Program], settings: Mapping[str, str], swap: str | None = None) -> bytes:
    """Return the initramfs: the guest program as the first process, and its batch."""
    return archive(
        [
            Entry("dev", DIRECTORY),
            Entry("init", PROGRAM, built("guest").read_bytes()),
            Entry("batch", FILE, batch(programs, settings, swap)),
        ]
    )


def write_swap(path: Path, nbytes: int) -> None:
    """Write an empty swap area: version 1, the number of its last page, and a signature at the end of the first page."""
    with path.open("wb") as handle:
        handle.truncate(nbytes)
        handle.seek(1024)
        handle.write(struct.pack("<II", 1, nbytes // PAGE_SIZE - 1))
        handle.seek(PAGE_SIZE - 10)
        handle.write(b"SWAPSPACE2")
