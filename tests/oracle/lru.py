"""Per-CPU batches, the unevictable LRU and its counters: mm/swap.c and the page half of mm/mlock.c.

Three machines: `Lru510` as Linux 5.10 has it (PG_mlocked is a mere flag, kept by page faults, populate and munlock),
`Lru61` as since Linux 5.18 (a count of VM_LOCKED mappings, kept by the reverse-map hooks, through a batch of its own),
`Lru612`, where large folios count too, and batches are longer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING

from .constants import PAGEVEC_SIZE, VM_LOCKED, VM_SPECIAL
from .folio import Folio

if TYPE_CHECKING:
    from .vma import Vma

EVENTS = tuple(
    f"unevictable_pgs_{name}" for name in ("culled", "scanned", "rescued", "mlocked", "munlocked", "cleared", "stranded")
)
VMSTAT_NAMES = ("nr_mlock", "nr_unevictable", *EVENTS)


def counts_as_locked(vm_flags: int) -> bool:
    """Pages of such a VMA are mlocked: VM_LOCKED and nothing special (in both kernels)."""
    return vm_flags & (VM_LOCKED | VM_SPECIAL) == VM_LOCKED


class Lru(ABC):
    """What all kernels share: the lru_add batch of each CPU, and getting and putting references."""

    batch_size = PAGEVEC_SIZE

    def __init__(self, nr_cpus: int) -> None:
        self.cpu = 0
        self.stat: Counter[str] = Counter(dict.fromkeys(VMSTAT_NAMES, 0))
        self.lru_add: list[list[Folio]] = [[] for _ in range(nr_cpus)]

    def event(self, name: str, nr: int) -> None:
        """count_vm_events(UNEVICTABLE_PG...) in pages."""
        self.stat[f"unevictable_pgs_{name}"] += nr

    def set_mlocked(self, folio: Folio) -> None:
        """PG_mlocked goes from clear to set."""
        folio.mlocked = True
        self.stat["nr_mlock"] += folio.nr
        self.event("mlocked", folio.nr)

    def test_clear_mlocked(self, folio: Folio) -> bool:
        """TestClearPageMlocked() with NR_MLOCK; the caller counts the event that it means."""
        was = folio.mlocked
        if was:
            folio.mlocked = False
            self.stat["nr_mlock"] -= folio.nr
        return was

    # membership of an LRU list: only the length of the unevictable one is ever seen

    def join_list(self, folio: Folio) -> None:
        """add_page_to_lru_list() and SetPageLRU."""
        assert not folio.on_lru
        folio.on_lru = True
        if folio.unevictable:
            self.stat["nr_unevictable"] += folio.nr

    def leave_list(self, folio: Folio) -> None:
        """ClearPageLRU and del_page_from_lru_list(); PG_unevictable stays as it is."""
        assert folio.on_lru
        folio.on_lru = False
        if folio.unevictable:
            self.stat["nr_unevictable"] -= folio.nr

    def add_to_lru(self, folio: Folio) -> None:
        """lru_add_fn() (5.10: __pagevec_lru_add_fn()): from a batch to the list that PG_mlocked says."""
        was_unevictable = folio.unevictable
        folio.unevictable = folio.mlocked
        if folio.mlocked:
            folio.mlock_count = 0
            if not was_unevictable:
                self.event("culled", folio.nr)
        elif was_unevictable:
            self.event("rescued", folio.nr)
        self.join_list(folio)

    def lru_cache_add(self, folio: Folio) -> None:
        """Queue a new or isolated folio for its LRU; a huge page, or the last that fits, empties the batch at once."""
        folio.refcount += 1
        batch = self.lru_add[self.cpu]
        batch.append(folio)
        if len(batch) == self.batch_size or folio.is_large:
            self.flush_lru_add(self.cpu)

    def flush_lru_add(self, cpu: int) -> None:
        """__pagevec_lru_add(): all of one CPU's batch joins the LRU, then loses the batch's references."""
        batch, self.lru_add[cpu] = self.lru_add[cpu], []
        for folio in batch:
            self.add_to_lru(folio)
        for folio in batch:
            self.put(folio)

    def put(self, folio: Folio) -> None:
        """put_page(): the last reference takes a folio off its LRU, without an event, and frees it."""
        folio.refcount -= 1
        assert folio.refcount >= 0
        if folio.refcount == 0:
            assert not folio.mappings()
            if folio.on_lru:
                self.leave_list(folio)
                folio.unevictable = False
            self.free(folio)

    def drain_all(self) -> None:
        """lru_add_drain_all(): the batches of every CPU."""
        here = self.cpu
        for cpu in range(len(self.lru_add)):
            self.cpu = cpu
            self.drain()
        self.cpu = here

    @abstractmethod
    def drain(self) -> None:
        """lru_add_drain(): the batches of this CPU."""

    @abstractmethod
    def free(self, folio: Folio) -> None:
        """What happens to PG_mlocked when the folio is freed."""

    @abstractmethod
    def add_new_anon(self, folio: Folio, vma: Vma) -> None:
        """lru_cache_add_inactive_or_unevictable() for a page just mapped in `vma`."""

    @abstractmethod
    def rmap_added(self, folio: Folio, vma: Vma) -> None:
        """Tail of page_add_file_rmap(), and of page_add_anon_rmap() for a page from swap."""

    @abstractmethod
    def rmap_removed(self, folio: Folio, vma: Vma, compound: bool) -> None:
        """Tail of page_remove_rmap(): an entry of `vma` does not map the folio any more."""

    @abstractmethod
    def pmd_being_split(self, folio: Folio, vma: Vma) -> None:
        """__split_huge_pmd(): what it does to a mlocked huge page."""


class Lru510(Lru):
    """Linux 5.10."""

    def drain(self) -> None:
        """lru_add_drain()."""
        self.flush_lru_add(self.cpu)

    def free(self, folio: Folio) -> None:
        """A page is never freed mlocked: its last unmapping cleared the flag."""
        assert not folio.mlocked

    def add_new_anon(self, folio: Folio, vma: Vma) -> None:
        """New anonymous pages get PG_mlocked at once, and are culled when their batch is emptied."""
        if counts_as_locked(vma.vm_flags) and not folio.mlocked:
            self.set_mlocked(folio)
        self.lru_cache_add(folio)

    def rmap_added(self, folio: Folio, vma: Vma) -> None:
        """5.10 has no hook here: a page of a file or from swap, faulted in later, is not mlocked."""

    def rmap_removed(self, folio: Folio, vma: Vma, compound: bool) -> None:
        """page_remove_rmap(): with the last mapping, of a huge page the last by a PMD, goes PG_mlocked."""
        if not (folio.pmd_maps if compound else folio.mappings()):
            self.clear_page_mlock(folio)

    def pmd_being_split(self, folio: Folio, vma: Vma) -> None:
        """__split_huge_pmd() clears PG_mlocked, whatever the VMA."""
        self.clear_page_mlock(folio)

    def isolate_lru_page(self, folio: Folio) -> bool:
        """Take a page off its LRU, with a reference, if it is on one."""
        if not folio.on_lru:
            return False
        folio.refcount += 1
        self.leave_list(folio)
        return True

    def putback_lru_page(self, folio: Folio) -> None:
        """Back to an LRU by way of the lru_add batch; drops the reference of the isolation."""
        self.lru_cache_add(folio)
        self.put(folio)

    def mlock_vma_page(self, folio: Folio) -> None:
        """Called by populate and by try_to_munlock()."""
        if folio.mlocked:
            return
        self.set_mlocked(folio)
        if self.isolate_lru_page(folio):
            self.putback_lru_page(folio)

    def clear_page_mlock(self, folio: Folio) -> None:
        """mm/mlock.c clear_page_mlock(): counted as cleared, not as munlocked."""
        if not self.test_clear_mlocked(folio):
            return
        self.event("cleared", folio.nr)
        if self.isolate_lru_page(folio):
            self.putback_lru_page(folio)
        elif folio.unevictable:
            self.event("stranded", folio.nr)

    def munlock_isolation_failed(self, folio: Folio) -> None:
        """__munlock_isolation_failed(): the page is in a batch."""
        self.event("stranded" if folio.unevictable else "munlocked", folio.nr)

    def munlock_isolated_page(self, folio: Folio) -> None:
        """__munlock_isolated_page(): look for another VM_LOCKED VMA that maps the page, then put it back."""
        if folio.mapcount() > 1:
            self.try_to_munlock(folio)
        if not folio.mlocked:
            self.event("munlocked", folio.nr)
        self.putback_lru_page(folio)

    def try_to_munlock(self, folio: Folio) -> None:
        """The first VM_LOCKED VMA found by the reverse map sets PG_mlocked again (never on a huge page)."""
        if any(mm.vma_at(vpn).vm_flags & VM_LOCKED for mm, vpn in folio.mappings()) and not folio.is_large:
            self.mlock_vma_page(folio)

    def munlock_vma_page(self, folio: Folio) -> int:
        """munlock_vma_page(): returns the page mask, nr - 1, if PG_mlocked was set, and 0 if not."""
        if not self.test_clear_mlocked(folio):
            return 0
        if self.isolate_lru_page(folio):
            self.munlock_isolated_page(folio)
        else:
            self.munlock_isolation_failed(folio)
        return folio.nr - 1

    def munlock_pagevec(self, pagevec: list[Folio]) -> None:
        """__munlock_pagevec(): up to 15 order-0 pages, each pinned once by the caller."""
        isolated, putback = [], []
        for folio in pagevec:
            if self.test_clear_mlocked(folio):
                if folio.on_lru:
                    self.leave_list(folio)
                    isolated.append(folio)
                    continue
                self.munlock_isolation_failed(folio)
            putback.append(folio)
        if putback:  # pagevec_release()
            self.drain()
            for folio in putback:
                self.put(folio)
        fast, rescued = [], 0
        for folio in isolated:
            if folio.mapcount() <= 1 and not folio.mlocked:
                rescued += folio.unevictable
                folio.unevictable = False
                fast.append(folio)
            else:
                self.munlock_isolated_page(folio)
        self.event("munlocked", len(fast))
        for folio in fast:
            self.add_to_lru(folio)
            self.put(folio)
        self.event("rescued", rescued)


class Lru61(Lru):
    """Linux 6.1: mlock_count, and a mlock batch per CPU."""

    def __init__(self, nr_cpus: int) -> None:
        super().__init__(nr_cpus)
        self.mlock_batch: list[list[tuple[str, Folio]]] = [[] for _ in range(nr_cpus)]

    def drain(self) -> None:
        """lru_add_drain(): the lru_add batch first, then mlock_page_drain_local()."""
        self.flush_lru_add(self.cpu)
        self.flush_mlock_batch()

    def free(self, folio: Folio) -> None:
        """free_pages_prepare(): the final clearance."""
        if self.test_clear_mlocked(folio):
            self.event("cleared", folio.nr)

    def add_new_anon(self, folio: Folio, vma: Vma) -> None:
        """folio_add_lru_vma(): in a locked VMA mlock_new_page(), by the mlock batch to the LRU."""
        if not counts_as_locked(vma.vm_flags):
            self.lru_cache_add(folio)
            return
        self.set_mlocked(folio)
        self.queue("new", folio)

    def rmap_added(self, folio: Folio, vma: Vma) -> None:
        """Both end with mlock_vma_page()."""
        if counts_as_locked(vma.vm_flags):
            self.mlock_folio(folio)

    def rmap_removed(self, folio: Folio, vma: Vma, compound: bool) -> None:
        """page_remove_rmap() ends with munlock_vma_page(): not for a huge page mapped by ptes."""
        if vma.vm_flags & VM_LOCKED and (compound or not folio.is_large):
            self.munlock_page(folio)

    def pmd_being_split(self, folio: Folio, vma: Vma) -> None:
        """__split_huge_pmd_locked() munlocks the huge page on behalf of this VMA."""
        self.rmap_removed(folio, vma, compound=True)

    def mlock_folio(self, folio: Folio) -> None:
        """The flag and its counters now, the LRU when the batch is processed."""
        if not folio.mlocked:
            self.set_mlocked(folio)
        self.queue("lru", folio)

    def munlock_page(self, folio: Folio) -> None:
        """All of it is left to the batch."""
        self.queue("munlock", folio)

    def queue(self, what: str, folio: Folio) -> None:
        """Add to the mlock batch, which a huge page or the last entry that fits flushes."""
        folio.refcount += 1
        batch = self.mlock_batch[self.cpu]
        batch.append((what, folio))
        if len(batch) == self.batch_size or folio.is_large:
            self.flush_mlock_batch()

    def flush_mlock_batch(self) -> None:
        """mlock_pagevec(): entries in order, then their references."""
        batch, self.mlock_batch[self.cpu] = self.mlock_batch[self.cpu], []
        process = {"lru": self.process_lru, "new": self.process_new, "munlock": self.process_munlock}
        for what, folio in batch:
            process[what](folio)
        for _, folio in batch:
            self.put(folio)

    def rescue(self, folio: Folio) -> None:
        """From the unevictable to an evictable list."""
        self.leave_list(folio)
        folio.unevictable = False
        self.join_list(folio)
        self.event("rescued", folio.nr)

    def process_lru(self, folio: Folio) -> None:
        """__mlock_page()."""
        if not folio.on_lru:
            return
        if not folio.mlocked:  # page_evictable(): someone cleared it meanwhile
            if folio.unevictable:
                self.rescue(folio)
        elif folio.unevictable:
            folio.mlock_count += 1
        else:
            self.leave_list(folio)
            folio.unevictable = True
            folio.mlock_count = 1
            self.join_list(folio)
            self.event("culled", folio.nr)

    def process_new(self, folio: Folio) -> None:
        """__mlock_new_page()."""
        if folio.mlocked:
            folio.unevictable = True
            folio.mlock_count = 1
            self.event("culled", folio.nr)
        self.join_list(folio)

    def process_munlock(self, folio: Folio) -> None:
        """__munlock_page()."""
        isolated = folio.on_lru
        if isolated and folio.unevictable:
            if folio.mlock_count:
                folio.mlock_count -= 1
            if folio.mlock_count:
                return
        if self.test_clear_mlocked(folio):
            self.event("munlocked" if isolated or not folio.unevictable else "stranded", folio.nr)
        if isolated and folio.unevictable:
            self.rescue(folio)


class Lru612(Lru61):
    """Linux 6.12: as 6.1, but a large folio mapped by ptes may be mlocked, by mlock() alone."""

    batch_size = 31

    def rmap_added(self, folio: Folio, vma: Vma) -> None:
        """__folio_add_anon_rmap(), __folio_add_file_rmap(): small folios only, since who maps a part cannot know the rest."""
        if not folio.is_large:
            super().rmap_added(folio, vma)

    def rmap_removed(self, folio: Folio, vma: Vma, compound: bool) -> None:
        """__folio_remove_rmap(): any folio, once for as many of its ptes as are removed together."""
        if vma.vm_flags & VM_LOCKED:
            self.munlock_page(folio)
