"""The invariants of a modelled machine: :func:`check_mm`.

Plain Python on purpose: it shares no code with what it checks but the constants, runs with and without JIT, and may be slow.
The kernel has no such function; its VM_BUG_ON()s, validate_mm(), check_mm() and the "Bad page" and "Bad rss-counter" messages
each hold a part.  VMAs, anon_vma chains, files and page tables are in :mod:`mmmodel.check_structures`; here are entries against
VMAs, pages against entries, LRU lists and lock flags against pages, counters against all of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt

from mmmodel import constants as c
from mmmodel import state as st
from mmmodel.check_structures import CheckStructures, Entry, ModelError, require
from mmmodel.counters import NAMES, NR_INACTIVE_ANON, NR_MLOCK, NR_UNEVICTABLE
from mmmodel.machine import Machine
from mmmodel.mm import Mm

_MUNLOCK: Final = 0  # tags in a CPU's mlock batch
_LRU_PAGE: Final = 1
_NEW_PAGE: Final = 2
_LRU_ADD: Final = 3  # the other vector
_ANON: Final = 1  # in page.mapping
_PROT_BITS: Final = c._PAGE_PRESENT | c._PAGE_PROTNONE | c._PAGE_NX


@dataclass(frozen=True)
class _Pages:
    """Columns of struct page, widened."""

    flags: npt.NDArray[np.int64]
    refcount: npt.NDArray[np.int64]
    mapcount: npt.NDArray[np.int64]
    compound: npt.NDArray[np.int64]
    mapping: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]
    lru_next: npt.NDArray[np.int64]
    lru_prev: npt.NDArray[np.int64]


class _Shown:
    """A page, put into words only when an invariant of it is broken."""

    __slots__ = ("pages", "pfn")

    def __init__(self, pages: _Pages, pfn: int) -> None:
        self.pages = pages
        self.pfn = pfn

    def __repr__(self) -> str:
        return repr({"pfn": self.pfn, **{name: int(column[self.pfn]) for name, column in vars(self.pages).items()}})


def check_mm(mm: Mm) -> None:
    """Raise :class:`ModelError` unless everything holds that should hold between two calls on the machine of ``mm``."""
    _Check(mm.machine).run()


class _Check(CheckStructures):
    """One check of one machine."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.pages = _Pages(**{field.name: self.page_records[field.name].astype(np.int64) for field in fields(_Pages)})
        self.flags: list[int] = self.pages.flags.tolist()  # a list gives out single numbers faster
        self.refcounts: list[int] = self.pages.refcount.tolist()
        self.vm_flags: list[int] = self.vmas["vm_flags"].tolist()
        self.mapcount = np.zeros(len(self.page_records), np.int64)  # as the entries say
        self.huge_mapcount = np.zeros(len(self.page_records), np.int64)
        self.locked_mappings: Counter[int] = Counter()  # by head: entries that an mlock may have counted
        self.queued: Counter[tuple[int, int]] = Counter()  # (tag, pfn) in the per-CPU vectors
        self.slots: list[int] = []  # places in the swap file
        self.heads: list[int] = []  # live pages, compound ones by their head

    def run(self) -> None:
        """Everything, what is pointed to after what points to it."""
        self.structures()
        self.frames()
        for entry in self.found:
            self.entry_and_vma(entry)
            if not self.is_zero(entry.pfn):
                self.entry_and_page(entry)
        self.vectors()
        self.references()
        self.swap_slots()
        self.lru_lists()
        self.mlock_flags()
        self.mlock_counts()

    def page(self, pfn: int) -> _Shown:
        """A page, to print if need be."""
        return _Shown(self.pages, pfn)

    def is_zero(self, pfn: int) -> bool:
        """The zero page or the huge one."""
        return pfn == st.ZERO_PFN or pfn == self.ctl[st.HUGE_ZERO_PFN]

    def head(self, pfn: int) -> int:
        """compound_head()."""
        return int(self.pages.compound[pfn]) if self.flags[pfn] & c.PG_tail else pfn

    def size(self, head: int) -> int:
        """Pages of a compound or order-0 page."""
        return 1 << (int(self.flags[head]) >> c.ORDER_SHIFT & c.ORDER_MASK)

    # ---- frames ----

    def frames(self) -> None:
        """Every frame ever used is part of a live page or free, and a free one is clean."""
        top = self.ctl[st.PAGES_TOP]
        use = np.zeros(top, np.int64)
        use[: st.FIRST_PFN] = 1
        if self.ctl[st.HUGE_ZERO_PFN]:
            use[self.ctl[st.HUGE_ZERO_PFN]] = 1
        single = self.free_list(self.page_records, "lru_next", st.PAGES_FREE, st.PAGES_NFREE, "frames")
        huge = self.free_list(self.page_records, "lru_next", st.HUGE_FREE, st.HUGE_NFREE, "frames")
        blocks = dict.fromkeys(huge, c.HPAGE_PMD_NR)
        for order in range(c.MIN_FOLIO_ORDER, c.MAX_FOLIO_ORDER + 1):
            first, number = st.FOLIO_FREE + order, st.FOLIO_NFREE + order
            blocks |= dict.fromkeys(self.free_list(self.page_records, "lru_next", first, number, "frames"), 1 << order)
        free = np.array([*single, *(pfn + i for pfn, nr in blocks.items() for i in range(nr))], np.int64)
        linked = np.isin(free, np.array([*single, *blocks], np.int64))
        np.add.at(use, free, 1)
        for name, column in vars(self.pages).items():
            frames = column[free] if name != "lru_next" else np.where(linked, 0, column[free])
            dirty = frames >> c.ZONE_SHIFT << c.ZONE_SHIFT != frames if name == "flags" else frames != 0
            require(not dirty.any(), "a free frame is clean", field=name, pages=[self.page(pfn) for pfn in free[dirty][:3]])
        for pfn in np.flatnonzero(self.pages.refcount[st.FIRST_PFN :]).tolist():
            pfn += st.FIRST_PFN
            if self.is_zero(pfn):
                continue
            if self.flags[pfn] & c.PG_swap_slot:
                use[pfn] += 1
                self.slots.append(pfn)
                continue
            flags = self.flags[pfn]
            require(
                not flags & (c.PG_tail | c.PG_reserved | c.PG_zero | c.PG_locked), "flags of a page in use", page=self.page(pfn)
            )
            size = self.size(pfn)
            use[pfn : pfn + size] += 1
            self.heads.append(pfn)
            if size == 1:
                continue
            tails = slice(pfn + 1, pfn + size)
            allowed = c.PG_tail | c.PG_anon_exclusive | -(1 << c.ZONE_SHIFT)
            good = (self.pages.compound[tails] == pfn) & (self.pages.flags[tails] & ~allowed == 0)
            require((good & (self.pages.flags[tails] & c.PG_tail != 0)).all(), "tails of a compound page", head=self.page(pfn))
        wrong = np.flatnonzero(use != 1)
        require(
            not len(wrong),
            "a frame is in use or free, once",
            pages=[self.page(pfn) for pfn in wrong[:3].tolist()],
            use=use[wrong[:3]],
        )

    # ---- entries ----

    def entry_and_vma(self, entry: Entry) -> None:
        """Protection bits follow the VMA's flags."""
        flags = self.vm_flags[entry.vma]
        shown = {"entry": entry, "vma": self.vmas[entry.vma]}
        if not flags & c.VM_ACCESS_FLAGS:
            expected = c._PAGE_PROTNONE
        else:
            expected = c._PAGE_PRESENT | (0 if flags & c.VM_EXEC else c._PAGE_NX)
        require(entry.entry & _PROT_BITS == expected, "access bits of an entry are its VMA's", **shown)
        require(flags & c.VM_WRITE or not entry.entry & c._PAGE_RW, "no entry is writable without VM_WRITE", **shown)
        require(entry.huge == bool(entry.entry & c._PAGE_PSE), "PSE is for huge PMDs", **shown)
        require(0 < entry.pfn < self.ctl[st.PAGES_TOP], "an entry maps a frame", **shown)
        if self.is_zero(entry.pfn):
            require(entry.huge == (entry.pfn != st.ZERO_PFN), "zero pages by size", **shown)
            require(
                not entry.entry & c._PAGE_RW and not shown["vma"]["vm_file"],
                "zero pages: read-only, anonymous",
                **shown,
            )
        require(bool(entry.entry & c._PAGE_SPECIAL) == (entry.pfn == st.ZERO_PFN), "special entries map the zero page", **shown)

    def entry_and_page(self, entry: Entry) -> None:
        """The reverse map leads from the page to this entry: by anon_vma or file, and offset."""
        vma, head = self.vmas[entry.vma], self.head(entry.pfn)
        shown = {"entry": entry, "vma": vma, "page": self.page(head)}
        require(self.refcounts[head] > 0, "a mapped page is in use", **shown)
        require(not entry.huge or self.size(entry.pfn) > 1, "a huge PMD maps the head of a huge page", **shown)
        mapping, pgoff = int(self.pages.mapping[head]), int(self.pages.index[head]) + entry.pfn - head
        if mapping & _ANON:
            require(mapping >> 1 in self.chains[entry.vma], "the VMA of an anonymous page is linked to its anon_vma", **shown)
        else:
            require(
                self.cached.get(head) == (int(vma["vm_file"]), pgoff), "a mapped file page is cached by the VMA's file", **shown
            )
        linear = int(vma["vm_pgoff"]) + ((entry.address - int(vma["vm_start"])) >> c.PAGE_SHIFT)
        require(pgoff == linear, "page.index is where the VMA maps it", pgoff=linear, **shown)
        counts = self.huge_mapcount if entry.huge else self.mapcount
        counts[entry.pfn] += 1
        if self.vm_flags[entry.vma] & c.VM_LOCKED:
            self.locked_mappings[head] += 1
        if entry.entry & c._PAGE_RW and not self.vm_flags[entry.vma] & c.VM_SHARED:
            total = self.pages.mapcount[entry.pfn] + (self.pages.compound[head] if self.size(head) > 1 else 0)
            if entry.huge:
                total += self.pages.mapcount[head + 1 : head + c.HPAGE_PMD_NR].sum()
            require(
                mapping & _ANON and total == 1, "a private writable page is anonymous and mapped once", mapped=total, **shown
            )

    # ---- references ----

    def vectors(self) -> None:
        """What the per-CPU vectors hold."""
        for cpu, vectors in enumerate(self.machine.arrays["pvecs"].tolist()):
            for number in (st.LRU_ADD_PVEC, st.MLOCK_PVEC):
                length, *words = vectors[number]
                require(
                    0 <= length < self.ctl[st.BATCH_SIZE],
                    "a per-CPU vector is emptied when full",
                    cpu=cpu,
                    vector=vectors[number],
                )
                for word in words[:length]:
                    tag, pfn = (_LRU_ADD, word) if number == st.LRU_ADD_PVEC else (word & 3, word >> 2)
                    require(self.since_6_1 or tag == _LRU_ADD, "5.10 has no mlock batch", cpu=cpu, vector=vectors[number])
                    require(
                        tag in (_LRU_ADD, _LRU_PAGE, _NEW_PAGE, _MUNLOCK), "tags of the mlock batch", cpu=cpu, pfn=pfn, tag=tag
                    )
                    require(
                        0 < pfn < self.ctl[st.PAGES_TOP] and self.refcounts[pfn] > 0,
                        "a queued page is in use",
                        cpu=cpu,
                        pfn=pfn,
                    )
                    require(self.size(pfn) == 1, "huge pages do not wait in vectors", cpu=cpu, page=self.page(pfn))
                    self.queued[tag, pfn] += 1

    def references(self) -> None:
        """Counts are what entries, caches and vectors say; every page is on an LRU or about to be."""
        wrong = np.flatnonzero(self.pages.mapcount != self.mapcount)
        require(
            not len(wrong),
            "mapcount is the number of entries",
            found=self.mapcount[wrong[:1]],
            page=[self.page(pfn) for pfn in wrong[:1].tolist()],
        )
        in_vectors: Counter[int] = Counter()
        for (_, pfn), number in self.queued.items():
            in_vectors[pfn] += number
        for head in self.heads:
            size = self.size(head)
            if size > 1:
                require(
                    self.pages.compound[head] == self.huge_mapcount[head],
                    "compound_mapcount is the number of huge PMDs",
                    found=self.huge_mapcount[head],
                    page=self.page(head),
                )
                double = self.flags[head] & c.PG_double_map != 0
                require(
                    not double or self.huge_mapcount[head] > 0,
                    "PageDoubleMap goes with the last huge PMD",
                    page=self.page(head),
                )
            found = (
                int(self.mapcount[head : head + size].sum() + self.huge_mapcount[head])
                + (head in self.cached)
                + in_vectors[head]
                + bool(self.flags[head] & c.PG_swapcache)
            )
            require(
                self.refcounts[head] == found,
                "refcount: entries, page and swap cache, per-CPU vectors",
                found=found,
                page=self.page(head),
            )
            on_lru = bool(self.flags[head] & c.PG_lru)
            places = on_lru + self.queued[_LRU_ADD, head] + self.queued[_NEW_PAGE, head]
            require(places == 1, "a page is on an LRU or waits for it in one vector", places=places, page=self.page(head))

    def swap_slots(self) -> None:
        """A slot counts the entries that name it, and its page in the swap cache, which leads back to it."""
        require(self.swapped.keys() <= set(self.slots), "a swap entry names a slot", slots=self.slots, named=self.swapped)
        for slot in self.slots:
            pfn = int(self.pages.index[slot])
            shown = {"slot": self.page(slot), "page": self.page(pfn), "entries": self.swapped[slot]}
            require(self.refcounts[slot] == self.swapped[slot] + bool(pfn), "references of a swap slot", **shown)
            back = self.flags[pfn] & c.PG_swapcache and self.pages.compound[pfn] == slot
            require(not pfn or bool(back), "the page of a swap slot names it", **shown)
        for pfn in self.heads:
            if self.flags[pfn] & c.PG_swapcache:
                slot = int(self.pages.compound[pfn])
                named = slot in self.slots and self.pages.index[slot] == pfn
                require(named, "the slot of a page in the swap cache names it", page=self.page(pfn))

    # ---- LRU ----

    def lru_lists(self) -> None:
        """Lists read the same both ways, hold the pages whose flags say so, and are as long as their counters."""
        sizes: Counter[int] = Counter()
        listed: set[int] = set()
        for anchor in range(st.NR_LRU_HEADS):
            lru, previous = anchor % c.NR_LRU_LISTS, anchor
            while (pfn := int(self.pages.lru_next[previous])) != anchor:
                shown = {"list": anchor, "page": self.page(pfn)}
                require(
                    pfn >= st.FIRST_PFN and pfn not in listed and self.refcounts[pfn],
                    "LRU lists hold pages, once",
                    **shown,
                )
                require(self.pages.lru_prev[pfn] == previous, "LRU lists read both ways", **shown)
                node = (self.flags[pfn] >> c.ZONE_SHIFT) // c.MAX_NR_ZONES
                require(
                    node * c.NR_LRU_LISTS + self.lru_of(pfn) == anchor, "a page is on the list that its flags name", **shown
                )
                require(not (self.since_6_1 and lru == c.LRU_UNEVICTABLE), "6.1 has no unevictable list", **shown)
                sizes[lru] += self.size(pfn)
                listed.add(pfn)
                previous = pfn
            require(self.pages.lru_prev[anchor] == previous, "LRU lists read both ways", list=anchor)
        for head in self.heads:
            on_lru, unevictable = (self.flags[head] & bit != 0 for bit in (c.PG_lru, c.PG_unevictable))
            imaginary = self.since_6_1 and on_lru and unevictable
            require(
                (head in listed) == (on_lru and not imaginary),
                "PG_lru: on a list, unless unevictable in 6.1",
                page=self.page(head),
            )
            if imaginary:
                require(self.pages.lru_next[head] == 0, "an unevictable page of 6.1 has no neighbours", page=self.page(head))
                sizes[c.LRU_UNEVICTABLE] += self.size(head)
        counters = self.machine.counters.tolist()
        for lru in range(c.NR_LRU_LISTS):
            counter = NR_UNEVICTABLE if lru == c.LRU_UNEVICTABLE else NR_INACTIVE_ANON + lru
            require(
                counters[counter] == sizes[lru],
                "an LRU's counter is its length",
                name=NAMES[counter],
                counter=counters[counter],
                found=sizes[lru],
            )

    def lru_of(self, pfn: int) -> int:
        """Number of the list that a page's flags name; -1 if they name none."""
        flags = self.flags[pfn]
        if not flags & c.PG_lru:
            return -1
        if flags & c.PG_unevictable:
            return -1 if flags & c.PG_active else c.LRU_UNEVICTABLE
        return (0 if flags & c.PG_swapbacked else 2) + bool(flags & c.PG_active)

    # ---- mlock ----

    def mlock_flags(self) -> None:
        """PG_mlocked, PG_unevictable and nr_mlock agree."""
        nr_mlock = 0
        for head in self.heads:
            flags = self.flags[head]
            mlocked, unevictable = bool(flags & c.PG_mlocked), bool(flags & c.PG_unevictable)
            nr_mlock += self.size(head) * mlocked
            if flags & c.PG_lru:
                require(mlocked or not unevictable, "an unevictable page on the LRU is mlocked", page=self.page(head))
                waits = self.queued[_LRU_PAGE, head] > 0
                require(
                    unevictable or not mlocked or waits,
                    "an mlocked page on the LRU is unevictable, or waits for it",
                    page=self.page(head),
                )
            if mlocked and not self.since_6_1:
                mapped = self.huge_mapcount[head] if self.size(head) > 1 else self.mapcount[head]
                require(mapped > 0, "5.10: PG_mlocked goes with the last mapping", page=self.page(head))
            if flags & c.PG_anon_exclusive and self.since_6_1:
                mapped = int(self.mapcount[head] + self.huge_mapcount[head])
                require(mapped <= 1, "PG_anon_exclusive: mapped once", page=self.page(head))
        counter = int(self.machine.counters[NR_MLOCK])
        require(counter == nr_mlock, "nr_mlock is the number of pages with PG_mlocked", counter=counter, found=nr_mlock)

    def mlock_counts(self) -> None:
        """6.1: mlock_count never says more than there are VM_LOCKED mappings, what waits in the batch included.

        On one CPU only: batches of several CPUs may be processed in another order than they were filled, and the kernel then
        counts too much as well.
        """
        if not self.since_6_1 or self.machine.nr_cpus > 1:
            return
        for head in self.heads:
            if self.flags[head] & (c.PG_lru | c.PG_unevictable) == c.PG_lru | c.PG_unevictable:
                most = self.locked_mappings[head] + self.queued[_MUNLOCK, head]
                count = self.pages.lru_prev[head]
                require(
                    0 <= count <= most,
                    "mlock_count is at most the number of VM_LOCKED mappings",
                    most=most,
                    page=self.page(head),
                )


__all__ = ["ModelError", "check_mm"]
