"""OracleMm: one process, with the system calls as methods."""

from __future__ import annotations

from collections.abc import Collection

from .constants import (
    EFAULT,
    EINVAL,
    EPERM,
    MLOCK_ONFAULT,
    PAGE_SHIFT,
    PAGE_SIZE,
    VM_LOCKED,
    VM_LOCKONFAULT,
    VM_WRITE,
    failure,
)
from .fault import SigbusError, handle_mm_fault
from .files import OracleFile
from .fork import exit_mmap, fork
from .madvise import madvise
from .mlock import apply_mlockall_flags, do_mlock, mlockall, munlock
from .mmap import do_mmap, mprotect, munmap
from .mmstruct import Machine, MmStruct
from .mremap import mremap
from .msync import msync
from .proc import VmaInfo, pagemap, smaps
from .swap import swap_out


class OracleMm:
    """The public API of the model, without what only a fast model needs. Addresses and lengths are in bytes."""

    def __init__(
        self,
        impl: str = "page-walk",
        *,
        thp: str = "never",
        mthp: Collection[int] = (),
        levels: int = 4,
        nr_cpus: int = 1,
        ram: int | None = None,
        max_map_count: int = 65530,
    ) -> None:
        settings = {"levels": levels, "nr_cpus": nr_cpus, "max_map_count": max_map_count}
        machine = Machine(impl, thp=thp, mthp=mthp, ram=ram, **settings)
        self.mm = MmStruct(machine)

    # calls

    def mmap(
        self, addr: int | None, length: int, prot: int, flags: int, file: OracleFile | None = None, offset: int = 0
    ) -> int:
        """mmap(2); without a file anonymous."""
        return do_mmap(self.mm, addr, length, prot, flags, None if file is None else file.file, offset)

    def munmap(self, addr: int, length: int) -> None:
        """munmap(2)."""
        munmap(self.mm, addr, length)

    def mprotect(self, addr: int, length: int, prot: int) -> None:
        """mprotect(2)."""
        mprotect(self.mm, addr, length, prot)

    def mremap(self, old_address: int, old_size: int, new_size: int, flags: int = 0, new_address: int = 0) -> int:
        """mremap(2)."""
        return mremap(self.mm, old_address, old_size, new_size, flags, new_address)

    def madvise(self, addr: int, length: int, advice: int) -> None:
        """madvise(2)."""
        madvise(self.mm, addr, length, advice)

    def msync(self, addr: int, length: int, flags: int) -> None:
        """msync(2)."""
        msync(self.mm, addr, length, flags)

    def mlock(self, addr: int, length: int) -> None:
        """mlock(2)."""
        do_mlock(self.mm, addr, length, VM_LOCKED)

    def mlock2(self, addr: int, length: int, flags: int) -> None:
        """mlock2(2)."""
        if flags & ~MLOCK_ONFAULT:
            raise failure(EINVAL)
        do_mlock(self.mm, addr, length, VM_LOCKED | (VM_LOCKONFAULT if flags else 0))

    def munlock(self, addr: int, length: int) -> None:
        """munlock(2)."""
        munlock(self.mm, addr, length)

    def mlockall(self, flags: int) -> None:
        """mlockall(2)."""
        mlockall(self.mm, flags)

    def munlockall(self) -> None:
        """munlockall(2)."""
        apply_mlockall_flags(self.mm, 0)

    def touch(self, addr: int, length: int = 1, access: str = "read", stride: int = PAGE_SIZE) -> None:
        """One access every stride bytes; stops with EFAULT where the program would get a signal."""
        write = access == "write"
        for vpn in dict.fromkeys(at >> PAGE_SHIFT for at in range(addr, addr + length, stride)):
            vma = self.mm.vma_lookup(vpn)
            if vma is None or not (vma.vm_flags & VM_WRITE if write else vma.is_accessible):
                raise failure(EFAULT)
            try:
                handle_mm_fault(self.mm, vma, vpn, write=write)
            except SigbusError:
                raise failure(EFAULT) from None

    def swap_out(self, addr: int, length: int) -> int:
        """Reclaim the evictable anonymous pages of a range that are mapped once: how many."""
        return swap_out(self.mm, addr >> PAGE_SHIFT, addr + length >> PAGE_SHIFT)

    def fork(self) -> OracleMm:
        """fork(2): the child's address space, on the same machine."""
        child = object.__new__(OracleMm)
        child.mm = fork(self.mm)
        return child

    def exit(self) -> None:
        """_exit(2)."""
        exit_mmap(self.mm)

    def setrlimit_memlock(self, nbytes: int) -> None:
        """setrlimit(RLIMIT_MEMLOCK), soft and hard."""
        if nbytes < 0:
            raise failure(EPERM)
        self.mm.rlimit_memlock = nbytes

    def drop_cap_ipc_lock(self) -> None:
        """Give up CAP_IPC_LOCK, which is held at first."""
        self.mm.cap_ipc_lock = False

    def lru_add_drain_all(self) -> None:
        """Empty the batches of every CPU."""
        self.mm.lru.drain_all()

    @property
    def cpu(self) -> int:
        """The CPU that the next calls run on."""
        return self.mm.lru.cpu

    @cpu.setter
    def cpu(self, cpu: int) -> None:
        self.mm.lru.cpu = cpu

    def create_file(self, nbytes: int) -> OracleFile:
        """A tmpfs file of that size, still without pages."""
        return OracleFile(self.mm.lru, nbytes)

    # looking

    def smaps(self) -> list[VmaInfo]:
        """The VMAs in address order."""
        return smaps(self.mm)

    @property
    def locked_vm(self) -> int:
        """VmLck in pages."""
        return self.mm.locked_vm

    @property
    def total_vm(self) -> int:
        """VmSize in pages."""
        return self.mm.total_vm

    @property
    def map_count(self) -> int:
        """How many VMAs there are."""
        return len(self.mm.vmas)

    def pagemap(self, start: int, end: int) -> list[tuple[int, int, str]]:
        """Runs of equal pages in [start, end): (first page from start, pages, state)."""
        return pagemap(self.mm, start >> PAGE_SHIFT, end >> PAGE_SHIFT)

    def counted(self) -> dict[str, int]:
        """What is counted of the whole machine's page tables, by the names of the model's counters."""
        return {f"model_{name}": number for name, number in self.mm.machine.counted.items()}

    def vmstat(self) -> dict[str, int]:
        """The two counters and seven events of /proc/vmstat, of the whole machine, without any lag."""
        return dict(self.mm.lru.stat)
