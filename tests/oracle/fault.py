"""Page faults: mm/memory.c, the fault half of mm/huge_memory.c, and the page cache of a tmpfs file (mm/shmem.c)."""

from __future__ import annotations

from collections.abc import Iterator

from .constants import HPAGE_PMD_NR, VM_DROPPABLE, VM_HUGEPAGE, VM_LOCKED, VM_NOHUGEPAGE, VM_SHARED, VM_SPECIAL, VM_WRITE
from .folio import File, Folio
from .lru import Lru510
from .mmstruct import MmStruct
from .pagetable import Pmd, Pte, alloc_upper_tables, split_huge_pmd
from .swap import delete_from_swap_cache, free_swap_cache, swap_in, try_to_free_swap
from .vma import Vma, anon_vma_prepare

FAULT_AROUND_PAGES = 16


class SigbusError(Exception):
    """VM_FAULT_SIGBUS: beyond the end of the file."""


def handle_mm_fault(mm: MmStruct, vma: Vma, vpn: int, *, write: bool) -> None:
    """__handle_mm_fault(): the VMA allows the access."""
    nr = vpn >> 9
    alloc_upper_tables(mm, vpn)
    pmd = mm.pmds.get(nr)
    if pmd is not None:
        if not write or pmd.write or wp_huge_pmd(mm, vma, nr, pmd):
            return
    elif nr not in mm.tables and thp_enabled(mm, vma) and do_huge_pmd_anonymous_page(mm, vma, nr, write=write):
        return
    handle_pte_fault(mm, vma, vpn, write=write)


def thp_enabled(mm: MmStruct, vma: Vma) -> bool:
    """hugepage_vma_check() (5.10: __transparent_hugepage_enabled()) for a fault of an anonymous VMA."""
    if vma.file is not None or vma.vm_flags & (VM_NOHUGEPAGE | VM_SPECIAL):
        return False
    return mm.machine.thp == "always" or (mm.machine.thp == "madvise" and bool(vma.vm_flags & VM_HUGEPAGE))


def do_huge_pmd_anonymous_page(mm: MmStruct, vma: Vma, nr: int, *, write: bool) -> bool:
    """A huge page for the first fault of an aligned 2 MiB within the VMA; a read gets the huge zero page.

    Either way the VMA gets an anon_vma.
    """
    first = nr * HPAGE_PMD_NR
    if first < vma.start or first + HPAGE_PMD_NR > vma.end:
        return False
    anon_vma_prepare(mm, vma)
    if not write:
        mm.pmds[nr] = Pmd(None)
        return True
    folio = Folio(anon=True, nr=HPAGE_PMD_NR)
    folio.swapbacked = not vma.vm_flags & VM_DROPPABLE
    folio.map_pmd(mm, first)
    folio.exclusive.add(0)
    mm.pmds[nr] = Pmd(folio, write=bool(vma.vm_flags & VM_WRITE))
    mm.lru.add_new_anon(folio, vma)
    return True


def wp_huge_pmd(mm: MmStruct, vma: Vma, nr: int, pmd: Pmd) -> bool:
    """do_huge_pmd_wp_page(): reuse the page if nobody else has it, else split and let the pte fault copy one page.

    The huge zero page is split too: the write then gets one small page beside 511 zero ptes.
    """
    folio = pmd.folio
    if folio is not None:
        alone = len(folio.mappings()) == 1  # 5.10 reuse_swap_page(): references do not count
        if (0 in folio.exclusive or folio.refcount == 1) if mm.series else alone:
            folio.exclusive.add(0)
            pmd.write = bool(vma.vm_flags & VM_WRITE)
            return True
    split_huge_pmd(mm, vma, nr)
    return False


def handle_pte_fault(mm: MmStruct, vma: Vma, vpn: int, *, write: bool) -> None:
    """handle_pte_fault()."""
    pte = mm.ptes.get(vpn)
    if pte is None:
        if vpn in mm.swapped:
            do_swap_page(mm, vma, vpn, write=write)
        elif vma.file is None:
            do_anonymous_page(mm, vma, vpn, write=write)
        elif not write:
            do_read_fault(mm, vma, vpn, vma.file)
        elif vma.vm_flags & VM_SHARED:
            do_shared_fault(mm, vma, vpn, vma.file)
        else:
            do_cow_fault(mm, vma, vpn, vma.file)
    elif write:
        if not pte.write:
            do_wp_page(mm, vma, vpn, pte)
        else:
            pte.dirty = True


