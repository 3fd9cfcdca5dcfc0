"""One process's address space: the calls of the manual pages, with the errors that the kernel would give."""

from __future__ import annotations

import os
from typing import Literal, SupportsIndex

import numpy as np

from mmmodel import syscalls as sys
from mmmodel.arguments import U64, Size, as_signed, c_int, integer, page_span, register, size, user_pages, word
from mmmodel.constants import (
    BEYOND,
    MADV_FREE,
    MADV_WILLNEED,
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
    VM_SPECIAL,
)
from mmmodel.coredump import DumpRun, coredump
from mmmodel.errno_codes import EEXIST, EFAULT, EINVAL, ENOMEM, EPERM
from mmmodel.estimate import BECOMES_WRITABLE, KEEP, pages_to_populate
from mmmodel.file import File
from mmmodel.install import KINDS
from mmmodel.modelled import (
    advice_left_out,
    no_such_huge_pages,
    refuse_advice,
    refuse_file_size,
    refuse_huge_tlb,
    refuse_mapping,
    refuse_protection,
)
from mmmodel.space import BYTES_PER_PAGE, CALL_ROOM, AddressSpace


class Mm(AddressSpace):
    """An address space on a machine of its own, which ``fork()`` shares.

    ``impl``: name of an implementation (:mod:`mmmodel.kernels`); the whole kernel follows it.  ``thp``: "never",
    "madvise", "always".  ``mthp``: sizes, 16 KiB to 1 MiB, of other large folios that faults may bring; 6.12 only.
    ``levels``: of page tables, 4 or 5.  ``ram``: bytes, for the overcommit heuristic; None never refuses.
    The process starts with no mappings, CAP_IPC_LOCK, and the kernel's default RLIMIT_MEMLOCK.

    >>> mm = Mm("per-page")
    >>> address = mm.mmap(None, 1 << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS)
    >>> mm.mlockall(MCL_CURRENT | MCL_FUTURE)
    >>> mm.munlockall()
    >>> mm.call_counters()["model_pages_looked_up"]
    262144
    """

    def mmap(
        self,
        addr: SupportsIndex | None,
        length: Size,
        prot: SupportsIndex,
        flags: SupportsIndex,
        file: File | None = None,
        offset: Size = 0,
    ) -> int:
        """mmap(2): the address.  ``file`` None means MAP_ANONYMOUS.  ``length`` and ``offset`` in bytes."""
        hint = 0 if addr is None else word("addr", addr)
        nbytes, offset = size("length", length), register("offset", offset)
        prot, flags, signed = word("prot", prot), word("flags", flags), as_signed("length", nbytes)
        self._refuse_after_exit("mmap")
        number = 0 if file is None or flags & MAP_ANONYMOUS else file.number_on(self)
        refuse_mapping(flags, number != 0)
        if offset & (PAGE_SIZE - 1) or (flags & MAP_HUGETLB and (number or no_such_huge_pages(flags))):
            raise OSError(EINVAL, os.strerror(EINVAL), "mmap")
        self._make_room()
        self.machine.ensure(tables=64)
        pgoff = offset >> PAGE_SHIFT & PAGE_NUMBERS
        refusal = self._refusal_of_mapping(page_span(0, nbytes)[1] >> PAGE_SHIFT, prot, flags, number)
        before = self.machine.snapshot() if refusal else None
        address = self._call(sys.MMAP, "mmap", hint, signed, prot, flags, number, pgoff)
        if refusal and before:  # there is an address, so the kernel would go on and populate
            self.machine.restore(before)
            raise refusal
        _, end = page_span(address, nbytes)
        locked = self._field("def_flags") & VM_LOCKED or flags & MAP_LOCKED  # though the VMA may not have become so
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

    def munmap(self, addr: SupportsIndex, length: Size) -> None:
        """munmap(2)."""
        start, nbytes = word("addr", addr), register("length", length)
        self._make_room()
        self._call(sys.MUNMAP, "munmap", start, nbytes)

    def mprotect(self, addr: SupportsIndex, length: Size, prot: SupportsIndex) -> None:
        """mprotect(2)."""
        start, nbytes, prot = word("addr", addr), register("length", length), word("prot", prot)
        refuse_protection(prot)
        self._make_room()
        if prot & PROT_WRITE:  # a locked private mapping that becomes writable is populated on the spot
            needed = self._foretell(*page_span(start % U64, nbytes % U64), "mprotect", BECOMES_WRITABLE)
            if needed:
                self.machine.ensure_fault_room(needed, whole=True)
                self.machine.ensure(vmas=self.map_count + CALL_ROOM)
        self._call(sys.MPROTECT, "mprotect", start, nbytes, prot)

    def mremap(
        self,
        old_address: SupportsIndex,
        old_size: Size,
        new_size: Size,
        flags: SupportsIndex = 0,
        new_address: SupportsIndex = 0,
    ) -> int:
        """mremap(2): the address."""
        old_address, flags = integer("old_address", old_address), word("flags", flags)
        old_size, new_size = size("old_size", old_size), size("new_size", new_size)
        sizes = as_signed("old_size", old_size), as_signed("new_size", new_size)
        registers = as_signed("old_address", old_address), *sizes, flags, word("new_address", new_address)
        self._make_room()
        self.machine.ensure(vmas=8, tables=16 + 2 * int(self._field("nr_tables")))
        self.machine.ensure_vma_list(self._mm, self.map_count + 8)
        vm_flags = self._vm_flags_at(old_address)
        refuse_huge_tlb("mremap", vm_flags)
        grows = vm_flags & VM_LOCKED and new_size > old_size
        if grows and vm_flags & VM_ACCESS_FLAGS and not vm_flags & VM_LOCKONFAULT:
            valid = not flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED) and not old_address % PAGE_SIZE
            if valid and old_size <= new_size < self._field("task_size"):
                self._refuse_frames((new_size - old_size) >> PAGE_SHIFT, "mremap")
        address = self._call(sys.MREMAP, "mremap", *registers)
        if address == BEYOND << PAGE_SHIFT:  # 5.10 gives back an address that it has not looked at
            return old_address % U64
        if grows:
            self._populate(page_span(address, old_size)[1], page_span(address, new_size)[1], True)
        return address

    def madvise(self, addr: SupportsIndex, length: Size, advice: SupportsIndex) -> None:
        """madvise(2): advice that sets a flag of the VMA, MADV_DONTNEED, MADV_DONTNEED_LOCKED, MADV_FREE, MADV_REMOVE.

        MADV_WILLNEED of anonymous and shared memory reads nothing.  NotModelled: the rest that the kernel knows.
        """
        start, nbytes, advice = word("addr", addr), register("length", length), c_int("advice", advice)
        refuse_advice(self.machine.implementation.kernel.version, advice)
        if advice in (MADV_FREE, MADV_WILLNEED) and self._run(sys.MADVISE_LEFT_OUT, start, nbytes, advice):
            raise advice_left_out(advice)
        self._make_room()
        self._call(sys.MADVISE, "madvise", start, nbytes, advice)

    def msync(self, addr: SupportsIndex, length: Size, flags: SupportsIndex) -> None:
        """msync(2): ``flags`` of MS_ASYNC, MS_SYNC, MS_INVALIDATE, the last refused (EBUSY) for locked memory."""
        self._call(sys.MSYNC, "msync", word("addr", addr), register("length", length), c_int("flags", flags))

    def mlock(self, addr: SupportsIndex, length: Size) -> None:
        """mlock(2)."""
        self._lock(word("addr", addr), register("length", length), VM_LOCKED, "mlock")

    def mlock2(self, addr: SupportsIndex, length: Size, flags: SupportsIndex) -> None:
        """mlock2(2): ``flags`` 0 or MLOCK_ONFAULT."""
        start, nbytes, flags = word("addr", addr), register("length", length), c_int("flags", flags)
        if flags & ~MLOCK_ONFAULT:
            raise OSError(EINVAL, os.strerror(EINVAL), "mlock2")
        self._lock(start, nbytes, VM_LOCKED | VM_LOCKONFAULT if flags & MLOCK_ONFAULT else VM_LOCKED, "mlock2")

    def _lock(self, addr: int, length: int, vm_flags: int, name: str) -> None:
        aligned = (length + addr % PAGE_SIZE + PAGE_SIZE - 1) % U64 & -PAGE_SIZE  # near 2^64 it wraps to no or one page
        start, end = page_span(addr % U64 & -PAGE_SIZE, aligned)
        self._make_room()
        self._foretell(start, end, name, vm_flags)
        self._call(sys.MLOCK, name, addr, length, vm_flags)
        error = self._populate(start, end, False)
        if error:  # as __mlock_posix_error_return() has it; no fault of the model's fails for lack of memory
            error = ENOMEM if error == -EFAULT else -error
            raise OSError(error, os.strerror(error), name)

    def munlock(self, addr: SupportsIndex, length: Size) -> None:
        """munlock(2)."""
        start, nbytes = word("addr", addr), register("length", length)
        self._make_room()
        self._call(sys.MUNLOCK, "munlock", start, nbytes)

    def mlockall(self, flags: SupportsIndex) -> None:
        """mlockall(2): ``flags`` of MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT."""
        flags = c_int("flags", flags)
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

    def touch(
        self,
        addr: SupportsIndex,
        length: Size = 1,
        access: Literal["read", "write"] = "read",
        stride: Size = PAGE_SIZE,
    ) -> None:
        """The program accesses one byte every ``stride`` bytes of [addr, addr + length).

        OSError(EFAULT) where it would get SIGSEGV or SIGBUS; accesses before that have happened.
        """
        if access not in ("read", "write"):
            raise ValueError(f"access {access!r}: read or write")
        addr, length, stride = integer("addr", addr), size("length", length), size("stride", stride)
        if length < 0 or stride < 1:
            raise ValueError(f"length {length}, stride {stride}: not negative, and at least 1")
        np.copyto(self._before, self.machine.counters)
        if not length:
            return
        if not 0 <= addr < self._field("task_size"):
            raise OSError(EFAULT, os.strerror(EFAULT), "touch")
        refuse_huge_tlb("touch", self._vm_flags_in(addr, addr + length))
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
        self._refuse_after_exit("fork")
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

    def coredump(self) -> list[DumpRun]:
        """The memory that a core file would have, as runs of pages in the order of addresses; between them it has holes.

        Nothing changes but the counters.  ProcessLookupError after ``exit()``.
        """
        self._refuse_after_exit("coredump")
        np.copyto(self._before, self.machine.counters)
        return coredump(self.state, self._mm, self._before, self.machine.counters)

    def exit(self) -> None:
        """The process ends: everything is unmapped, and what would map again is ProcessLookupError."""
        self._call(sys.EXIT, "exit")

    def setrlimit_memlock(self, nbytes: Size) -> None:
        """setrlimit(RLIMIT_MEMLOCK): soft and hard limit in bytes; RLIM_INFINITY may be -1 as unsigned long."""
        nbytes = size("nbytes", nbytes)
        if nbytes < 0:
            raise OSError(EPERM, os.strerror(EPERM), "setrlimit")
        nbytes = min(nbytes, RLIM_INFINITY)
        self.state.array("mms")[self._mm]["rlimit_memlock"] = nbytes

    def drop_cap_ipc_lock(self) -> None:
        """Give up CAP_IPC_LOCK."""
        self.state.array("mms")[self._mm]["cap_ipc_lock"] = 0

    def lru_add_drain_all(self) -> None:
        """Empty the per-CPU batches of all CPUs."""
        np.copyto(self._before, self.machine.counters)
        for cpu in range(self.machine.nr_cpus):
            self._run(sys.DRAIN_CPU, cpu)

    def create_file(self, nbytes: Size) -> File:
        """A regular file of ``nbytes`` with nothing in the page cache, for ``mmap(file=...)``."""
        nbytes = size("nbytes", nbytes)
        if not 0 <= nbytes <= MAX_LFS_FILESIZE:
            raise ValueError(f"nbytes: {nbytes:#x}, and a file has 0 to {MAX_LFS_FILESIZE:#x}")
        refuse_file_size("create_file", nbytes)
        self._make_room()
        number = self._call(sys.CREATE_FILE, "create_file", -(-nbytes >> PAGE_SHIFT))
        return File(self, number, nbytes)

    # ---- states that no call makes by itself ----

    def install_pages(self, addr: SupportsIndex, length: Size, kind: str) -> None:
        """Make [addr, addr + length) resident as if faulted long ago, whatever its protection.

        ``kind``: "anon", "zero", "thp" (2 MiB aligned), "thp-pte" (part of a huge page mapped by entries), "file" (needs a
        file VMA).  ValueError: not whole pages of user addresses.  OSError: EFAULT no VMA, or beyond its file; EINVAL a kind
        that the VMA cannot have, or huge pages that are not aligned; EEXIST mapped already.
        """
        if kind not in KINDS:
            raise ValueError(f"kind {kind!r}: one of {', '.join(KINDS)}")
        start, end = user_pages("install_pages", addr, length, self._field("task_size"))
        self.machine.refuse_beyond_memory(
            (end - start >> PAGE_SHIFT) * BYTES_PER_PAGE, f"install_pages of {end - start:,} bytes"
        )
        self.machine.ensure(vmas=1)
        np.copyto(self._before, self.machine.counters)
        result = self._run_with_room(
            lambda reached: ((end - reached) >> PAGE_SHIFT) + 1024, sys.INSTALL, start, end, KINDS.index(kind)
        )
        if result < 0:
            raise OSError(-result, os.strerror(-result), "install_pages")

    def install_special_mapping(self, addr: SupportsIndex, length: Size, prot: SupportsIndex, vm_flags: SupportsIndex) -> None:
        """A VMA like [vvar] or [vdso] at a free place: ``vm_flags`` of VM_SPECIAL, never locked.

        ValueError: not whole pages of user addresses, something is mapped there, or flags that no such VMA has.
        OSError: ENOMEM at the limit of VMAs.
        """
        start, end = user_pages("install_special_mapping", addr, length, self._field("task_size"))
        prot, vm_flags = integer("prot", prot), integer("vm_flags", vm_flags)
        if prot & ~VM_ACCESS_FLAGS:
            raise ValueError(f"prot: {prot:#x} is not of PROT_READ, PROT_WRITE, PROT_EXEC")
        if vm_flags & ~VM_SPECIAL or not vm_flags:
            raise ValueError(f"vm_flags: {vm_flags:#x} is not of VM_SPECIAL, {VM_SPECIAL:#x}")
        self._refuse_after_exit("install_special_mapping")
        self._make_room()
        error = self._run(sys.SPECIAL_MAPPING, start, end, prot | vm_flags)
        if error == -EEXIST:
            raise ValueError(f"install_special_mapping: something is mapped in [{start:#x}, {end:#x})")
        if error:
            raise OSError(-error, os.strerror(-error), "install_special_mapping")

    def swap_out(self, addr: SupportsIndex, length: Size) -> int:
        """Swap out the evictable anonymous pages of [addr, addr + length) that are mapped once: how many.

        ValueError: not whole pages of user addresses.
        """
        return self._call(sys.SWAP_OUT, "swap_out", *user_pages("swap_out", addr, length, self._field("task_size")))


__all__ = ["File", "Mm"]
