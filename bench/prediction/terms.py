"""The terms of the cost model: events of a call, each told by the model's exact counters.

A term is an event of the kernel's code, never a scenario. Which calls it belongs to is part of it, as the kernel's code for an
event is: munlock() looks pages up in another loop than populate does. Where an event has no counter of its own, several tell:
the look-ups that ended at an empty PMD entry are the PMD entries read less the look-ups that came to a page table entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, NamedTuple

from mmmodel import kernels
from mmmodel.constants import HPAGE_PMD_NR

Calls = Literal["unlock", "lock", "unmap", "exit"]
CALLS: Final[dict[str, Calls]] = {
    "munlock": "unlock",
    "munlockall": "unlock",
    "mlock": "lock",
    "mlock2": "lock",
    "mlockall": "lock",
    "munmap": "unmap",
    "exit": "exit",
}
# Counted beside the model's counters.
KEPT: Final = "vmas_kept"  # VMAs that a call goes past, as they are locked or unlocked as it wants them
REFILLED: Final = "lists_refilled"  # pages that the allocator's lists of free pages took from its free areas
SPILLED: Final = "lists_spilled"  # pages that these lists could not keep


class Counts:
    """The counters of one call, absent ones 0, and the numbers of events that follow from several of them."""

    def __init__(self, counters: Mapping[str, int]) -> None:
        self._counters = counters

    def __getitem__(self, name: str) -> int:
        """Return a counter by its name, without `model_` and `unevictable_`."""
        names = (f"model_{name}", f"unevictable_{name}", name)
        return next((self._counters[one] for one in names if one in self._counters), 0)

    @property
    def looked_at_pte(self) -> int:
        """Look-ups that came to a page table entry: each enters a table more than those that end at the PMD."""
        return self["tables_entered"] - self["p4d_read"] - self["pud_read"] - self["pmd_read"]

    @property
    def in_vectors(self) -> int:
        """Pages in vectors of 5.10: the one that a look-up found for each, and those added behind it."""
        return self["pages_looked_up"] - self["follow_page"] + self["pagevecs"]

    @property
    def fills_ended(self) -> int:
        """Entries without a page, at which filling a vector ended: entries read that are neither looked up nor added."""
        return self["pte_read"] - self.looked_at_pte - (self.in_vectors - self["pagevecs"])

    @property
    def populate_at_pte(self) -> int:
        """Page table entries that populate looked at, where a walk counted its own locks."""
        return self["pte_lock"] - self["mlock_pte_range"]

    @property
    def walked_entries(self) -> int:
        """Page table entries that the walk of 6.1 read."""
        return self["pte_read"] - self.populate_at_pte

    @property
    def walked_huge(self) -> int:
        """Huge PMDs that the walk of 6.1 came to."""
        return self["pages_looked_up"] - self["follow_page"] - self.walked_entries

    def small(self, name: str) -> int:
        """Return a counter of pages without those of the huge pages that the walk came to, by PMD or by entries."""
        return max(0, self[name] - HPAGE_PMD_NR * self.walked_huge - self["pte_folio"])

    @property
    def walked_pmds(self) -> int:
        """PMD entries that the walk of 6.1 read: populate reads one for each look-up, but for the first in an empty GiB."""
        return max(0, self["pmd_read"] - self["follow_page"])

    @property
    def walked_upper(self) -> int:
        """Entries above the PMD that the walk of 6.1 read, likewise."""
        return max(0, self["pgd_read"] + self["p4d_read"] + self["pud_read"] - 2 * self["follow_page"])


class Term(NamedTuple):
    """One event: `number` tells how many there were."""

    name: str
    calls: tuple[Calls, ...]
    unit: str
    meaning: str
    number: Callable[[Counts], float]


_UNLOCK: Final[tuple[Calls, ...]] = ("unlock",)
_UNLOCKING: Final[tuple[Calls, ...]] = ("unlock", "unmap", "exit")  # 5.10 unlocks what it unmaps by the same loop
_LOCK: Final[tuple[Calls, ...]] = ("lock",)
_WALKING: Final[tuple[Calls, ...]] = ("unlock", "lock")  # 6.1 locks by the walk by which it unlocks
_UNMAP: Final[tuple[Calls, ...]] = ("unmap",)
_EXIT: Final[tuple[Calls, ...]] = ("exit",)
_UNMAPPING: Final[tuple[Calls, ...]] = ("unmap", "exit")

_COMMON: Final = (
    Term("unlock_call", _UNLOCK, "call", "munlock() or munlockall(), entered and left", lambda c: 1),
    Term("unlock_vma", _UNLOCK, "VMA", "a VMA loses VM_LOCKED", lambda c: c["vmas_changed"]),
    Term("unlock_split", _UNLOCK, "split", "a VMA is cut in two", lambda c: c["vma_splits"]),
    Term("unlock_merge", _UNLOCK, "merge", "a VMA joins its neighbour", lambda c: c["vma_merges"]),
    Term("unlock_kept", _UNLOCK, "VMA", "a VMA that is not locked is gone past", lambda c: c[KEPT]),
    Term("lock_call", _LOCK, "call", "mlock(), mlock2() or mlockall(), entered and left", lambda c: 1),
    Term("lock_vma", _LOCK, "VMA", "a VMA gets VM_LOCKED", lambda c: c["vmas_changed"]),
    Term("lock_split", _LOCK, "split", "a VMA is cut in two", lambda c: c["vma_splits"]),
    Term("lock_merge", _LOCK, "merge", "a VMA joins its neighbour", lambda c: c["vma_merges"]),
    Term("lock_kept", _LOCK, "VMA", "a VMA that is locked already is gone past", lambda c: c[KEPT]),
    Term("fault", _LOCK, "fault", "a page is brought into memory and locked", lambda c: c["faults"]),
    Term("fault_refilled", _LOCK, "page", "beyond that: it came to the allocator's list from its free areas",
         lambda c: c[REFILLED]),
    Term("unmap_call", _UNMAP, "call", "munmap(), entered and left", lambda c: 1),
    Term("exit_call", _EXIT, "call", "exit(), until the parent knows of it", lambda c: 1),
    Term("exit_vma", _EXIT, "VMA", "a VMA is freed with its process", lambda c: c["vmas_freed"]),
    Term("unmap_vma", _UNMAP, "VMA", "a VMA is unlinked and freed", lambda c: c["vmas_freed"]),
    Term("unmap_split", _UNMAP, "split", "a VMA is cut in two", lambda c: c["vma_splits"]),
    Term("unmap_entry", _UNMAPPING, "entry", "a page table entry is read to be cleared", lambda c: c["zap_read"]),
    Term("unmap_page", _UNMAPPING, "page", "a page is unmapped and given up", lambda c: c["zapped"]),
    Term("unmap_zero", _UNMAPPING, "page", "a zero page is unmapped", lambda c: c["zap_special"]),
    Term("unmap_pmd", _UNMAPPING, "entry", "a PMD entry is read, to unmap or to free tables", lambda c: c["unmap_pmd_read"]),
    Term("unmap_upper", _UNMAPPING, "entry", "likewise one above the PMD", lambda c: c["unmap_upper_read"]),
    Term("unmap_table", _UNMAPPING, "table", "a table is freed", lambda c: c["tables_freed"]),
    Term("unmap_spilled", _UNMAPPING, "page", "of these, one goes on from the allocator's list to its free areas",
         lambda c: c[SPILLED]),
)  # fmt: skip
PER_PAGE: Final = (
    *_COMMON,
    Term("hole_at_pgd", _UNLOCKING, "page", "a page is looked up and nothing found in the top table",
         lambda c: c["follow_page"] - c["pud_read"]),
    Term("hole_at_pud", _UNLOCKING, "page", "... in the PUD's table", lambda c: c["pud_read"] - c["pmd_read"]),
    Term("hole_at_pmd", _UNLOCKING, "page", "... in the PMD's table",
         lambda c: c["pmd_read"] - c.looked_at_pte - (c["pte_lock"] - c["pagevecs"] - c.looked_at_pte)),
    Term("hole_at_pte", _UNLOCKING, "page", "... or no page to unlock in the page table",
         lambda c: c.looked_at_pte - c["pagevecs"]),
    Term("zero_page", _UNLOCKING, "page", "beyond that: it was the zero page", lambda c: c["pte_special"]),
    Term("huge_part", _UNLOCKING, "page", "beyond that: it was a part of a huge page", lambda c: c["pte_compound"]),
    Term("vector", _UNLOCKING, "vector", "a vector is begun by a look-up, filled and worked off", lambda c: c["pagevecs"]),
    Term("vector_ended", _UNLOCKING, "vector", "an entry without a page ends the filling", lambda c: c.fills_ended),
    Term("vector_page", _UNLOCKING, "page", "a page of a vector is looked at", lambda c: c.in_vectors),
    Term("vector_locked", _UNLOCKING, "page", "beyond that: it was locked, and changes its LRU list",
         lambda c: min(c["isolated"], c.in_vectors)),
    Term("huge_page", _UNLOCKING, "look-up", "a huge page is found by its PMD, and unlocked as a whole",
         lambda c: c["pte_lock"] - c["pagevecs"] - c.looked_at_pte),
    Term("unmap_drained", _UNMAPPING, "page", "a page that came just before still waited for its LRU list",
         lambda c: max(0, c["putback"] - c["isolated"])),
    Term("populate_at_pgd", _LOCK, "page", "populate looks a page up and finds nothing in the top table",
         lambda c: c["follow_page"] - c["pud_read"]),
    Term("populate_at_pud", _LOCK, "page", "... in the PUD's table", lambda c: c["pud_read"] - c["pmd_read"]),
    Term("populate_at_pmd", _LOCK, "page", "... in the PMD's table", lambda c: c["pmd_read"] - c.looked_at_pte),
    Term("populate_at_pte", _LOCK, "page", "... or it comes to a page table entry", lambda c: c.looked_at_pte),
    Term("populate_found", _LOCK, "page", "beyond that: a page is there, and is locked", lambda c: c["page_lock"]),
    Term("populate_moved", _LOCK, "page", "beyond that: it is moved to the unevictable list", lambda c: c["isolated"]),
)  # fmt: skip
PAGE_WALK: Final = (
    *_COMMON,
    Term("upper_entry", _WALKING, "entry", "an entry above the PMD is read", lambda c: c.walked_upper),
    Term("pmd_entry", _WALKING, "entry", "a PMD entry is read", lambda c: c.walked_pmds),
    Term("page_table", _WALKING, "table", "a page table is locked and gone through",
         lambda c: c["mlock_pte_range"] - c.walked_huge),
    Term("pte", _WALKING, "entry", "an entry of it is read", lambda c: c.walked_entries),
    Term("zero_page", _WALKING, "page", "beyond that: it was the zero page", lambda c: c["pte_special"]),
    Term("huge_part", _WALKING, "page", "beyond that: it was a part of a huge page",
         lambda c: c["pte_compound"] + c["pte_folio"]),
    Term("huge_page", _WALKING, "page", "a huge page is found by its PMD, and changed as a whole", lambda c: c.walked_huge),
    Term("unlock_page", _UNLOCK, "page", "a page goes through the batch and is unlocked", lambda c: c.small("pgs_munlocked")),
    Term("unlock_batch", _UNLOCK, "batch", "a batch of up to 15 pages (6.12: 31) is worked off",
         lambda c: c["mlock_batches"]),
    Term("drained_page", _UNLOCKING, "page", "a page that was locked when it came still waited in the batch",
         lambda c: c["pgs_culled"]),
    Term("unmap_drained", _UNMAPPING, "page", "likewise one that was not locked",
         lambda c: max(0, c["putback"] - c["pgs_culled"])),
    Term("lock_page", _LOCK, "page", "a page goes through the batch and is locked", lambda c: c.small("pgs_mlocked")),
    Term("lock_batch", _LOCK, "batch", "a batch of up to 15 pages (6.12: 31) is worked off", lambda c: c["mlock_batches"]),
    Term("unmap_locked", _UNMAPPING, "page", "beyond that: the page was locked",
         lambda c: c["pgs_munlocked"] + c["pgs_cleared"]),
    Term("unmap_batch", _UNMAPPING, "batch", "a batch of up to 15 locked pages (6.12: 31) is worked off",
         lambda c: c["mlock_batches"]),
    Term("populate", _LOCK, "page", "populate looks a page up", lambda c: c["follow_page"]),
)  # fmt: skip
TERMS: Final[dict[int, tuple[Term, ...]]] = {  # by algorithm
    kernels.PER_PAGE: PER_PAGE,
    kernels.PAGE_WALK: PAGE_WALK,
    kernels.FOLIO_WALK: PAGE_WALK,
}


def events(algorithm: int, call: str, counters: Mapping[str, int]) -> dict[str, float]:
    """Return how many events of each term a call had: by the algorithm, as mmmodel.kernels numbers it, and the call."""
    counts, kind = Counts(counters), CALLS[call]
    return {term.name: float(term.number(counts)) for term in TERMS[algorithm] if kind in term.calls}
