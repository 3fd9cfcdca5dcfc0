"""Pages, the files and anon_vmas they belong to: the parts of struct page that memory locking looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .constants import HPAGE_PMD_NR, PAGE_SHIFT

if TYPE_CHECKING:
    from .mmstruct import MmStruct
    from .vma import Vma

Mapping = tuple["MmStruct", int]
"""One page table entry: whose, and the page number (virtual address >> 12) it stands at."""


class AnonVma:
    """struct anon_vma: what ties the anonymous pages of split and forked VMAs together.

    A VMA is linked to its own and, after a fork, to those of its ancestors. Only identity matters for merging; the
    counts decide whether a fork may reuse one.
    """

    def __init__(self, parent: AnonVma | None = None) -> None:
        self.parent = self if parent is None else parent
        self.nr_children = 0  # child anon_vmas; a root counts itself
        self.parent.nr_children += 1
        self.nr_active_vmas = 0  # VMAs whose own anon_vma this is
        self.nr_links = 0  # VMAs that have it in their chain


class Slot:
    """A page of swap space."""

    def __init__(self) -> None:
        self.count = 0  # ptes that refer to it
        self.cache: Folio | None = None  # its page in the swap cache


class Folio:
    """A page, or the 512 pages of a transparent huge page, which stay together also when mapped by ptes; 6.12 has folios of
    4 to 256 pages besides, always mapped by ptes.

    The counts a kernel keeps in _mapcount are sets of the page table entries themselves here, so they serve as the
    reverse map as well.
    """

    def __init__(self, *, anon: bool, nr: int = 1, file: File | None = None) -> None:
        self.anon = anon
        self.nr = nr  # pages
        self.file = file  # whose page cache it is in
        self.refcount = 1
        self.pmd_maps: set[Mapping] = set()
        self.pte_maps: dict[int, set[Mapping]] = {}  # subpage -> ptes
        self.double_map = False  # PageDoubleMap: a PMD was split while another mapped it, and one still does
        self.exclusive: set[int] = set()  # subpages with PG_anon_exclusive (6.1)
        self.slot: Slot | None = None  # in the swap cache, for this slot
        self.swapbacked = anon or file is not None  # not so after MADV_FREE, and in a VM_DROPPABLE area
        self.was_mapped = False  # by a process; of a page in the swap cache: 6.12 takes one that was only read for a new one
        self.dirty = False  # PG_dirty, of anonymous pages; ptes have their own
        self.mlocked = False
        self.unevictable = False
        self.on_lru = False
        self.mlock_count = 0  # 6.1: meaningful while on_lru and unevictable

    @property
    def is_large(self) -> bool:
        """PageTransCompound() of any of its pages."""
        return self.nr > 1

    def mapcount(self, subpage: int = 0) -> int:
        """page_mapcount(): ptes that map this subpage, and PMD entries that map all of them."""
        return len(self.pte_maps.get(subpage, ())) + len(self.pmd_maps)

    def mappings(self) -> list[Mapping]:
        """All entries that map any page of it, in no particular order."""
        return [*self.pmd_maps, *(one for some in self.pte_maps.values() for one in some)]

    def map_pte(self, mm: MmStruct, vpn: int, subpage: int = 0) -> None:
        """A pte at page number `vpn` now maps the subpage."""
        self.pte_maps.setdefault(subpage, set()).add((mm, vpn))

    def unmap_pte(self, mm: MmStruct, vpn: int, subpage: int = 0) -> None:
        """The pte at `vpn` does not map the subpage any more."""
        maps = self.pte_maps[subpage]
        maps.remove((mm, vpn))
        if not maps:
            del self.pte_maps[subpage]

    def map_pmd(self, mm: MmStruct, vpn: int) -> None:
        """A PMD entry that starts at `vpn` now maps the whole of it."""
        assert self.nr == HPAGE_PMD_NR
        self.pmd_maps.add((mm, vpn))

    def unmap_pmd(self, mm: MmStruct, vpn: int) -> None:
        """The PMD entry at `vpn` does not map it any more."""
        self.pmd_maps.remove((mm, vpn))
        self.double_map = self.double_map and bool(self.pmd_maps)


class File:
    """A tmpfs file, or the shmem object behind a shared anonymous mapping: a size and a page cache.

    Pages come into being when they are first faulted in. They go when neither a VMA nor an open file is left.
    """

    def __init__(self, nbytes: int, *, is_open: bool) -> None:
        self.nbytes = nbytes
        self.is_open = is_open  # by a program, not only by VMAs
        self.vmas: set[tuple[MmStruct, Vma]] = set()
        self.cache: dict[int, Folio] = {}  # page of the file -> folio

    @property
    def nr_pages(self) -> int:
        """Pages up to the end of the file, the last one perhaps partial."""
        return -(-self.nbytes >> PAGE_SHIFT)
