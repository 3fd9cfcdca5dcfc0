"""The kernel's numbers: page geometry, entry bits, flags of VMAs, pages and calls.

Values are those of Linux on x86-64; each group names the header that it models.  Everything here is a plain ``int`` (numba
freezes globals at compile time and cannot take an ``IntFlag``) that fits a signed 64-bit word, because the model computes in
``int64`` throughout.  This module loads neither numba nor numpy.
"""

from __future__ import annotations

from typing import Final

# Page geometry: arch/x86/include/asm/pgtable_64_types.h.  Sizes in bytes.
PAGE_SHIFT: Final = 12
PAGE_SIZE: Final = 1 << PAGE_SHIFT
PTRS_SHIFT: Final = 9
PTRS_PER_TABLE: Final = 1 << PTRS_SHIFT
PTE_SHIFT: Final = 12
PMD_SHIFT: Final = 21
PUD_SHIFT: Final = 30
P4D_SHIFT: Final = 39
PGD_SHIFT_LA57: Final = 48
PMD_SIZE: Final = 1 << PMD_SHIFT
PUD_SIZE: Final = 1 << PUD_SHIFT
P4D_SIZE: Final = 1 << P4D_SHIFT
HPAGE_PMD_ORDER: Final = PMD_SHIFT - PAGE_SHIFT
HPAGE_PMD_NR: Final = 1 << HPAGE_PMD_ORDER
TASK_SIZE_4: Final = (1 << 47) - PAGE_SIZE
TASK_SIZE_5: Final = (1 << 56) - PAGE_SIZE
DEFAULT_MAP_WINDOW: Final = TASK_SIZE_4
MMAP_GAP: Final = 128 << 20  # below the end of the address space, for the stack: mmap_base() without randomisation
MMAP_MIN_ADDR: Final = 65536
PAGE_NUMBERS: Final = (1 << 52) - 1  # mask: page numbers of 64-bit addresses, and counts of pages that a length can mean
BEYOND: Final = 1 << 45  # a page number above every user address; its address, and sums of two, still fit a signed word

# Entry bits: arch/x86/include/asm/pgtable_types.h.
_PAGE_PRESENT: Final = 1 << 0
_PAGE_RW: Final = 1 << 1
_PAGE_USER: Final = 1 << 2
_PAGE_ACCESSED: Final = 1 << 5
_PAGE_DIRTY: Final = 1 << 6
_PAGE_PSE: Final = 1 << 7
_PAGE_PROTNONE: Final = 1 << 8  # only where _PAGE_PRESENT is clear
_PAGE_SPECIAL: Final = 1 << 9
_PAGE_NX: Final = -(1 << 63)
PFN_FIELD: Final = (1 << 40) - 1  # width of the frame number in an entry, after shifting
PTE_PFN_MASK: Final = PFN_FIELD << PAGE_SHIFT
PFN_INDEX: Final = (1 << 31) - 1  # a pfn in 32 bits; masked with it, no index can be negative (20 % in dense munlock)
NONE_MASK: Final = ~(_PAGE_ACCESSED | _PAGE_DIRTY)  # an entry is none if no other bit is set (erratum mask)
TABLE_BITS: Final = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY

# Swap-format entries (6.1's numbers, kernel-wide type field in bits 59..63, inverted offset in bits 9..58).
SWP_TYPE_SHIFT: Final = 59
SWP_OFFSET_SHIFT: Final = 9
SWP_OFFSET_FIELD: Final = (1 << 50) - 1
SWP_SWAPFILE: Final = 0
SWP_EXCLUSIVE: Final = 1 << 3  # of a swap entry: the page was exclusive; 6.1
SWP_MIGRATION_READ: Final = 23
SWP_MIGRATION_WRITE: Final = 25
MIGRATION_READ_BITS: Final = (SWP_MIGRATION_READ << SWP_TYPE_SHIFT) - (1 << 64)  # as the signed word that holds them
MIGRATION_WRITE_BITS: Final = (SWP_MIGRATION_WRITE << SWP_TYPE_SHIFT) - (1 << 64)

