"""The machine: the arrays that all address spaces share, their growth, copying and restoring.

Arrays grow here, between calls, by copying what is in use; compiled code never allocates.  A request that could need more
memory than there is, is refused before it begins: the state is what it was.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import psutil

from mmmodel import state as st
from mmmodel.constants import MAX_FOLIO_ORDER, MIN_FOLIO_ORDER, PAGE_SHIFT, PAGE_SIZE, PTRS_PER_TABLE, THP_MODES
from mmmodel.counters import NAMES, NR_COUNTERS, VMSTAT_NAMES
from mmmodel.idea_code import load_idea
from mmmodel.kernels import V6_12, implementation
from mmmodel.pages import FRAMES_PER_FAULT
from mmmodel.state import State

_RESERVE: Final = 0.9  # of the memory that is available, that the model will ask for


@dataclass(frozen=True)
class _Arena:
    """One growing array: its field of State, records per unit, and the allocator's indices in ``ctl``."""

    field: str
    dtype: np.dtype[Any]
    per_unit: int
    top: int
    nfree: int
    first: int  # units of a new machine

    @property
    def unit_bytes(self) -> int:
        return self.dtype.itemsize * self.per_unit


_PAGES: Final = _Arena("pages", st.PAGE_DTYPE, 1, st.PAGES_TOP, st.PAGES_NFREE, 256)
_TABLES: Final = _Arena("entries", np.dtype(np.int64), PTRS_PER_TABLE, st.TABLES_TOP, st.TABLES_NFREE, 32)
_VMAS: Final = _Arena("vmas", st.VMA_DTYPE, 1, st.VMAS_TOP, st.VMAS_NFREE, 64)
_AVCS: Final = _Arena("avcs", st.AVC_DTYPE, 1, st.AVCS_TOP, st.AVCS_NFREE, 64)
_ANON_VMAS: Final = _Arena("anon_vmas", st.ANON_VMA_DTYPE, 1, st.ANON_VMAS_TOP, st.ANON_VMAS_NFREE, 64)
_FILES: Final = _Arena("files", st.FILE_DTYPE, 1, st.FILES_TOP, st.FILES_NFREE, 8)
_ARENAS: Final = (_PAGES, _TABLES, _VMAS, _AVCS, _ANON_VMAS, _FILES)


@dataclass(frozen=True)
class Snapshot:
    """A copy of a whole machine: the arrays in use, and each address space's VMA list by its number."""

    shared: dict[str, npt.NDArray[Any]]
    orders: dict[int, npt.NDArray[np.int32]]
    machine: object  # stands for the machine that it was taken of


