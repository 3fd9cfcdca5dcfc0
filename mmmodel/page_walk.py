"""mlock and munlock as Linux 6.1 and 6.12 do them: one walk over the page tables that exist.

Models mlock_vma_pages_range() and mlock_pte_range() of mm/mlock.c and walk_page_range() of mm/pagewalk.c, v6.1.  Same logic;
the kernel's walker calls back, this one is written out for the one callback that it serves.  A level is a function, as there;
what is none is stepped over with one read.  6.12 differs in what is below a PMD entry: :func:`mlock_folios`.
"""

from __future__ import annotations

from mmmodel.arraytypes import Records, Words
from mmmodel.constants import (
    P4D_SHIFT,
    P4D_SIZE,
    PAGE_SIZE,
    PGD_SHIFT_LA57,
    PMD_SHIFT,
    PMD_SIZE,
    PTRS_SHIFT,
    PUD_SHIFT,
    PUD_SIZE,
    VM_HUGETLB,
    VM_IO,
    VM_LOCKED,
    VM_PFNMAP,
)
from mmmodel.counters import (
    COND_RESCHED,
    MLOCK_PTE_RANGE,
    P4D_READ,
    PAGES_LOOKED_UP,
    PGD_READ,
    PMD_READ,
    PTE_COMPOUND,
    PTE_FOLIO,
    PTE_LOCK,
    PTE_READ,
    PTE_SPECIAL,
    PUD_READ,
    TABLES_ENTERED,
)
from mmmodel.counting import count
from mmmodel.folio import SPECIAL, folio_mlock_step, is_mapped_whole, mapped_page
from mmmodel.idea_code import call_mlock
from mmmodel.jit import kernel, step, unit
from mmmodel.kernels import IDEA, V6_12
from mmmodel.mlock_batch import batch_mlock_folio, batch_munlock_page, lru_add_drain, mlock_folio, munlock_page
from mmmodel.pages import compound_head, is_zero_pfn, page_trans_compound
from mmmodel.pgtable import entry_index, entry_table, is_swap_pmd, pmd_huge, pte_none, pte_offset, pte_pfn, pte_present
from mmmodel.state import ALGORITHM, BATCH_SIZE, CPU, IDEA_CODE, KERNEL, MLOCK_PVEC, State

HUGE = -1  # of begin_pte_range(): a huge PMD
COMPOUND = -2  # of page_of_pte(): a part of a huge page


@step
def begin_pte_range(s: State, pmd: int, address: int, end: int) -> int:
    """What is below a PMD entry that is not none: the entries to read, HUGE, or 0 for nothing.  Needs the page table lock."""
    counters = s.counters
    count(counters, MLOCK_PTE_RANGE, 1)
    count(counters, PTE_LOCK, 1)
    count(counters, COND_RESCHED, 1)
    entry = s.entries[pmd]
    if is_swap_pmd(entry):
        return 0
    if pmd_huge(entry):
        count(counters, PAGES_LOOKED_UP, 1)
        return HUGE
    read = (end - address) // PAGE_SIZE
    count(counters, TABLES_ENTERED, 1)
    count(counters, PTE_READ, read)
    count(counters, PAGES_LOOKED_UP, read)
    return read


@step
def next_present(entries: Words, slot: int, end: int) -> int:
    """First slot of [slot, end) whose entry is present, ``end`` if none is.

    Entries are read one after another, as the kernels' loops do; on its own, so that nothing of what is done with a page is in
    the way of the compiler where there is none.
    """
    while slot < end and not pte_present(entries[slot]):
        slot += 1
    return slot


@step
def page_of_pte(entries: Words, pages: Records, slot: int) -> int:
    """6.1: page to lock or unlock by this entry: 0 if there is none, SPECIAL or COMPOUND for one that is left alone."""
    pfn = mapped_page(entries, slot)
    return COMPOUND if pfn > 0 and page_trans_compound(pages, pfn) else pfn


@step
def count_kinds(counters: Words, special: int, compound: int, folio: int) -> None:
    """Book entries of zero pages and of parts of huge pages: those left alone, and those locked or unlocked with the page."""
    count(counters, PTE_SPECIAL, special)
    count(counters, PTE_COMPOUND, compound)
    count(counters, PTE_FOLIO, folio)


