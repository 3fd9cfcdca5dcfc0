"""One address space from the outside: how a call gets in with room enough, and what can be seen between two calls."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, SupportsIndex

import numpy as np

from mmmodel import state as st
from mmmodel import syscalls as sys
from mmmodel.arguments import U64, Size, integer, size
from mmmodel.constants import (
    DEFAULT_MAP_WINDOW,
    DEFAULT_MAX_MAP_COUNT,
    MMAP_GAP,
    PAGE_SIZE,
    TASK_SIZE_4,
    TASK_SIZE_5,
)
from mmmodel.counters import NAMES
from mmmodel.errno_codes import ESRCH, NEED_ROOM
from mmmodel.estimate import KEEP, pages_to_populate
from mmmodel.jit import load_units
from mmmodel.kernels import DEFAULT_IMPLEMENTATION
from mmmodel.machine import Machine, Snapshot
from mmmodel.observe import ObservableState, PageRun, VmaInfo, observable_state, pagemap, smaps
from mmmodel.show import counters_table, notebook_page, one_line, vmas_table
from mmmodel.state import PAGE_DTYPE, State

if TYPE_CHECKING:
    import pandas as pd

BYTES_PER_PAGE: Final = PAGE_DTYPE.itemsize + 8  # a frame and its entry
CALL_ROOM: Final = 4  # VMAs that one call may add


class AddressSpace:
    """An address space without its calls, which :class:`mmmodel.mm.Mm` adds."""

    def __init__(
        self,
        impl: str = DEFAULT_IMPLEMENTATION,
        *,
        thp: str = "never",
        mthp: Iterable[Size] = (),
        levels: int = 4,
        nr_cpus: int = 1,
        ram: Size | None = None,
        max_map_count: int = DEFAULT_MAX_MAP_COUNT,
        _forked_from: AddressSpace | None = None,
    ) -> None:
        load_units()
        if _forked_from is not None:
            self.machine: Machine = _forked_from.machine
        else:
            self.machine = Machine(
                impl,
                thp=thp,
                mthp=tuple(size("mthp", one) for one in mthp),
                levels=integer("levels", levels),
                nr_cpus=integer("nr_cpus", nr_cpus),
                ram=None if ram is None else size("ram", ram),
                max_map_count=integer("max_map_count", max_map_count),
            )
        self._mm = self.machine.add_mm(64)
        record = self.machine.arrays["mms"][self._mm]
        record["task_size"] = TASK_SIZE_4 if self.machine.levels == 4 else TASK_SIZE_5
        record["mmap_base"] = DEFAULT_MAP_WINDOW - MMAP_GAP
        record["rlimit_memlock"] = self.machine.implementation.kernel.memlock_limit
        record["cap_ipc_lock"] = 1
        self._before = self.machine.counters.copy()
        self._state = self.machine.states[self._mm]

    # ---- the way in ----

    @property
    def impl(self) -> str:
        """Name of the implementation."""
        return self.machine.implementation.name

    @property
    def state(self) -> State:
        """The arrays, for who wants to look; see :mod:`mmmodel.state`.

        ValueError: the machine was restored to a time before this process was forked.
        """
        if self.machine.states.get(self._mm) is not self._state:
            raise ValueError("this process is no more: the machine was restored to a time before it was forked")
        return self._state

    @property
    def cpu(self) -> int:
        """CPU that the next calls run on: whose per-CPU batches they fill."""
        return int(self.machine.ctl[st.CPU])

    @cpu.setter
    def cpu(self, cpu: SupportsIndex) -> None:
        cpu = integer("cpu", cpu)
        if not 0 <= cpu < self.machine.nr_cpus:
            raise ValueError(f"CPU {cpu}: this machine has 0 to {self.machine.nr_cpus - 1}")
        self.machine.ctl[st.CPU] = cpu

    def _run(self, number: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0, e: int = 0, f: int = 0) -> int:
        return int(sys.system_call(self.state, self._mm, number, a, b, c, d, e, f))

    def _call(self, number: int, name: str, *arguments: int) -> int:
        """Run one call from the beginning of its counters: its result, or OSError."""
        np.copyto(self._before, self.machine.counters)
        result = self._run(number, *arguments)
        if result < 0:
            raise OSError(-result, os.strerror(-result), name)
        return result

    def _make_room(self) -> None:
        """Room for the VMAs that one call may split off."""
        self.machine.ensure(vmas=CALL_ROOM, tables=16, files=1)
        self.machine.ensure_vma_list(self._mm, self.map_count + CALL_ROOM)

    def _run_with_room(self, bound: Callable[[int], int], number: int, start: int, *arguments: int) -> int:
        """Run a call that faults pages in, and grow the arrays whenever it stops for want of room.

        ``bound``: pages that it can still need, given the address it has reached.
        """
        while (result := self._run(number, start, *arguments)) == -NEED_ROOM:
            start = int(self.machine.ctl[st.CURSOR])
            self.machine.ensure_fault_room(bound(start))
        return result

    def _foretell(self, start: int, end: int, name: str, lock_flags: int = KEEP) -> int:
        """Refuse to populate [start, end) if that could need more memory than there is; the frames that it could need.

        ``lock_flags``: VM_LOCKED and VM_LOCKONFAULT as the call is about to set them.
        """
        needed = int(pages_to_populate(self.state, self._mm, start, end, lock_flags))
        self._refuse_frames(needed, name)
        return needed

    def _refuse_frames(self, needed: int, name: str) -> None:
        if needed > 1 << 16:
            self.machine.refuse_beyond_memory(needed * BYTES_PER_PAGE, f"{name} of {needed:,} pages")

    def _populate(self, start: int, end: int, ignore_errors: bool) -> int:
        def bound(reached: int) -> int:
            return int(pages_to_populate(self.state, self._mm, reached, end, KEEP))

        return self._run_with_room(bound, sys.POPULATE, start, end, int(ignore_errors))

    # ---- looking ----

    def _field(self, name: str) -> int:
        return int(self.state.array("mms")[self._mm][name])

    @property
    def locked_vm(self) -> int:
        """VmLck, in pages."""
        return self._field("locked_vm")

    @property
    def total_vm(self) -> int:
        """VmSize, in pages."""
        return self._field("total_vm")

    @property
    def map_count(self) -> int:
        """Number of VMAs."""
        return self._field("map_count")

    def _refuse_after_exit(self, name: str) -> None:
        if not self._field("pgd"):
            raise ProcessLookupError(ESRCH, os.strerror(ESRCH), name)

    def _vm_flags_at(self, address: int) -> int:
        """Flags of the VMA at an address, 0 if there is none."""
        order, vmas = self.state.array("order"), self.state.array("vmas")
        position = bisect_right(order, address, 0, self.map_count, key=lambda slot: int(vmas[slot]["vm_end"]))
        if position == self.map_count or int(vmas[order[position]]["vm_start"]) > address:
            return 0
        return int(vmas[order[position]]["vm_flags"])

    def _vm_flags_in(self, start: int, end: int) -> int:
        """Flags that any VMA with an address in [start, end) has."""
        order, vmas = self.state.array("order")[: self.map_count], self.state.array("vmas")
        low = bisect_right(order, start, key=lambda slot: int(vmas[slot]["vm_end"]))
        high = bisect_left(order, end, low, key=lambda slot: int(vmas[slot]["vm_start"]))
        return int(np.bitwise_or.reduce(vmas["vm_flags"][order[low:high]]))

    def smaps(self) -> list[VmaInfo]:
        """The VMAs, as /proc/PID/smaps shows them."""
        return smaps(self.state, self._mm)

    def pagemap(self, start: SupportsIndex, end: SupportsIndex) -> list[PageRun]:
        """Present pages of [start, end), as runs in pages from ``start``; ValueError: not pages of the address space."""
        start, end = integer("start", start), integer("end", end)
        if start % PAGE_SIZE or end % PAGE_SIZE or not 0 <= start <= end <= self._field("task_size") + PAGE_SIZE:
            raise ValueError(f"pagemap: [{start:#x}, {end:#x}) is not whole pages of the address space, in order")
        return pagemap(self.state, self._mm, start, end)

    def vmstat(self) -> dict[str, int]:
        """The machine's counters under their names in /proc/vmstat."""
        return self.machine.vmstat()

    def call_counters(self) -> dict[str, int]:
        """What the last call of this address space counted: all names of :mod:`mmmodel.counters`."""
        return dict(zip(NAMES, (self.machine.counters - self._before).tolist(), strict=True))

    def observable_state(self) -> ObservableState:
        """What the process can see of its locks; equal for all implementations after the same calls."""
        return observable_state(self.state, self._mm)

    def vmas_frame(self) -> pd.DataFrame:
        """:meth:`smaps` as a table of pandas: a row a VMA, with ``start``, ``end`` (bytes), ``rss_kb``, ``flags`` and so on."""
        return vmas_table(self.smaps())

    def counters_frame(self) -> pd.DataFrame:
        """:meth:`call_counters` as a table of pandas: ``value``, ``unit``, ``help`` by the counter's name."""
        return counters_table(self.call_counters())

    def __repr__(self) -> str:
        return one_line(self.impl, self.map_count, self.total_vm, self.locked_vm % U64)

    def _repr_html_(self) -> str:
        return notebook_page(repr(self), self.smaps())

    def memory_bytes(self) -> int:
        """Bytes of model memory in use by the machine."""
        return self.machine.memory_bytes()

    def snapshot(self) -> Snapshot:
        """Copy the whole machine."""
        return self.machine.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Put the whole machine back."""
        self.machine.restore(snapshot)
