"""Numbers of the kernel's user interface and of its headers (x86-64), and errors as the system calls give them."""

import errno
import os

from mmmodel.kernels import implementations

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
HPAGE_PMD_NR = 512  # pages under one PMD entry
PAGEVEC_SIZE = 15

PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4

MAP_SHARED, MAP_PRIVATE = 0x1, 0x2
MAP_TYPE = 0xF
MAP_FIXED = 0x10
MAP_ANONYMOUS = 0x20
MAP_LOCKED = 0x2000
MAP_NORESERVE = 0x4000
MAP_POPULATE = 0x8000
MAP_NONBLOCK = 0x10000
MAP_FIXED_NOREPLACE = 0x100000

MLOCK_ONFAULT = 1
MS_ASYNC, MS_INVALIDATE, MS_SYNC = 1, 2, 4
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4

MADV_DONTNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTNEED_LOCKED = 4, 14, 15, 24
MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4

VM_READ, VM_WRITE, VM_EXEC, VM_SHARED = 0x1, 0x2, 0x4, 0x8
VM_MAYREAD, VM_MAYWRITE, VM_MAYEXEC, VM_MAYSHARE = 0x10, 0x20, 0x40, 0x80
VM_PFNMAP = 0x400
VM_LOCKED = 0x2000
VM_IO = 0x4000
VM_DONTEXPAND = 0x40000
VM_LOCKONFAULT = 0x80000
VM_ACCOUNT = 0x100000
VM_NORESERVE = 0x200000
VM_HUGETLB = 0x400000
VM_MIXEDMAP = 0x10000000
VM_HUGEPAGE = 0x20000000
VM_NOHUGEPAGE = 0x40000000

VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC
VM_SPECIAL = VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP
VM_LOCK_BITS = VM_LOCKED | VM_LOCKONFAULT

LINUX_5_10, LINUX_6_1 = "5.10", "6.1"
KERNEL_OF_IMPL = {one.name: one.kernel.name for one in implementations()}
"""Which kernel each implementation behaves like; those of one kernel differ in cost alone."""


def page_align(nbytes: int) -> int:
    """Round up to a page in 64-bit arithmetic: like PAGE_ALIGN() it wraps to 0 at the top."""
    return (nbytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1) & (2**64 - 1)


def failure(number: int) -> OSError:
    """The error a system call returns."""
    return OSError(number, os.strerror(number))


EPERM, EAGAIN, ENOMEM, EFAULT, EEXIST, EINVAL, EACCES, EBUSY = (
    errno.EPERM,
    errno.EAGAIN,
    errno.ENOMEM,
    errno.EFAULT,
    errno.EEXIST,
    errno.EINVAL,
    errno.EACCES,
    errno.EBUSY,
)
