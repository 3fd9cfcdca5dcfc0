"""Page tables: entries, tables, and the way from an address to its entry.

Models include/linux/pgtable.h and arch/x86/include/asm/pgtable*.h.  A table is 512 words of ``State.entries``; an entry's frame
number field holds the number of the table or page below.  A *slot* is the index of an entry in ``State.entries``; slot 0 stands
for "no such table".  Nothing here counts but free_pgd_range(): hardware walks and kernel look-ups that are not modelled costs
use these; the other counted walks are in :mod:`mmmodel.gup`, :mod:`mmmodel.page_walk` and :mod:`mmmodel.zap`.
"""

from __future__ import annotations

from mmmodel.arraytypes import Words
from mmmodel.constants import (
    _PAGE_ACCESSED,
    _PAGE_DIRTY,
    _PAGE_NX,
    _PAGE_PRESENT,
    _PAGE_PROTNONE,
    _PAGE_PSE,
    _PAGE_RW,
    _PAGE_SPECIAL,
    _PAGE_USER,
    NONE_MASK,
    P4D_SHIFT,
    P4D_SIZE,
    PFN_FIELD,
    PGD_SHIFT_LA57,
    PMD_SHIFT,
    PMD_SIZE,
    PTE_SHIFT,
    PTRS_PER_TABLE,
    PTRS_SHIFT,
    PUD_SHIFT,
    PUD_SIZE,
    SWP_OFFSET_FIELD,
    SWP_OFFSET_SHIFT,
    SWP_TYPE_SHIFT,
    TABLE_BITS,
    VM_ACCESS_FLAGS,
    VM_EXEC,
    VM_SHARED,
    VM_WRITE,
)
from mmmodel.counters import UNMAP_PMD_READ, UNMAP_UPPER_READ
from mmmodel.counting import count
from mmmodel.jit import kernel, primitive, step, unit
from mmmodel.state import TABLES_FREE, TABLES_NFREE, TABLES_TOP, State

# ---- entries: values ----


@primitive
def pte_none(entry: int) -> bool:
    """Models pte_none(): nothing set but the bits that an erratum may set."""
    return entry & NONE_MASK == 0


@primitive
def pte_present(entry: int) -> bool:
    """Models pte_present(): PROT_NONE entries are present."""
    return entry & (_PAGE_PRESENT | _PAGE_PROTNONE) != 0


@primitive
def pmd_present(entry: int) -> bool:
    """Models pmd_present()."""
    return entry & (_PAGE_PRESENT | _PAGE_PROTNONE | _PAGE_PSE) != 0


@primitive
def pmd_huge(entry: int) -> bool:
    """Models pmd_trans_huge(): a present PMD that maps 2 MiB."""
    return entry & _PAGE_PSE != 0 and pmd_present(entry)


@kernel
def is_swap_pmd(entry: int) -> bool:
    """Models is_swap_pmd(): a PMD migration entry."""
    return not pte_none(entry) and not pmd_present(entry)


@kernel
def is_swap_pte(entry: int) -> bool:
    """Models is_swap_pte(): swapped out, or a migration entry."""
    return not pte_none(entry) and not pte_present(entry)


@kernel
def swp_type(entry: int) -> int:
    """Type of a swap-format entry: 0 is the swap file, others are not pages on disk.  Models swp_type()."""
    return (entry >> SWP_TYPE_SHIFT) & 31


@step
def pte_pfn(entry: int) -> int:
    """Frame number of a present entry; stored inverted where _PAGE_PRESENT is clear (the L1TF mitigation).

    Models pte_pfn().
    """
    if entry & _PAGE_PRESENT == 0:
        entry = ~entry
    return (entry >> PTE_SHIFT) & PFN_FIELD


@kernel
def mk_pte(pfn: int, prot: int) -> int:
    """Entry that maps ``pfn`` with the protection bits ``prot``.  Models mk_pte()."""
    if prot & _PAGE_PRESENT == 0:
        pfn = ~pfn
    return ((pfn & PFN_FIELD) << PTE_SHIFT) | prot


@kernel
def vm_page_prot(vm_flags: int) -> int:
    """Protection bits of a VMA's entries before dirty and write: models vm_get_page_prot(), private pages read-only."""
    if vm_flags & VM_ACCESS_FLAGS == 0:
        return _PAGE_PROTNONE | _PAGE_ACCESSED
    prot = _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED
    if vm_flags & VM_EXEC == 0:
        prot |= _PAGE_NX
    if vm_flags & (VM_SHARED | VM_WRITE) == VM_SHARED | VM_WRITE:
        prot |= _PAGE_RW
    return prot