class Machine:
    """What the address spaces of one kernel share: pages, page tables, VMAs, LRU lists, counters.

    :class:`mmmodel.Mm` makes one; ``fork()`` adds address spaces to it.
    """

    def __init__(
        self,
        impl: str,
        *,
        thp: str,
        mthp: Collection[int],
        levels: int,
        nr_cpus: int,
        ram: int | None,
        max_map_count: int,
    ) -> None:
        self.implementation = implementation(impl)
        if thp not in THP_MODES:
            raise ValueError(f"unknown thp mode {thp!r}: choose from {', '.join(THP_MODES)}")
        if levels not in (4, 5):
            raise ValueError(f"{levels} levels of page tables: x86-64 has 4 or 5")
        if nr_cpus < 1:
            raise ValueError(f"{nr_cpus} CPUs: at least 1 is needed")
        if ram is not None and not 0 < ram < 1 << 63:
            raise ValueError(f"ram: {ram:#x} bytes; None never refuses")
        if not 0 < max_map_count < 1 << 31:
            raise ValueError(f"max_map_count: {max_map_count} VMAs")
        self._identity = object()
        self.levels = levels
        self.nr_cpus = nr_cpus
        self.states: dict[int, State] = {}  # by address space
        self.arrays: dict[str, npt.NDArray[Any]] = {
            arena.field: np.zeros(arena.first * arena.per_unit, arena.dtype) for arena in _ARENAS
        }
        self.arrays["mms"] = np.zeros(2, st.MM_DTYPE)
        self.arrays["munlock_pvecs"] = np.zeros((2, st.MUNLOCK_ROW), np.int32)
        self.arrays["pvecs"] = np.zeros((nr_cpus, st.NR_PVECS, st.PVEC_ROW), np.int32)
        self.arrays["ctl"] = np.zeros(st.NR_CTL, np.int64)
        self.arrays["counters"] = np.zeros(NR_COUNTERS, np.int64)
        self.ctl = self.arrays["ctl"]
        self.counters = self.arrays["counters"]
        for arena in _ARENAS:
            self.ctl[arena.top] = 1
        self.ctl[st.MMS_TOP] = 1
        self.ctl[st.PAGES_TOP] = st.FIRST_PFN
        self.ctl[st.KERNEL] = self.implementation.kernel.version
        self.ctl[st.ALGORITHM] = self.implementation.algorithm
        if self.implementation.idea is not None:
            self.ctl[st.IDEA_CODE] = load_idea(self.implementation.idea)
        self.ctl[st.BATCH_SIZE] = self.implementation.kernel.batch_size
        self.ctl[st.THP] = THP_MODES.index(thp)
        self.ctl[st.ANON_ORDERS] = self._anon_orders(mthp)
        self.ctl[st.MAX_MAP_COUNT] = max_map_count
        self.ctl[st.RAM_PAGES] = 0 if ram is None else ram >> PAGE_SHIFT
        heads = self.arrays["pages"][: st.NR_LRU_HEADS]
        heads["lru_next"] = heads["lru_prev"] = np.arange(st.NR_LRU_HEADS)
        zero = self.arrays["pages"][st.ZERO_PFN]
        zero["flags"] = st.ZERO_PAGE_FLAGS
        zero["refcount"] = 1

    def _anon_orders(self, mthp: Collection[int]) -> int:
        """Sizes of folios, in bytes, as bits of their orders."""
        orders = {PAGE_SIZE << order: 1 << order for order in range(MIN_FOLIO_ORDER, MAX_FOLIO_ORDER + 1)}
        for size in mthp:
            if size not in orders:
                raise ValueError(f"mthp: {size!r}: choose of {', '.join(map(str, orders))} bytes")
        if mthp and self.implementation.kernel.version < V6_12:
            raise ValueError(f"mthp: Linux {self.implementation.kernel.name} has no large folios of these sizes")
        return sum(orders[size] for size in set(mthp))

    # ---- address spaces ----

    def add_mm(self, room: int) -> int:
        """Number of a new, empty address space with room for ``room`` VMAs."""
        mm = int(self.ctl[st.MMS_TOP])
        self.ctl[st.MMS_TOP] = mm + 1
        if mm == len(self.arrays["mms"]):
            self._grow("mms", 2 * mm, mm)
            self._grow("munlock_pvecs", 2 * mm, mm)
        self.ensure(tables=1)
        table = self._new_table()
        record = self.arrays["mms"][mm]
        record["pgd"] = table
        record["levels"] = self.levels
        record["nr_tables"] = 1
        self.states[mm] = State({**self.arrays, "order": np.zeros(room, np.int32)})
        return mm

    def _new_table(self) -> int:
        """A zeroed table for the top of an address space."""
        table = int(self.ctl[st.TABLES_FREE])
        entries = self.arrays["entries"]
        if table:
            self.ctl[st.TABLES_FREE] = entries[table * PTRS_PER_TABLE]
            self.ctl[st.TABLES_NFREE] -= 1
            entries[table * PTRS_PER_TABLE : (table + 1) * PTRS_PER_TABLE] = 0
        else:
            table = int(self.ctl[st.TABLES_TOP])
            self.ctl[st.TABLES_TOP] = table + 1
        return table

    def has_file(self, number: int) -> bool:
        """Whether a file of that number is open or mapped."""
        return number < int(self.ctl[st.FILES_TOP]) and bool(self.arrays["files"][number]["cache_root"])

    # ---- growth ----

    def _grow(self, field: str, length: int, used: int) -> None:
        """Replace an array by one of ``length`` records, the first ``used`` of them copied."""
        old = self.arrays[field]
        new = np.zeros((length, *old.shape[1:]), old.dtype)
        new[:used] = old[:used]
        self.arrays[field] = new
        for state in self.states.values():
            state.set(field, new)

    def room(self, arena: _Arena) -> int:
        """Units that can still be had from an arena."""
        length = len(self.arrays[arena.field]) // arena.per_unit
        return length - int(self.ctl[arena.top]) + int(self.ctl[arena.nfree])

    def _ensure(self, arena: _Arena, need: int) -> None:
        missing = need - self.room(arena)
        if missing <= 0:
            return
        length = len(self.arrays[arena.field]) // arena.per_unit
        grown = length + max(missing, min(length // 2, max(length // 8, (64 << 20) // arena.unit_bytes)))
        self.refuse_beyond_memory(grown * arena.unit_bytes, f"{arena.field} of the model")
        self._grow(arena.field, grown * arena.per_unit, int(self.ctl[arena.top]) * arena.per_unit)

    def ensure(self, *, pages: int = 0, tables: int = 0, vmas: int = 0, files: int = 0) -> None:
        """Make room for as many pages, tables, new VMAs with their anon_vma chains, and files."""
        if pages:
            self._ensure(_PAGES, pages)
        if tables:
            self._ensure(_TABLES, tables)
        if vmas:
            self._ensure(_VMAS, vmas)
            self._ensure(_AVCS, vmas * (int(self.ctl[st.MAX_CHAIN]) + 1))
            self._ensure(_ANON_VMAS, vmas)
        if files:
            self._ensure(_FILES, files)

    def ensure_fault_room(self, pages: int, *, whole: bool = False) -> None:
        """Make room for faults to go on: for ``pages`` more if that is few (or ``whole``), else for a good part of them.

        Frames that are contiguous and were never used count here: a huge page needs 512 of them, other large folios up to 256.
        """
        pages += 1024 if self.ctl[st.THP] or self.ctl[st.ANON_ORDERS] else 2 * FRAMES_PER_FAULT
        capacity = len(self.arrays["pages"])
        step = pages if whole else min(pages, max(capacity, 1 << 22))
        fresh = capacity - int(self.ctl[st.PAGES_TOP])
        self._ensure(_PAGES, step + self.room(_PAGES) - fresh)
        self.ensure(tables=32 + (step + PTRS_PER_TABLE - 1) // PTRS_PER_TABLE, vmas=64)  # for their anon_vmas

    def ensure_vma_list(self, mm: int, need: int) -> None:
        """Make room for ``need`` VMAs in an address space's list."""
        order = self.states[mm].array("order")
        if need > len(order):
            more = np.zeros(max(need - len(order), len(order)), np.int32)
            self.states[mm].set("order", np.concatenate([order, more]))

    @staticmethod
    def refuse_beyond_memory(needed: int, what: str) -> None:
        """Raise MemoryError if ``needed`` bytes are more than this computer can give."""
        available = int(psutil.virtual_memory().available * _RESERVE)
        if needed > available:
            raise MemoryError(f"{what}: {needed:,} bytes needed, {available:,} available")

    # ---- looking ----

    def vmstat(self) -> dict[str, int]:
        """The counters that /proc/vmstat shows, by the kernel's names."""
        return {name: int(self.counters[NAMES.index(name)]) for name in VMSTAT_NAMES}

    def memory_bytes(self) -> int:
        """Bytes of model memory in use: what was ever handed out of each array, and the VMA lists."""
        used = sum(int(self.ctl[arena.top]) * arena.unit_bytes for arena in _ARENAS)
        fixed = sum(self.arrays[field].nbytes for field in ("mms", "pvecs", "munlock_pvecs", "ctl", "counters"))
        return used + fixed + sum(state.array("order").nbytes for state in self.states.values())

    # ---- copies ----

    def _used(self, field: str) -> int:
        """Records of an array that may differ from zero."""
        for arena in _ARENAS:
            if arena.field == field:
                return int(self.ctl[arena.top]) * arena.per_unit
        return len(self.arrays[field])

    def snapshot(self) -> Snapshot:
        """Copy the machine; MemoryError if there is no room for a copy."""
        self.refuse_beyond_memory(self.memory_bytes(), "a copy of the model")
        shared = {field: array[: self._used(field)].copy() for field, array in self.arrays.items()}
        orders = {mm: state.array("order").copy() for mm, state in self.states.items()}
        return Snapshot(shared, orders, self._identity)

    def restore(self, snapshot: Snapshot) -> None:
        """Make the machine what it was when the snapshot was taken; arrays that have grown since stay large.

        Address spaces that have come since are no more.  ValueError: it is a snapshot of another machine.
        """
        if snapshot.machine is not self._identity:
            raise ValueError("snapshot: it is of another machine")
        for field, saved in snapshot.shared.items():
            array, used = self.arrays[field], self._used(field)
            np.copyto(array[: len(saved)], saved)
            array[len(saved) : used] = np.zeros((), array.dtype)
        for mm in set(self.states) - set(snapshot.orders):
            del self.states[mm]
        for mm, saved_order in snapshot.orders.items():
            order = self.states[mm].array("order")
            order[: len(saved_order)] = saved_order
            order[len(saved_order) :] = 0
