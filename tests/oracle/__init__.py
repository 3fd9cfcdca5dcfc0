"""The oracle: Linux's memory locking in plain Python, slow and independent of mmmodel.

It follows Linux 5.10, 6.1 or 6.12 function by function, as the registry says of an implementation, with dicts and sets
for page tables; of cost it knows what unmapping reads (`OracleMm.counted`). The fast model is held to its answers, and it to
those of the recorded kernels (`tests/oracle/test_traces.py`).

Kernel file -> module here: mm/vmstat.c and mm/swap.c -> `lru`, struct page -> `folio`, mm/mmap.c and mm/vma.c -> `vma`, `mmap`,
mm/memory.c and mm/huge_memory.c -> `pagetable`, `fault`, mm/gup.c -> `gup`, mm/mlock.c -> `mlock`, mm/mremap.c ->
`mremap`, kernel/fork.c -> `fork`, mm/swapfile.c and mm/vmscan.c -> `swap`, fs/proc/task_mmu.c -> `proc`, the
system calls -> `mm`.
"""

from .mm import OracleMm

__all__ = ["OracleMm"]