# include/linux/mm.h
VM_READ: Final = 0x1
VM_WRITE: Final = 0x2
VM_EXEC: Final = 0x4
VM_SHARED: Final = 0x8
VM_MAYREAD: Final = 0x10
VM_MAYWRITE: Final = 0x20
VM_MAYEXEC: Final = 0x40
VM_MAYSHARE: Final = 0x80
VM_PFNMAP: Final = 0x400
VM_LOCKED: Final = 0x2000
VM_IO: Final = 0x4000
VM_SEQ_READ: Final = 0x8000
VM_RAND_READ: Final = 0x10000
VM_DONTCOPY: Final = 0x20000
VM_DONTEXPAND: Final = 0x40000
VM_LOCKONFAULT: Final = 0x80000
VM_ACCOUNT: Final = 0x100000
VM_NORESERVE: Final = 0x200000
VM_HUGETLB: Final = 0x400000
VM_WIPEONFORK: Final = 0x2000000
VM_DONTDUMP: Final = 0x4000000
VM_MIXEDMAP: Final = 0x10000000
VM_HUGEPAGE: Final = 0x20000000
VM_NOHUGEPAGE: Final = 0x40000000
VM_MERGEABLE: Final = 0x80000000
VM_DROPPABLE: Final = 1 << 40  # 6.11
VM_ACCESS_FLAGS: Final = VM_READ | VM_WRITE | VM_EXEC
VM_SPECIAL: Final = VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP
VM_LOCKED_CLEAR_MASK: Final = ~(VM_LOCKED | VM_LOCKONFAULT)

# include/linux/page-flags.h: the flags that the model needs, numbered from 0; node and zone above them, as the kernel does.
PG_locked: Final = 1 << 0
PG_referenced: Final = 1 << 1
PG_dirty: Final = 1 << 2
PG_lru: Final = 1 << 3
PG_active: Final = 1 << 4
PG_unevictable: Final = 1 << 5
PG_mlocked: Final = 1 << 6
PG_swapbacked: Final = 1 << 7
PG_head: Final = 1 << 8
PG_tail: Final = 1 << 9  # the kernel's bit 0 of compound_head
PG_reserved: Final = 1 << 10
PG_anon_exclusive: Final = 1 << 11  # 5.19+; kept by 6.1's rules and read only there
PG_double_map: Final = 1 << 12  # of a head: entries map it as well as a PMD
PG_zero: Final = 1 << 13  # a zero page (order 0 or huge): model only
PG_swapcache: Final = 1 << 14  # of an order-0 page
PG_swap_slot: Final = 1 << 15  # a place in the swap file, not a page: model only
ORDER_SHIFT: Final = 16  # of a head: log2 of its pages, where the kernel has it in the first tail
ORDER_MASK: Final = 0xF
ZONE_SHIFT: Final = 24  # page_zone_id(): node * MAX_NR_ZONES + zone
NODE_SHIFT: Final = 26
MAX_NR_ZONES: Final = 1 << (NODE_SHIFT - ZONE_SHIFT)
ZONE_NORMAL: Final = 2
MAX_NUMNODES: Final = 4

# include/linux/mmzone.h
LRU_INACTIVE_ANON: Final = 0
LRU_ACTIVE_ANON: Final = 1
LRU_INACTIVE_FILE: Final = 2
LRU_ACTIVE_FILE: Final = 3
LRU_UNEVICTABLE: Final = 4
NR_LRU_LISTS: Final = 5

MAX_LFS_FILESIZE: Final = (1 << 63) - 1  # include/linux/fs.h, bytes
PAGEVEC_SIZE: Final = 15  # include/linux/pagevec.h of 5.10 and 6.1
FOLIO_BATCH_SIZE: Final = 31  # since 6.9: the largest that a per-CPU vector is in any kernel
FAULT_AROUND_PAGES: Final = 16  # mm/memory.c: fault_around_bytes = 64 KiB
DEFAULT_MAX_MAP_COUNT: Final = 65530  # include/linux/mm.h
RLIM_INFINITY: Final = (1 << 63) - 1