@kernel
def pte_modify(entry: int, prot: int) -> int:
    """Models pte_modify(): the same page under a new protection; dirty, special and huge bits stay."""
    return mk_pte(pte_pfn(entry), prot | (entry & (_PAGE_DIRTY | _PAGE_SPECIAL | _PAGE_PSE)))


@primitive
def entry_table(entry: int) -> int:
    """Number of the table that an upper-level entry points to."""
    return (entry >> PTE_SHIFT) & PFN_FIELD


@primitive
def entry_index(address: int, shift: int) -> int:
    """Index within its table of the entry that covers ``address`` at the level of ``shift``."""
    return (address >> shift) & (PTRS_PER_TABLE - 1)


# ---- tables ----


@kernel
def alloc_table(s: State, mm: int) -> int:
    """A zeroed table for ``mm``.  The caller has made sure that there is room (:func:`mmmodel.pages.arena_low`)."""
    table = s.ctl[TABLES_FREE]
    if table != 0:
        s.ctl[TABLES_FREE] = s.entries[table << PTRS_SHIFT]
        s.ctl[TABLES_NFREE] -= 1
        s.entries[table << PTRS_SHIFT : (table + 1) << PTRS_SHIFT] = 0
    else:  # never used, so still zero
        table = s.ctl[TABLES_TOP]
        s.ctl[TABLES_TOP] = table + 1
    s.mms[mm]["nr_tables"] += 1
    return table


@kernel
def free_table(s: State, mm: int, table: int) -> None:
    """Give a table back."""
    s.entries[table << PTRS_SHIFT] = s.ctl[TABLES_FREE]
    s.ctl[TABLES_FREE] = table
    s.ctl[TABLES_NFREE] += 1
    s.mms[mm]["nr_tables"] -= 1


@kernel
def deposit_table(s: State, mm: int, table: int) -> None:
    """Models pgtable_trans_huge_deposit(): keep a table for the day when a huge PMD is split."""
    s.entries[table << PTRS_SHIFT] = s.mms[mm]["deposit"]
    s.mms[mm]["deposit"] = table


@kernel
def withdraw_table(s: State, mm: int) -> int:
    """Models pgtable_trans_huge_withdraw(): a deposited table, zeroed."""
    table = s.mms[mm]["deposit"]
    s.mms[mm]["deposit"] = s.entries[table << PTRS_SHIFT]
    s.entries[table << PTRS_SHIFT] = 0
    return table


@kernel
def descend(entries: Words, table: int, address: int, shift: int) -> int:
    """Table below ``table`` on the way to ``address``; 0 if there is none, or ``table`` is 0."""
    if table == 0:
        return 0
    entry = entries[(table << PTRS_SHIFT) | entry_index(address, shift)]
    return 0 if pte_none(entry) else entry_table(entry)


@kernel
def p4d_table(s: State, mm: int, address: int) -> int:
    """Table whose entries cover 512 GiB each: the top one with 4 levels."""
    top = s.mms[mm]["pgd"]
    return top if s.mms[mm]["levels"] == 4 else descend(s.entries, top, address, PGD_SHIFT_LA57)


@kernel
def pmd_table(s: State, mm: int, address: int) -> int:
    """Table whose entries cover 2 MiB each; 0 if there is none."""
    pud = descend(s.entries, p4d_table(s, mm, address), address, P4D_SHIFT)
    return descend(s.entries, pud, address, PUD_SHIFT)


@kernel
def find_pmd(s: State, mm: int, address: int) -> int:
    """Slot of the PMD entry of ``address``, or 0."""
    table = pmd_table(s, mm, address)
    return 0 if table == 0 else (table << PTRS_SHIFT) | entry_index(address, PMD_SHIFT)


@step
def pte_offset(s: State, pmd: int, address: int) -> int:
    """Slot of the page table entry of ``address`` under the PMD entry at slot ``pmd``, which points to a table."""
    return (entry_table(s.entries[pmd]) << PTRS_SHIFT) | entry_index(address, PTE_SHIFT)


@kernel
def find_pte(s: State, mm: int, address: int) -> int:
    """Slot of the page table entry of ``address``; 0 if there is no table or a huge PMD."""
    pmd = find_pmd(s, mm, address)
    if pmd == 0 or pte_none(s.entries[pmd]) or s.entries[pmd] & _PAGE_PRESENT == 0 or pmd_huge(s.entries[pmd]):
        return 0
    return pte_offset(s, pmd, address)


@step
def pmd_slot(s: State, mm: int, address: int) -> int:
    """Slot of the PMD entry of ``address`` if that points to a table of page table entries, else 0."""
    return find_pmd(s, mm, address) if find_pte(s, mm, address) != 0 else 0


