"""One process's address space: the calls of the manual pages, with the errors that the kernel would give."""

from __future__ import annotations

import os
from typing import Literal

import numpy as np

from mmmodel import syscalls as sys
from mmmodel.arguments import U64, as_signed, page_span
from mmmodel.constants import (
    BEYOND,
    MAP_ANONYMOUS,
    MAP_HUGETLB,
    MAP_LOCKED,
    MAP_NONBLOCK,
    MAP_POPULATE,
    MAP_PRIVATE,
    MAP_TYPE,
    MAX_LFS_FILESIZE,
    MCL_CURRENT,
    MCL_ONFAULT,
    MLOCK_ONFAULT,
    MREMAP_FIXED,
    MREMAP_MAYMOVE,
    PAGE_NUMBERS,
    PAGE_SHIFT,
    PAGE_SIZE,
    PROT_WRITE,
    RLIM_INFINITY,
    VM_ACCESS_FLAGS,
    VM_LOCKED,
    VM_LOCKONFAULT,
)
from mmmodel.errno_codes import EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM
from mmmodel.estimate import BECOMES_WRITABLE, KEEP, pages_to_populate
from mmmodel.file import File
from mmmodel.install import KINDS
from mmmodel.space import BYTES_PER_PAGE, CALL_ROOM, AddressSpace


