"""struct mm_struct: one address space, and the machine it runs on. All positions are page numbers, not bytes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from .constants import ENOMEM, KERNEL_OF_IMPL, LINUX_5_10, LINUX_6_1, LINUX_6_12, PAGE_SHIFT, failure
from .lru import Lru, Lru61, Lru510, Lru612

if TYPE_CHECKING:
    from .pagetable import Pmd, Pte
    from .swap import SwapPte
    from .vma import Vma

MMAP_WINDOW = (1 << 35) - 1  # pages; DEFAULT_MAP_WINDOW: what lies above is given only by a hint
PMD_TABLE, PUD_TABLE, P4D_TABLE = 18, 27, 36  # pages that a table covers, as a power of two
LRU_OF: dict[str, type[Lru510 | Lru61]] = {LINUX_5_10: Lru510, LINUX_6_1: Lru61, LINUX_6_12: Lru612}
MMAP_GAP = (128 << 20) >> PAGE_SHIFT  # pages left for the stack, without randomisation
MEMLOCK_DEFAULT = {LINUX_5_10: 64 << 10, LINUX_6_1: 8 << 20, LINUX_6_12: 8 << 20}  # RLIMIT_MEMLOCK in bytes


class Machine:
    """What all processes share: kernel version, memory size, LRUs."""

    def __init__(
        self,
        impl: str,
        *,
        thp: str,
        mthp: Collection[int],
        levels: int,
        nr_cpus: int,
        ram: int | None,
        max_map_count: int,
    ) -> None:
        self.kernel = KERNEL_OF_IMPL[impl]
        self.thp = thp
        assert not mthp or self.kernel == LINUX_6_12
        self.folio_sizes = sorted((nbytes >> PAGE_SHIFT for nbytes in mthp), reverse=True)  # mTHP, in pages
        self.task_pages = (1 << {4: 35, 5: 44}[levels]) - 1  # TASK_SIZE in pages
        self.mmap_base = MMAP_WINDOW - MMAP_GAP  # pages
        self.ram_pages = None if ram is None else ram >> PAGE_SHIFT
        self.max_map_count = max_map_count
        self.lru: Lru = LRU_OF[self.kernel](nr_cpus)
        self.kinds_of_tables = {4: (PMD_TABLE, PUD_TABLE), 5: (PMD_TABLE, PUD_TABLE, P4D_TABLE)}[levels]
        self.counted = {"zap_special": 0, "unmap_pmd_read": 0, "unmap_upper_read": 0, "pte_folio": 0}  # the model has all

    def enough_memory(self, nr_pages: int) -> None:
        """__vm_enough_memory() in overcommit mode 0: refuses only a single request larger than the machine."""
        if self.ram_pages is not None and nr_pages > self.ram_pages:
            raise failure(ENOMEM)


class MmStruct:
    """VMAs in address order, page tables as dicts, and the accounts."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.vmas: list[Vma] = []
        self.ptes: dict[int, Pte] = {}  # page number -> present pte
        self.swapped: dict[int, SwapPte] = {}  # page number -> pte whose page is in swap
        self.pmds: dict[int, Pmd] = {}  # page number >> 9 -> huge PMD
        self.tables: set[int] = set()  # page number >> 9 of every page table, empty ones as well
        self.upper: dict[int, set[int]] = {kind: set() for kind in machine.kinds_of_tables}  # page number >> kind
        self.locked_vm = 0  # pages; 64 bits, unsigned
        self.total_vm = 0  # pages
        self.def_flags = 0
        self.rlimit_memlock = MEMLOCK_DEFAULT[machine.kernel]  # bytes
        self.cap_ipc_lock = True

    @property
    def lru(self) -> Lru:
        """The machine's LRUs."""
        return self.machine.lru

    @property
    def series(self) -> bool:
        """Whether the kernel has the mm/munlock series of Linux 5.18."""
        return self.machine.kernel != LINUX_5_10

    @property
    def folios(self) -> bool:
        """Whether the kernel is Linux 6.12: large folios are locked however they are mapped, and VMAs merge by mm/vma.c."""
        return self.machine.kernel == LINUX_6_12

    def add_locked_vm(self, nr_pages: int) -> None:
        """Unsigned long arithmetic: may wrap (see kernel-facts 3.8)."""
        self.locked_vm = (self.locked_vm + nr_pages) & (2**64 - 1)

    @property
    def memlock_limit(self) -> int:
        """RLIMIT_MEMLOCK in whole pages."""
        return self.rlimit_memlock >> PAGE_SHIFT

    @property
    def can_do_mlock(self) -> bool:
        """can_do_mlock(): a limit of less than a page is still not zero."""
        return self.rlimit_memlock != 0 or self.cap_ipc_lock

    def may_lock(self, nr_pages: int) -> bool:
        """mlock_future_check() for nr_pages more."""
        return self.locked_vm + nr_pages <= self.memlock_limit or self.cap_ipc_lock

    # VMAs

    def find_vma(self, vpn: int) -> Vma | None:
        """The first VMA that ends after `vpn`."""
        at = bisect_right(self.vmas, vpn, key=lambda vma: vma.end)
        return self.vmas[at] if at < len(self.vmas) else None

    def vma_lookup(self, vpn: int) -> Vma | None:
        """The VMA that contains `vpn`."""
        vma = self.find_vma(vpn)
        return vma if vma is not None and vma.start <= vpn else None

    def vma_at(self, vpn: int) -> Vma:
        """The VMA of a page known to be mapped."""
        vma = self.vma_lookup(vpn)
        assert vma is not None
        return vma

    def vma_before(self, vpn: int) -> Vma | None:
        """The last VMA that starts before `vpn`."""
        at = bisect_right(self.vmas, vpn - 1, key=lambda vma: vma.start)
        return self.vmas[at - 1] if at else None

    def overlapping(self, start: int, end: int) -> Iterator[Vma]:
        """VMAs that intersect [start, end), found one by one: the caller may split and merge meanwhile."""
        while start < end:
            vma = self.find_vma(start)
            if vma is None or vma.start >= end:
                return
            start = vma.end
            yield vma

    def insert(self, vma: Vma) -> None:
        """Put into its place; nothing may be there."""
        at = bisect_right(self.vmas, vma.start, key=lambda other: other.start)
        self.vmas.insert(at, vma)
        if vma.file is not None:
            vma.file.vmas.add((self, vma))

    def remove(self, vma: Vma) -> None:
        """Take out of the list; the pages are somebody else's business."""
        self.vmas.remove(vma)
        if vma.file is not None:
            vma.file.vmas.remove((self, vma))

    # page table entries that are not none

    def populated(self, start: int, end: int) -> list[int]:
        """Page numbers in [start, end) with a present pte, in order."""
        if end - start <= len(self.ptes):
            return [vpn for vpn in range(start, end) if vpn in self.ptes]
        return sorted(vpn for vpn in self.ptes if start <= vpn < end)

    def in_swap(self, start: int, end: int) -> list[int]:
        """Page numbers in [start, end) whose page is in swap, in order."""
        return sorted(vpn for vpn in self.swapped if start <= vpn < end)

    def huge_pmds(self, start: int, end: int) -> list[int]:
        """First page numbers of the huge PMDs that intersect [start, end), in order."""
        return sorted(nr << 9 for nr in self.pmds if start < (nr + 1) << 9 and nr << 9 < end)

    def entries(self, start: int, end: int) -> list[int]:
        """First page numbers of all entries, huge or not, that map something in [start, end), in order."""
        return sorted(self.populated(start, end) + self.huge_pmds(start, end))