def map_new_anon(mm: MmStruct, vma: Vma, vpn: int) -> None:
    """page_add_new_anon_rmap(), lru_cache_add_inactive_or_unevictable() and the pte."""
    folio = Folio(anon=True)
    folio.swapbacked = not vma.vm_flags & VM_DROPPABLE
    folio.map_pte(mm, vpn)
    folio.exclusive.add(0)
    writable = bool(vma.vm_flags & VM_WRITE)
    mm.ptes[vpn] = Pte(folio, write=writable, dirty=writable)
    mm.lru.add_new_anon(folio, vma)


def do_anonymous_page(mm: MmStruct, vma: Vma, vpn: int, *, write: bool) -> None:
    """do_anonymous_page(): a read maps the zero page and needs no anon_vma; a write may get a large folio."""
    mm.tables.add(vpn >> 9)
    if not write:
        mm.ptes[vpn] = Pte(None)
        return
    anon_vma_prepare(mm, vma)
    pages = next(large_ranges(mm, vma, vpn), None)
    if pages is None:
        map_new_anon(mm, vma, vpn)
    else:
        map_new_large(mm, vma, pages)


def large_ranges(mm: MmStruct, vma: Vma, vpn: int) -> Iterator[range]:
    """alloc_anon_folio(): the aligned ranges around a page that a large folio could fill, largest first: within the VMA, and
    without anything mapped or swapped out.
    """
    if vma.vm_flags & (VM_NOHUGEPAGE | VM_SPECIAL):
        return
    for nr_pages in mm.machine.folio_sizes:
        pages = range(vpn - vpn % nr_pages, vpn - vpn % nr_pages + nr_pages)
        if vma.start <= pages.start and pages.stop <= vma.end and not any(at in mm.ptes or at in mm.swapped for at in pages):
            yield pages


def map_new_large(mm: MmStruct, vma: Vma, pages: range) -> None:
    """do_anonymous_page() with a large folio: a reference for each pte, all of them exclusive and dirty; locked as one."""
    folio = Folio(anon=True, nr=len(pages))
    folio.swapbacked = not vma.vm_flags & VM_DROPPABLE
    folio.refcount = folio.nr
    writable = bool(vma.vm_flags & VM_WRITE)
    for subpage, vpn in enumerate(pages):
        folio.map_pte(mm, vpn, subpage)
        folio.exclusive.add(subpage)
        mm.ptes[vpn] = Pte(folio, subpage, write=writable, dirty=writable)
    mm.lru.add_new_anon(folio, vma)


def do_wp_page(mm: MmStruct, vma: Vma, vpn: int, pte: Pte) -> None:
    """do_wp_page(): write to a present, write-protected pte."""
    folio = pte.folio
    if folio is not None and not folio.anon and vma.vm_flags & VM_SHARED:
        pte.write = pte.dirty = True
    elif folio is not None and folio.anon and may_reuse(mm, folio, pte.subpage):
        folio.exclusive.add(pte.subpage)
        pte.write = pte.dirty = True
    else:
        wp_page_copy(mm, vma, vpn)


def may_reuse(mm: MmStruct, folio: Folio, subpage: int) -> bool:
    """Whether this process may write to its anonymous page without copying.

    5.10 wants to have the only reference: one held by a per-CPU batch, or those of the other 511 pages of a
    compound page, make it copy, and so does the swap cache's. 6.1 trusts PG_anon_exclusive, drains its own batch before
    it counts, and gives up swap that nobody else needs. 6.12 never reuses a part of a large folio so.
    """
    if not mm.series:
        return folio.refcount == 1 and folio.mapcount(subpage) == 1
    if subpage in folio.exclusive:
        return True
    if folio.refcount > 3 or (mm.folios and folio.is_large):
        return False
    if not folio.on_lru:
        mm.lru.drain()
    if folio.refcount == 2:
        try_to_free_swap(mm.lru, folio)
    return folio.refcount == 1


