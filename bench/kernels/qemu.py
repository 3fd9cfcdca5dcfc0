"""A kernel image booted under QEMU: the full machine, emulated (TCG), the same on any host, loaded or not."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, Literal

from bench.kernels.build import built
from bench.kernels.errors import GuestError, MissingError
from bench.kernels.initramfs import DIRECTORY, FILE, PROGRAM, Entry, archive
from bench.kernels.protocol import Hello, Program, batch
from bench.kernels.ring import RING_BYTES
from bench.kernels.session import Command, Conversation, Limits, patience
from mmmodel.constants import PAGE_SIZE

Accelerator = Literal["tcg", "kvm"]
PROGRAM_NAME: Final = "qemu-system-x86_64"
KVM: Final = "/dev/kvm"
KVM_SECONDS: Final = 10  # to boot with it, which takes one
SWAP_DEVICE: Final = "/dev/nvme0n1"
BOOT_SECONDS: Final = 120  # of a deadline, for a start on a loaded machine
STEP_SECONDS: Final = 0.5  # of it, for each order
OVERHEAD_MIB: Final = 1536  # that QEMU may need beside the guest's memory: what it translates takes up to 1 GiB
RING_SLOT: Final = "0x10"  # on the first PCI bus
RING_DEVICE: Final = "/sys/bus/pci/devices/0000:00:10.0"


@dataclass(frozen=True)
class Qemu:
    """How a kernel is booted."""

    image: Path  # bzImage or vmlinuz
    thp: Literal["never", "always", "madvise"] = "never"
    memory_mib: int = 1024
    cpus: int = 1  # the processes run on the first
    count_instructions: bool = False  # -icount shift=0: a time stamp of the guest is an instruction
    levels: Literal[4, 5] = 4  # of page tables, where the kernel can do 5
    accelerator: Accelerator = "tcg"  # tcg where instructions are counted
    command_line: Sequence[str] = ()  # more parameters of the kernel
    settings: Mapping[str, str] = field(default_factory=dict)  # files of /proc/sys and /sys written before the first program
    swap_mib: int = 0  # of swap, on an NVMe drive; without, the kernel has none
    nodes: Literal[1, 2] = 1  # that memory is divided among; the processor is of the first

    def processor(self) -> tuple[str, ...]:
        """Return the part of the command that says what runs the guest's instructions."""
        accelerator = "tcg" if self.count_instructions else self.accelerator
        model = "host" if accelerator == "kvm" else "max"
        return ("-accel", accelerator, "-cpu", model if self.levels == 5 else f"{model},la57=off")

    def _memory(self) -> list[str]:
        """Return the part of the command that says what memory there is."""
        command = ["-m", str(self.memory_mib)]
        for number in range(self.nodes if self.nodes > 1 else 0):
            command += ["-object", f"memory-backend-ram,id=node{number},size={self.memory_mib // self.nodes}M"]
            command += ["-numa", f"node,nodeid={number},memdev=node{number}" + (",cpus=0" if number == 0 else "")]
        return command

    def arguments(self, directory: Path) -> list[str]:
        """Return the command; `directory`: of the guest's files. MissingError without QEMU."""
        program = shutil.which(PROGRAM_NAME)
        if program is None:
            raise MissingError(f"{PROGRAM_NAME} is not installed: apt-get install qemu-system-x86")
        # Without no_timer_check a kernel panics at its start, on a machine too busy to emulate a timer tick in time.
        parameters = [
            "console=ttyS0",
            "quiet",
            "panic=-1",
            "oops=panic",  # else the process that met it dies, and all that wait for it wait
            "no_timer_check",
            f"transparent_hugepage={self.thp}",
            *self.command_line,
        ]
        drive = ("-drive", f"file={directory / 'swap'},if=none,id=swap,format=raw", "-device", "nvme,drive=swap,serial=swap")
        return [
            program,
            *("-M", "pc", *self.processor()),
            *self._memory(),
            *("-smp", str(self.cpus)),
            *("-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot"),
            # Where nothing runs, the guest's clock jumps on to the next timer: waiting takes no time here.
            *(("-icount", "shift=0,sleep=off") if self.count_instructions else ()),
            *(drive if self.swap_mib else ()),
            *("-kernel", str(self.image), "-initrd", str(directory / "initrd")),
            *("-serial", f"file:{directory / 'console'}", "-serial", "stdio"),
            *("-object", f"memory-backend-file,id=ring,share=on,mem-path={directory / 'ring'},size={RING_BYTES}"),
            *("-device", f"ivshmem-plain,memdev=ring,addr={RING_SLOT}"),
            *("-append", " ".join((*parameters, "--", "/batch", "/dev/ttyS1", RING_DEVICE))),
        ]

    def run(self, programs: Sequence[Program], hello: Callable[[Hello], None], seconds: int | None = None) -> Conversation:
        """Boot, and return the answers to each program as they come; GuestError for a guest that failed.

        `seconds`: the deadline; None for one that grows with the orders, and for one of its silence.
        """
        if not self.image.is_file():
            raise MissingError(f"there is no kernel image {self.image}")
        orders = sum(len(one.orders) for one in programs)
        memory_mib = self.memory_mib + OVERHEAD_MIB
        most = seconds or int((BOOT_SECONDS + orders * STEP_SECONDS) * patience())
        limits = Limits(most, seconds or BOOT_SECONDS * patience(), memory_mib)

        def prepare(directory: Path) -> Command:
            if self.swap_mib:
                write_swap(directory / "swap", self.swap_mib << 20)
            files = initial_files(programs, self.settings, SWAP_DEVICE if self.swap_mib else None)
            (directory / "initrd").write_bytes(files)
            return Command(self.arguments(directory), directory / "console", directory / "ring")

        return Conversation(prepare, len(programs), hello, limits)


@cache
def kvm_problem(image: Path) -> str:
    """Return why KVM is of no use for a kernel, "" if it boots with it.

    A device that can be opened may still run no kernel: one was seen, in a virtual machine, that ran the firmware and then
    hung for good.
    """
    try:
        os.close(os.open(KVM, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{KVM} cannot be opened: {error.strerror}"
    try:
        for _ in Qemu(image, accelerator="kvm", memory_mib=256).run([], lambda hello: None, KVM_SECONDS):
            pass  # there is no program to answer
    except GuestError as error:
        return f"{KVM} can be opened, but no kernel boots with it: {error.args[0]}"
    return ""


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