@unit
def mlock_folios(s: State, first: int, end: int, lock: bool) -> None:
    """Lock or unlock the folios that the entries in the slots [first, end), of one page table, map.

    A large one is a step for all its consecutive entries; it is locked only if they are all of it and within the range, and
    unlocked always.  Needs the page table lock.  Models the loop of mlock_pte_range(), v6.12.
    """
    entries, pages, pvec, size = s.entries, s.pages, s.pvecs[s.ctl[CPU], MLOCK_PVEC], s.ctl[BATCH_SIZE]
    slot, special, compound, folio = first, 0, 0, 0
    while slot < end:
        pfn = mapped_page(entries, slot)
        if pfn <= 0:
            special += 1 if pfn == SPECIAL else 0
            slot = next_present(entries, slot + 1, end)
            continue
        nr_entries = folio_mlock_step(entries, pages, slot, end)
        if not lock:
            batch_munlock_page(s, pages, pvec, size, compound_head(pages, pfn))
        elif is_mapped_whole(pages, pfn, slot, nr_entries, first, end):
            batch_mlock_folio(s, pages, pvec, size, compound_head(pages, pfn))
        else:
            compound += nr_entries
        folio += nr_entries if page_trans_compound(pages, pfn) else 0
        slot += nr_entries
    count_kinds(s.counters, special, compound, folio - compound)


@kernel
def mlock_pte_range(s: State, pmd: int, address: int, end: int, lock: bool) -> None:
    """Lock or unlock the pages of one PMD entry that is not none, within [address, end).

    Models mlock_pte_range(), v6.1 and v6.12.
    """
    read = begin_pte_range(s, pmd, address, end)
    if read == 0:
        return
    if read == HUGE:
        pfn = pte_pfn(s.entries[pmd])
        if not is_zero_pfn(s.pages, pfn):
            if lock:
                mlock_folio(s, pfn)
            else:
                munlock_page(s, pfn)
        return
    first = pte_offset(s, pmd, address)
    if s.ctl[KERNEL] >= V6_12:
        mlock_folios(s, first, first + read, lock)
        return
    entries, pages, pvec, size = s.entries, s.pages, s.pvecs[s.ctl[CPU], MLOCK_PVEC], s.ctl[BATCH_SIZE]
    slot, last, special, compound = first, first + read, 0, 0
    while slot < last:
        pfn = page_of_pte(entries, pages, slot)
        if pfn <= 0:
            special += 1 if pfn == SPECIAL else 0
            compound += 1 if pfn == COMPOUND else 0
            slot = next_present(entries, slot + 1, last)
            continue
        if lock:
            batch_mlock_folio(s, pages, pvec, size, pfn)
        else:
            batch_munlock_page(s, pages, pvec, size, pfn)
        slot += 1
    count_kinds(s.counters, special, compound, 0)


@kernel
def walk_pmd_range(s: State, table: int, address: int, end: int, lock: bool) -> None:
    """Entries of one PMD table.  A huge PMD is handed on, not split, since there is no pte_entry callback.

    Models walk_pmd_range(), v6.1.
    """
    read = 0
    while address < end:
        following = min((address & -PMD_SIZE) + PMD_SIZE, end)
        slot = (table << PTRS_SHIFT) | entry_index(address, PMD_SHIFT)
        read += 1
        if not pte_none(s.entries[slot]):
            mlock_pte_range(s, slot, address, following, lock)
        address = following
    count(s.counters, PMD_READ, read)


@kernel
def walk_pud_range(s: State, table: int, address: int, end: int, lock: bool) -> None:
    """Entries of one PUD table.  Models walk_pud_range(), v6.1, simplified: no huge PUDs."""
    read = 0
    while address < end:
        following = min((address & -PUD_SIZE) + PUD_SIZE, end)
        entry = s.entries[(table << PTRS_SHIFT) | entry_index(address, PUD_SHIFT)]
        read += 1
        if not pte_none(entry):
            count(s.counters, TABLES_ENTERED, 1)
            walk_pmd_range(s, entry_table(entry), address, following, lock)
        address = following
    count(s.counters, PUD_READ, read)