@step
def any_pmd_slot(s: State, mm: int, address: int) -> int:
    """Slot of the PMD entry of ``address``, whatever it is, or 0 if there is no table for it."""
    return find_pmd(s, mm, address)


@kernel
def alloc_below(s: State, mm: int, slot: int) -> int:
    """Table that the upper-level entry at ``slot`` points to, made if there is none.  Models p?d_alloc()."""
    entry = s.entries[slot]
    if not pte_none(entry):
        return entry_table(entry)
    table = alloc_table(s, mm)
    s.entries[slot] = (table << PTE_SHIFT) | TABLE_BITS
    return table


@unit
def alloc_pmd(s: State, mm: int, address: int) -> int:
    """Slot of the PMD entry of ``address``; the tables above are made if need be.  Models pmd_alloc()."""
    table = s.mms[mm]["pgd"]
    if s.mms[mm]["levels"] == 5:
        table = alloc_below(s, mm, (table << PTRS_SHIFT) | entry_index(address, PGD_SHIFT_LA57))
    table = alloc_below(s, mm, (table << PTRS_SHIFT) | entry_index(address, P4D_SHIFT))
    table = alloc_below(s, mm, (table << PTRS_SHIFT) | entry_index(address, PUD_SHIFT))
    return (table << PTRS_SHIFT) | entry_index(address, PMD_SHIFT)


@kernel
def alloc_pte(s: State, mm: int, pmd: int, address: int) -> int:
    """Slot of the page table entry of ``address``; its table is made if the PMD entry at slot ``pmd`` is none.

    Models pte_alloc().
    """
    return (alloc_below(s, mm, pmd) << PTRS_SHIFT) | entry_index(address, PTE_SHIFT)


# ---- free_pgtables() ----


@kernel
def _entries_of(start: int, end: int, shift: int) -> int:
    """How many entries of the level of ``shift`` cover [start, end), which is not empty."""
    return ((end - 1) >> shift) - (start >> shift) + 1


@unit
def count_unmap_read(s: State, mm: int, start: int, end: int) -> None:
    """Book the entries above the page tables that unmapping [start, end) reads: all of the range in each table that is there.

    Models the loops of unmap_page_range() down to zap_pmd_range(), and those of free_pgd_range() down to free_pmd_range().
    """
    upper, pmds = 0, 0
    if s.mms[mm]["levels"] == 5:
        upper += _entries_of(start, end, PGD_SHIFT_LA57)
    while start < end:
        p4d = p4d_table(s, mm, start)
        if p4d == 0:
            start = (start & -(1 << PGD_SHIFT_LA57)) + (1 << PGD_SHIFT_LA57)
            continue
        following = min((start & -P4D_SIZE) + P4D_SIZE, end)
        upper += 1
        pud = descend(s.entries, p4d, start, P4D_SHIFT)
        if pud != 0:
            upper += _entries_of(start, following, PUD_SHIFT)
            while start < following:
                below = min((start & -PUD_SIZE) + PUD_SIZE, following)
                if descend(s.entries, pud, start, PUD_SHIFT) != 0:
                    pmds += _entries_of(start, below, PMD_SHIFT)
                start = below
        start = following
    count(s.counters, UNMAP_PMD_READ, pmds)
    count(s.counters, UNMAP_UPPER_READ, upper)


@kernel
def _range_is_ours(start: int, end: int, floor: int, ceiling: int, size: int) -> bool:
    """Whether the table that covers [start, end), ``size`` bytes of address space, lies between floor and ceiling."""
    start &= -size
    if start < floor:
        return False
    if ceiling != 0:
        ceiling &= -size
        if ceiling == 0:
            return False
    return end <= ceiling or ceiling == 0


@kernel
def _free_pmd_range(s: State, mm: int, pud: int, address: int, end: int, floor: int, ceiling: int) -> None:
    """Models free_pmd_range(): page tables under one PUD entry, then the PMD table if all of it is ours."""
    start = address
    pmds = entry_table(s.entries[pud]) << PTRS_SHIFT
    while address < end:
        step = min((address & -PMD_SIZE) + PMD_SIZE, end)
        slot = pmds | entry_index(address, PMD_SHIFT)
        if not pte_none(s.entries[slot]):
            free_table(s, mm, entry_table(s.entries[slot]))
            s.entries[slot] = 0
        address = step
    if _range_is_ours(start, end, floor, ceiling, PUD_SIZE):
        s.entries[pud] = 0
        free_table(s, mm, pmds >> PTRS_SHIFT)