class Mm(AddressSpace):
    """An address space on a machine of its own, which ``fork()`` shares.

    ``impl``: name of an implementation (:mod:`mmmodel.kernels`); the whole kernel follows it.  ``thp``: "never",
    "madvise", "always".  ``levels``: of page tables, 4 or 5.  ``ram``: bytes, for the overcommit heuristic; None never refuses.
    The process starts with no mappings, CAP_IPC_LOCK, and the kernel's default RLIMIT_MEMLOCK.

    >>> mm = Mm("per-page")
    >>> address = mm.mmap(None, 1 << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS)
    >>> mm.mlockall(MCL_CURRENT | MCL_FUTURE)
    >>> mm.munlockall()
    >>> mm.call_counters()["model_pages_looked_up"]
    262144
    """

    def mmap(self, addr: int | None, length: int, prot: int, flags: int, file: File | None = None, offset: int = 0) -> int:
        """mmap(2): the address.  ``file`` None means MAP_ANONYMOUS.  ``length`` and ``offset`` in bytes."""
        offset = as_signed(offset)
        if offset & (PAGE_SIZE - 1):
            raise OSError(EINVAL, os.strerror(EINVAL), "mmap")
        self._make_room()
        self.machine.ensure(tables=64)
        number = file.number if file and not flags & MAP_ANONYMOUS else 0
        pgoff = offset >> PAGE_SHIFT & PAGE_NUMBERS
        refusal = self._refusal_of_mapping(page_span(0, length)[1] >> PAGE_SHIFT, prot, flags, number)
        before = self.machine.snapshot() if refusal else None
        address = self._call(sys.MMAP, "mmap", as_signed(addr or 0), as_signed(length), prot, flags, number, pgoff)
        if refusal and before:  # there is an address, so the kernel would go on and populate
            self.machine.restore(before)
            raise refusal
        _, end = page_span(address, length)
        locked = self._vm_flags_at(address) & VM_LOCKED
        if (locked or flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE) and not flags & MAP_HUGETLB:
            self._populate(address, end, True)
        return address

    def _refusal_of_mapping(self, pages: int, prot: int, flags: int, file: int) -> MemoryError | None:
        """What to raise if a new mapping is populated at once, and could need more memory than there is.

        Known before the call, since with MAP_FIXED it takes away what was there.
        """
        def_flags = self._field("def_flags")
        locked = def_flags & VM_LOCKED or flags & MAP_LOCKED
        if not (locked or flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE):
            return None
        if flags & MAP_HUGETLB or def_flags & VM_LOCKONFAULT or not prot & VM_ACCESS_FLAGS:
            return None
        copied = file and prot & PROT_WRITE and flags & MAP_TYPE == MAP_PRIVATE  # the file's page, and its copy
        try:
            self._refuse_frames(2 * pages if copied else pages, "mmap")
        except MemoryError as error:
            return error
        return None

    def munmap(self, addr: int, length: int) -> None:
        """munmap(2)."""
        self._make_room()
        self._call(sys.MUNMAP, "munmap", as_signed(addr), as_signed(length))

    def mprotect(self, addr: int, length: int, prot: int) -> None:
        """mprotect(2)."""
        self._make_room()
        if prot & PROT_WRITE:  # a locked private mapping that becomes writable is populated on the spot
            needed = self._foretell(*page_span(addr, length), "mprotect", BECOMES_WRITABLE)
            if needed:
                self.machine.ensure_fault_room(needed, whole=True)
                self.machine.ensure(vmas=self.map_count + CALL_ROOM)
        self._call(sys.MPROTECT, "mprotect", as_signed(addr), as_signed(length), prot)

    def mremap(self, old_address: int, old_size: int, new_size: int, flags: int = 0, new_address: int = 0) -> int:
        """mremap(2): the address."""
        self._make_room()
        self.machine.ensure(vmas=8, tables=16 + 2 * int(self._field("nr_tables")))
        self.machine.ensure_vma_list(self._mm, self.map_count + 8)
        vm_flags = self._vm_flags_at(old_address)
        grows = vm_flags & VM_LOCKED and new_size > old_size
        if grows and vm_flags & VM_ACCESS_FLAGS and not vm_flags & VM_LOCKONFAULT:
            valid = not flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED) and not old_address % PAGE_SIZE
            if valid and old_size <= new_size < self._field("task_size"):
                self._refuse_frames((new_size - old_size) >> PAGE_SHIFT, "mremap")
        address = self._call(sys.MREMAP, "mremap", *map(as_signed, (old_address, old_size, new_size, flags, new_address)))
        if address == BEYOND << PAGE_SHIFT:  # 5.10 gives back an address that it has not looked at
            return old_address % U64
        if grows:
            self._populate(page_span(address, old_size)[1], page_span(address, new_size)[1], True)
        return address

    def madvise(self, addr: int, length: int, advice: int) -> None:
        """madvise(2): MADV_DONTNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE, from 5.18 on MADV_DONTNEED_LOCKED."""
        self._make_room()
        self._call(sys.MADVISE, "madvise", as_signed(addr), as_signed(length), advice)

    def msync(self, addr: int, length: int, flags: int) -> None:
        """msync(2): ``flags`` of MS_ASYNC, MS_SYNC, MS_INVALIDATE, the last refused (EBUSY) for locked memory."""
        self._call(sys.MSYNC, "msync", as_signed(addr), as_signed(length), flags)

    def mlock(self, addr: int, length: int) -> None:
        """mlock(2)."""
        self._lock(addr, length, VM_LOCKED, "mlock")

    def mlock2(self, addr: int, length: int, flags: int) -> None:
        """mlock2(2): ``flags`` 0 or MLOCK_ONFAULT."""
        if flags & ~MLOCK_ONFAULT:
            raise OSError(EINVAL, os.strerror(EINVAL), "mlock2")
        self._lock(addr, length, VM_LOCKED | VM_LOCKONFAULT if flags & MLOCK_ONFAULT else VM_LOCKED, "mlock2")

    def _lock(self, addr: int, length: int, vm_flags: int, name: str) -> None:
        addr, length = as_signed(addr), as_signed(length)
        aligned = (length + addr % PAGE_SIZE + PAGE_SIZE - 1) % U64 & -PAGE_SIZE  # near 2^64 it wraps to no or one page
        start, end = page_span(addr % U64 & -PAGE_SIZE, aligned)
        self._make_room()
        self._foretell(start, end, name, vm_flags)
        self._call(sys.MLOCK, name, addr, length, vm_flags)
        error = self._populate(start, end, False)
        if error:  # as __mlock_posix_error_return() has it
            error = {-EFAULT: ENOMEM, -ENOMEM: EAGAIN}.get(error, -error)
            raise OSError(error, os.strerror(error), name)

    def munlock(self, addr: int, length: int) -> None:
        """munlock(2)."""
        self._make_room()
        self._call(sys.MUNLOCK, "munlock", as_signed(addr), as_signed(length))

    def mlockall(self, flags: int) -> None:
        """mlockall(2): ``flags`` of MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT."""
        task_size = int(self.state.mms[self._mm]["task_size"])
        if flags & MCL_CURRENT:
            self._foretell(0, task_size, "mlockall", VM_LOCKED | VM_LOCKONFAULT if flags & MCL_ONFAULT else VM_LOCKED)
        self._call(sys.MLOCKALL, "mlockall", flags)
        if flags & MCL_CURRENT:
            self._populate(0, task_size, True)

    def munlockall(self) -> None:
        """munlockall(2)."""
        np.copyto(self._before, self.machine.counters)
        sys.system_call(self.state, self._mm, sys.MUNLOCKALL, 0, 0, 0, 0, 0, 0)

    def touch(self, addr: int, length: int = 1, access: Literal["read", "write"] = "read", stride: int = PAGE_SIZE) -> None:
        """The program accesses one byte every ``stride`` bytes of [addr, addr + length).

        OSError(EFAULT) where it would get SIGSEGV or SIGBUS; accesses before that have happened.
        """
        if access not in ("read", "write"):
            raise ValueError(f"access {access!r}: read or write")
        if length < 0 or stride < 1:
            raise ValueError(f"length {length}, stride {stride}: not negative, and at least 1")
        np.copyto(self._before, self.machine.counters)
        if length and not 0 <= addr < self._field("task_size"):
            raise OSError(EFAULT, os.strerror(EFAULT), "touch")
        end = min(addr + length, BEYOND << PAGE_SHIFT)
        accesses = -(-(end - addr) // stride)
        self._refuse_frames(min(2 * accesses, int(pages_to_populate(self.state, self._mm, addr, end, KEEP))), "touch")
        self.machine.ensure(vmas=1)
        result = self._run_with_room(
            lambda reached: -(-(end - reached) // max(stride, PAGE_SIZE)),
            sys.TOUCH,
            addr,
            end,
            min(stride, BEYOND),
            int(access == "write"),
        )
        if result < 0:
            raise OSError(-result, os.strerror(-result), "touch")

    def fork(self) -> Mm:
        """fork(2): the child's address space, on the same machine."""
        parent = self.state.mms[self._mm]
        self.machine.ensure(vmas=2 * self.map_count + 1, tables=int(parent["nr_tables"]) + 16)
        child = Mm(_forked_from=self)
        self.machine.ensure_vma_list(child._mm, self.map_count)
        record, parent = (self.machine.arrays["mms"][mm] for mm in (child._mm, self._mm))
        for field in ("rlimit_memlock", "cap_ipc_lock"):
            record[field] = parent[field]
        np.copyto(self._before, self.machine.counters)
        error = int(sys.fork_call(self.state, self._mm, child.state, child._mm))
        if error:
            child.exit()
            raise OSError(-error, os.strerror(-error), "fork")
        return child

    def exit(self) -> None:
        """The process ends: everything is unmapped.  Later calls on this object see an empty address space without tables."""
        self._call(sys.EXIT, "exit")

    def setrlimit_memlock(self, nbytes: int) -> None:
        """setrlimit(RLIMIT_MEMLOCK): soft and hard limit in bytes; RLIM_INFINITY may be -1 as unsigned long."""
        if nbytes < 0:
            raise OSError(EPERM, os.strerror(EPERM), "setrlimit")
        nbytes = min(nbytes, RLIM_INFINITY)
        self.machine.arrays["mms"][self._mm]["rlimit_memlock"] = nbytes

    def drop_cap_ipc_lock(self) -> None:
        """Give up CAP_IPC_LOCK."""
        self.machine.arrays["mms"][self._mm]["cap_ipc_lock"] = 0

    def lru_add_drain_all(self) -> None:
        """Empty the per-CPU batches of all CPUs."""
        np.copyto(self._before, self.machine.counters)
        for cpu in range(self.machine.nr_cpus):
            self._run(sys.DRAIN_CPU, cpu)

    def create_file(self, nbytes: int) -> File:
        """A regular file of ``nbytes`` with nothing in the page cache, for ``mmap(file=...)``."""
        self._make_room()
        if not 0 <= nbytes <= MAX_LFS_FILESIZE:
            raise ValueError(f"{nbytes} bytes: a file has 0 to {MAX_LFS_FILESIZE}")
        number = self._call(sys.CREATE_FILE, "create_file", -(-nbytes >> PAGE_SHIFT))
        return File(self, number, nbytes)

    # ---- states that no call makes by itself ----

    def install_pages(self, addr: int, length: int, kind: str) -> None:
        """Make [addr, addr + length) resident as if faulted long ago, whatever its protection.

        ``kind``: "anon", "zero", "thp" (2 MiB aligned), "thp-pte" (part of a huge page mapped by entries), "file" (needs a
        file VMA).  OSError: EFAULT no VMA, EINVAL wrong kind for it or not aligned, EEXIST mapped already.
        """
        if kind not in KINDS:
            raise ValueError(f"kind {kind!r}: one of {', '.join(KINDS)}")
        self.machine.refuse_beyond_memory((length >> PAGE_SHIFT) * BYTES_PER_PAGE, f"install_pages of {length:,} bytes")
        self.machine.ensure(vmas=1)
        np.copyto(self._before, self.machine.counters)
        end = addr + length
        result = self._run_with_room(
            lambda reached: ((end - reached) >> PAGE_SHIFT) + 1024, sys.INSTALL, addr, end, KINDS.index(kind)
        )
        if result < 0:
            raise OSError(-result, os.strerror(-result), "install_pages")

    def install_special_mapping(self, addr: int, length: int, prot: int, vm_flags: int) -> None:
        """A VMA like [vvar] or [vdso] at a free place: ``vm_flags`` of VM_SPECIAL, never locked."""
        self._make_room()
        self._call(sys.SPECIAL_MAPPING, "install_special_mapping", addr, addr + length, prot | vm_flags, addr >> PAGE_SHIFT)

    def swap_out(self, addr: int, length: int) -> int:
        """Swap out the evictable anonymous pages of [addr, addr + length) that are mapped once: how many."""
        return self._call(sys.SWAP_OUT, "swap_out", addr, addr + length)


__all__ = ["File", "Mm"]
