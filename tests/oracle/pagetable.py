"""Page table entries of one address space: zap, protect, split, free (mm/memory.c, mm/mprotect.c, huge_memory.c)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .constants import HPAGE_PMD_NR, VM_SHARED, VM_WRITE
from .folio import Folio
from .mmstruct import PMD_TABLE, MmStruct
from .swap import free_swap_and_cache, free_swap_cache

if TYPE_CHECKING:
    from .vma import Vma


@dataclass
class Pte:
    """A present pte. PROT_NONE is not a property of it: the VMA says so, and the page stays."""

    folio: Folio | None  # None: the zero page
    subpage: int = 0
    write: bool = False
    dirty: bool = False


@dataclass
class Pmd:
    """A huge PMD."""

    folio: Folio | None  # None: the huge zero page
    write: bool = False


def alloc_upper_tables(mm: MmStruct, vpn: int) -> None:
    """pmd_alloc(): all tables above the page table of a page."""
    for kind, tables in mm.upper.items():
        tables.add(vpn >> kind)


def count_reads(mm: MmStruct, start: int, end: int) -> None:
    """What unmapping [start, end) reads above page tables: in every table there is, the entries that the range touches."""

    def touched(first: int, last: int, shift: int) -> int:
        return len(range(first >> shift, (last - 1 >> shift) + 1))

    counted = mm.machine.counted
    counted["unmap_upper_read"] += touched(start, end, max(mm.upper))  # the top table is always there
    for kind, tables in mm.upper.items():
        for nr in tables:
            first, last = max(start, nr << kind), min(end, nr + 1 << kind)
            if first < last:
                counted["unmap_pmd_read" if kind == PMD_TABLE else "unmap_upper_read"] += touched(first, last, kind - 9)


def split_huge_pmd_if_needed(mm: MmStruct, vma: Vma, vpn: int) -> None:
    """vma_adjust_trans_huge(): a VMA boundary at `vpn` must not lie inside a huge PMD."""
    if vpn % HPAGE_PMD_NR and vpn >> 9 in mm.pmds:
        split_huge_pmd(mm, vma, vpn >> 9)


def split_huge_pmd(mm: MmStruct, vma: Vma, pmd_nr: int) -> None:
    """__split_huge_pmd(): 512 ptes to the same (still compound) page, or to the zero page, not dirty."""
    pmd = mm.pmds[pmd_nr]
    folio, first = pmd.folio, pmd_nr * HPAGE_PMD_NR
    if folio is not None and not mm.series:
        mm.lru.pmd_being_split(folio, vma)
    del mm.pmds[pmd_nr]
    mm.tables.add(pmd_nr)
    if folio is None:
        mm.ptes.update((first + i, Pte(None)) for i in range(HPAGE_PMD_NR))
        return
    folio.refcount += HPAGE_PMD_NR - 1
    folio.double_map = True
    folio.unmap_pmd(mm, first)
    if 0 in folio.exclusive:
        folio.exclusive.update(range(HPAGE_PMD_NR))
    for i in range(HPAGE_PMD_NR):
        mm.ptes[first + i] = Pte(folio, i, write=pmd.write)
        folio.map_pte(mm, first + i, i)
    if mm.series:
        mm.lru.pmd_being_split(folio, vma)


def unmap_pte(mm: MmStruct, vma: Vma, vpn: int) -> Folio | None:
    """Clear a pte and its rmap. Returns the folio, whose reference the caller must drop."""
    pte = mm.ptes.pop(vpn)
    if pte.folio is not None:
        pte.folio.unmap_pte(mm, vpn, pte.subpage)
        mm.lru.rmap_removed(pte.folio, vma, compound=False)
    return pte.folio


def unmap_pmd(mm: MmStruct, vma: Vma, pmd_nr: int) -> Folio | None:
    """zap_huge_pmd(): the page table deposited for a later split goes as well."""
    pmd = mm.pmds.pop(pmd_nr)
    if pmd.folio is not None:
        pmd.folio.unmap_pmd(mm, pmd_nr * HPAGE_PMD_NR)
        mm.lru.rmap_removed(pmd.folio, vma, compound=True)
    return pmd.folio


def zap_range(mm: MmStruct, vma: Vma, start: int, end: int) -> list[Folio]:
    """unmap_page_range(): returns the mmu_gather, for finish_mmu()."""
    gather: list[Folio] = []
    count_reads(mm, start, end)
    for vpn in mm.in_swap(start, end):
        free_swap_and_cache(mm, vpn)
    for vpn in mm.huge_pmds(start, end):
        if vpn < start or vpn + HPAGE_PMD_NR > end:
            split_huge_pmd(mm, vma, vpn >> 9)
    mm.machine.counted["zap_special"] += sum(mm.ptes[vpn].folio is None for vpn in mm.populated(start, end))
    if mm.folios:
        return gather + zap_folios(mm, vma, start, end)
    for vpn in mm.entries(start, end):
        folio = unmap_pte(mm, vma, vpn) if vpn in mm.ptes else unmap_pmd(mm, vma, vpn >> 9)
        if folio is not None:
            gather.append(folio)
    return gather


def pte_batch(mm: MmStruct, vpn: int, end: int) -> int:
    """folio_pte_batch(): how many ptes from `vpn` on map consecutive pages of one folio, in one page table, below `end`."""
    first = mm.ptes[vpn]
    nr = 1
    while (vpn + nr) % HPAGE_PMD_NR and vpn + nr < end:
        pte = mm.ptes.get(vpn + nr)
        if first.folio is None or pte is None or pte.folio is not first.folio or pte.subpage != first.subpage + nr:
            break
        nr += 1
    return nr


def zap_folios(mm: MmStruct, vma: Vma, start: int, end: int) -> list[Folio]:
    """zap_present_ptes(), zap_huge_pmd() of 6.12: a batch of ptes of one folio goes as one, and is munlocked as one."""
    gather: list[Folio] = []
    taken = start
    for vpn in mm.entries(start, end):
        if vpn < taken:
            continue
        if vpn not in mm.ptes:
            huge = unmap_pmd(mm, vma, vpn >> 9)
            gather += [] if huge is None else [huge]
            continue
        taken = vpn + pte_batch(mm, vpn, end)
        folio = mm.ptes[vpn].folio
        for at in range(vpn, taken):
            pte = mm.ptes.pop(at)
            if folio is not None:
                folio.unmap_pte(mm, at, pte.subpage)
                gather.append(folio)
        if folio is not None:
            mm.lru.rmap_removed(folio, vma, compound=False)
    return gather


def finish_mmu(mm: MmStruct, gather: list[Folio]) -> None:
    """tlb_finish_mmu() to free_pages_and_swap_cache(): drain this CPU, then drop the references of the ptes."""
    if gather:
        mm.lru.drain()
    for folio in gather:
        free_swap_cache(mm.lru, folio)
        mm.lru.put(folio)


def zap_page_range(mm: MmStruct, vma: Vma, start: int, end: int) -> None:
    """zap_page_range() and zap_page_range_single(): MADV_DONTNEED, truncate."""
    mm.lru.drain()
    finish_mmu(mm, zap_range(mm, vma, start, end))


def free_pgtables(mm: MmStruct, detached: list[tuple[int, int]], floor: int, ceiling: int | None) -> None:
    """free_pgtables(): tables that serve only the unmapped areas, between neighbours at `floor` and `ceiling`.

    Areas less than a table apart are treated as one. A table left behind keeps huge pages out of its 2 MiB.
    """
    while detached:
        start, end = detached.pop(0)
        while detached and detached[0][0] <= end + HPAGE_PMD_NR:
            end = detached.pop(0)[1]
        group_ceiling = detached[0][0] if detached else ceiling
        first = start >> 9
        if first << 9 < floor:
            first += 1
        if group_ceiling is not None and end > group_ceiling & ~(HPAGE_PMD_NR - 1):
            end -= HPAGE_PMD_NR
        last = -(-end // HPAGE_PMD_NR)
        if first >= last:
            continue
        count_reads(mm, first << 9, last << 9)
        mm.tables -= {nr for nr in mm.tables if first <= nr < last}
        for kind, tables in mm.upper.items():
            met = {nr for nr in tables if nr << kind < last << 9 and nr + 1 << kind > first << 9}
            tables -= {nr for nr in met if nr << kind >= floor and (group_ceiling is None or nr + 1 << kind <= group_ceiling)}


def change_protection(mm: MmStruct, vma: Vma, start: int, end: int) -> None:
    """change_protection() to the flags that `vma` has now.

    Private ptes lose their write permission, to get it back by a fault. 6.1 gives it back at once to dirty pages that
    are exclusive to this process; never to a huge PMD. 6.12 gives it to all that are exclusive.
    """
    shared, writable = bool(vma.vm_flags & VM_SHARED), bool(vma.vm_flags & VM_WRITE)
    for vpn in mm.huge_pmds(start, end):
        pmd = mm.pmds[vpn >> 9]
        pmd.write = mm.folios and writable and pmd.folio is not None and 0 in pmd.folio.exclusive
    for vpn in mm.populated(start, end):
        pte = mm.ptes[vpn]
        if shared:
            pte.write = writable
        else:
            exclusive = pte.folio is not None and pte.folio.anon and pte.subpage in pte.folio.exclusive
            pte.write = mm.series and writable and exclusive and (pte.dirty or mm.folios)