def do_swap_page(mm: MmStruct, vma: Vma, vpn: int, *, write: bool) -> None:
    """do_swap_page(): a write gets the page if it is this process's alone, and else maps it first and then copies it."""
    swapped = mm.swapped[vpn]
    slot = swapped.slot
    folio = swap_in(mm, slot)
    if mm.series:
        if write and not folio.on_lru:
            mm.lru.drain()
        del mm.swapped[vpn]
        slot.count -= 1
        if vma.vm_flags & VM_LOCKED or folio.mlocked or (write and folio.refcount == 2):
            try_to_free_swap(mm.lru, folio)
        alone = swapped.exclusive or folio.refcount == 1
        if alone:
            folio.exclusive.add(0)
        reuse = write and alone
    else:
        reuse = alone = write and folio.mapcount() + slot.count == 1
        if reuse:  # reuse_swap_page()
            delete_from_swap_cache(mm.lru, folio)
        del mm.swapped[vpn]
        slot.count -= 1
        if vma.vm_flags & VM_LOCKED or folio.mlocked:
            try_to_free_swap(mm.lru, folio)
    writable = (alone if mm.folios else reuse) and bool(vma.vm_flags & VM_WRITE)
    pte = mm.ptes[vpn] = Pte(folio, write=writable, dirty=reuse)
    folio.map_pte(mm, vpn)
    if folio.was_mapped or not mm.folios:  # what was read from swap just now is new to 6.12, and new pages have no hook
        mm.lru.rmap_added(folio, vma)
    folio.was_mapped = True
    if write and not reuse:
        do_wp_page(mm, vma, vpn, pte)


def wp_page_copy(mm: MmStruct, vma: Vma, vpn: int) -> None:
    """wp_page_copy(): a new page in place of the old one, or of the zero page."""
    anon_vma_prepare(mm, vma)
    old = mm.ptes[vpn]
    folio = old.folio
    if folio is not None:
        folio.refcount += 1
    map_new_anon(mm, vma, vpn)
    if folio is None:
        return
    folio.unmap_pte(mm, vpn, old.subpage)
    mm.lru.rmap_removed(folio, vma, compound=False)
    mm.lru.put(folio)
    if mm.series:
        free_swap_cache(mm.lru, folio)
    if isinstance(mm.lru, Lru510) and vma.vm_flags & VM_LOCKED and folio.mlocked and not folio.is_large:
        mm.lru.munlock_vma_page(folio)
    mm.lru.put(folio)


def shmem_fault(mm: MmStruct, file: File, index: int) -> Folio:
    """shmem_fault(): the page of the file, with a reference for the caller; a new one joins the page cache."""
    if index >= file.nr_pages:
        raise SigbusError
    folio = file.cache.get(index)
    if folio is None:
        folio = Folio(anon=False, file=file)
        file.cache[index] = folio  # owns the first reference
        mm.lru.lru_cache_add(folio)
    folio.refcount += 1
    return folio


def map_file_page(mm: MmStruct, vma: Vma, vpn: int, folio: Folio, *, dirty: bool = False) -> None:
    """do_set_pte() with page_add_file_rmap(); takes over the caller's reference."""
    mm.tables.add(vpn >> 9)
    writable = vma.vm_flags & (VM_SHARED | VM_WRITE) == VM_SHARED | VM_WRITE
    mm.ptes[vpn] = Pte(folio, write=writable, dirty=dirty)
    folio.map_pte(mm, vpn)
    mm.lru.rmap_added(folio, vma)


def do_read_fault(mm: MmStruct, vma: Vma, vpn: int, file: File) -> None:
    """do_read_fault(): cached pages around the address first, then the page itself."""
    fault_around(mm, vma, vpn, file)
    if vpn not in mm.ptes:
        map_file_page(mm, vma, vpn, shmem_fault(mm, file, vma.pgoff_of(vpn)))


def fault_around(mm: MmStruct, vma: Vma, vpn: int, file: File) -> None:
    """do_fault_around(): map what the page cache has of the 16 pages from the aligned address (or the VMA's start),

    within the VMA, the page table and the file, wherever there is no pte yet.
    """
    first = max(vpn & ~(FAULT_AROUND_PAGES - 1), vma.start)
    last = min((first | (HPAGE_PMD_NR - 1)) + 1, vma.end, first + FAULT_AROUND_PAGES)
    for around in range(first, last):
        index = vma.pgoff_of(around)
        folio = file.cache.get(index)
        if folio is not None and index < file.nr_pages and around not in mm.ptes and around not in mm.swapped:
            folio.refcount += 1
            map_file_page(mm, vma, around, folio)


def do_shared_fault(mm: MmStruct, vma: Vma, vpn: int, file: File) -> None:
    """do_shared_fault(): one page, nothing around it."""
    map_file_page(mm, vma, vpn, shmem_fault(mm, file, vma.pgoff_of(vpn)), dirty=True)


def do_cow_fault(mm: MmStruct, vma: Vma, vpn: int, file: File) -> None:
    """do_cow_fault(): write to a private file mapping, a copy at once; the file's page enters the cache all the same."""
    anon_vma_prepare(mm, vma)
    source = shmem_fault(mm, file, vma.pgoff_of(vpn))
    mm.tables.add(vpn >> 9)
    map_new_anon(mm, vma, vpn)
    mm.lru.put(source)
