"""The first half of :func:`mmmodel.check.check_mm`: VMAs, anon_vma chains, files, page tables.

Models validate_mm() and the like; the second half, pages, is in :mod:`mmmodel.check`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from mmmodel import constants as c
from mmmodel import state as st
from mmmodel.kernels import V6_1
from mmmodel.machine import Machine

_U32: Final = 1 << 32


class ModelError(AssertionError):
    """An invariant of the model does not hold."""


class Entry(NamedTuple):
    """One page table entry or huge PMD that maps a page, and the VMA it lies in."""

    mm: int
    vma: int
    address: int  # bytes
    entry: int
    pfn: int
    huge: bool


def require(holds: Any, invariant: str, **objects: Any) -> None:
    """Raise unless ``holds``, naming the invariant and what breaks it."""
    if not holds:
        raise ModelError(invariant + "".join(f"\n    {name}: {value}" for name, value in objects.items()))


class CheckStructures:
    """One check of one machine: what is found on the way, and the invariants of everything but pages."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.ctl: list[int] = machine.ctl.tolist()
        arrays = machine.arrays
        self.entries = arrays["entries"]
        self.vmas, self.avcs, self.anon_vmas = arrays["vmas"], arrays["avcs"], arrays["anon_vmas"]
        self.files, self.mms = arrays["files"], arrays["mms"]
        self.page_records = arrays["pages"][: self.ctl[st.PAGES_TOP]]
        self.since_6_1 = self.ctl[st.KERNEL] >= V6_1
        self.live_vmas: dict[int, int] = {}  # slot -> mm
        self.bounds: dict[int, tuple[list[int], list[int], list[int]]] = {}  # mm -> starts, ends, slots
        self.owner: dict[int, str] = {}  # table -> what it serves
        self.found: list[Entry] = []
        self.cached: dict[int, tuple[int, int]] = {}  # pfn -> file and offset
        self.swapped: Counter[int] = Counter()  # by slot: swap-format entries

    def structures(self) -> None:
        """What is pointed to after what points to it."""
        for mm in range(1, self.ctl[st.MMS_TOP]):
            self.vmas_of(mm)
        self.vma_slots()
        self.anon_vma_chains()
        self.files_and_caches()
        for mm in range(1, self.ctl[st.MMS_TOP]):
            self.tables_of(mm)
        self.table_slots()

    # ---- VMAs ----

    def vmas_of(self, mm: int) -> None:
        """In order, apart from each other, inside the address space, and adding up to what the mm says."""
        record = self.mms[mm]
        order = self.machine.states[mm].array("order").tolist()
        count = int(record["map_count"])
        require(
            0 <= count <= len(order) and not any(order[count:]), "map_count is the length of the VMA list", mm=mm, count=count
        )
        starts, ends, slots = self.bounds[mm] = ([], [], [])
        locked = total = last_end = 0
        for slot in order[:count]:
            require(
                0 < slot < self.ctl[st.VMAS_TOP] and slot not in self.live_vmas, "a VMA is in one list once", mm=mm, slot=slot
            )
            vma = self.vmas[slot]
            start, end, flags = (int(vma[name]) for name in ("vm_start", "vm_end", "vm_flags"))
            require(
                last_end <= start < end <= record["task_size"],
                "VMAs are sorted, disjoint, in the address space",
                mm=mm,
                vma=vma,
            )
            require((start | end) % c.PAGE_SIZE == 0, "VMAs are page-aligned", mm=mm, vma=vma)
            require(vma["vm_mm"] == mm, "a VMA knows its mm", mm=mm, vma=vma)
            require(flags & c.VM_LOCKED or not flags & c.VM_LOCKONFAULT, "VM_LOCKONFAULT comes with VM_LOCKED", mm=mm, vma=vma)
            special = flags & (c.VM_SPECIAL | c.VM_HUGETLB)
            require(
                not (special and flags & c.VM_LOCKED), "special VMAs are not locked, and no VM_IO guard is left", mm=mm, vma=vma
            )
            require(vma["vm_file"] or not flags & c.VM_SHARED, "shared memory has a file", mm=mm, vma=vma)
            total += (end - start) >> c.PAGE_SHIFT
            locked += (end - start) >> c.PAGE_SHIFT if flags & c.VM_LOCKED else 0
            self.live_vmas[slot] = mm
            last_end = end
            starts.append(start)
            ends.append(end)
            slots.append(slot)
        require(record["total_vm"] == total, "total_vm is the span of the VMAs", mm=mm, total_vm=record["total_vm"], span=total)
        account = int(record["locked_vm"]) - int(record["locked_vm_leak"]) - locked
        # Modulo 2^32 only: mlock_fixup() keeps its page count in a C int.
        require(account % _U32 == 0, "locked_vm is the span of the VM_LOCKED VMAs", mm=record, span=locked)
        require(not self.since_6_1 or record["locked_vm_leak"] == 0, "only 5.10 leaks locked_vm", mm=record)
        require(not record["def_flags"] & c.VM_LOCKED_CLEAR_MASK, "def_flags are lock flags", mm=record)

    def free_list(self, records: Any, link: str, first: int, number: int, what: str) -> set[int]:
        """The slots of a free list, as many as the allocator says."""
        free: set[int] = set()
        slot = self.ctl[first]
        while slot:
            require(slot not in free and 0 < slot < len(records), f"the free list of {what} ends", slot=slot)
            free.add(slot)
            slot = int(records[slot][link])
        require(
            len(free) == self.ctl[number], f"the free list of {what} has its length", found=len(free), kept=self.ctl[number]
        )
        return free

    def vma_slots(self) -> None:
        """Every slot ever used is a VMA or free, and a free one is clean."""
        free = self.free_list(self.vmas, "link", st.VMAS_FREE, st.VMAS_NFREE, "VMAs")
        for slot in range(1, self.ctl[st.VMAS_TOP]):
            require(
                (slot in free) != (slot in self.live_vmas),
                "a VMA slot is either in use or free",
                slot=slot,
                vma=self.vmas[slot],
            )
        for slot in free:
            left = [name for name in st.VMA_DTYPE.names or () if name != "link" and self.vmas[slot][name]]
            require(not left, "a free VMA slot is clean", slot=slot, fields=left, vma=self.vmas[slot])

    # ---- anon_vmas ----

    def anon_vma_chains(self) -> None:
        """Chains read the same from either end, and the counts of each anon_vma are right."""
        free_avcs = self.free_list(self.avcs, "next_same_anon_vma", st.AVCS_FREE, st.AVCS_NFREE, "anon_vma_chains")
        free = self.free_list(self.anon_vmas, "link", st.ANON_VMAS_FREE, st.ANON_VMAS_NFREE, "anon_vmas")
        live = [slot for slot in range(1, self.ctl[st.ANON_VMAS_TOP]) if slot not in free]
        self.chains: dict[int, set[int]] = {}  # VMA -> its anon_vmas
        links: set[int] = set()
        for vma in self.live_vmas:
            chain = list(self.follow(self.avcs, int(self.vmas[vma]["avc_head"]), "next_same_vma"))
            own = int(self.vmas[vma]["anon_vma"])
            require(all(self.avcs[avc]["vma"] == vma for avc in chain), "a VMA's chain links that VMA", vma=vma, chain=chain)
            require(self.vmas[vma]["avc_count"] == len(chain), "avc_count is the length of the chain", vma=vma, chain=chain)
            self.chains[vma] = {int(self.avcs[avc]["anon_vma"]) for avc in chain}
            require(len(self.chains[vma]) == len(chain), "a VMA is linked to an anon_vma once", vma=vma, chain=chain)
            require(
                bool(own) == bool(chain) and own in self.chains[vma] | {0},
                "a VMA is linked to its anon_vma",
                vma=vma,
                anon_vma=own,
            )
            links.update(chain)
        seen: set[int] = set()
        active = Counter(int(self.vmas[vma]["anon_vma"]) for vma in self.live_vmas)
        children = Counter(int(self.anon_vmas[slot]["parent"]) for slot in live)
        for slot in live:
            record, last = self.anon_vmas[slot], 0
            for avc in self.follow(self.avcs, int(record["avc_head"]), "next_same_anon_vma"):
                require(self.avcs[avc]["anon_vma"] == slot, "an anon_vma's list links that anon_vma", anon_vma=slot, avc=avc)
                require(
                    self.avcs[avc]["prev_same_anon_vma"] == last, "an anon_vma's list reads both ways", anon_vma=slot, avc=avc
                )
                seen.add(avc)
                last = avc
            require(
                record["num_active_vmas"] == active[slot], "num_active_vmas", anon_vma=slot, record=record, found=active[slot]
            )
            require(
                record["num_children"] == children[slot], "num_children", anon_vma=slot, record=record, found=children[slot]
            )
            parent = int(record["parent"])
            require(
                parent in live and record["root"] == (slot if parent == slot else self.anon_vmas[parent]["root"]),
                "the root of an anon_vma is its parent's",
                anon_vma=slot,
                record=record,
            )
            require(
                record["avc_head"] or children[slot] > (parent == slot),
                "an anon_vma in use has VMAs or children",
                anon_vma=slot,
                record=record,
            )
        require(seen == links, "a link is in the chain of its VMA and in the list of its anon_vma", only_one=seen ^ links)
        everything = set(range(1, self.ctl[st.AVCS_TOP]))
        require(
            links | free_avcs == everything and not links & free_avcs,
            "an anon_vma_chain is either in use or free",
            slots=everything - (links ^ free_avcs),
        )

    def follow(self, records: Any, slot: int, link: str) -> Iterator[int]:
        """The members of a linked list that ends with 0."""
        seen: set[int] = set()
        while slot:
            require(slot not in seen and 0 < slot < len(records), f"a list by {link} ends", slot=slot)
            seen.add(slot)
            yield slot
            slot = int(records[slot][link])

    # ---- files ----

    def files_and_caches(self) -> None:
        """Files know their VMAs, and their page caches hold what they say."""
        free = self.free_list(self.files, "link", st.FILES_FREE, st.FILES_NFREE, "files")
        by_file: dict[int, set[int]] = {}
        for vma in self.live_vmas:
            by_file.setdefault(int(self.vmas[vma]["vm_file"]), set()).add(vma)
        for file in range(1, self.ctl[st.FILES_TOP]):
            record, users = self.files[file], by_file.get(file, set())
            if file in free:
                require(
                    not users and record["refs"] == record["cached"] == record["cache_root"] == 0,
                    "a free file is clean",
                    file=file,
                    record=record,
                    vmas=users,
                )
                continue
            listed, last = [], 0
            for vma in self.follow(self.vmas, int(record["i_mmap"]), "i_mmap_next"):
                require(self.vmas[vma]["i_mmap_prev"] == last, "i_mmap reads both ways", file=file, vma=vma)
                listed.append(vma)
                last = vma
            require(set(listed) == users, "i_mmap lists the VMAs of the file", file=file, listed=listed, vmas=users)
            extra = int(record["refs"]) - len(users)
            require(
                record["refs"] > 0 and 0 <= extra <= (not record["shmem"]),
                "refs of a file: its VMAs, and one if it is open",
                file=file,
                record=record,
            )
            before = len(self.cached)
            self.walk_cache(file, int(record["cache_root"]), c.P4D_SHIFT, 0)
            require(
                record["cached"] == len(self.cached) - before,
                "files.cached is the number of cached pages",
                file=file,
                record=record,
            )

    def walk_cache(self, file: int, table: int, shift: int, base: int) -> None:
        """One table of a page cache and what is below it."""
        self.claim(table, f"page cache of file {file}")
        for i, entry in self.words(table):
            key, below = base + (i << shift), (entry >> c.PTE_SHIFT) & c.PFN_FIELD
            if shift > c.PTE_SHIFT:
                self.walk_cache(file, below, shift - c.PTRS_SHIFT, key)
                continue
            pgoff = key >> c.PAGE_SHIFT
            require(0 < below < len(self.page_records), "a cached page is a page", file=file, pgoff=pgoff, pfn=below)
            page = self.page_records[below]
            require(below not in self.cached, "a page is cached once", pfn=below, file=file, pgoff=pgoff)
            require(
                (page["mapping"], page["index"]) == (file << 1, pgoff),
                "a cached page knows its file and offset",
                pfn=below,
                page=page,
                file=file,
                pgoff=pgoff,
            )
            require(
                pgoff < self.files[file]["nr_pages"],
                "no page is cached beyond the end of the file",
                file=self.files[file],
                pgoff=pgoff,
            )
            self.cached[below] = (file, pgoff)

    # ---- tables ----

    def words(self, table: int) -> Iterator[tuple[int, int]]:
        """Index and value of the entries of a table that are not none."""
        words = self.entries[table << c.PTRS_SHIFT : (table + 1) << c.PTRS_SHIFT]
        at = np.flatnonzero(words & c.NONE_MASK)
        return zip(at.tolist(), words[at].tolist(), strict=True)

    def claim(self, table: int, owner: str) -> None:
        """A table serves one purpose."""
        require(0 < table < self.ctl[st.TABLES_TOP], "a table was allocated", table=table, owner=owner)
        require(table not in self.owner, "a table is reached once", table=table, first=self.owner.get(table), second=owner)
        self.owner[table] = owner

    def tables_of(self, mm: int) -> None:
        """The tree of an mm, its deposits, and their number."""
        record = self.mms[mm]
        before = len(self.owner)
        huge = -sum(entry.huge for entry in self.found)
        if record["pgd"]:
            self.walk(mm, int(record["pgd"]), c.P4D_SHIFT if record["levels"] == 4 else c.PGD_SHIFT_LA57, 0)
        else:
            require(record["map_count"] == 0, "an mm without tables has no VMAs", mm=record)
        huge += sum(entry.huge for entry in self.found)
        deposits = 0
        table = int(record["deposit"])
        while table:
            self.claim(table, f"deposit of mm {mm}")
            words = list(self.words(table))
            require(all(i == 0 for i, _ in words), "a deposited table is empty", mm=mm, table=table)
            table = int(self.entries[table << c.PTRS_SHIFT])
            deposits += 1
        require(deposits == huge, "one deposited table per huge PMD", mm=mm, deposits=deposits, huge=huge)
        require(
            record["nr_tables"] == len(self.owner) - before, "nr_tables of an mm", mm=record, found=len(self.owner) - before
        )

    def walk(self, mm: int, table: int, shift: int, base: int) -> None:
        """One page table and what is below it."""
        self.claim(table, f"page table of mm {mm} at {base:#x}")
        for i, entry in self.words(table):
            address = base + (i << shift)
            present = entry & (c._PAGE_PRESENT | c._PAGE_PROTNONE) != 0
            if shift == c.PTE_SHIFT or (shift == c.PMD_SHIFT and (entry & c._PAGE_PSE or not present)):
                size = 1 << shift
                vma = self.vma_at(mm, address)
                require(
                    vma and address + size <= self.vmas[vma]["vm_end"],
                    "every entry lies in a VMA",
                    mm=mm,
                    address=hex(address),
                    entry=hex(entry),
                    vma=vma,
                )
                if present:
                    pfn = ((entry if entry & c._PAGE_PRESENT else ~entry) >> c.PTE_SHIFT) & c.PFN_FIELD
                    self.found.append(Entry(mm, vma, address, entry, pfn, shift == c.PMD_SHIFT))
                elif shift == c.PTE_SHIFT and entry >> c.SWP_TYPE_SHIFT & 31 == c.SWP_SWAPFILE:
                    self.swapped[~entry >> c.SWP_OFFSET_SHIFT & c.SWP_OFFSET_FIELD] += 1
                continue
            require(
                entry & c.TABLE_BITS == c.TABLE_BITS and not entry & c._PAGE_PSE,
                "an upper entry points to a table",
                mm=mm,
                address=hex(address),
                entry=hex(entry),
            )
            starts, ends, _ = self.bounds[mm]
            position = bisect_right(ends, address)
            served = position < len(starts) and starts[position] < address + (1 << shift)
            require(served, "a table serves a VMA: free_pgtables() leaves no other", mm=mm, address=hex(address), shift=shift)
            self.walk(mm, (entry >> c.PTE_SHIFT) & c.PFN_FIELD, shift - c.PTRS_SHIFT, address)

    def vma_at(self, mm: int, address: int) -> int:
        """Slot of the VMA that an address lies in, or 0."""
        starts, _, slots = self.bounds[mm]
        position = bisect_right(starts, address) - 1
        return slots[position] if position >= 0 and address < self.vmas[slots[position]]["vm_end"] else 0

    def table_slots(self) -> None:
        """Every table ever used is reached or free; those of page caches are booked on mm 0."""
        table, free = self.ctl[st.TABLES_FREE], 0
        caches = sum(owner.startswith("page cache") for owner in self.owner.values())
        require(self.mms[0]["nr_tables"] == caches, "tables of page caches", counted=self.mms[0]["nr_tables"], found=caches)
        while table:
            self.claim(table, "free")
            free += 1
            table = int(self.entries[table << c.PTRS_SHIFT])
        require(
            free == self.ctl[st.TABLES_NFREE],
            "the free list of tables has its length",
            found=free,
            kept=self.ctl[st.TABLES_NFREE],
        )
        lost = set(range(1, self.ctl[st.TABLES_TOP])) - set(self.owner)
        require(not lost, "a table is in use or free", lost=lost)