@kernel
def _free_pud_range(s: State, mm: int, p4d: int, address: int, end: int, floor: int, ceiling: int) -> None:
    """Models free_pud_range()."""
    start = address
    puds = entry_table(s.entries[p4d]) << PTRS_SHIFT
    while address < end:
        step = min((address & -PUD_SIZE) + PUD_SIZE, end)
        slot = puds | entry_index(address, PUD_SHIFT)
        if not pte_none(s.entries[slot]):
            _free_pmd_range(s, mm, slot, address, step, floor, ceiling)
        address = step
    if _range_is_ours(start, end, floor, ceiling, P4D_SIZE):
        s.entries[p4d] = 0
        free_table(s, mm, puds >> PTRS_SHIFT)


@kernel
def _free_p4d_range(s: State, mm: int, p4ds: int, address: int, end: int, floor: int, ceiling: int) -> None:
    """Models free_p4d_range(); ``p4ds`` is the table whose entries cover 512 GiB."""
    while address < end:
        step = min((address & -P4D_SIZE) + P4D_SIZE, end)
        slot = (p4ds << PTRS_SHIFT) | entry_index(address, P4D_SHIFT)
        if not pte_none(s.entries[slot]):
            _free_pud_range(s, mm, slot, address, step, floor, ceiling)
        address = step


@unit
def free_pgd_range(s: State, mm: int, address: int, end: int, floor: int, ceiling: int) -> None:
    """Free the tables that served only [address, end).

    Models free_pgd_range() in mm/memory.c (same logic in 5.10 and 6.1).  ``floor`` and ``ceiling``: end of the VMA below and
    start of the one above, 0 if there is none; a table that reaches beyond them is still in use.
    """
    address &= -PMD_SIZE
    if address < floor:
        address += PMD_SIZE
    if ceiling != 0:
        ceiling &= -PMD_SIZE
        if ceiling == 0:
            return
        if end > ceiling:
            end -= PMD_SIZE
    if address >= end:
        return
    count_unmap_read(s, mm, address, end)
    top = s.mms[mm]["pgd"]
    if s.mms[mm]["levels"] == 4:
        _free_p4d_range(s, mm, top, address, end, floor, ceiling)
        return
    size = 1 << PGD_SHIFT_LA57
    while address < end:
        step = min((address & -size) + size, end)
        slot = (top << PTRS_SHIFT) | entry_index(address, PGD_SHIFT_LA57)
        if not pte_none(s.entries[slot]):
            p4ds = entry_table(s.entries[slot])
            _free_p4d_range(s, mm, p4ds, address, step, floor, ceiling)
            if _range_is_ours(address, step, floor, ceiling, size):
                s.entries[slot] = 0
                free_table(s, mm, p4ds)
        address = step


@kernel
def swap_entry(bits: int, offset: int) -> int:
    """A swap-format entry: type bits (already in place) and an offset, stored inverted."""
    return bits | ((~offset & SWP_OFFSET_FIELD) << SWP_OFFSET_SHIFT)


@kernel
def swp_offset(entry: int) -> int:
    """Offset in a swap-format entry: place in the swap file, or pfn of a page in migration.  Models swp_offset()."""
    return (~entry >> SWP_OFFSET_SHIFT) & SWP_OFFSET_FIELD


# ---- walks that count nothing ----


@kernel
def _after_none(entries: Words, table: int, address: int, end: int, shift: int) -> int:
    """Address behind the entries of one table that are none, ``address``'s among them; at most ``end``."""
    size = 1 << shift
    end = min(end, (address & -(size << PTRS_SHIFT)) + (size << PTRS_SHIFT))
    while address < end and pte_none(entries[(table << PTRS_SHIFT) | entry_index(address, shift)]):
        address = (address & -size) + size
    return min(address, end)


@kernel
def next_pmd(s: State, mm: int, address: int, end: int) -> tuple[int, int]:
    """First PMD entry that is not none at or after ``address``: (address, slot), slot 0 if there is none below ``end``.

    The address returned is ``address`` itself or the start of the PMD's 2 MiB.
    """
    while address < end:
        p4d = p4d_table(s, mm, address)
        if p4d == 0:
            address = (address & -(1 << PGD_SHIFT_LA57)) + (1 << PGD_SHIFT_LA57)
            continue
        pud = descend(s.entries, p4d, address, P4D_SHIFT)
        if pud == 0:
            address = _after_none(s.entries, p4d, address, end, P4D_SHIFT)
            continue
        pmd = descend(s.entries, pud, address, PUD_SHIFT)
        if pmd == 0:
            address = _after_none(s.entries, pud, address, end, PUD_SHIFT)
            continue
        slot = (pmd << PTRS_SHIFT) | entry_index(address, PMD_SHIFT)
        if not pte_none(s.entries[slot]):
            return address, slot
        address = _after_none(s.entries, pmd, address, end, PMD_SHIFT)
    return end, 0