@kernel
def walk_p4d_range(s: State, table: int, address: int, end: int, lock: bool, counter: int) -> None:
    """Entries that cover 512 GiB each, the top table's with four levels; ``counter``: PGD_READ or P4D_READ.

    Models walk_p4d_range() and walk_pgd_range(), v6.1.
    """
    read = 0
    while address < end:
        following = min((address & -P4D_SIZE) + P4D_SIZE, end)
        entry = s.entries[(table << PTRS_SHIFT) | entry_index(address, P4D_SHIFT)]
        read += 1
        if not pte_none(entry):
            count(s.counters, TABLES_ENTERED, 1)
            walk_pud_range(s, entry_table(entry), address, following, lock)
        address = following
    count(s.counters, counter, read)


@kernel
def walk_page_range(s: State, mm: int, address: int, end: int, lock: bool) -> None:
    """Models walk_page_range() and walk_page_test(), simplified: a range inside one VMA, tested by the caller."""
    top = s.mms[mm]["pgd"]
    if s.mms[mm]["levels"] == 4:
        walk_p4d_range(s, top, address, end, lock, PGD_READ)
        return
    size = 1 << PGD_SHIFT_LA57
    while address < end:
        following = min((address & -size) + size, end)
        entry = s.entries[(top << PTRS_SHIFT) | entry_index(address, PGD_SHIFT_LA57)]
        count(s.counters, PGD_READ, 1)
        if not pte_none(entry):
            count(s.counters, TABLES_ENTERED, 1)
            walk_p4d_range(s, entry_table(entry), address, following, lock, P4D_READ)
        address = following


@step
def walk_to_pmd(s: State, mm: int, address: int) -> int:
    """The walk's way down to one PMD entry: its slot, or 0 if that or what is above it is none.

    Counts what :func:`walk_page_range` counts for a range that lies below one PMD entry.
    """
    table, five_level = s.mms[mm]["pgd"], s.mms[mm]["levels"] == 5
    for shift, counter in ((PGD_SHIFT_LA57, PGD_READ), (P4D_SHIFT, P4D_READ), (PUD_SHIFT, PUD_READ)):
        if shift == PGD_SHIFT_LA57 and not five_level:
            continue
        count(s.counters, PGD_READ if shift == P4D_SHIFT and not five_level else counter, 1)
        entry = s.entries[(table << PTRS_SHIFT) | entry_index(address, shift)]
        if pte_none(entry):
            return 0
        count(s.counters, TABLES_ENTERED, 1)
        table = entry_table(entry)
    count(s.counters, PMD_READ, 1)
    slot = (table << PTRS_SHIFT) | entry_index(address, PMD_SHIFT)
    return 0 if pte_none(s.entries[slot]) else slot


@step
def set_vm_flags(s: State, vma: int, vm_flags: int) -> None:
    """Store a VMA's flags: seen at once by who holds another lock than mmap_lock."""
    s.vmas[vma]["vm_flags"] = vm_flags


@step
def is_walked(s: State, vma: int) -> bool:
    """Whether the walk goes into a VMA."""
    return s.vmas[vma]["vm_flags"] & (VM_PFNMAP | VM_HUGETLB) == 0


@unit
def mlock_vma_pages_range(s: State, mm: int, vma: int, start: int, end: int, newflags: int) -> None:
    """Give a VMA its new flags, then lock or unlock the pages that are there.  Needs mmap_lock for writing.

    While pages are being locked the VMA also carries VM_IO, set in the same store as VM_LOCKED: a racing rmap walk (migration,
    reclaim) then declines to mlock a page that this walk is about to count.

    Visits: one entry per missing table or page below the tables that exist; the span of what is missing costs nothing.

    Models mlock_vma_pages_range(), v6.1; 6.12 takes the VMA's lock, which no call here waits for.
    """
    lock = newflags & VM_LOCKED != 0
    set_vm_flags(s, vma, newflags | VM_IO if lock else newflags)
    lru_add_drain(s)
    if is_walked(s, vma):
        walk_page_range(s, mm, start, end, lock)
    lru_add_drain(s)
    set_vm_flags(s, vma, newflags)


@kernel
def mlock_range(s: State, mm: int, vma: int, start: int, end: int, newflags: int) -> None:
    """Mlock or munlock a range by the machine's algorithm."""
    if s.ctl[ALGORITHM] == IDEA:
        call_mlock(s.ctl[IDEA_CODE], s, mm, vma, start, end, newflags)
    else:
        mlock_vma_pages_range(s, mm, vma, start, end, newflags)