# include/uapi/asm-generic/mman*.h
PROT_NONE: Final = 0x0
PROT_READ: Final = 0x1
PROT_WRITE: Final = 0x2
PROT_EXEC: Final = 0x4
PROT_SEM: Final = 0x8
PROT_GROWSDOWN: Final = 0x1000000
PROT_GROWSUP: Final = 0x2000000
MAP_SHARED: Final = 0x01
MAP_PRIVATE: Final = 0x02
MAP_SHARED_VALIDATE: Final = 0x03
MAP_DROPPABLE: Final = 0x08  # 6.11
MAP_TYPE: Final = 0x0F
MAP_FIXED: Final = 0x10
MAP_ANONYMOUS: Final = 0x20
MAP_32BIT: Final = 0x40  # x86
MAP_GROWSDOWN: Final = 0x100
MAP_DENYWRITE: Final = 0x800  # ignored, as MAP_EXECUTABLE and MAP_STACK are
MAP_EXECUTABLE: Final = 0x1000
MAP_LOCKED: Final = 0x2000
MAP_NORESERVE: Final = 0x4000
MAP_POPULATE: Final = 0x8000
MAP_NONBLOCK: Final = 0x10000
MAP_STACK: Final = 0x20000
MAP_HUGETLB: Final = 0x40000
MAP_SYNC: Final = 0x80000
MAP_FIXED_NOREPLACE: Final = 0x100000
MAP_HUGE_SHIFT: Final = 26  # log2 of the size of huge TLB pages, 6 bits, 0 for the default
MAP_HUGE_MASK: Final = 0x3F
MCL_CURRENT: Final = 1
MCL_FUTURE: Final = 2
MCL_ONFAULT: Final = 4
MLOCK_ONFAULT: Final = 1
MREMAP_MAYMOVE: Final = 1
MREMAP_FIXED: Final = 2
MREMAP_DONTUNMAP: Final = 4
MADV_NORMAL: Final = 0
MADV_RANDOM: Final = 1
MADV_SEQUENTIAL: Final = 2
MADV_WILLNEED: Final = 3
MADV_DONTNEED: Final = 4
MADV_FREE: Final = 8
MADV_REMOVE: Final = 9
MADV_DONTFORK: Final = 10
MADV_DOFORK: Final = 11
MADV_MERGEABLE: Final = 12
MADV_UNMERGEABLE: Final = 13
MADV_HUGEPAGE: Final = 14
MADV_NOHUGEPAGE: Final = 15
MADV_DONTDUMP: Final = 16
MADV_DODUMP: Final = 17
MADV_WIPEONFORK: Final = 18
MADV_KEEPONFORK: Final = 19
MADV_COLD: Final = 20
MADV_PAGEOUT: Final = 21
MADV_POPULATE_READ: Final = 22  # 5.14
MADV_POPULATE_WRITE: Final = 23  # 5.14
MADV_DONTNEED_LOCKED: Final = 24  # 5.18
MADV_COLLAPSE: Final = 25  # 6.1
MADV_HWPOISON: Final = 100
MADV_SOFT_OFFLINE: Final = 101
MS_ASYNC: Final = 1
MS_INVALIDATE: Final = 2
MS_SYNC: Final = 4

# include/uapi/linux/falloc.h
FALLOC_FL_KEEP_SIZE: Final = 0x1
FALLOC_FL_PUNCH_HOLE: Final = 0x2
FALLOC_FL_COLLAPSE_RANGE: Final = 0x8
FALLOC_FL_ZERO_RANGE: Final = 0x10
FALLOC_FL_INSERT_RANGE: Final = 0x20
FALLOC_FL_UNSHARE_RANGE: Final = 0x40
FALLOC_FL_SUPPORTED_MASK: Final = 0x7B

# Large anonymous folios below a huge page (mTHP): the kernel can be set to use each of these orders, log2 of pages, or none.
MIN_FOLIO_ORDER: Final = 2
MAX_FOLIO_ORDER: Final = 8
THP_MODES: Final = ("never", "madvise", "always")
