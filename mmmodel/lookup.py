"""One look-up from the top of the page tables, and what it read.

The result of :func:`lookup` is a slot of a page table entry, the negated slot of a huge PMD, or, below FIRST_SLOT, the level at
which there was nothing: the number of entries read follows from it, so hot loops count results and settle afterwards.
"""

from __future__ import annotations

from mmmodel.arraytypes import Words
from mmmodel.constants import (
    P4D_SHIFT,
    PGD_SHIFT_LA57,
    PMD_SHIFT,
    PTE_SHIFT,
    PTRS_PER_TABLE,
    PTRS_SHIFT,
    PUD_SHIFT,
)
from mmmodel.counters import P4D_READ, PGD_READ, PMD_READ, PTE_READ, PUD_READ, TABLES_ENTERED
from mmmodel.jit import COUNTING, kernel, step
from mmmodel.pgtable import entry_index, entry_table, pmd_huge, pmd_present, pte_none

NONE_AT_PMD = 2  # no page table: none, or a PMD migration entry
NONE_AT_PUD = 3
NONE_AT_P4D = 4
NONE_AT_PGD = 5  # 5-level page tables only: with 4 the top table is tested as P4D, as in the kernel
FIRST_SLOT = PTRS_PER_TABLE


@step
def lookup(entries: Words, top: int, five_level: bool, address: int) -> int:
    """Walk from table ``top`` to the entry of ``address``.

    Models follow_page_mask() and follow_page_pte(), simplified: down to the entry, which callers judge; no huge PUDs, no DAX.
    """
    table = top
    if five_level:
        entry = entries[(table << PTRS_SHIFT) | entry_index(address, PGD_SHIFT_LA57)]
        if pte_none(entry):
            return NONE_AT_PGD
        table = entry_table(entry)
    entry = entries[(table << PTRS_SHIFT) | entry_index(address, P4D_SHIFT)]
    if pte_none(entry):
        return NONE_AT_P4D
    entry = entries[(entry_table(entry) << PTRS_SHIFT) | entry_index(address, PUD_SHIFT)]
    if pte_none(entry):
        return NONE_AT_PUD
    slot = (entry_table(entry) << PTRS_SHIFT) | entry_index(address, PMD_SHIFT)
    entry = entries[slot]
    if pte_none(entry) or not pmd_present(entry):
        return NONE_AT_PMD
    if pmd_huge(entry):
        return -slot
    return (entry_table(entry) << PTRS_SHIFT) | entry_index(address, PTE_SHIFT)


@kernel
def hole_size_shift(result: int) -> int:
    """Shift of the size of the hole that a result below FIRST_SLOT stands for."""
    if result == NONE_AT_PMD:
        return PMD_SHIFT
    if result == NONE_AT_PUD:
        return PUD_SHIFT
    return P4D_SHIFT if result == NONE_AT_P4D else PGD_SHIFT_LA57


@kernel
def count_lookups(counters: Words, five_level: bool, pgd: int, p4d: int, pud: int, pmd: int, pte: int) -> None:
    """Book look-ups by where they ended: ``pgd`` of them in an empty top entry of five levels, ... ``pmd`` at the PMD (none or
    huge), ``pte`` at a page table entry."""
    if not COUNTING:
        return
    read_pte = pte
    read_pmd = read_pte + pmd
    read_pud = read_pmd + pud
    read_p4d = read_pud + p4d
    counters[PTE_READ] += read_pte
    counters[PMD_READ] += read_pmd
    counters[PUD_READ] += read_pud
    counters[TABLES_ENTERED] += read_pud + read_pmd + read_pte
    if five_level:
        counters[P4D_READ] += read_p4d
        counters[PGD_READ] += read_p4d + pgd
        counters[TABLES_ENTERED] += read_p4d
    else:
        counters[PGD_READ] += read_p4d


@kernel
def count_lookup(counters: Words, five_level: bool, result: int) -> None:
    """Book one look-up."""
    count_lookups(
        counters,
        five_level,
        1 if result == NONE_AT_PGD else 0,
        1 if result == NONE_AT_P4D else 0,
        1 if result == NONE_AT_PUD else 0,
        1 if result == NONE_AT_PMD or result < 0 else 0,
        1 if result >= FIRST_SLOT else 0,
    )
